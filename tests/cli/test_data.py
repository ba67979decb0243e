"""smarties data: prepare, show, check."""

import numpy as np
import pytest
import rasterio

from smarties import errors
from smarties.cli import data
from smarties.data import records, sources


def save(file, pixels):
    file.parent.mkdir(exist_ok=True)
    height, width, count = pixels.shape
    with rasterio.open(
        file, "w", driver="GTiff", height=height, width=width, count=count, dtype=pixels.dtype,
        crs="EPSG:32632", transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6),
    ) as image:  # fmt: skip
        image.write(np.moveaxis(pixels, -1, 0))


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for name in "pq":
        pixels = rng.integers(200, 4000, (40, 40, 12)).astype(np.uint16)
        if name == "q":
            pixels[:20, :20] = 0
        save(tmp_path / "in" / f"{name}_s2.tif", pixels)
        save(tmp_path / "in" / f"{name}_s1.tif", rng.normal(-14, 3, (40, 40, 2)).astype("float32"))
    save(tmp_path / "in" / "r_s2.tif", pixels)
    return tmp_path / "in"


def prepare(root, *more):
    data.main(
        ["prepare", "--source", "folder", "--root", str(root), "--tile", "20"]
        + ["--pattern", "sentinel2-l2a=*_s2.tif", "--pattern", "sentinel1-grd=*_s1.tif"]
        + ["--output", str(root.parent / "out"), *more]
    )


def test_a_folder_becomes_records_and_losses_are_counted(root, capsys):
    out = root.parent / "out"
    prepare(root, "--shards", "2")
    said = capsys.readouterr().out
    assert "7 examples written, 1 all invalid skipped" in said
    assert "scenes 2; unmatched 1" in said
    source = sources.source("records", directory=out)
    assert len(source) == 7 and source[0]["images"]["sentinel2-l2a"].shape == (20, 20, 12)
    data.main(["show", str(out)])
    said = capsys.readouterr().out
    assert "7 examples in 2 shards" in said and "sentinel1-grd: VV, VH" in said
    data.main(["check", str(out)])
    assert "all 7 records are whole" in capsys.readouterr().out


def test_existing_records_need_overwrite(root):
    prepare(root)
    with pytest.raises(errors.UserError, match="exists"):
        prepare(root)
    prepare(root, "--overwrite")


def test_the_planet_becomes_records(tmp_path):
    data.main(
        ["prepare", "--source", "planet", "--count", "2", "--size", "32", "--seed", "5"]
        + ["--sensors", "sentinel2-l2a,sentinel1-grd", "--output", str(tmp_path / "out")]
    )
    source = records.Records(tmp_path / "out")
    planet = sources.source("planet", sensors=source.sensors, count=2, size=32, seed=5)
    for name in source.sensors:
        np.testing.assert_array_equal(source[1]["images"][name], planet[1]["images"][name])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--count", "3"), "--count is for --source planet"),
        (("--pattern", "sentinel2-l2a"), "is not one SENSOR=GLOB"),
        (("--pattern", "sentinel-2=x"), "unknown sensor 'sentinel-2'"),
    ],
)
def test_bad_arguments_get_one_line(root, more, message):
    with pytest.raises(errors.UserError, match=message):
        prepare(root, *more)


def test_unknown_sources_and_arguments_get_a_suggestion():
    with pytest.raises(errors.UserError, match="did you mean 'planet'"):
        sources.source("plnet")
    with pytest.raises(errors.UserError, match="did you mean 'tile'"):
        sources.source("folder", root=".", sensors={}, tiles=3)
    with pytest.raises(errors.UserError, match="needs the argument 'directory'"):
        sources.source("records")
