"""smarties data prepare | show | check: examples to ArrayRecord files, and what such files hold."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

import tqdm

from smarties import errors
from smarties.data import geotiff, records, sources


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `smarties data`; raises `UserError` for what the user can mend."""
    arguments = _parser().parse_args(argv)
    {"prepare": _prepare, "show": _show, "check": _check}[arguments.command](arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smarties data", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", allow_abbrev=False, help="write a source as records")
    prepare.add_argument("--source", required=True, choices=("planet", "folder"))
    prepare.add_argument("--output", required=True, metavar="DIR", help="folder to make")
    prepare.add_argument("--shards", type=int, default=1, help="files to write")
    prepare.add_argument("--overwrite", action="store_true", help="replace a folder of records")
    prepare.add_argument("--seed", type=int, default=0, help="of the planet, or of the split")
    planet = prepare.add_argument_group("planet")
    planet.add_argument("--sensors", help="names with commas")
    planet.add_argument("--count", type=int, help="places")
    planet.add_argument("--size", type=int, help="rows and columns at 10 m")
    planet.add_argument("--first", type=int, help="first place")
    folder = prepare.add_argument_group("folder")
    folder.add_argument("--root", metavar="DIR")
    folder.add_argument(
        "--pattern", action="append", metavar="SENSOR=GLOB", help="files of a sensor; repeat it"
    )
    folder.add_argument("--tile", type=int, help="side of a tile, pixels of the finest sensor")
    folder.add_argument("--stride", type=int, help="between tiles")
    folder.add_argument("--split", choices=("train", "test"), help="part of the scenes")
    folder.add_argument("--test_share", type=float, help="share of the places held out")
    folder.add_argument("--test_scenes", help="places or scenes held out, names with commas")
    folder.add_argument("--match", choices=("key", "order"), help="how images join")
    folder.add_argument("--resampling", choices=geotiff.RESAMPLING)
    for name, text in (("show", "print schema and counts"), ("check", "read every record")):
        command = commands.add_parser(name, allow_abbrev=False, help=text)
        command.add_argument("directory", metavar="DIR")
    return parser


_OPTIONS = {
    "planet": ("sensors", "count", "size", "first"),
    "folder": (
        *("root", "pattern", "tile", "stride", "split"),
        *("test_share", "test_scenes", "match", "resampling"),
    ),
}


def _prepare(arguments: argparse.Namespace) -> None:
    for kind, names in _OPTIONS.items():
        for name in names:
            if kind != arguments.source and getattr(arguments, name) is not None:
                raise errors.UserError(f"--{name} is for --source {kind}, not {arguments.source}")
    chosen = {name: getattr(arguments, name) for name in _OPTIONS[arguments.source]}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    for name in ("sensors", "test_scenes"):
        if name in chosen:
            chosen[name] = tuple(chosen[name].split(","))
    if patterns := chosen.pop("pattern", None):
        chosen["sensors"] = _patterns(patterns)
    source = sources.source(arguments.source, seed=arguments.seed, **chosen)
    index = records.write(
        source,
        arguments.output,
        shards=arguments.shards,
        overwrite=arguments.overwrite,
        progress=lambda todo: tqdm.tqdm(todo, unit=" examples"),
    )
    report: dict[str, int] = dict(getattr(source, "report", {}))
    skipped = report.pop("all_invalid", 0) + index["skipped_all_invalid"]
    print(f"{arguments.output}: {index['count']} examples written, {skipped} all invalid skipped")
    if report:
        print("; ".join(f"{name.replace('_', ' ')} {count}" for name, count in report.items()))


def _patterns(given: Sequence[str]) -> dict[str, str]:
    patterns = {}
    for text in given:
        sensor, equals, pattern = text.partition("=")
        if not equals or not pattern or sensor in patterns:
            raise errors.UserError(
                f"--pattern {text!r} is not one SENSOR=GLOB for each sensor, "
                f"e.g. sentinel2-l2a=S2L2A/*.tif"
            )
        patterns[sensor] = pattern
    return patterns


def _show(arguments: argparse.Namespace) -> None:
    source = records.Records(arguments.directory)
    index: dict[str, Any] = source.index
    size = sum(shard["bytes"] for shard in index["shards"])
    print(f"{arguments.directory}: {len(source)} examples in {len(index['shards'])} shards, "
          f"{size / 1e6:.1f} MB; {index['skipped_all_invalid']} all invalid skipped")  # fmt: skip
    for field in index["fields"]:
        shape = " x ".join(map(str, field["shape"])) or "scalar"
        print(f"  {'/'.join(field['path']):32} {field['dtype']:4} {shape}")
    for name, sensor in source.definitions.items():
        print(f"  {name}: {', '.join(sensor.names)}")
    print(f"  source: {json.dumps(index['source'])}")


def _check(arguments: argparse.Namespace) -> None:
    source = records.Records(arguments.directory, verify=True)
    for index in tqdm.trange(len(source), unit=" examples"):
        source[index]
    print(f"{arguments.directory}: all {len(source)} records are whole")
