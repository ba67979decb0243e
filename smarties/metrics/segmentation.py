"""Intersection over union of class maps: confusions are summed over images, then divided once."""

from collections.abc import Sequence

import numpy as np
from sklearn import metrics

from smarties import errors
from smarties.metrics import bootstrap


def confusion(
    truth: np.ndarray, predicted: np.ndarray, classes: int, ignore: int | None = None
) -> np.ndarray:
    """Returns int64 [L, L]: how many pixels of class i (row) were called j, of maps [..., H, W].

    Args:
      truth, predicted: class indices, of one shape.
      classes: L.
      ignore: of the truth, pixels that do not count.

    Raises:
      UserError: other shapes, or a label that is no class.
    """
    if np.shape(truth) != np.shape(predicted):
        raise errors.UserError(
            f"maps of shape {np.shape(predicted)} are compared with truth of {np.shape(truth)}"
        )
    truth, predicted = np.ravel(truth), np.ravel(predicted)
    if ignore is not None:
        predicted, truth = predicted[truth != ignore], truth[truth != ignore]
    for name, values in (("truth", truth), ("predicted map", predicted)):
        if len(values) and not 0 <= values.min() <= values.max() < classes:
            worst = values.min() if values.min() < 0 else values.max()
            raise errors.UserError(
                f"label {worst} of the {name} is none of {classes} classes: labels are 0 to "
                f"{classes - 1}; name a value that does not count with ignore"
            )
    if not len(truth):
        return np.zeros((classes, classes), np.int64)
    return metrics.confusion_matrix(truth, predicted, labels=np.arange(classes)).astype(np.int64)


def iou(confusion: np.ndarray) -> np.ndarray:
    """Returns the intersection over union [..., L] of each class of confusions [..., L, L].

    NaN where a class is neither there nor predicted.
    """
    both = np.diagonal(confusion, axis1=-2, axis2=-1).astype(float)
    either = confusion.sum(-1) + confusion.sum(-2) - both
    return np.divide(both, either, out=np.full_like(both, np.nan), where=either > 0)


def scores(
    confusions: np.ndarray, names: Sequence[str] = (), seed: int = 0, there: bool = False
) -> dict[str, tuple[float, float, float]]:
    """Returns {name: (value, low, high)} of confusions [n, L, L], one per image.

    miou        mean of the classes that are there or predicted
    accuracy    share of pixels
    iou/<name>  of each class, where names are given

    The intervals resample images, not pixels: pixels of one image are no independent evidence.

    Args:
      confusions: of images, each with a pixel that counts.
      names: of the classes.
      seed: of the intervals.
      there: classes that are nowhere in the truth count in no mean, predicted or not.
    """
    count = counted(confusions) if there else np.ones(confusions.shape[-1], bool)
    whole = _values(confusions.sum(0, keepdims=True).astype(float), names, count)
    n, classes = confusions.shape[:2]
    flat = confusions.reshape(n, -1).astype(np.float64)
    spread = bootstrap.intervals(
        lambda weight: _values((weight @ flat).reshape(-1, classes, classes), names, count),
        n, seed=seed,
    )  # fmt: skip
    return {name: (float(value[0]), *spread[name]) for name, value in whole.items()}


def counted(confusions: np.ndarray) -> np.ndarray:
    """Returns which classes [L] have a pixel in the truth of confusions [n, L, L]."""
    return confusions.sum((0, 2)) > 0


def replicates(confusions: np.ndarray, draws: int, seed: int = 0) -> np.ndarray:
    """Returns the mIoU [draws] of the classes there, of replicates of the images [n, L, L].

    Paired where n and seed are equal.
    """
    n, classes = confusions.shape[:2]
    flat, count = confusions.reshape(n, -1).astype(np.float64), counted(confusions)
    summed = (weight @ flat for weight in bootstrap.counts(n, draws, seed))
    return np.concatenate(
        [_values(s.reshape(-1, classes, classes), (), count)["miou"] for s in summed]
    )


def _values(summed: np.ndarray, names: Sequence[str], count: np.ndarray) -> dict[str, np.ndarray]:
    by_class = iou(summed)
    seen = np.isfinite(by_class) & count[None]
    mean = np.where(seen, by_class, 0).sum(-1) / np.maximum(seen.sum(-1), 1)
    right = np.diagonal(summed, axis1=-2, axis2=-1).sum(-1) / summed.sum((-2, -1))
    return {"miou": mean, "accuracy": right} | {
        f"iou/{name}": by_class[..., i] for i, name in enumerate(names) if seen[:, i].any()
    }
