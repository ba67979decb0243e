"""From the run directory of a pretraining to a run that adapts it, by one configuration file."""

import json
import textwrap
from pathlib import Path

import numpy as np
import pytest

from smarties.inference import predictor
from smarties.training import checkpoint

_FILE = """
    from ml_collections import ConfigDict

    def get_config():
        return ConfigDict({
            "name": "adapted", "steps": 2, "batch_size": 8, "seed": 0,
            "task": {"name": "classification", "labels": "multi", "mode": "finetune",
                     "weights": "RUN"},
            "data": {"source": {"kind": "planet", "sensors": ("sentinel2-l2a",), "count": 64,
                                "size": 32},
                     "sensors": ("sentinel2-l2a",), "bands": {"sentinel2-l2a": ("B04", "B08")},
                     "classes": tuple("abcdefghij"), "threads": 0},
            "optimizer": {"learning_rate": 1e-6},
        })
"""


@pytest.fixture
def config(tmp_path, run):
    file = tmp_path / "adapt.py"
    file.write_text(textwrap.dedent(_FILE).replace("RUN", str(run)))
    return str(file)


def test_a_run_is_adapted(command, config, run_params, tmp_path):
    result = command("train", "--config", config, "--workdir", tmp_path / "adapted")
    assert result.code == 0 and "error" not in result.err
    found = predictor.load(tmp_path / "adapted")
    # So low a rate leaves the encoder where the run, by its moving average, had left it.
    kernel = found.params["encoder"]["projection"]["kernel"]
    np.testing.assert_allclose(kernel, 2 * run_params["encoder"]["projection"]["kernel"], atol=1e-4)
    meta = checkpoint.read_meta(tmp_path / "adapted" / "checkpoints", 2)
    assert meta["adaptation"]["recipe"]["rule"] == "log"
    assert json.loads((tmp_path / "adapted" / "results.json").read_text()) == {"step": 2}


def test_the_step_that_is_best_on_validation_is_reported_and_loaded(command, config, tmp_path):
    where, file = tmp_path / "chosen", tmp_path / "chosen.py"
    sets = {"validation": {"part": (0.5, 0.75)}, "test": {"part": (0.75, 1.0)}}
    text = Path(config).read_text().replace('"data": {', '"data": {"part": (0.0, 0.5), ')
    file.write_text(text.replace('"optimizer"', f'"evaluate": {{"sets": {sets}}}, "optimizer"'))
    result = command(
        "train", "--config", file, "--workdir", where, "--config.evaluate.every=1",
        "--config.steps=4", "--config.optimizer.learning_rate=0.05", "--config.checkpoint.every=1",
        "--config.checkpoint.keep=0", "--config.checkpoint.best=validation/micro_ap",
    )  # fmt: skip
    assert result.code == 0, result.err
    values = {}
    for line in (where / "metrics.jsonl").read_text().splitlines():
        entry = json.loads(line)
        values.setdefault(entry["name"], {})[entry["step"]] = entry["value"]
    (name,) = (name for name in values if name.endswith("validation/micro_ap"))
    found = json.loads((where / "results.json").read_text())
    assert values[name][found["step"]] == max(values[name].values())
    assert predictor.load(where).step == found["step"]
    assert predictor.load(where, step=4).step == 4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--config.data.sensors=('sentinel2-l1c',)", "unknown sensor of data.bands"),
        ("--config.data.classes=('a','b')", "but there are 2 classes"),
        ("--config.task.weights=nowhere.safetensors", "nowhere.safetensors"),
        ("--config.task.mode=probe", "unknown task.mode 'probe'"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(mistake, config, tmp_path, override, message):
    assert message in mistake("train", "--config", config, override, "--workdir", tmp_path / "no")
    assert not (tmp_path / "no").exists()
