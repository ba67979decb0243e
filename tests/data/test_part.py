"""A part of a source is its pixels, whatever they are cut with."""

import numpy as np
import pytest

from smarties import errors
from smarties.data import sources

PLANET = dict(kind="planet", sensors=("sentinel2-l2a", "sentinel1-grd"), count=3, size=32)


def test_tiles_are_the_pixels_of_the_whole():
    whole = sources.source(**PLANET)
    part = sources.source("part", source=PLANET, tile=16, stride=8)
    assert len(part) == 3 * 9
    for index in (0, 4, 26):
        tile = part[index]
        name, place = tile["id"].rsplit("@", 1)
        row, column = map(int, place.split(","))
        example = whole[index // 9]
        assert name == str(example["id"])
        for sensor, image in tile["images"].items():
            np.testing.assert_array_equal(
                image, example["images"][sensor][row : row + 16, column : column + 16]
            )
        np.testing.assert_array_equal(
            tile["land_cover"], example["land_cover"][row : row + 16, column : column + 16]
        )


def test_columns_split_one_scene_without_overlap():
    left, right = (
        sources.source("part", source=PLANET, tile=8, columns=columns)
        for columns in ((0, 0.5), (0.5, 1))
    )
    starts = [{int(p[i]["id"].split(",")[-1]) for i in range(len(p))} for p in (left, right)]
    assert max(starts[0]) + 8 <= 16 <= min(starts[1])


def test_classes_that_are_kept_and_places_that_move(data_root):
    terramesh = dict(kind="terramesh", root=str(data_root / "s1s2_terramesh"))
    keep = ("trees", "water")
    part = sources.source("part", source=terramesh, ids="^282D", tile=112, classes=keep, cache=True)
    whole = next(e for e in map(sources.source(**terramesh).__getitem__, range(5))
                 if e["id"].startswith("282D"))  # fmt: skip
    assert len(part) == 4 and part.classes == keep
    tile = part[3]
    original = whole["map"][112:, 112:]
    np.testing.assert_array_equal(tile["map"] == 0, original == 2)
    np.testing.assert_array_equal(tile["map"] == 1, original == 1)
    assert set(np.unique(tile["map"])) <= {0, 1, 255}
    shift = tile["transform"] - whole["transform"]
    np.testing.assert_allclose(shift, [0, 0, 112 * 10, 0, 0, -112 * 10])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (dict(ids="nowhere"), "finds none of 3 examples"),
        (dict(ids="("), "no regular expression"),
        (dict(tile=33), "give a tile that fits"),
        (dict(tile=8, columns=(0.5, 0.5)), "two shares"),
        (dict(classes=("lava",)), "lava"),
    ],
)
def test_what_cannot_be_is_said(wrong, said):
    with pytest.raises(errors.UserError, match=said):
        sources.source("part", source=PLANET, **wrong)


def test_sensors_of_another_grid_are_not_paired_with_the_whole():
    source = dict(kind="planet", sensors=("sentinel2-l2a", "sentinel1-grd"), count=1, size=32,
                  sizes={"sentinel1-grd": 64})  # fmt: skip
    with pytest.raises(errors.UserError, match="cuts sensors on one grid"):
        sources.source("part", source=source, tile=16)[0]
