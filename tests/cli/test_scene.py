"""`smarties embed` and `smarties predict` over scenes, as a person types them."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio

import smarties
from smarties.cli import predict
from smarties.spectrum import registry

L2A = registry.sensor("sentinel2-l2a")
SENSOR = ("--sensor", "sentinel2-l2a")
ROOT = Path(__file__).parents[2]


def write(path, image, **options):
    with rasterio.open(
        path, "w", driver="GTiff", height=image.shape[0], width=image.shape[1],
        count=image.shape[2], dtype=image.dtype, crs="EPSG:32632",
        transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), **options,
    ) as file:  # fmt: skip
        file.write(np.moveaxis(image, -1, 0))
    return path


@pytest.fixture
def scene(tmp_path):
    image = np.random.default_rng(0).integers(100, 3000, (48, 72, 12)).astype(np.uint16)
    return write(tmp_path / "scene.tif", image), image


def test_a_scene_becomes_a_map_of_tokens(run, command, tmp_path, scene):
    file, image = scene
    output = tmp_path / "emb.tif"
    said = command("embed", file, *SENSOR, "--weights", run, "--out", output, "--overlap", 0,
                   "--picture", tmp_path / "emb.png")  # fmt: skip
    assert (tmp_path / "emb.png").read_bytes().startswith(b"\x89PNG")
    assert said.code == 0 and "6 x 9 places of 8 pixels" in said.out
    with rasterio.open(output) as data:
        values = np.moveaxis(data.read(), 0, -1)
        assert data.tags()["MODEL"].startswith("tiny@5#")
    want = smarties.load(run).tokens(image[None, :32, :32], sensor="sentinel2-l2a")[0]
    np.testing.assert_allclose(values[:2, :4], want[:2], rtol=1e-3, atol=1e-3)


def test_a_subset_of_bands_from_files_of_their_own(run, command, tmp_path, scene):
    file, image = scene
    names = ("B04", "B03", "B02")
    files = [write(tmp_path / f"{name}.tif", image[..., [L2A.names.index(name)]]) for name in names]
    bands = ("--bands", ",".join(names))
    found = []
    for given in ([file], files, files[::-1]):
        output = tmp_path / "emb.tif"
        result = command("embed", run, *given, *SENSOR, *bands, "--out", output)
        assert result.code == 0
        found.append(rasterio.open(output).read())
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_rows_cubes_and_int8(run, command, tmp_path, scene):
    parquet, zarr = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("zarr")
    given = ("embed", scene[0], *SENSOR, "--weights", run, "--out")
    assert command(*given, tmp_path / "c.parquet", "--time", "2020-02-23T03:27:39Z").code == 0
    table = parquet.read_table(tmp_path / "c.parquet")
    assert table.num_rows == 6 and str(table["time"][0]) == "2020-02-23 03:27:39+00:00"
    assert command(*given, tmp_path / "e.zarr").code == 0
    assert zarr.open_group(tmp_path / "e.zarr", mode="r")["embedding"].shape == (6, 9, 32)
    assert command(*given, tmp_path / "q.tif", "--dtype", "int8").code == 0
    with rasterio.open(tmp_path / "q.tif") as data:
        assert data.dtypes[0] == "int8" and "value = stored * SCALES" in str(data.tags())


def test_mistakes_are_one_line_and_leave_nothing(run, mistake, tmp_path, scene):
    file, image = scene
    few = write(tmp_path / "few.tif", image[..., :11])
    empty = write(tmp_path / "empty.tif", image * 0)
    out = ("--weights", run, *SENSOR, "--out", tmp_path / "emb.tif")
    before = sorted(tmp_path.iterdir())
    cases = (
        (("embed", few, *out), "11 bands"),
        (("embed", file, file, *out), "2 files, but sentinel2-l2a has 12 bands"),
        (("embed", file, *out, "--window", 36), "try 32"),
        (("embed", file, *out, "--overlap", 5), "multiple of 8"),
        (("embed", file, *out, "--batch", 0), "at least 1"),
        (("embed", file, *out, "--size", 64), "keep its pixels"),
        (("embed", file, *out, "--time", "noon"), "ISO 8601"),
        (("embed", file, *out[:-1], tmp_path / "a.zarr", "--dtype", "int8"), "is for .tif"),
        (("embed", file, *out[:-1], tmp_path / "nowhere" / "a.tif"), "a folder that exists"),
        (("embed", file, *SENSOR, "--out", tmp_path / "emb.tif"), "no image to embed"),
        (("predict", file, *out), "has no head"),
        (("predict", file, *out[:-1], tmp_path / "m.png"), "must end in .tif"),
        (("predict", file, *out, "--probabilities", out[-1]), "give two names"),
    )
    for argv, words in cases:
        assert words in mistake(*argv)
        assert sorted(tmp_path.iterdir()) == before
    assert "no valid pixel" in mistake("embed", empty, *out)
    assert not (tmp_path / "emb.tif").exists()


def test_a_picture_of_radar_is_of_radar(command, run, tmp_path):
    image = np.random.default_rng(0).normal(-14, 3, (64, 64, 2)).astype(np.float32)
    file, picture = write(tmp_path / "s1.tif", image), tmp_path / "s1.png"
    result = command("embed", file, "--sensor", "sentinel1-grd", "--weights", run, "--window", 32,
                     "--overlap", 0, "--out", tmp_path / "e.tif", "--picture", picture)  # fmt: skip
    assert result.code == 0 and picture.stat().st_size > 2000


class Head:
    """Any window: its left half is the first class."""

    classes, size, patch, params = ("left", "right"), 32, 8, {}

    def on(self, sensor):
        assert sensor == "sentinel2-l2a"
        return self

    def predict(self, images, valid):
        left = np.arange(images.shape[2] // 8) < images.shape[2] // 16
        shares = np.stack([left, ~left]).astype(np.float32)
        return np.broadcast_to(shares[None, :, None], (len(images), 2, images.shape[1] // 8, 4))


def test_predict_writes_a_map(command, tmp_path, scene, monkeypatch):
    file, _ = scene
    monkeypatch.setattr(predict.predictor, "load", lambda path, download=False: Head())
    output = tmp_path / "map.tif"
    also = ("--window", 32, "--overlap", 0, "--probabilities", tmp_path / "p.tif")
    result = command("predict", file, *SENSOR, "--weights", "head", "--out", output, *also)
    assert result.code == 0 and "2 classes of" in result.out
    with rasterio.open(output) as data, rasterio.open(file) as source:
        assert data.transform == source.transform and data.shape == source.shape
        assert (data.read(1)[:, :32] == (np.arange(32) >= 16)).all()
    assert rasterio.open(tmp_path / "p.tif").count == 2


_PROGRAM = """
import sys
from smarties import machine
from smarties.cli import main
from smarties.inference import products
every = float(sys.argv.pop(1))
kept = products.Options  # swaths that a test can afford
products.Options = lambda **given: kept(**given, every=every, swath=512)
code = main.main(sys.argv[1:])
print("peak", machine.peak_memory())
sys.exit(code)
"""


def start(*argv):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    environment.pop("XLA_FLAGS", None)
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *map(str, argv)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.fixture
def large(tmp_path):
    """Returns a function that writes a scene of three bands, and what embeds it."""

    def make(side):
        tile = np.random.default_rng(0).integers(100, 3000, (256, 256, 3)).astype(np.uint16)
        image = np.tile(tile, (side // 256, side // 256, 1))
        return write(tmp_path / f"{side}.tif", image, tiled=True, compress="deflate")

    return make


OPTIONS = (
    *SENSOR,
    "--bands",
    "B04,B03,B02",
    "--window",
    128,
    "--overlap",
    0,
    "--batch",
    4,
    "--weights",
)


@pytest.mark.long
def test_memory_is_the_same_for_any_scene(run, tmp_path, large):
    peaks = []
    for side in (1024, 2048, 4096):  # the last has 100 MB of pixels and 34 MB of tokens
        child = start(30, "embed", large(side), *OPTIONS, run, "--out", tmp_path / "emb.tif")
        text = child.communicate()[0]
        assert child.returncode == 0, text
        peaks.append(int(re.search(r"peak (\d+)", text)[1]) / 1e6)
    print(peaks)
    assert max(peaks) < 1.1 * min(peaks), peaks


@pytest.mark.slow
def test_a_killed_command_goes_on_to_the_same_bytes(run, tmp_path, large):
    output, file = tmp_path / "emb.tif", large(2048)
    child = start(0, "embed", file, *OPTIONS, run, "--out", output)
    state = tmp_path / "emb.tif.part" / "state.npz"
    while not state.exists() and child.poll() is None:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert state.exists() and not output.exists()
    again = start(1, "embed", file, *OPTIONS, run, "--out", output)
    assert again.communicate() and again.returncode == 0
    found = output.read_bytes()
    assert not state.parent.exists()
    whole = start(1, "embed", file, *OPTIONS, run, "--out", output)
    assert whole.communicate() and whole.returncode == 0
    assert output.read_bytes() == found
