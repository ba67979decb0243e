"""`smarties <command>`: finds the command; a mendable error is one line and exit code 2."""

import difflib
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Sequence

from smarties import errors

# A command's module has main(argv). It is imported when asked for, so that help is quick.
COMMANDS = {
    "train": "pretrain or adapt a model by a configuration",
    "plan": "say what a run would need and take on many devices",
    "info": "say what a checkpoint or a weights file holds",
    "sensors": "list, print and draw sensors",
    "data": "prepare and inspect data",
    "embed": "turn images and scenes into vectors",
    "predict": "turn scenes into maps with a trained head",
    "export": "write weights for other software",
    "import": "read released weights",
    "watch": "draw the curves of runs in the terminal as they grow",
    "report": "write the page of a run",
    "bench": "measure this machine",
}
_MODULES = {"import": "import_"}  # a module cannot be called by a keyword


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0; 2 after a `UserError`, printed as one line; 75 when preempted."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(argv)
    except errors.UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except errors.Preempted as notice:
        print(f"preempted: {notice}", file=sys.stderr)
        return errors.REQUEUE
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted; a flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0
    if argv[0] == "--version":
        print(f"smarties {importlib.metadata.version('smarties')}")
        return 0
    known = available()
    if argv[0] not in known:
        close = difflib.get_close_matches(argv[0], known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
        raise errors.UserError(f"unknown command {argv[0]!r}: {hint}")
    importlib.import_module(known[argv[0]]).main(argv[1:])
    sys.stdout.flush()
    return 0


def available() -> dict[str, str]:
    """Returns {command: module} of the commands there are."""
    modules = {name: f"smarties.cli.{_MODULES.get(name, name)}" for name in COMMANDS}
    return {name: module for name, module in modules.items() if importlib.util.find_spec(module)}


def _usage() -> str:
    lines = [f"  {name:<10} {COMMANDS[name]}" for name in available()]
    return "\n".join(
        (
            "usage: smarties <command> [options]",
            "",
            *lines,
            "",
            "smarties <command> --help says more.",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
