"""Intersection over union by hand, and the value that does not count."""

import numpy as np
import pytest

from smarties import errors
from smarties.metrics import segmentation

TRUTH = np.array([[0, 0, 1], [1, 255, 1]])
PREDICTED = np.array([[0, 1, 1], [1, 2, 0]])


def test_by_hand():
    summed = segmentation.confusion(TRUTH, PREDICTED, 3, ignore=255)
    assert summed.tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 0]]
    np.testing.assert_allclose(segmentation.iou(summed), [1 / 3, 2 / 4, np.nan])
    value, *_ = segmentation.scores(summed[None])["miou"]
    assert value == pytest.approx((1 / 3 + 1 / 2) / 2)  # the absent class is no zero


def test_sums_over_images_before_it_divides():
    """A class in few pixels of one image must not weigh as much there as in all."""
    rng = np.random.default_rng(0)
    truth = (rng.random((40, 16, 16)) < np.linspace(0.01, 0.5, 40)[:, None, None]).astype(int)
    wrong = rng.random(truth.shape) < 0.2
    each = np.stack(
        [segmentation.confusion(t, t ^ w, 2) for t, w in zip(truth, wrong, strict=True)]
    )
    found = segmentation.scores(each, ("other", "water"))
    whole = segmentation.iou(segmentation.confusion(truth, truth ^ wrong, 2))
    assert found["miou"][0] == pytest.approx(whole.mean())
    assert found["iou/water"][0] == pytest.approx(whole[1])
    assert abs(np.mean([segmentation.iou(e).mean() for e in each]) - whole.mean()) > 0.02
    for value, low, high in found.values():
        assert low < value < high
    # Images differ in their share of water: fewer of them know it less well.
    few = segmentation.scores(each[::5], ("other", "water"))
    assert np.ptp(few["iou/water"][1:]) > 1.5 * np.ptp(found["iou/water"][1:])


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("label 255 of the truth is none of 3 classes: labels are 0 to 2", {}),
        ("label 2 of the predicted map is none of 2 classes", dict(ignore=255, classes=2)),
        (r"shape \(2, 2\) are compared", dict(predicted=PREDICTED[:, :2])),
    ],
)
def test_a_mistake_is_one_line(words, given):
    given = dict(truth=TRUTH, predicted=PREDICTED, classes=3) | given
    if "none of 2" in words:
        given["predicted"] = np.where(TRUTH == 1, 2, 0)
    with pytest.raises(errors.UserError, match=words):
        segmentation.confusion(**given)
