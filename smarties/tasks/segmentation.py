"""Classes of pixels: a head on the tokens of one encoder, alone or with it."""

import functools
from pathlib import Path
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np

from smarties.data import pipeline, views
from smarties.errors import UserError
from smarties.losses import classification as losses
from smarties.models import heads
from smarties.tasks import adaptation
from smarties.typing import Array, Key, Tree


class Segmentation(adaptation.Adaptation):
    """A `training.task.Task`: learns the class of each pixel of maps on the grid of the images."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        recipe = self.recipe
        if recipe.labels != "map":
            raise UserError(f"task.labels of segmentation is map, not {recipe.labels!r}")
        if recipe.mixup or recipe.cutmix:
            raise UserError("task.mixup and task.cutmix are of classification: 0 for segmentation")
        options = {} if recipe.head == "linear" else {"width": recipe.head_width}
        self.head = heads.HEADS[recipe.head](len(self.classes), **options)
        self.depths: tuple[int, ...] = ()
        if recipe.head == "upernet":
            if self.depth < 4:
                raise UserError(
                    f"task.head upernet sees four depths: the encoder has {self.depth} blocks"
                )
            self.depths = tuple(self.depth * i // 4 for i in (1, 2, 3, 4))

    def init_head(self, key: Key) -> Tree:
        width = self.inputs.streams * self.encoder.width
        maps = tuple(jnp.zeros((1, *self.inputs.grid, width)) for _ in self.depths or (1,))
        return {"head": self.head.init(key, maps, self.inputs.size)["params"]}

    def scores(self, params: Tree, images: Tree, side: int, key: Key | None = None) -> jax.Array:
        """Returns class scores [B, side, side, L] of standardised images."""
        drop = self.recipe.drop_path if key is not None else 0.0
        streams = self.inputs.encode(
            self.adapted(params), images, key=key, drop_path=drop, depths=self.depths
        )
        last = 0 if self.recipe.final_norm else 1
        chosen = [found[2:] if self.depths else (found[last],) for found in streams]
        maps = tuple(
            jnp.concatenate([x[:, 1:] for x in depth], -1)
            .astype(jnp.float32)
            .reshape(len(depth[0]), *self.inputs.grid, -1)
            for depth in zip(*chosen, strict=True)
        )
        return cast(jax.Array, self.head.apply({"params": params["head"]}, maps, side))

    def loss(self, params: Tree, batch: Tree, key: Key) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns the mean over pixels with a class and data, and the share of right ones."""
        part = batch["train"]
        keys = jax.random.split(key)
        window = self.window(keys[0], len(part["labels"]))
        images = self.inputs.view(part["images"], part["valid"], window)
        ignore = self.data.train.ignore
        labels = _known(part["labels"], part["valid"], window, ignore)
        logits = self.scores(params, images, labels.shape[1], keys[1])
        values, count = losses.pixels(logits, labels, ignore, self.recipe.label_smoothing)
        total = jnp.maximum(count.sum(), 1)
        right = (logits.argmax(-1) == labels) & (labels != ignore)
        return (values * count).sum() / total, {"accuracy": right.sum() / total}

    @functools.partial(jax.jit, static_argnames=("self", "side"))
    def probabilities(self, params: Tree, images: Tree, valid: Tree, side: int) -> jax.Array:
        """Returns [B, L, side, side] of stored images by sensor; sensors may be missing."""
        count = len(next(iter(images.values())))
        seen = self.inputs.view(images, valid, views.whole_window(count))
        scores = jax.nn.softmax(self.scores(params, seen, side))
        return jnp.moveaxis(scores, -1, 1)

    def evaluate(self, params: Tree, step: int, directory: Path | None) -> dict[str, float]:
        """Returns {set/metric: value}, with a metric's interval over images beside it."""
        from smarties.metrics import segmentation as metrics  # scikit-learn, when needed

        del step, directory
        values = {}
        for name, stream in self.data.sets.items():
            for note, sensors in self.without().items():
                found = [
                    metrics.confusion(truth, predicted, len(self.classes), stream.ignore)
                    for predicted, truth in self.predictions(params, stream, sensors)
                ]
                for metric, score in metrics.scores(np.stack(found), self.classes).items():
                    keys = (f"{name}/{note}{metric}{end}" for end in ("", "/low", "/high"))
                    values |= dict(zip(keys, map(float, score), strict=True))
        return values

    def predictions(self, params: Tree, stream, sensors):
        """Yields (predicted [H, W], true [H, W]) of each example of a stream.

        Pixels that no sensor of the task sees are `ignore` in the truth: the same ones whichever
        `sensors` the prediction is from, so that scores without a sensor compare.
        """
        for batch, count in pipeline.sequential(stream, batch=self.data.batch):
            images, valid = ({n: batch[k][n] for n in sensors} for k in ("images", "valid"))
            side = batch["labels"].shape[1]
            found = np.asarray(self.probabilities(params, images, valid, side)).argmax(1)
            window = views.whole_window(len(found))
            truth = np.asarray(_known(batch["labels"], batch["valid"], window, stream.ignore))
            yield from zip(found[:count], truth[:count], strict=True)


@functools.partial(jax.jit, static_argnames="ignore")
def _known(labels: Array, valid: Tree, window: views.Window, ignore: int) -> jax.Array:
    """Returns the window of labels [B, H, W], `ignore` where no sensor has a valid pixel."""
    side = labels.shape[1]
    seen = [views.nearest(jnp.asarray(mask), window, side) for mask in valid.values()]
    labels = views.nearest(jnp.asarray(labels), window, side)
    return jnp.where(jnp.stack(seen).any(0), labels, ignore)
