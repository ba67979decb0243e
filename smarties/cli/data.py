"""smarties data list | info | pairs | prepare | inspect | stats | verify: archives to records."""

import argparse
import inspect
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tqdm
import yaml

from smarties import errors
from smarties.cli import data_looks
from smarties.data import archives, pairing, pairs, prepare, publishing, sources

SHOWN = 20  # omissions that are printed


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `smarties data`; raises `UserError` for what the user can mend."""
    arguments = _parser().parse_args(argv)
    arguments.run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smarties data", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True)

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, allow_abbrev=False, help=text, description=text)
        made.set_defaults(run=run)
        return made

    command("list", _list, "print the archives that can be read")
    command("info", _info, "print what one has to know of an archive").add_argument("name")
    _pairs_arguments(command("pairs", _pairs, "write a list of pairs of the examples of two "
                             "archives, or of one, found by a rule"))  # fmt: skip
    _prepare_arguments(command("prepare", _prepare, "write an archive, a folder or the planet as "
                               "records; an interrupted command goes on where it was"))  # fmt: skip
    data_looks.add(command)
    return parser


def _pairs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="an archive of `smarties data list`, or records")
    parser.add_argument("--source", metavar="DIR", help="where it lies")
    parser.add_argument("--with", dest="other", metavar="NAME", help="the second archive")
    parser.add_argument("--with_source", metavar="DIR", help="where that lies")
    parser.add_argument("--rule", required=True, choices=pairs.RULES)
    parser.add_argument("--place", default=r"[^/@]*", metavar="REGEX",
                        help="the place in the beginning of an example's name")  # fmt: skip
    parser.add_argument("--out", required=True, metavar="CSV", help="file to write")
    for short, name, text in (("-o", "--option", "reader"), ("-r", "--rule_option", "rule")):
        parser.add_argument(short, name, action="append", default=[], metavar="KEY=VALUE",
                            help=f"of the {text}, VALUE as in YAML")  # fmt: skip


def _prepare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="an archive of `smarties data list`, folder, or planet")
    parser.add_argument("--source", metavar="DIR", help="where the archive or folder lies")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of datasets")
    parser.add_argument(
        "--as", dest="called", metavar="NAME", help="of the dataset (default: name)"
    )
    parser.add_argument("--shards", type=int, metavar="N", help="files of each split")
    parser.add_argument(
        "--shard", type=_part, metavar="I/N", help="only the I-th (from 0) of N files of each split"
    )
    parser.add_argument("--workers", type=int, default=1, metavar="K", help="processes")
    parser.add_argument("--strict", action="store_true", help="stop at the first bad example")
    parser.add_argument("--overwrite", action="store_true", help="replace the dataset, or parts")
    parser.add_argument(
        "--option", "-o", action="append", default=[], metavar="KEY=VALUE",
        help="of the reader, VALUE as in YAML, e.g. -o tile=96; `smarties data info` lists them",
    )  # fmt: skip
    parser.add_argument(
        "--pattern", action="append", default=[], metavar="SENSOR=GLOB",
        help="of a folder: files of a sensor; repeat it",
    )  # fmt: skip


def _part(text: str) -> tuple[int, int]:
    number, slash, count = text.partition("/")
    if not (slash and number.isdigit() and count.isdigit() and int(number) < int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N with I from 0 to N-1")
    return int(number), int(count)


def _list(_: argparse.Namespace) -> None:
    wide = max(map(len, archives.ARCHIVES), default=0)
    for name in sorted(archives.ARCHIVES):
        card = sources.reader(name).CARD
        print(f"{name:<{wide}}  {card.task}: {card.title}")


def _info(arguments: argparse.Namespace) -> None:
    if arguments.name not in archives.ARCHIVES:
        raise errors.unknown("archive", arguments.name, archives.ARCHIVES)
    build = sources.reader(arguments.name)
    card = build.CARD
    print(f"{arguments.name}: {card.title}")
    sums = "\n".join(f"{file}  {value}" for file, value in card.checksums.items())
    for name, text in (
        ("task", card.task), ("units", card.units), ("size", card.size), ("licence", card.licence),
        ("citation", card.citation), ("get it from", card.url), ("layout", card.layout),
        ("checksums", sums or "none published"), ("tested on", card.tested),
        ("options", "\n".join(_options(build)) or "none"),
    ):  # fmt: skip
        print(textwrap.indent(f"{name}:\n{textwrap.indent(text, '  ')}", "  "))


def _options(build: Any) -> list[str]:
    """Returns a line for each argument of a reader but the folder: what it takes, its default."""
    parameters = list(inspect.signature(build).parameters.values())[1:]
    return [
        f"{p.name}: {inspect.formatannotation(p.annotation)} = {p.default!r}"
        for p in parameters
        if p.kind is not p.VAR_KEYWORD
    ]


def options(given: Sequence[str]) -> dict[str, Any]:
    """Returns the reader's arguments of KEY=VALUE texts; lists become tuples."""
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise errors.UserError(f"--option {text!r} is not KEY=VALUE, e.g. tile=96")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise errors.UserError(f"--option {text!r}: the value is no YAML") from error
        found[key] = tuple(parsed) if isinstance(parsed, list) else parsed
    return found


def opened(name: str, folder: str | None, given: dict[str, Any]) -> sources.Source:
    """Returns the source of a name, with its folder as the first argument."""
    for parameter in inspect.signature(sources.reader(name)).parameters.values():
        _check_kind(parameter, given)
    if folder is not None:
        if not Path(folder).exists():
            raise errors.UserError(f"no such folder: {folder}")
        first = next(iter(inspect.signature(sources.reader(name)).parameters))
        if name == "planet":
            raise errors.UserError("--source is for archives and folders: the planet is simulated")
        given = {first: folder, **given}
    return sources.source(name, **given)


def _pairs(arguments: argparse.Namespace) -> None:
    first = opened(arguments.name, arguments.source, options(arguments.option))
    known, unreadable = pairing.records(first, arguments.place)
    others = None
    if arguments.other:
        second = opened(arguments.other, arguments.with_source, {})
        others, more = pairing.records(second, arguments.place)
        unreadable += more
    found = pairs.make(
        arguments.out, known, others, arguments.rule, **options(arguments.rule_option)
    )
    for reason in unreadable[:SHOWN]:
        print(f"unreadable: {reason}")
    one, two = found.alone
    print(f"{arguments.out}: {len(found.pairs)} pairs; alone {one} of the first and {two} of the "
          f"second; unreadable {len(unreadable)}; sha256 {found.sha256}")  # fmt: skip


def _check_kind(parameter: inspect.Parameter, given: dict[str, Any]) -> None:
    """Raises `UserError` where a number or a yes or no is due and something else was given."""
    due, found = parameter.default, given.get(parameter.name)
    if found is None or not isinstance(due, int | float):
        return
    if isinstance(due, bool) != isinstance(found, bool) or not isinstance(found, int | float):
        kind = "true or false" if isinstance(due, bool) else "a number"
        raise errors.UserError(
            f"option {parameter.name} is {found!r}: {kind} like its default {due} is due"
        )


def _prepare(arguments: argparse.Namespace) -> None:
    given = options(arguments.option)
    if arguments.shard and arguments.shards:
        number, count = arguments.shard
        raise errors.UserError(f"--shard {number}/{count} says how many: leave --shards out")
    if arguments.pattern:
        given["sensors"] = _patterns(arguments.pattern)
    source = opened(arguments.name, arguments.source, given)
    outcome = prepare.prepare(
        source,
        arguments.out,
        arguments.called or arguments.name,
        shards=arguments.shards,
        only=arguments.shard,
        workers=arguments.workers,
        strict=arguments.strict,
        overwrite=arguments.overwrite,
        about=_about(source),
        progress=lambda total: tqdm.tqdm(total=total, unit=" examples", smoothing=0.05),
    )
    for line in outcome.omitted[:SHOWN]:
        print(f"omitted{line['split'] and ' from '}{line['split']}: {line['reason']}")
    if len(outcome.omitted) > SHOWN:
        print(f"... and {len(outcome.omitted) - SHOWN} more")
    written = ", ".join(f"{split} {count}" for split, count in outcome.written.items())
    print(f"written: {written}; omitted: {len(outcome.omitted)}")
    if report := dict(getattr(source, "report", {})):
        print("; ".join(f"{name.replace('_', ' ')} {count}" for name, count in report.items()))
    if outcome.directory:
        print(f"{outcome.directory}: ready; all omissions are in {publishing.OMITTED} there")
    else:
        print(f"{outcome.finished} of {outcome.shards} shards are finished: the rest is to come")


def _about(source: sources.Source) -> dict[str, str]:
    """Returns what TFDS keeps of a dataset's card."""
    card = getattr(source, "CARD", None)
    if card is None:
        return {}
    return {
        "description": f"{card.title}. {card.task}. {card.units}",
        "homepage": card.url,
        "citation": card.citation,
        "license": card.licence,
    }


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
