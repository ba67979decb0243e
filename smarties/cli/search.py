"""`smarties search`: the images of an archive (`smarties index`) nearest to an image.

The query may be of any sensor that the model reads; the images it is answered with are of any
sensor of the archive, or of that given by --of. Writes gallery.png, index.html and results.parquet.
"""

import argparse
import datetime
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from smarties import errors, loading
from smarties.data import times
from smarties.figures import neighbours, thumbnails
from smarties.inference import model
from smarties.inference.index import approximate, archive, filters, fitting, items, querying, rows
from smarties.interchange import whole
from smarties.spectrum import registry
from smarties.spectrum.bands import Sensor

PLACES = 2000  # of the archive, that the map shows


def main(argv: Sequence[str]) -> None:
    """Prints the nearest and writes their pages; raises `UserError` for what cannot be asked."""
    given = _parser().parse_args(argv)
    opened, chosen = archive.open_archive(given.archive), _filters(given)
    querying.check(opened, given.k, chosen)
    out = Path(given.out or f"{Path(given.query).stem}-found")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise errors.UserError(f"--out {out} exists already: give another folder")
    weights = given.weights or opened.index["model"]["weights"]
    loaded = loading.load(weights, heads=given.heads)
    opened.check_encoder(loaded, weights)
    sensor = _sensor(opened, loaded, given.sensor)
    asked = items.Images((Path(given.query),), sensor, given.bands).read(0)
    seen = sensor.select(given.bands)
    opened.check_sensor(seen)
    vector, how = _embedded(loaded, opened, asked, seen, given.fit)
    found = querying.find(
        opened, vector, given.k, chosen, centre=seen.name if given.centre else None,
        method=given.method, verify=not given.no_verify,
    )  # fmt: skip
    notes = [f"query: {how}"]
    if given.centre:
        notes.append("vectors are centred, each sensor's by its own mean and deviation")
    if found.looked < len(opened):
        notes.append(f"{found.looked} of {len(opened)} images pass the filters")
    if found.recall is not None:
        notes.append(f"{given.method}: {found.recall:.0%} of the exact nearest")
    _print(found.rows)
    for note in notes:
        print(note)
    with whole.folder(out) as folder:
        _write(folder, opened, chosen, asked, seen, found, notes)
    print(f"{out}: index.html, gallery.png, results.parquet")


def _sensor(opened: archive.Archive, loaded: model.Model, name: str) -> Sensor:
    """Returns a sensor that the model or the registry knows, or else the archive."""
    try:
        return loaded.sensor(name)
    except errors.UserError:
        known = opened.index["sensors"].get(name)
        if known is None:
            raise
        return registry.sensor_from_dict(known["definition"], where=f"{opened.directory}")


def _embedded(
    loaded: model.Model,
    opened: archive.Archive,
    asked: items.Item,
    seen: Sensor,
    fit: fitting.Fit | None,
) -> tuple[np.ndarray, str]:
    """Returns the vector of the query, and how it was made, for people."""
    side, rule = opened.index["side"], fit or opened.index["fit"]
    chips, valid = fitting.fitted(asked.image, asked.valid, side, rule)
    if not valid.any():
        raise errors.UserError(
            f"{asked.scene}: no valid pixel in what is looked at; try --fit mean"
        )
    z = fitting.vectors(loaded, chips, valid, seen, side=side, pooling=opened.index["pooling"])
    high, wide = asked.valid.shape
    cut = {
        "crop": f"centre crop of {chips.shape[1]} x {chips.shape[2]} pixels",
        "mean": f"mean of {len(chips)} chips of {chips.shape[1]} x {chips.shape[2]} pixels",
        "resample": "the whole image",
    }[rule]
    same = (high, wide) == chips.shape[1:3]
    said = f"{high} x {wide} pixels" + ("" if same and rule != "mean" else f", {cut}")
    if chips.shape[1:3] != (side, side):
        said += f", resampled to {side} x {side}"
    return z.mean(0), f"{said}, {seen.name}"


def _filters(given: argparse.Namespace) -> filters.Filters:
    if given.bbox and given.within:
        raise errors.UserError("--bbox and --within: give one area")
    area = filters.box(given.bbox) if given.bbox else None
    area = filters.geojson(given.within) if given.within else area
    return filters.Filters(
        sensor=given.of,
        since=_time(given.since, "--since"),
        until=_time(given.until, "--until"),
        area=area,
        label=given.label,
    )


def _time(text: str | None, option: str) -> float | None:
    return None if text is None else times.seconds(text, option)


def _print(found: rows.Table) -> None:
    print(f"{'rank':>4}  {'similarity':>10}  {'date':<10}  {'lon':>9}  {'lat':>8}  image")
    for row in found.drop_columns(["picture", "geometry", "key"]).to_pylist():
        lon, lat = (
            f"{row[name]:.{digits}f}" if row[name] is not None else ""
            for name, digits in (("lon", 4), ("lat", 4))
        )
        labels = f" ({', '.join(row['labels'])})" if row["labels"] else ""
        print(f"{row['rank']:>4}  {row['similarity']:>10.4f}  {_date(row['time']):<10}  {lon:>9}  "
              f"{lat:>8}  {row['sensor']} {row['id']}{labels}")  # fmt: skip


def _date(moment: datetime.datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else ""


def _write(
    folder: Path, opened: archive.Archive, chosen: filters.Filters, asked: items.Item,
    seen: Sensor, found: querying.Found, notes: Sequence[str],
) -> None:  # fmt: skip
    rows.write(folder / "results.parquet", found.rows)
    query = neighbours.Card(
        picture=thumbnails.jpeg(asked.image, asked.valid, seen),
        title="query",
        lines=(seen.name, Path(asked.scene).name, _where(asked.place)),
        place=asked.place,
    )
    cards = [
        neighbours.Card(
            picture=row["picture"], title=f"{row['similarity']:.3f}", place=(place := _place(row)),
            lines=(row["sensor"], row["id"], _date(row["time"]), _where(place),
                   ", ".join(row["labels"])),
        )
        for row in found.rows.to_pylist()
    ]  # fmt: skip
    others = querying.places(opened, chosen, PLACES)
    title = f"Nearest to {Path(asked.scene).name}"
    said = (f"Cosine similarity, in {opened.directory}", *notes)
    text = neighbours.document(title, said, query, cards, others)
    (folder / "index.html").write_text(text)
    (folder / "gallery.png").write_bytes(neighbours.gallery(title, query, cards, others))


def _place(row: dict) -> tuple[float, float]:
    return neighbours.NOWHERE if row["lon"] is None else (row["lon"], row["lat"])


def _where(place: tuple[float, float]) -> str:
    lon, lat = place
    if not math.isfinite(lon):
        return ""
    east, north = ("E" if lon >= 0 else "W"), ("N" if lat >= 0 else "S")
    return f"{abs(lat):.4f}° {north}, {abs(lon):.4f}° {east}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smarties search", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--archive", required=True, metavar="DIR")
    parser.add_argument("--query", required=True, metavar="IMAGE.tif")
    parser.add_argument("--sensor", required=True, help="of the query: a name, or a YAML file")
    parser.add_argument("--bands", help="of the query, as when its sensor was indexed")
    parser.add_argument("--k", type=int, default=10, help="how many")
    parser.add_argument("--weights", help="default: those the archive was made with")
    parser.add_argument("--of", metavar="SENSOR", help="only its images")
    parser.add_argument("--since", metavar="DATE", help="taken then or later, ISO 8601")
    parser.add_argument("--until", metavar="DATE", help="taken before")
    parser.add_argument(
        "--bbox", nargs=4, type=float, metavar=("W", "S", "E", "N"),
        help="degrees: only images centred in it",
    )  # fmt: skip
    parser.add_argument(
        "--within", metavar="FILE", help="only images centred in the polygons of a GeoJSON file"
    )
    parser.add_argument("--label", help="only images with it")
    parser.add_argument(
        "--fit", choices=fitting.FITS,
        help="of a query larger than a chip: crop, its centre; mean, of all its chips; resample "
        "(default: as the archive)",
    )  # fmt: skip
    parser.add_argument(
        "--centre", action="store_true", help="compare vectors centred by each sensor's own mean"
    )
    parser.add_argument(
        "--method", default="exact", choices=("exact", *approximate.KINDS),
        help="others by FAISS, with the share of the exact nearest they find",
    )  # fmt: skip
    parser.add_argument("--no_verify", action="store_true", help="do not compare checksums")
    parser.add_argument("--heads", type=int, help="of the encoder, where a file does not tell")
    parser.add_argument("--out", metavar="DIR", help="folder to make (default: IMAGE-found)")
    return parser
