"""What a scene becomes under a trained head: a map of classes, and their probabilities."""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

from smarties import errors
from smarties.inference import jobs, mosaic, products, rasters, scenes, store
from smarties.inference.windows import Plan
from smarties.typing import Tree

UNSEEN = 255  # the class of pixels without data


class Head(Protocol):
    """A trained head on its encoder.

    Attributes:
      classes: their names.
      size, patch: pixels of the windows it was trained on, and of a token.
      params: all of its parameters.
    """

    classes: tuple[str, ...]
    size: int
    patch: int
    params: Tree

    def predict(self, images: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Returns probabilities [B, L, h, w], on tokens or pixels, of images [B, H, W, C]."""
        ...


def predict(
    head: Head,
    scene: scenes.Scene,
    output: Path,
    options: products.Options,
    *,
    probabilities: Path | None = None,
    progress: mosaic.Progress = mosaic.silent,
) -> Plan:
    """Returns the plan after which it wrote a class map on the scene's own pixels.

    Args:
      head: see `Head`; its size and patch decide how windows are cut.
      probabilities: also write them there, float32, a band per class.
    """
    count = len(head.classes)
    if not 1 < count <= UNSEEN:
        raise errors.UserError(f"a map of {count} classes: 2 to {UNSEEN} fit a byte")
    patch = head.patch
    plan = options.plan(scene, head.size, patch, 1)
    sides = plan.window
    padded = tuple(-(-n // patch) * patch for n in sides)

    def function(images: np.ndarray, valid: np.ndarray) -> np.ndarray:
        room = ((0, 0), *((0, p - n) for p, n in zip(padded, sides, strict=True)))
        found = head.predict(np.pad(images, (*room, (0, 0))), np.pad(valid, room))
        if found.ndim != 4 or found.shape[1] != count:
            raise errors.UserError(
                f"the head gives {'x'.join(map(str, found.shape[1:]))} numbers an image, but has "
                f"{count} classes: {', '.join(head.classes)}"
            )
        return np.asarray(_upsampled(found, padded))[:, : sides[0], : sides[1]]

    layers = {"classes": mosaic.Layer(1, "uint8", _best)}
    if probabilities:
        layers["probabilities"] = mosaic.Layer(count, "float32", mosaic.known)
    about = products.described(head, scene, plan, "classes")
    about["CLASSES"] = json.dumps(list(head.classes))
    kind = {**about, "probabilities": str(probabilities), "batch": options.batch,
            "swath": options.swath}  # fmt: skip
    with jobs.unfinished(output, scene, head.params, kind) as folder:
        kept = mosaic.run(
            scene, plan, function, layers, folder, depth=count, batch=options.batch,
            every=options.every, progress=progress,
        )  # fmt: skip
        _write(folder, kept, head.classes, about, scene)
        if probabilities:
            jobs.rename(folder / "shares", probabilities)
        jobs.rename(folder / "done", output)
        jobs.rename(folder / "names", rasters.beside(output))
    return plan


def _write(
    folder: Path,
    kept: Mapping[str, store.Store],
    classes: Sequence[str],
    about: Mapping[str, str],
    scene: scenes.Scene,
) -> None:
    ground: dict[str, Any] = dict(crs=scene.image.crs, transform=scene.transform, tags=about)
    if "probabilities" in kept:
        said = rasters.Description(nodata=np.nan, names=classes, **ground)
        rasters.write(folder / "shares", kept["probabilities"], said)
    said = rasters.Description(
        nodata=UNSEEN, names=("class",), resampling="mode", block=512,
        colours=rasters.colours(len(classes)), **ground,
    )  # fmt: skip
    rasters.write(folder / "done", kept["classes"], said)
    (folder / "names").write_text(rasters.attribute_table(classes))


@functools.partial(jax.jit, static_argnums=1)
def _upsampled(shares: jax.Array, sides: tuple[int, int]) -> jax.Array:
    """Returns [B, H, W, L] of [B, L, h, w], bilinear between the centres of tokens."""
    moved = shares.transpose(0, 2, 3, 1)
    return jax.image.resize(moved, (len(shares), *sides, shares.shape[1]), "linear")


def _best(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return np.where(seen, values.argmax(-1), UNSEEN).astype(np.uint8)[..., None]
