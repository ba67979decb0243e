"""Maps of classes planted in images: found by who sees them, and judged where there is a truth."""

import copy

import jax
import numpy as np
import pytest
from sklearn import metrics as sklearn

from smarties import errors
from smarties.data import part, sources
from smarties.inference import dense, pixels, protocol, results

COUNTS = {"train": 12, "validation": 6, "test": 10}
SIDE = 16


class Maps:
    """Squares of three classes: brightness is the class, or (planted=False) that of other squares.

    A quarter of each image is not valid. There, and where labels are 255, are nonsense numbers and
    labels that differ with `nonsense`. With `absent` the test has no bright ones.
    """

    sensors = ("sentinel2-l2a",)
    classes = ("dark", "middle", "bright")

    def __init__(self, planted=True, nonsense=0, absent=False):
        self.options = {"planted": planted, "nonsense": nonsense, "absent": absent}
        self.names = [f"{split}{i}" for split, n in COUNTS.items() for i in range(n)]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        truth, other = rng.integers(0, 3, (2, SIDE // 4, SIDE // 4)).repeat(4, 1).repeat(4, 2)
        shown = truth if self.options["planted"] else other
        if self.options["absent"] and self.names[index].startswith("test"):
            truth %= 2
        image = rng.normal(500 + 500 * shown[..., None], 80, (SIDE, SIDE, 12)).clip(1, 5000)
        valid = np.ones((SIDE, SIDE), bool)
        valid[: SIDE // 2, : SIDE // 2] = False
        wild = np.random.default_rng((index, self.options["nonsense"]))
        image[~valid] = wild.uniform(1, 9000, (SIDE**2 // 4, 12))
        truth[~valid] = wild.integers(0, 3, SIDE**2 // 4)
        truth[-2:] = 255
        return {
            "images": {"sentinel2-l2a": image.astype(np.uint16)},
            "valid": {"sentinel2-l2a": valid},
            "id": self.names[index],
            "map": truth.astype(np.uint8),
        }

    def identity(self):
        return self.options


@pytest.fixture(autouse=True)
def planted(monkeypatch):
    original = sources.reader
    monkeypatch.setattr(sources, "reader", lambda n: Maps if n == "maps" else original(n))


def trial(data=None, **given):
    config = copy.deepcopy(protocol.DEFAULTS)
    config |= dict(name="planted", task="segmentation", sensor="sentinel2-l2a")
    config["convolutions"] = dict(filters=8, patch=3)
    config["logistic"] = dict(C=(1e-2, 1.0, 100.0))
    config["segmentation"] = dict(pixels=1000, window=3, shared_scenes=False)
    config["data"] |= dict(
        labels="map",
        source=dict(kind="maps"),
        splits={split: dict(ids=split) for split in COUNTS},
    )
    for key, value in given.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    config["data"] |= data or {}
    return dense.Segmentation(config)


def by(rows):
    return {row["features"]: row for row in rows}


def test_a_class_that_is_seen_is_found_and_one_that_is_not_is_chance():
    found = by(trial().rows())
    assert set(found) == {"bands of the pixel", "random convolutions", "most frequent class"}
    assert found["bands of the pixel"]["metrics"]["miou"][0] > 0.97
    assert found["most frequent class"]["metrics"]["miou"][0] < 0.2
    assert results.best_baseline(list(found.values()), "miou") is found["bands of the pixel"]
    blind = by(trial(dict(source=dict(kind="maps", planted=False))).rows())
    for name, row in blind.items():
        assert row["metrics"]["miou"][0] < 0.3, name


def test_numbers_are_those_of_scikit_learn_on_the_pixels_that_count():
    """Few pixels to learn from, so that there are mistakes to count."""
    made = trial(segmentation=dict(pixels=12), logistic=dict(C=(0.1,)))
    run = next(r for r in made.runs if r.features == "random convolutions")
    row = next(r for r in made.rows() if r["features"] == "random convolutions")
    fitted, _ = made._fitted(run)
    test = made._splits.parts["test"]
    pairs = list(made._predicted(run, "test", test, [fitted]))
    truth = np.concatenate([t.ravel() for t, _ in pairs])
    predicted = np.concatenate([p[0].ravel() for _, p in pairs])
    kept = np.concatenate([
        ((test.source[i]["map"] != 255) & test.source[i]["valid"]["sentinel2-l2a"]).ravel()
        for i in test.indices
    ])  # fmt: skip
    np.testing.assert_array_equal(kept, truth != 255)
    truth, predicted = truth[kept], predicted[kept]
    assert row["pixels"] == kept.sum() and 0.05 < (truth != predicted).mean()
    np.testing.assert_array_equal(row["confusion"], sklearn.confusion_matrix(truth, predicted))
    want = sklearn.jaccard_score(truth, predicted, average=None)
    np.testing.assert_allclose(row["per_class"], want, atol=1e-4)
    assert row["metrics"]["miou"][0] == pytest.approx(want.mean(), abs=1e-5)
    assert row["metrics"]["accuracy"][0] == pytest.approx((truth == predicted).mean(), abs=1e-5)
    for value, low, high in row["metrics"].values():
        assert low <= value <= high


def test_pixels_that_do_not_count_change_nothing():
    one, other = (by(trial(dict(source=dict(kind="maps", nonsense=n))).rows()) for n in (0, 1))
    for name, row in one.items():
        for key in ("metrics", "confusion", "chosen", "replicates"):
            assert row[key] == other[name][key], (name, key)
    assert one["bands of the pixel"]["data"] != other["bands of the pixel"]["data"]


def test_classes_that_the_test_lacks_count_in_no_mean():
    """To call a pixel what is nowhere is a mistake of the classes that are there."""
    with pytest.raises(errors.UserError, match="split train has no example of fourth"):
        list(trial(dict(classes=(*Maps.classes, "fourth"))).rows())
    made = trial(dict(source=dict(kind="maps", absent=True)), segmentation=dict(pixels=12))
    row = by(made.rows())["random convolutions"]
    assert row["per_class"][2] is None and "iou/bright" not in row["metrics"]
    assert np.sum(row["confusion"], 0)[2] > 0 and np.sum(row["confusion"], 1)[2] == 0
    assert row["metrics"]["miou"][0] == pytest.approx(np.mean(row["per_class"][:2]), abs=1e-4)


def test_a_scene_is_in_one_split():
    whole = dict(kind="planet", sensors=("sentinel2-l2a",), count=4, size=32, cache=True)
    tiles = dict(kind="part", source=whole, tile=16)
    data = dict(labels="land_cover", classes=tuple("abcdefghij"), leave_out_empty=True)
    shares = {split: dict(share=0.3) for split in COUNTS}
    with pytest.raises(errors.UserError, match="scene planet-0-[0-3] is in split"):
        _ = trial(dict(source=tiles, splits=shares, **data))._splits.parts
    columns = dict(train=(0, 0.5), validation=(0.5, 1), test=(0.5, 1))
    same = {k: {**tiles, "columns": c} for k, c in columns.items()}
    shared = dict(shared_scenes=True)
    with pytest.raises(errors.UserError, match="validation and in split test, with tiles that"):
        _ = trial(dict(splits=same, **data), segmentation=shared)._splits.parts
    apart = {k: {**tiles, "tile": 8, "columns": c} for k, c in columns.items()}
    apart["validation"]["columns"], apart["test"]["columns"] = (0.5, 0.75), (0.75, 1)
    assert len(trial(dict(splits=apart, **data), segmentation=shared)._splits.parts["test"]) == 16
    part.check_apart({"a": ["x@0,0"], "b": ["y@0,0"]}, {}, False)


def test_features_at_pixels_are_those_of_maps_made_larger():
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    side = (9, 16)
    whole = np.asarray(jax.image.resize(maps, (2, *side, 5), "linear"))
    places = np.stack([rng.integers(0, n, (2, 20)) for n in side], -1)
    found = pixels.at(maps, places, side=side)
    want = whole[np.arange(2)[:, None], places[..., 0], places[..., 1]]
    np.testing.assert_allclose(found, want, atol=1e-5)


def test_means_around_are_of_valid_pixels():
    values = np.arange(25, dtype=np.float32).reshape(1, 5, 5, 1)
    valid = np.ones((1, 5, 5), bool)
    valid[0, 1, 1] = False
    found = np.asarray(pixels.smoothed(jax.numpy.asarray(values), jax.numpy.asarray(valid), 3))
    assert found[0, 0, 0, 0] == pytest.approx((0 + 1 + 5) / 3)
    assert found[0, 3, 3, 0] == pytest.approx(values[0, 2:, 2:].mean())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (dict(tracks=dict(noise=(0.1,))), "tracks.noise is"),
        (dict(metrics=("accuracy",)), "metrics is"),
        (dict(segmentation=dict(window=0)), "segmentation.window is 0"),
        (dict(task="segmentatoin"), "did you mean 'segmentation'"),
    ],
)
def test_what_cannot_be_is_said(given, words):
    with pytest.raises(errors.UserError, match=words):
        trial(**given)
