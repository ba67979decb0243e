"""smarties data inspect | stats | verify: what prepared records hold."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tqdm
import yaml

from smarties import errors
from smarties.data import records, statistics, verify
from smarties.data.archives import bigearthnet_statistics


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds the commands to a parser; `command` makes one of (name, function, help)."""
    look = command("inspect", _inspect, "print the schema and write a contact sheet")
    look.add_argument("directory", metavar="DIR", help="a prepared dataset")
    look.add_argument("--split", help="default: all")
    look.add_argument("--count", type=int, default=6, help="examples, evenly spaced")
    look.add_argument("--out", metavar="PNG", help="default: contact-sheet.png in DIR")
    measure = command("stats", _stats, "percentiles, mean and std of each band, as sensor files")
    measure.add_argument("directory", metavar="DIR", help="a prepared dataset")
    measure.add_argument("--split", help="default: train where there is one, else all")
    measure.add_argument("--out", metavar="DIR", help="folder for one YAML file of each sensor")
    check = command("verify", _verify, "read every record: checksums, shapes, shares, labels")
    check.add_argument("directory", metavar="DIR", help="a prepared dataset")


def _inspect(arguments: argparse.Namespace) -> None:
    from smarties.figures import scenes

    source = records.Records(arguments.directory, split=arguments.split)
    if arguments.count < 1:
        raise errors.UserError(f"--count {arguments.count}: one or more examples are shown")
    chosen = np.unique(
        np.linspace(0, len(source) - 1, min(arguments.count, len(source)), dtype=int)
    )
    output = Path(arguments.out or source.directory / "contact-sheet.png")
    examples = [source[int(i)] for i in chosen]
    scenes.write(examples, output, source.definitions, source.classes)
    shards = [shard for part in source.index["splits"].values() for shard in part]
    size = sum(shard["bytes"] for shard in shards)
    counts = ", ".join(f"{split} {len(part)}" for split, part in source.splits.items())
    print(f"{source.directory}: {counts}; {len(shards)} shards, {size / 1e6:.1f} MB; "
          f"{source.index['omitted']} omitted")  # fmt: skip
    for field in source.index["layout"]:
        shape = " x ".join(map(str, field["shape"])) or "scalar"
        print(f"  {'/'.join(field['path']):32} {field['dtype']:4} {shape}")
    for name, sensor in source.definitions.items():
        units = ", ".join(dict.fromkeys(band.unit for band in sensor.bands))
        print(f"  {name} ({units}): {', '.join(sensor.names)}")
    if source.classes:
        print(f"  classes: {', '.join(f'{i} {name}' for i, name in enumerate(source.classes))}")
    print(f"  {output}")


def _stats(arguments: argparse.Namespace) -> None:
    source = records.Records(arguments.directory)
    split = arguments.split or ("train" if "train" in source.splits else None)
    source = records.Records(source.directory, split=split)
    found = statistics.measure(source, tqdm.trange(len(source), unit=" examples"))
    name = source.directory.parent.name
    part = f"split {split} of {name}" if split else name
    digests = source.identity()["digests"].values()
    origin = f"{part}, records {' '.join(digest[:12] for digest in digests)}"
    for sensor, bands in found.items():
        known = source.definitions[sensor]
        unit = known.bands[0].unit
        print(f"{sensor}, stored numbers ({unit} = number * {known.bands[0].scale:g} + "
              f"{known.bands[0].offset:g}), {bands[0].count} valid pixels of {part}")  # fmt: skip
        heads = ("min", "p1", "p50", "p99", "max", "mean", "std")
        print(f"  {'band':8} " + " ".join(f"{head:>9}" for head in heads))
        for band, one in zip(known.names, bands, strict=True):
            numbers = (one.minimum, *one.percentiles.values(), one.maximum, one.mean, one.std)
            print(f"  {band:8} " + " ".join(f"{x:9.5g}" for x in numbers))
        for version in sorted({text.partition(":")[0] for text in source.published}):
            means, stds = bigearthnet_statistics.of(version, known)
            print(
                f"  {version} as published ({bigearthnet_statistics.STATISTICS[version].source}):"
            )
            for band, mean, std in zip(known.names, means, stds, strict=True):
                print(f"  {band:8} " + " " * 50 + f"{mean:9.5g} {std:9.5g}")
        if arguments.out:
            folder = Path(arguments.out)
            folder.mkdir(parents=True, exist_ok=True)
            called = f"{sensor}-{name.replace('_', '-')}"
            entry = statistics.sensor_file(known, bands, called, origin)
            (folder / f"{called}.yaml").write_text(yaml.safe_dump(entry, sort_keys=False))
            print(f"  {folder / called}.yaml: goes wherever a sensor's name does")


def _verify(arguments: argparse.Namespace) -> None:
    source = records.Records(arguments.directory)
    with tqdm.tqdm(total=len(source), unit=" examples") as bar:

        def progress(part):
            for index in part:
                yield index
                bar.update()

        report = verify.verify(source, progress)
    for split, count in report.counts.items():
        print(f"{split}: {count} examples")
        if any(report.labels[split].values()):
            for name, number in report.labels[split].items():
                print(f"  {number:8d}  {name}")
    for sensor, share in report.valid.items():
        print(f"{sensor}: {100 * share:.2f} % of pixels valid, "
              f"{100 * report.finite[sensor]:.2f} % of these finite")  # fmt: skip
    print(f"{report.omitted} examples were omitted when the records were written")
    if report.corrupt:
        raise errors.UserError(f"{len(report.corrupt)} times damaged: "
                               + "; ".join(report.corrupt[:3]))  # fmt: skip
    print(f"{source.directory}: all {len(source)} records are whole")
