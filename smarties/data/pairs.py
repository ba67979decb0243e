"""Which example is paired with which: lists in files, and the rules that make them.

A rule is a pure function of what is known of the examples, so a list is the same on every machine.
The file is CSV below two comments: a digest of all that follows it, and the rule with its options.
"""

import csv
import dataclasses
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from smarties import errors
from smarties.data import pairing

_DIGEST = "# sha256: "
_RULE = "# rule: "
_COLUMNS = ["first", "second", "split"]
RULES: dict[str, Callable[..., list[pairing.Pair]]] = {
    "name": pairing.by_name,
    "date": pairing.by_date,
    "season": pairing.by_season,
    "overlap": pairing.by_overlap,
}


@dataclasses.dataclass(frozen=True)
class PairList:
    """Pairs with how they were found.

    Attributes:
      pairs: in the order of the file.
      rule: one of `RULES`, or whatever another tool calls its own.
      options: of the rule, JSON-able.
      alone: how many examples of the first and of the second source have no partner.
      sha256: of the file below its first line.
    """

    pairs: tuple[pairing.Pair, ...]
    rule: str
    options: Mapping[str, Any]
    alone: tuple[int, int] = (0, 0)
    sha256: str = ""


def make(
    file: str | Path,
    first: Sequence[pairing.Record],
    second: Sequence[pairing.Record] | None,
    rule: str,
    **options: Any,
) -> PairList:
    """Returns the pairs that a rule finds, written to a file: what `smarties data pairs` calls.

    Args:
      file: to write.
      first, second: what is known of the examples of both sources, see `pairing.records`; None
        for pairs within one, by every rule but "name".
      rule: one of `RULES`.
      options: of the rule.

    Raises:
      UserError: an unknown rule or option (with a suggestion), repeated names, or no pair.
    """
    if rule not in RULES:
        raise errors.unknown("rule of pairs", rule, RULES)
    known = RULES[rule].__kwdefaults__ or {}
    for option in options:
        if option not in known:
            raise errors.unknown(f"option of rule {rule}", option, known)
    if second is None and rule == "name":
        raise errors.UserError("rule name pairs two sources: give the second")
    options, others = {**known, **options}, first if second is None else second
    pairs = RULES[rule](first, second, **options)
    if not pairs:
        raise errors.UserError(
            f"{file}: rule {rule} finds no pair among {len(first)} and {len(others)} examples"
        )
    alone = (
        len(first) - len({pair.first for pair in pairs}),
        len(others) - len({pair.second for pair in pairs}),
    )
    return write_list(file, PairList(tuple(pairs), rule, options, alone))


def write_list(file: str | Path, pairs: PairList) -> PairList:
    """Returns the list with its digest, written to a file; an old file stays until it is whole.

    Raises:
      UserError: what `read_list` would refuse.
    """
    _check(pairs.pairs, str(file))
    rule = {"rule": pairs.rule, "options": dict(pairs.options), "alone": list(pairs.alone)}
    text = io.StringIO(newline="")
    text.write(f"{_RULE}{json.dumps(rule, sort_keys=True)}\n")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerows([_COLUMNS, *(dataclasses.astuple(pair) for pair in pairs.pairs)])
    body = text.getvalue().encode()
    digest = hashlib.sha256(body).hexdigest()
    file = Path(file)
    part = file.with_name(f"{file.name}.part")
    part.write_bytes(f"{_DIGEST}{digest}\n".encode() + body)
    os.replace(part, file)
    return dataclasses.replace(pairs, sha256=digest)


def read_list(file: str | Path, sha256: str | None = None) -> PairList:
    """Returns the list in a file.

    Args:
      file: from `write_list`.
      sha256: the digest that a run has kept; None to trust the file's own.

    Raises:
      UserError: missing, edited or truncated, another list than the run's, names that leave their
        root, or a name paired twice.
    """
    try:
        head, _, body = Path(file).read_bytes().partition(b"\n")
        first, text = head.decode(), body.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.UserError(f"{file}: missing or no text: make it again") from error
    digest = hashlib.sha256(body).hexdigest()
    if not first.startswith(_DIGEST):
        raise errors.UserError(f"{file}: no list of pairs: its first line must be {_DIGEST}...")
    if first != f"{_DIGEST}{digest}":
        raise errors.UserError(f"{file}: edited or truncated, its digest differs: make it again")
    if sha256 not in (None, digest):
        raise errors.UserError(f"{file}: another list than the run's: {digest}, kept is {sha256}")
    said, _, table = text.partition("\n")
    try:
        rule = json.loads(said.removeprefix(_RULE))
        header, *rows = csv.reader(io.StringIO(table, newline=""), strict=True)
        if header != _COLUMNS:
            raise ValueError(f"columns {header}")
        pairs = tuple(pairing.Pair(*row) for row in rows)
        result = PairList(pairs, rule["rule"], rule["options"], tuple(rule["alone"]), digest)
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise errors.UserError(f"{file}: no list of pairs ({error}): make it again") from error
    _check(pairs, str(file))
    return result


def _check(pairs: Sequence[pairing.Pair], where: str) -> None:
    seen = set()
    for pair in pairs:
        for name in (pair.first, pair.second):
            path = PurePosixPath(name.replace("\\", "/"))
            if not name or path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", name):
                raise errors.UserError(f"{where}: {name!r} leaves its root: names lie below it")
            if not name.isprintable():
                raise errors.UserError(f"{where}: {name!r} has characters that cannot be printed")
        if pair.first in seen:
            raise errors.UserError(f"{where}: {pair.first} is paired twice")
        seen.add(pair.first)
