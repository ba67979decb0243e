"""A tiny run directory, as training leaves it, and the command line as a person types it."""

import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smarties.cli import main
from smarties.interchange import weights
from smarties.spectrum import registry
from smarties.training import checkpoint, state


@pytest.fixture(scope="session")
def run_config():
    """The configuration of the tiny run, resolved."""
    return dict(
        name="tiny",
        task=dict(name="pretraining", rule="log"),
        model=dict(
            image_size=32,
            patch=8,
            encoder=dict(width=32, depth=1, heads=4),
            decoder=dict(width=16, depth=1, heads=2),
        ),
        optimizer=dict(ema=0.9),
    )


@pytest.fixture(scope="session")
def run_params(run_config):
    """The parameters of its last checkpoint; the moving average is their double."""
    made = weights.config_of(name="tiny", model=run_config["model"], rule="log")
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda x: jnp.asarray(rng.normal(size=x.shape, scale=0.2), x.dtype), weights.shapes(made)
    )


@pytest.fixture(scope="session")
def run(tmp_path_factory, run_config, run_params):
    """A run directory with checkpoints 3 (all zeros) and 5."""
    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    workdir.mkdir()
    (workdir / "config.json").write_text(json.dumps(run_config))
    sensor = registry.sensor("sentinel2-l2a")
    meta = {
        "config": run_config,
        "data": {"seed": 0},
        "sensors": {sensor.name: registry.sensor_to_dict(sensor)},
    }
    with checkpoint.open(workdir / "checkpoints", None) as manager:
        for step in (3, 5):
            params = jax.tree.map(lambda x, share=float(step == 5): x * share, run_params)
            average = jax.tree.map(lambda x: x * 2, params)
            saved = state.State(
                step=jnp.asarray(step, jnp.int32),
                skipped=jnp.asarray(0, jnp.int32),
                params=params,
                opt_state={},
                ema=average,
            )
            checkpoint.save(manager, step, saved, meta)
    return workdir


@pytest.fixture
def command(capsys):
    """Returns a function that runs a command line: (code, out, err)."""

    def call(*argv):
        code = main.main([str(a) for a in argv])
        return types.SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return call


@pytest.fixture
def mistake(command):
    """Returns a function that runs a command line which must fail, and returns its one line."""

    def call(*argv):
        result = command(*argv)
        lines = [line for line in result.err.splitlines() if line.startswith("error: ")]
        assert result.code == 2 and len(lines) == 1 and result.err.endswith(f"{lines[0]}\n")
        return lines[0]

    return call
