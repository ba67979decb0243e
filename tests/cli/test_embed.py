"""smarties embed: GeoTIFF files to vectors, the same as in Python."""

import sys
import warnings

import numpy as np
import pytest

import smarties
from smarties.spectrum import registry

rasterio = pytest.importorskip("rasterio")

L2A = registry.sensor("sentinel2-l2a")


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(100, 3000, (2, 32, 40, 12)).astype(np.uint16)


def write(path, image, names=()):
    size = dict(height=image.shape[0], width=image.shape[1], count=image.shape[2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", dtype=image.dtype, **size) as file:
            file.write(np.moveaxis(image, -1, 0))
            if names:
                file.descriptions = tuple(names)
    return path


def test_files_become_rows(run, command, tmp_path, images):
    files = [write(tmp_path / f"{i}.tif", image) for i, image in enumerate(images)]
    output = tmp_path / "z.npy"
    result = command("embed", run, *files, "--sensor", "sentinel2-l2a", "--pooling", "mean",
                     "--output", output)  # fmt: skip
    assert result.code == 0 and "2 x 32 mean features of sentinel2-l2a" in result.out
    want = smarties.load(run).embed(images, sensor="sentinel2-l2a", pooling="mean")
    np.testing.assert_allclose(np.load(output), want, atol=1e-5)


def test_a_subset_from_all_bands_or_from_its_own_file(run, command, tmp_path, images):
    names = ("B04", "B03", "B02")
    subset = images[0][..., list(L2A.index(names))]
    rows = []
    for file in (
        write(tmp_path / "all.tif", images[0], L2A.names),
        write(tmp_path / "few.tif", subset, names),
    ):
        command("embed", run, file, "--sensor", "sentinel2-l2a", "--bands", ",".join(names),
                "--output", tmp_path / "z.npy")  # fmt: skip
        rows.append(np.load(tmp_path / "z.npy")[0])
    np.testing.assert_allclose(*rows, atol=1e-6)


def test_mistakes_name_the_file(run, mistake, tmp_path, images):
    good = write(tmp_path / "good.tif", images[0])
    bad = {
        "3 bands": write(tmp_path / "rgb.tif", images[0][..., :3]),
        "no valid pixel": write(tmp_path / "empty.tif", images[0] * 0),
        "no whole number of patches": write(tmp_path / "odd.tif", images[0][:30]),
        "look like reflectance": write(tmp_path / "unit.tif", images[0].astype("f4") / 10_000),
        "truncated": tmp_path / "missing.tif",
    }
    swapped = (L2A.names[1], L2A.names[0], *L2A.names[2:])
    bad["band 1 is B02"] = write(tmp_path / "order.tif", images[0], swapped)
    options = ("--sensor", "sentinel2-l2a", "--output", tmp_path / "z.npy")
    for words, file in bad.items():
        line = mistake("embed", run, good, file, *options)
        assert words in line and str(file) in line
    assert not (tmp_path / "z.npy").exists()
    assert "must be a .npy file" in mistake("embed", run, good, *options[:2], "--output", "z.txt")


def test_without_rasterio(run, mistake, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    line = mistake("embed", run, "a.tif", "--sensor", "rgb", "--output", tmp_path / "z.npy")
    assert "smarties[geo]" in line
