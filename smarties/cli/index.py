"""`smarties index`: embeds images into an archive that `smarties search` looks through.

SOURCE is a scene (GeoTIFF; cut in chips), a folder of prepared records, a folder of GeoTIFF images,
or a kind of source or archive by name, as in `smarties data prepare`. Images that are in
the archive already are not embedded again, so a killed command goes on by the same command, and new
files and sources are added. A source given with another count, split or sensors is another source.
"""

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import tqdm

from smarties import errors, loading
from smarties.cli import data
from smarties.data import archives, records, sources, times
from smarties.data.planet import source as planet
from smarties.figures import thumbnails
from smarties.inference import features, model, scenes
from smarties.inference.index import archive, indexing, items, precision, writing
from smarties.tasks import embedding

SHOWN = 20  # omissions that are printed
DAY = 86400.0  # seconds: the planet's unit of time


def main(argv: Sequence[str]) -> None:
    """Adds to the archive; raises `UserError` for what cannot be added."""
    given = _parser().parse_args(argv)
    if given.batch < 1:
        raise errors.UserError(f"--batch {given.batch}: at least 1 image at a time")
    loaded = loading.load(given.weights, heads=given.heads)
    hub = given.weights.startswith(loading.HUB)
    out, weights = Path(given.out), given.weights if hub else str(Path(given.weights).absolute())
    if given.repair:
        with writing.opened(out, loaded, weights, None) as writer:
            gone = writer.repair()
            print(f"{out}: {len(gone)} shards left out{': ' if gone else ''}{', '.join(gone)}")
        return
    if not given.sources or not given.sensor:
        raise errors.UserError("nothing to index: give SOURCE and --sensor")
    options = _options(given, loaded)
    several = list(_items(given, loaded, options.side))
    with writing.opened(out, loaded, weights, options) as writer:
        for name, some in several:
            with tqdm.tqdm(unit=" images", smoothing=0.05, desc=some.sensor.name) as bar:

                def report(done: int, total: int, bar=bar) -> None:
                    bar.total = total
                    bar.update(done - bar.n)

                outcome = indexing.add(
                    writer, loaded, some, thumbnails.jpeg,
                    batch=given.batch, every=given.every, progress=report,
                )  # fmt: skip
            for line in outcome.omitted[:SHOWN]:
                print(f"omitted: {line}")
            if len(outcome.omitted) > SHOWN:
                print(f"... and {len(outcome.omitted) - SHOWN} more")
            print(f"{name}, {some.sensor.name}: {outcome.added} added, {outcome.known} known "
                  f"before, {len(outcome.omitted)} omitted")  # fmt: skip
        size = len(writer.archive)
        if not size:
            raise errors.UserError(f"{out}: no image could be indexed, see above")
        held = ", ".join(writer.archive.sensors)
        print(f"{out}: {size} vectors of {writer.archive.index['width']} {options.dtype}, {held}")


def _options(given: argparse.Namespace, loaded: model.Model) -> writing.Options:
    """Returns what was asked for; of an archive that is there, what it was made with."""
    known = {}
    if (Path(given.out) / archive.INDEX).exists():
        known = archive.open_archive(given.out).index
    side, pooling = loaded.config["model"]["image_size"], loaded.pooling
    default = dict(side=side, fit="crop", pooling=pooling, dtype="float32")
    asked = dict(side=given.window, fit=given.fit, pooling=given.pooling, dtype=given.dtype)
    chosen = {
        name: known.get(name, default[name]) if value is None else value
        for name, value in asked.items()
    }
    if chosen["side"] < loaded.patch or chosen["side"] % loaded.patch:
        raise errors.UserError(f"--window {chosen['side']}: a multiple of {loaded.patch} is due")
    return writing.Options(**chosen)


def _items(
    given: argparse.Namespace, loaded: model.Model, side: int
) -> Iterator[tuple[str, items.Items]]:
    """Yields the images of each source by each sensor, and how the source is called."""
    time = float("nan") if given.time is None else times.seconds(given.time, "--time")
    names = [name for text in given.sensor for name in text.split(",")]
    for text in given.sources:
        source = _source(given, text)
        for name in names:
            if source is not None:
                seen = features.view(source, name, given.bands or "")
                trained = loaded.sensor(name)  # with the statistics it was trained with
                if trained.names == seen.whole.names:
                    seen = dataclasses.replace(seen, whole=trained)
                simulated = isinstance(source, planet.Planet)
                yield text, items.Examples(
                    source, seen, given.source or text, planet.LAND_COVER if simulated else (),
                    seconds=DAY if simulated else 1.0,
                )  # fmt: skip
                continue
            sensor = loaded.sensor(name)
            if Path(text).is_dir():
                yield text, items.Images(items.files_of(Path(text)), sensor, given.bands, time)
            else:
                opened = scenes.open_scene((text,), sensor, given.bands)
                yield text, items.Chips(opened, side, time)


def _source(given: argparse.Namespace, text: str) -> sources.Source | None:
    """Returns a source of examples; None for images in files."""
    path = Path(text)
    if path.is_dir() and not any(p.is_file() for p in _records(path)):
        return None
    if path.is_dir():
        return sources.source("records", directory=text)
    if path.exists() or path.suffix.lower() in (".tif", ".tiff"):
        return None
    known = {**sources.KINDS, **archives.ARCHIVES}
    if text not in known:
        raise errors.unknown("file, folder or kind of source", text, known)
    options = data.options(given.option)
    if text == "planet":
        names = [name for several in given.sensor for name in several.split(",")]
        options = {"sensors": tuple(names), **options}
    return data.opened(text, given.source, options)


def _records(folder: Path) -> Iterator[Path]:
    return (file for depth in ("", "*/", "*/*/") for file in folder.glob(depth + records.INDEX))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smarties index", description=__doc__, allow_abbrev=False)
    parser.add_argument("sources", metavar="SOURCE", nargs="*")
    parser.add_argument("--weights", required=True, help="run directory or .safetensors file")
    parser.add_argument(
        "--sensor", action="append", default=[],
        help="a registered name, or a YAML file; several with commas",
    )  # fmt: skip
    parser.add_argument("--out", required=True, metavar="DIR", help="the archive")
    parser.add_argument("--bands", help="names with commas (default: the sensor's selected bands)")
    parser.add_argument("--window", type=int, help="pixels of a chip's side (default: as trained)")
    parser.add_argument(
        "--fit", choices=("crop", "resample"),
        help="of larger images: the centre (default), or all of it, resampled to a chip",
    )  # fmt: skip
    parser.add_argument(
        "--pooling",
        choices=embedding.POOLINGS,
        help="default: that of the weights, cls for SMARTIES",
    )
    parser.add_argument("--dtype", choices=precision.DTYPES, help="of vectors (default: float32)")
    parser.add_argument("--batch", type=int, default=32, help="images at a time")
    parser.add_argument(
        "--every", type=float, default=30.0, help="seconds of work that a kill loses at most"
    )
    parser.add_argument("--time", help="of scenes and images, where their names do not tell it")
    parser.add_argument("--source", metavar="DIR", help="where an archive named by SOURCE lies")
    parser.add_argument(
        "-o", "--option", action="append", default=[], metavar="KEY=VALUE", help="of the reader"
    )
    parser.add_argument("--heads", type=int, help="of the encoder, where a file does not tell")
    parser.add_argument("--repair", action="store_true", help="leave corrupt shards out")
    return parser
