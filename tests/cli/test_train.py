"""`smarties train` as a person types it: overrides, dry run, and one line for every mistake."""

import json
import sys
import textwrap
import types
from pathlib import Path

import pytest

from smarties import tasks
from smarties.cli import main as commands
from smarties.figures import sheet

sys.path.append(str(Path(__file__).parents[1] / "training"))
import toy

_FILE = """
    from ml_collections import ConfigDict

    def get_config(arg="16"):
        return ConfigDict({
            "name": "toy", "steps": 3, "batch_size": int(arg), "seed": 0,
            "task": {"kind": "linear"}, "model": {"widths": (8, 16)}, "data": {"workers": 0},
            "optimizer": {"learning_rate": 0.1}, "log": {"every": 1},
        })
"""


@pytest.fixture
def smarties(tmp_path, monkeypatch, capsys):
    """Returns a function that runs a command line in an empty directory: (code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tasks, "make", lambda config, **_: toy.Linear(batch=16), raising=False)
    (tmp_path / "toy.py").write_text(textwrap.dedent(_FILE))

    def run(*argv):
        code = commands.main(argv)
        return types.SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return run


def _mistake(result):
    """Returns the one line a mistake prints."""
    assert result.code == 2
    line, *rest = result.err.splitlines()
    assert line.startswith("error: ") and not rest
    return line


def test_trains_with_overrides_into_the_default_workdir(smarties, tmp_path):
    result = smarties("train", "--config", "toy.py:24", "--config.optimizer.beta2=0.5",
                      "--config.model.widths=(4, 4)", "--config.optimizer.ema=0.9")  # fmt: skip
    assert (result.code, result.out) == (0, "toy is in runs/toy\n")
    config = json.loads((tmp_path / "runs" / "toy" / "config.json").read_text())
    assert (config["batch_size"], config["model"]["widths"]) == (24, [4, 4])
    assert (config["optimizer"]["beta2"], config["optimizer"]["ema"]) == (0.5, 0.9)
    assert json.loads((tmp_path / "runs" / "toy" / "results.json").read_text())["step"] == 3


def test_evaluations_are_drawn(smarties, monkeypatch):
    drawn = []
    monkeypatch.setattr(sheet, "draw", lambda workdir, step: drawn.append((str(workdir), step)))
    assert smarties("train", "--config=toy.py", "--config.evaluate.every=2").code == 0
    assert drawn == [("runs/toy", step) for step in (0, 2, 3)]


def test_dry_run_prints_everything_and_writes_nothing(smarties, tmp_path):
    result = smarties("train", "--config=toy.py", "--dry_run", "--config.mesh.fsdp=4")
    assert result.code == 0 and not (tmp_path / "runs").exists()
    for part in ('"beta2": 0.95', "layer/kernel", "(8, 1)", "'fsdp'", "9 in all, 9 trained",
                 "few/x", "the step in all", "data 2 x fsdp 4 x tensor 1"):  # fmt: skip
        assert part in result.out, part


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config.optimizer.learning_rat=1"], "did you mean 'optimizer.learning_rate'"),
        (["--config.stepz=1"], "did you mean 'steps'"),
        (["--config.steps=soon"], "steps=soon"),
        (["--workdirr=x"], "--workdirr"),
        (["stray"], "stray"),
        (["--config.epochs=2"], "steps and epochs"),
        (["--config.mesh.data=3"], "8 devices"),
        (["--config.optimizer.schedule=cosin"], "did you mean 'cosine'"),
        (["--workdir=toy.py/run"], "toy.py/run cannot be written"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(smarties, arguments, words):
    assert words in _mistake(smarties("train", "--config=toy.py", *arguments))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def get_config():\n    return 1 / 0\n", "bad.py:2 raised ZeroDivisionError"),
        ("x = 1\ny = = 2\n", "bad.py:2 raised SyntaxError"),
        ("x = 1\n", "has no get_config"),
        ("def get_config():\n    return {}\n", "must be a ConfigDict"),
    ],
)
def test_a_configuration_that_raises_shows_where(smarties, tmp_path, text, words):
    (tmp_path / "bad.py").write_text(text)
    assert words in _mistake(smarties("train", "--config=bad.py"))


def test_a_missing_file_is_named(smarties):
    assert "no configuration file nowhere.py" in _mistake(smarties("train", "--config=nowhere.py"))


def test_help_version_and_a_misspelt_command(smarties):
    for argv in ((), ("--help",)):
        assert "train" in smarties(*argv).out
    assert smarties("--version").out.startswith("smarties ")
    assert "did you mean 'train'" in _mistake(smarties("trian"))


def test_help_imports_no_jax():
    import subprocess

    code = (
        "import sys; from smarties.cli import main; main.main([]); sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
