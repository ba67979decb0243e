"""Tiny configurations of downstream tasks on the simulated planet, and a short training."""

import dataclasses
from unittest import mock

import jax
import numpy as np
from ml_collections import config_dict

from smarties import tasks
from smarties.data import sources
from smarties.data.planet import source as planet
from smarties.training import plan, settings

S1, S2 = "sentinel1-grd", "sentinel2-l2a"
PLANET = dict(kind="planet", sensors=(S2, S1), size=32, cache=True)


def config(task=None, data=None, evaluate=None, optimizer=None, model=None, **others):
    given = dict(
        name="tiny",
        seed=0,
        steps=40,
        batch_size=16,
        task={**dict(name="classification", labels="multi"), **(task or {})},
        model=dict(image_size=32, patch=8, encoder=dict(width=32, depth=2, heads=2)),
        data={
            **dict(source={**PLANET, "count": 128}, sensors=(S2,), classes=planet.LAND_COVER),
            **dict(threads=0),
            **(data or {}),
        },
        optimizer={**dict(learning_rate=3e-3, weight_decay=0.0), **(optimizer or {})},
        evaluate={
            **dict(sets=dict(test=dict(source={**PLANET, "count": 64, "first": 5000})), batch=32),
            **(evaluate or {}),
        },
    )
    given["model"] |= model or {}
    return settings.resolve(config_dict.ConfigDict({**given, **others}))


def trained(task, config, devices=1):
    """Returns (state, metrics of each step, first parameters) after the configuration's steps."""
    planned = plan.make(task, config, jax.devices()[:devices])
    with jax.set_mesh(planned.mesh):
        run, step = planned.start(task), planned.compile()
        start, history = jax.tree.map(np.array, run.params), []
        for number, batch in enumerate(task.batches("train", 0, 1, 0)):
            if number == planned.steps:
                break
            run, metrics = step(run, planned.put(batch))
            history.append({k: float(v) for k, v in metrics.items() if k != "norms"})
    return run, history, start


def on_one(params):
    """Returns parameters on one device, as for evaluation."""
    return jax.device_put(jax.device_get(params), jax.devices()[0])


class Shuffled:
    """A source whose labels are those of another example."""

    def __init__(self, source):
        self.source, self.sensors = source, source.sensors

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        other = self.source[(index * 31 + 17) % len(self)]
        kept = {key: other[key] for key in ("labels", "land_cover")}
        return {**self.source[index], **kept}

    def identity(self):
        return {}


_KEPT: dict[str, sources.Source] = {}
_open = sources.source


def _kept(kind, **arguments):
    key = repr((kind, sorted(arguments.items())))
    return _KEPT.setdefault(key, _KEPT.get(key) or _open(kind, **arguments))


def make(**sections):
    """Returns (task, configuration); places that a test has seen are not rendered again."""
    given = config(**sections)
    with mock.patch.object(sources, "source", _kept):
        return tasks.make(given), given


def shuffle(task):
    """Gives a task's training examples the labels of others."""
    train = dataclasses.replace(task.data.train, source=Shuffled(task.data.train.source))
    task.data = dataclasses.replace(task.data, train=train)
