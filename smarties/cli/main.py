"""`smarties <command>`: finds the command; a mendable error is one line and exit code 2."""

import contextlib
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
    "evaluate": "probe frozen features on labelled data, beside baselines",
    "results": "print the table of evaluations",
    "embed": "turn images and scenes into vectors",
    "index": "embed images into an archive that can be searched",
    "search": "find the images of an archive nearest to an image",
    "predict": "turn scenes into maps with a trained head",
    "explain": "say why a species model predicts what it does",
    "export": "write weights for other software",
    "import": "read released weights",
    "watch": "draw the curves of runs in the terminal as they grow",
    "report": "write the page of a run",
    "bench": "measure this machine",
}
_EXTRAS = {
    "rasterio": "geo",
    "tqdm": "geo",
    "pyarrow": "data",
}  # which brings a package that is not there
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
    with contextlib.suppress(ImportError):  # libraries tell at length what we report as one line
        from absl import logging

        logging.set_verbosity(logging.FATAL)
    try:
        importlib.import_module(known[argv[0]]).main(argv[1:])
    except ModuleNotFoundError as error:
        raise _too_light(argv[0], error) from error
    sys.stdout.flush()
    return 0


def _too_light(command: str, error: ModuleNotFoundError) -> Exception:
    """Returns which extra an install needs for a command, or the error where it is a bug."""
    missing = (error.name or "smarties").partition(".")[0]
    if missing == "smarties":
        return error
    extra = _EXTRAS.get(missing, "train")
    return errors.UserError(f"smarties {command} needs {missing}: pip install 'smarties[{extra}]'")


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
