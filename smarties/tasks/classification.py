"""Classes of images: a linear layer on features of one encoder, alone or with it.

[protocols of the SMARTIES release: batch normalisation without scale and offset before the layer of
a linear probe, none in fine-tuning]
"""

import functools
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smarties.data import pipeline, views
from smarties.errors import UserError
from smarties.losses import classification as losses
from smarties.tasks import adaptation, embedding
from smarties.typing import Array, Key, Tree

EPSILON, MOMENTUM = 1e-6, 0.1  # of the batch normalisation
_STD = {"linear_probe": 0.01}
_STD_FINETUNE = 2e-5


class Classification(adaptation.Adaptation):
    """A `training.task.Task`: learns one label, or several, of each image."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        if self.recipe.labels == "map":
            raise UserError("task.labels of classification is single or multi; maps: segmentation")
        self._told: set[str] = set()  # held-out sets whose empty classes were named

    def init_head(self, key: Key) -> Tree:
        width = self.inputs.streams * self.encoder.width
        std = _STD.get(self.recipe.mode, _STD_FINETUNE)
        kernel = jax.nn.initializers.truncated_normal(std)(key, (width, len(self.classes)))
        params = {"head": {"kernel": kernel, "bias": jnp.zeros(len(self.classes))}}
        if self.recipe.mode == "linear_probe":
            params["stats"] = {"mean": jnp.zeros(width), "variance": jnp.ones(width)}
        return params

    def features(self, params: Tree, images: Tree, key: Key | None = None) -> jax.Array:
        """Returns the features [B, F] of standardised images, all streams side by side."""
        encoder = self.adapted(params)
        drop = self.recipe.drop_path if key is not None else 0.0
        streams = self.inputs.encode(encoder, images, key=key, drop_path=drop)
        pooled = [
            embedding.pool({"encoder": encoder}, normed, raw, self.recipe.pooling)
            for normed, raw in streams
        ]
        return jnp.concatenate(pooled, -1).astype(jnp.float32)

    def loss(self, params: Tree, batch: Tree, key: Key) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns the mean over images with a valid pixel, and metrics."""
        part = batch["train"]
        count, multi = len(part["labels"]), self.recipe.labels == "multi"
        keys = jax.random.split(key, 3)
        images = self.inputs.view(part["images"], part["valid"], self.window(keys[0], count))
        target: Any = part["labels"]
        if not multi:
            target = jax.nn.one_hot(target, len(self.classes))
        if self.recipe.mixup or self.recipe.cutmix:
            weight, share = views.mix(
                keys[1], count, self.inputs.size, self.recipe.mixup, self.recipe.cutmix
            )
            images = {n: weight * x + (1 - weight) * x[::-1] for n, x in images.items()}
            target = share[:, None] * target + (1 - share[:, None]) * target[::-1]
        features = self.features(params, images, keys[2])
        metrics = {}
        if "stats" in params:
            features, metrics["stats"] = normalised(features, params["stats"])
        logits = _scores(params["head"], features)
        if multi:
            values = losses.binary(logits, target)
        else:
            values = losses.soft(logits, target, self.recipe.label_smoothing)
            metrics["accuracy"] = (logits.argmax(-1) == target.argmax(-1)).mean()
        weight = adaptation.seen(part)
        return (values * weight).sum() / jnp.maximum(weight.sum(), 1), metrics

    @functools.partial(jax.jit, static_argnames="self")
    def probabilities(self, params: Tree, images: Tree, valid: Tree) -> jax.Array:
        """Returns [B, L] of stored images by sensor; sensors may be missing."""
        count = len(next(iter(images.values())))
        seen = self.inputs.view(images, valid, views.whole_window(count))
        logits = _scores(folded(params), self.features(params, seen))
        return jax.nn.sigmoid(logits) if self.recipe.labels == "multi" else jax.nn.softmax(logits)

    def evaluate(self, params: Tree, step: int, directory: Path | None) -> dict[str, float]:
        """Returns {set/metric: value}, with a metric's interval beside it.

        Classes that a set has no example of count in no mean, and are named once on stderr.
        """
        from smarties.metrics import classification as metrics  # scikit-learn, when needed

        del step, directory
        multi, values = self.recipe.labels == "multi", {}
        for name, stream in self.data.sets.items():
            for note, sensors in self.without().items():
                found, labels = self.predictions(params, stream, sensors)
                truth = labels if multi else np.eye(len(self.classes), dtype=np.uint8)[labels]
                self._name_empty(name, truth)
                scores = metrics.scores(truth, found, multi=multi, leave_out_empty=True)
                for metric, score in scores.items():
                    keys = (f"{name}/{note}{metric}{end}" for end in ("", "/low", "/high"))
                    values |= dict(zip(keys, map(float, score), strict=True))
        return values

    def _name_empty(self, name: str, truth: np.ndarray) -> None:
        empty = [c for c, there in zip(self.classes, truth.sum(0), strict=True) if not there]
        if empty and name not in self._told:
            self._told.add(name)
            said = ", ".join(empty)
            print(f"warning: {name} has no example of {said}: left out of means", file=sys.stderr)

    def predictions(self, params: Tree, stream, sensors) -> tuple[np.ndarray, np.ndarray]:
        """Returns (probabilities [n, L], labels) of a stream, by some of its sensors."""
        found, labels = [], []
        for batch, count in pipeline.sequential(stream, batch=self.data.batch):
            images, valid = ({n: batch[k][n] for n in sensors} for k in ("images", "valid"))
            found.append(np.asarray(self.probabilities(params, images, valid))[:count])
            labels.append(batch["labels"][:count])
        return np.concatenate(found), np.concatenate(labels)


def normalised(features: jax.Array, stats: Tree) -> tuple[jax.Array, Tree]:
    """Returns (features [B, F] normalised over the batch, the running statistics after it)."""
    features = jax.lax.stop_gradient(features)
    mean, variance = features.mean(0), features.var(0)
    count = len(features)
    now = {"mean": mean, "variance": variance * count / max(count - 1, 1)}
    running = {name: stats[name] + MOMENTUM * (now[name] - stats[name]) for name in stats}
    return (features - mean[None]) * jax.lax.rsqrt(variance + EPSILON)[None], running


def folded(params: Tree) -> dict[str, Array]:
    """Returns the head {"kernel" [F, L], "bias" [L]} on plain features, normalisation in it."""
    head = params["head"]
    if "stats" not in params:
        return head
    scale = 1 / jnp.sqrt(params["stats"]["variance"] + EPSILON)
    kernel = head["kernel"] * scale[:, None]
    return {"kernel": kernel, "bias": head["bias"] - params["stats"]["mean"] @ kernel}


def _scores(head: Tree, features: jax.Array) -> jax.Array:
    return features @ head["kernel"] + head["bias"][None]
