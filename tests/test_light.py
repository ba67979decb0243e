"""Without the extras: weights are loaded and images embedded; commands say what they need."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from smarties.interchange import hub, weights

TINY = dict(image_size=32, patch=8, encoder=dict(width=32, depth=1, heads=4))
NAMES = (
    *("rasterio", "tensorflow_datasets", "grain", "array_record", "ml_collections"),
    *("wandb", "tensorboardX", "matplotlib", "PIL", "sklearn", "lmdb", "zarr", "pyarrow", "tqdm"),
    *("orbax", "optax", "tensorstore", "huggingface_hub", "flatbuffers", "torch", "tensorflow"),
)
BLOCK = f"""
import sys
for name in {NAMES!r}:
    sys.modules[name] = None
"""
EMBED = """
import numpy as np, smarties
model = smarties.load(sys.argv[1])
images = np.full((1, 32, 32, 12), 500, np.uint16)
np.save(sys.argv[2], model.embed(images, sensor="sentinel2-l2a"))
assert not [m for m in sys.modules if m.startswith(("smarties.training", "smarties.figures"))]
"""
COMMAND = "from smarties.cli import main; sys.exit(main.main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    config = weights.config_of(name="tiny", model=TINY, rule="linear")
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda x: rng.normal(size=x.shape, scale=0.2).astype(np.float32), weights.shapes(config)
    )
    hub.write(tmp_path_factory.mktemp("light") / "model", params, config)
    return tmp_path_factory.getbasetemp() / "light0" / "model"


@pytest.fixture
def run(tmp_path_factory):
    """A run directory as far as it is looked at before Orbax is needed."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "checkpoints" / "1").mkdir(parents=True)
    config = {"name": "tiny", "task": {}, "optimizer": {"ema": 0.0}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def light(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", BLOCK + code, *map(str, arguments)], capture_output=True, text=True
    )


@pytest.mark.parametrize("name", ["", "model.safetensors"])
def test_embedding(exported, tmp_path, name):
    done = light(EMBED, exported / name, tmp_path / "z.npy")
    assert done.returncode == 0, done.stderr
    z = np.load(tmp_path / "z.npy")
    assert z.shape == (1, 32) and np.isfinite(z).all() and z.std() > 0.1


def test_commands(exported, tmp_path):
    for arguments in (
        ("info", exported),
        ("export", exported, "--output", tmp_path / "again"),
        ("import", exported, "--output", tmp_path / "one.safetensors"),
        ("sensors", "rgb"),
    ):
        done = light(COMMAND, *arguments)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "--help"), "smarties train needs"),
        (("sensors", "--chart", "{tmp}/x.png"), "smarties sensors needs matplotlib"),
        (("info", "{run}"), "runs and Orbax folders need"),
        (("export", "{model}", "--format", "orbax", "--output", "{tmp}/x"), "smarties[train]"),
    ],
)
def test_what_needs_more_says_so(exported, run, tmp_path, arguments, words):
    done = light(COMMAND, *(a.format(tmp=tmp_path, model=exported, run=run) for a in arguments))
    line = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and line.startswith("error: ") and words in line
    assert "pip install 'smarties[" in line and not list(tmp_path.iterdir())
