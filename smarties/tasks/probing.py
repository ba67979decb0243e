"""What a pretrained encoder knows of held-out scenes, each number beside its baselines.

reconstruct/SENSOR         mean squared error of masked tokens, targets as in training; CSMAE has
                           besides reconstruct/A->B, of B from A
reconstruct/.../mean       of predicting each band's mean target, the best constant per band
knn/SENSOR                 accuracy of the dominant land cover
retrieve/A->B              recall at 1 of the image of the same place by another sensor, among all
                           held-out places; by the token map, each image less its own mean token
                           (season and weather), of CSMAE by the pooled features, and each sensor
                           centred on its own archive
.../random                 the same number with untrained weights;  .../chance  by guessing
"""

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smarties.data import pipeline, sources, views
from smarties.data.archives import bigearthnet_splits
from smarties.errors import UserError
from smarties.metrics import neighbours
from smarties.spectrum import registry
from smarties.tasks import embedding
from smarties.typing import Tree


class Probe:
    """Evaluates the parameters of a pretraining task.

    Args:
      task: on pairs, see `streams.Pairs`; its `encoded` and `reconstructed` are what is judged.
      source: held-out examples; each has images of all sensors that are evaluated.
      archive: examples whose labels vote in kNN; None leaves kNN out.
      pairs: {name: (first, second)} of sensors to reconstruct, mix and retrieve.
      unseen: sensors that were not in pretraining, embedded for kNN beside the others.
      pooling: of the features of kNN.
      batch: images at a time.
      pictures: held-out scenes to keep as arrays in `figures/reconstructions.npz`.
      every: read by the loop.
      allow_leakage: judge by patches the task trains on, see `bigearthnet_splits.check_leakage`.
    """

    def __init__(
        self,
        task,
        *,
        source: Mapping[str, Any],
        pairs: Mapping[str, tuple[str, str]],
        archive: Mapping[str, Any] | None = None,
        unseen: tuple[str, ...] = (),
        pooling: embedding.Pooling = "mean",
        batch: int = 32,
        pictures: int = 4,
        every: int = 0,
        allow_leakage: bool = False,
    ):
        self.task = task
        self.pooling: embedding.Pooling = pooling
        self.batch, self.pictures = batch, pictures
        self.source = sources.source(**source)
        self.archive = sources.source(**archive) if archive else None
        seen = [n for stream in task.streams.values() for n in sources.published(stream.source)]
        for name in sources.published(self.source):
            bigearthnet_splits.check_leakage(seen, name, allow_leakage=allow_leakage)
        self.pairs = {
            name: (registry.sensor(first).name, registry.sensor(second).name)
            for name, (first, second) in sorted(pairs.items())
        }
        chosen = [s for pair in pairs.values() for s in pair] + list(unseen)
        self.sensors = {s.name: s for s in map(task.sensor, chosen)}
        for held in filter(None, (self.source, self.archive)):
            for sensor in self.sensors.values():
                sources.check_sensor(held, sensor)
            if self.archive is not None and "land_cover" not in sources.first(held):
                raise UserError(
                    "evaluate.archive needs land cover: these sources have no such labels"
                )
        if len(self.source) < 2:
            raise UserError(
                f"evaluate.source has {len(self.source)} examples: 2 or more are needed"
            )

    def __call__(self, params: Tree, step: int, directory: Path | None) -> dict[str, float]:
        """Returns {name: value}; leaves pictures in `directory`."""
        values = self._numbers(params) | self._untrained
        errors, scenes = self._reconstruct(params)
        if directory is not None and self.pictures and scenes:
            _keep(directory, step, scenes)
        return values | errors

    @functools.cached_property
    def _untrained(self) -> dict[str, float]:
        params = jax.jit(self.task.init)(jax.random.key(self.task.seed + 1))
        values = self._numbers(params) | self._reconstruct(params)[0]
        values = {
            f"{k}/random": v
            for k, v in values.items()
            if not k.endswith(("/mean", "/low", "/high"))
        }
        return values | {f"retrieve/{a}->{b}/chance": 1 / len(self.source) for a, b in self._ways()}

    def _ways(self) -> list[tuple[str, str]]:
        return [way for a, b in self.pairs.values() for way in ((a, b), (b, a))]

    def _numbers(self, params: Tree) -> dict[str, float]:
        features, maps, labels = self._features(params, self.source)
        values = {}
        for a, b in self._ways():
            query, archive = (neighbours.centred(maps[s]) for s in (a, b))
            hit = neighbours.ranks(query, archive) < 1
            low, high = neighbours.interval(hit.astype(float))
            name = f"retrieve/{a}->{b}"
            values |= {name: float(hit.mean()), f"{name}/low": low, f"{name}/high": high}
        if self.archive is not None:
            known, _, known_labels = self._features(params, self.archive)
            for sensor in self.sensors:
                values[f"knn/{sensor}"] = neighbours.knn_accuracy(
                    features[sensor], labels, known[sensor], known_labels
                )
        return values

    def _features(self, params: Tree, source) -> tuple[dict, dict, np.ndarray]:
        """Returns {sensor: pooled [A, D]}, {sensor: token map [A, N*D]}, land cover [A]."""
        pooled, maps = ({name: [] for name in self.sensors} for _ in range(2))
        covers = []
        for batch, count in pipeline.sequential(source, batch=self.batch):
            for name, sensor in self.sensors.items():
                both = self._embed(params, batch["images"][name], batch["valid"][name], sensor)
                for kept, value in zip((pooled, maps), both, strict=True):
                    kept[name].append(np.asarray(value)[:count])
            if "land_cover" in batch:
                cover = batch["land_cover"].reshape(self.batch, -1)
                covers.append([np.bincount(c).argmax() for c in cover[:count]])
        pooled, maps = ({n: np.concatenate(x) for n, x in kept.items()} for kept in (pooled, maps))
        return pooled, maps, np.concatenate(covers) if covers else np.zeros(0, int)

    @functools.partial(jax.jit, static_argnames=("self", "sensor"))
    def _embed(self, params: Tree, image, valid, sensor) -> tuple[jax.Array, jax.Array]:
        """Returns what kNN [B, D] and retrieval [B, F] go by."""
        image, valid = views.standardise(image, valid, sensor)
        image, _ = views.resample(image, valid, views.whole_window(self.batch), self.task.size)
        return self.task.encoded(params, image, sensor, self.pooling)

    def _reconstruct(self, params: Tree) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Returns the errors of masked tokens of each sensor, over all its pairs; and scenes."""
        sums: dict[str, np.ndarray] = {}
        kept: dict[str, np.ndarray] = {}
        for number, (batch, count) in enumerate(pipeline.sequential(self.source, batch=self.batch)):
            key = jax.random.fold_in(jax.random.key(self.task.seed), number)
            for name, pair in self.pairs.items():
                parts = {
                    side: {"image": batch["images"][s], "valid": batch["valid"][s]}
                    for side, s in zip(("first", "second"), pair, strict=True)
                }
                real = (np.arange(self.batch) < count).astype(np.float32)
                moments, pictures = self._errors(params, parts, real, key, pair)
                for key_, moment in moments.items():
                    sums[key_] = sums.get(key_, 0.0) + np.asarray(moment, np.float64)
                if not number:
                    kept |= _named(name, pair, pictures) if pictures else {}
        values = {}
        for what, (error, square, weight, total) in ((s, _totals(m)) for s, m in sums.items()):
            values[f"reconstruct/{what}"] = error / weight.mean()
            values[f"reconstruct/{what}/mean"] = float(
                (square / weight - (total / weight) ** 2).mean()
            )
        return values, kept

    @functools.partial(jax.jit, static_argnames=("self", "pair"))
    def _errors(self, params, parts, real, key, pair):
        """Returns sums [4, c] (squared error, target, weight, target) by what is reconstructed, and
        pictures.
        """
        sensors = [self.sensors[s] for s in pair]
        window = views.whole_window(self.batch)
        both = [
            self.task.patches_of(parts[k], s, window) for k, s in zip(parts, sensors, strict=True)
        ]
        patches, valid = ((both[0][i], both[1][i]) for i in (0, 1))
        found, pictures = self.task.reconstructed(params, patches, valid, sensors, key)
        moments = {}
        for name, (predicted, target, mask) in found.items():
            weight = mask * real[:, None, None, None]
            summed = ((predicted - target) ** 2, target**2, jnp.ones_like(target), target)
            moments[name] = jnp.stack([(weight * x).sum((0, 1, 3)) for x in summed])
        few = slice(0, self.pictures)
        return moments, jax.tree.map(lambda x: x[few], pictures)


def _keep(directory: Path, step: int, scenes: Mapping[str, np.ndarray]) -> None:
    """Writes reconstructions.npz, whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    part = directory / "reconstructions.part"
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, step=step, **scenes)
    os.replace(part, directory / "reconstructions.npz")


def _totals(moment: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    error, square, weight, total = moment
    return float(error.mean()), square, weight, total


def _named(stream: str, pair: tuple[str, str], pictures: Tree) -> dict[str, np.ndarray]:
    """Returns STREAM/{keep,masked} and STREAM/SIDE/SENSOR/{patches,predicted}."""
    named = {f"{stream}/{k}": np.asarray(pictures[k]) for k in ("keep", "masked")}
    for i, sensor in enumerate(pair):
        for kind in ("patches", "predicted"):
            named[f"{stream}/{i}/{sensor}/{kind}"] = np.asarray(pictures[kind][i])
    return named
