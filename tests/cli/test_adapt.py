"""From the run directory of a pretraining to a run that adapts it, by one configuration file."""

import json
import textwrap

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
