"""Every configuration builds: parameters by shape alone."""

from pathlib import Path

import jax
import numpy as np
import pytest

from smarties import tasks
from smarties.cli import configuration
from smarties.data import sources

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))


class Pairs:
    """Stands for sources that are not here: two places of every registered sensor."""

    def __init__(self, **arguments):
        from smarties.spectrum import registry

        self.sensors, self._known = tuple(registry.sensors()), registry.sensors()
        self._arguments = {k: str(v) for k, v in arguments.items()}

    def __len__(self):
        return 2

    def __getitem__(self, index):
        images = {
            n: np.zeros((8, 8, len(s.bands)), s.bands[0].dtype) for n, s in self._known.items()
        }
        return {
            "images": images,
            "valid": {n: np.ones((8, 8), bool) for n in images},
            "id": str(index),
            "land_cover": np.zeros((8, 8), np.uint8),
        }

    def identity(self):
        return self._arguments


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_builds(path, monkeypatch):
    monkeypatch.setattr(sources, "source", lambda kind, **arguments: Pairs(**arguments))
    config = configuration.load(str(path))
    adapts = config.task.name != "pretraining"
    task = tasks.make(config, data=not adapts)
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    if adapts:
        assert {"encoder", "head"} <= set(shapes)
        loss = jax.eval_shape(task.loss, shapes, task.batch_spec(), jax.random.key(0))[0]
        assert loss.shape == () and all(task.metadata()["adaptation"].values())
    else:
        assert set(shapes) == {"encoder", "decoder", "heads"}
    assert task.flops() > 0 and task.batch_spec() and task.data_identity()
