"""Scenes under an encoder: values, places, nodata, formats, restarts, bad scenes."""

import dataclasses
import datetime
import json
import struct

import numpy as np
import pytest
import rasterio
import scenery
from scenery import L2A, NORTH_UP, PATCH

from smarties import errors
from smarties.inference import products, scenes

OPTIONS = products.Options(side=32, overlap=8, batch=5, swath=64, every=1e9)
TOLERANCE = dict(rtol=1e-4, atol=2e-4)


@pytest.fixture(scope="module")
def encoder():
    return scenery.encoder()


def opened(path, image, **place):
    return scenes.open_scene([scenery.write(path, image, **place)], L2A)


def tokens(encoder, image, valid=None):
    batch = None if valid is None else valid[None]
    return encoder.tokens(image[None], sensor=L2A, valid=batch)[0]


def reference(encoder, image, step=24):
    """The blended tokens of an image of whole windows, window by window, in plain loops."""
    rows, columns = (n // PATCH for n in image.shape[:2])
    total, weights = np.zeros((rows, columns, 32)), np.zeros((rows, columns, 1))
    ramp = np.minimum(np.minimum(np.arange(4) + 0.5, 3.5 - np.arange(4)), 1)
    for top in range(0, image.shape[0] - 31, step):
        for left in range(0, image.shape[1] - 31, step):
            found = tokens(encoder, image[top : top + 32, left : left + 32])
            area = (slice(top // 8, top // 8 + 4), slice(left // 8, left // 8 + 4))
            weight = np.outer(ramp, ramp)[..., None]
            total[area] += weight * found
            weights[area] += weight
    return total / weights


def test_tokens_lie_where_the_ground_is(encoder, tmp_path):
    image = scenery.pixels(80, 152)
    scene = opened(tmp_path / "a.tif", image)
    products.embed(encoder, scene, tmp_path / "e.tif", OPTIONS)
    values, profile = scenery.read(tmp_path / "e.tif")
    np.testing.assert_allclose(values, reference(encoder, image), **TOLERANCE)
    # cells of one window alone are that window's tokens; a shifted window's are others
    np.testing.assert_allclose(
        values[:3, :3], tokens(encoder, image[:32, :32])[:3, :3], **TOLERANCE
    )
    assert np.abs(values[:3, :3] - tokens(encoder, image[8:40, 8:40])[:3, :3]).max() > 0.1
    assert profile["transform"] == NORTH_UP @ rasterio.Affine.scale(8)
    assert profile["crs"] == "EPSG:32632" and np.isnan(profile["nodata"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", "e.tif"]


def test_swaths_and_batches_change_nothing(encoder, tmp_path):
    scene = opened(tmp_path / "a.tif", scenery.pixels(70, 300))
    found = []
    for swath, batch in ((64, 5), (10_000, 16)):
        cut = dataclasses.replace(OPTIONS, swath=swath, batch=batch)
        products.embed(encoder, scene, tmp_path / "e.tif", cut)
        found.append(scenery.read(tmp_path / "e.tif")[0])
    np.testing.assert_allclose(*found, **TOLERANCE)


def test_rasters_are_cogs_with_overviews(tmp_path):
    tiny = scenery.encoder(width=16)
    scene = opened(tmp_path / "a.tif", scenery.pixels(32, 8 * 140))
    products.embed(tiny, scene, tmp_path / "e.tif", OPTIONS)
    with rasterio.open(tmp_path / "e.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and file.overviews(1) == [2]
        tags = file.tags()
    assert tags["MODEL"].startswith("tiny#") and tags["BANDS"].split(",") == list(
        L2A.select().names
    )


def test_nodata_goes_in_and_comes_out(encoder, tmp_path):
    image = scenery.pixels(64, 160)
    image[:, 40:120] = 0  # whole windows without data
    image[8:16, 8:11] = 0  # a part of a token
    image[24:32, 16:24] = 0  # a whole token
    seen = image.all(-1)
    scene = opened(tmp_path / "a.tif", image)
    products.embed(encoder, scene, tmp_path / "e.tif", OPTIONS)
    values, _ = scenery.read(tmp_path / "e.tif")
    known = seen.reshape(8, 8, 20, 8).any((1, 3))
    np.testing.assert_array_equal(np.isfinite(values).all(-1), known)
    np.testing.assert_array_equal(np.isnan(values).any(-1), ~known)
    assert not known[3, 2] and known[1, 1]
    want = tokens(encoder, image[:32, :32], seen[:32, :32])
    np.testing.assert_allclose(values[:3, :3], want[:3, :3], **TOLERANCE)


def test_bottom_up_scenes_come_out_north_up(encoder, tmp_path):
    image = scenery.pixels(68, 100)
    scene = opened(tmp_path / "a.tif", image)
    products.embed(encoder, scene, tmp_path / "e.tif", OPTIONS)
    up = rasterio.Affine(10, 0, 5e5, 0, 10, 5e6 - 680)
    turned = opened(tmp_path / "b.tif", image[::-1], transform=up)
    products.embed(encoder, turned, tmp_path / "f.tif", OPTIONS)
    (want, profile), (got, other) = map(scenery.read, (tmp_path / "e.tif", tmp_path / "f.tif"))
    np.testing.assert_array_equal(got, want)
    assert profile["transform"] == other["transform"]


def test_int8_is_half_a_scale_off_at_most(encoder, tmp_path):
    image = scenery.pixels(64, 96)
    image[:32, :32] = 0
    scene = opened(tmp_path / "a.tif", image)
    products.embed(encoder, scene, tmp_path / "e.tif", OPTIONS)
    products.embed(encoder, scene, tmp_path / "q.tif", OPTIONS, dtype="int8")
    want, _ = scenery.read(tmp_path / "e.tif")
    stored, profile = scenery.read(tmp_path / "q.tif")
    with rasterio.open(tmp_path / "q.tif") as file:
        scales, tags = np.array(file.scales), file.tags()
    assert stored.dtype == np.int8 and profile["nodata"] == -128
    np.testing.assert_allclose(json.loads(tags["SCALES"]), scales, rtol=1e-6)
    np.testing.assert_array_equal((stored == -128).any(-1), np.isnan(want).any(-1))
    known = np.isfinite(want).all(-1)
    error = np.abs(stored * scales - want)[known] / scales
    assert 0.4 < error.max() <= 0.5001 and np.abs(stored[known]).max() == 127


def test_chips_are_rows_with_places(encoder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    image = scenery.pixels(72, 100)
    image[:32, 32:64] = 0
    time = datetime.datetime(2020, 2, 23, 3, 27, 39, tzinfo=datetime.UTC)
    scene = opened(tmp_path / "a.tif", image)
    products.embed(encoder, scene, tmp_path / "c.parquet", OPTIONS, time=time)
    table = parquet.read_table(tmp_path / "c.parquet")
    rows = table.to_pylist()
    places = [(row["row"], row["column"]) for row in rows]
    assert places == [(r, c) for r in (0, 32, 64) for c in (0, 32, 64, 96) if (r, c) != (0, 32)]
    assert rows[0]["time"] == time and rows[0]["model"].startswith("tiny#")
    for (r, c), row in zip(places, rows, strict=True):
        if r < 64 and c < 96:
            want = encoder.embed(image[None, r : r + 32, c : c + 32], sensor=L2A)[0]
            np.testing.assert_allclose(row["vector"], want, **TOLERANCE)
    geo = json.loads(parquet.read_metadata(tmp_path / "c.parquet").metadata[b"geo"])
    column = geo["columns"][geo["primary_column"]]
    assert geo["version"] == "1.1.0" and column["encoding"] == "WKB"
    order, kind, rings, points = struct.unpack_from("<BIII", rows[-1]["geometry"])
    assert (order, kind, rings, points) == (1, 3, 1, 5)
    ring = np.frombuffer(rows[-1]["geometry"], "<f8", offset=13).reshape(5, 2)
    x, y = rasterio.warp.transform("EPSG:4326", "EPSG:32632", *ring.T.tolist())
    # the last chip ends where the scene does
    np.testing.assert_allclose([min(x), max(x)], [500960, 501000], atol=1e-3)
    np.testing.assert_allclose([min(y), max(y)], [5e6 - 720, 5e6 - 640], atol=1e-3)
    area = sum(
        a[0] * b[1] - b[0] * a[1]
        for a, b in zip(ring[:-1] - ring[0], ring[1:] - ring[0], strict=True)
    )
    assert area > 0 and (ring[0] == ring[-1]).all()
    np.testing.assert_allclose(column["bbox"][2:], [ring[:, 0].max(), 45.153476], atol=1e-4)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:2180"])  # latitude, northing first by authority
def test_axis_order_of_the_authority_does_not_matter(encoder, tmp_path, crs):
    parquet = pytest.importorskip("pyarrow.parquet")
    (x,), (y,) = rasterio.warp.transform("EPSG:4326", crs, [19.0], [52.0])
    step = 1e-4 if crs == "EPSG:4326" else 10
    place = dict(crs=crs, transform=rasterio.Affine(step, 0, x, 0, -step, y))
    scene = opened(tmp_path / "a.tif", scenery.pixels(32, 32), **place)
    products.embed(encoder, scene, tmp_path / "c.parquet", OPTIONS)
    (blob,) = parquet.read_table(tmp_path / "c.parquet")["geometry"].to_pylist()
    ring = np.frombuffer(blob, "<f8", offset=13).reshape(5, 2)
    np.testing.assert_allclose(ring.mean(0), [19, 52], atol=0.01)
    products.embed(encoder, scene, tmp_path / "e.tif", OPTIONS)
    assert scenery.read(tmp_path / "e.tif")[1]["transform"][2] == pytest.approx(x)


def test_a_cube_is_the_raster(encoder, tmp_path):
    zarr = pytest.importorskip("zarr")
    scene = opened(tmp_path / "a.tif", scenery.pixels(64, 96))
    for _ in range(2):  # the second replaces the first
        products.embed(encoder, scene, tmp_path / "e.zarr", OPTIONS)
    products.embed(encoder, scene, tmp_path / "e.tif", OPTIONS)
    group = zarr.open_group(tmp_path / "e.zarr", mode="r")
    np.testing.assert_array_equal(group["embedding"][:], scenery.read(tmp_path / "e.tif")[0])
    assert group["embedding"].metadata.dimension_names == ("y", "x", "feature")
    assert group["x"][:2].tolist() == [500040, 500120] and group["y"][0] == 5e6 - 40
    assert group.attrs["crs"] == "EPSG:32632"


class Killed(Exception):
    pass


@pytest.mark.parametrize("name", ["e.tif", "c.parquet"])
@pytest.mark.parametrize("after", [1, 4])
def test_a_killed_run_goes_on_to_the_same_bytes(encoder, tmp_path, name, after):
    image = scenery.pixels(140, 200)
    image[:90, :40] = 0
    scene = opened(tmp_path / "a.tif", image)
    options = dataclasses.replace(OPTIONS, batch=3, every=0)
    products.embed(encoder, scene, tmp_path / name, options)
    want, calls = (tmp_path / name).read_bytes(), []

    def batches(limit):
        calls.clear()

        def report(done, total):
            calls.append(done)
            if len(calls) > limit:
                raise Killed

        return report

    (tmp_path / name).unlink()
    with pytest.raises(Killed):
        products.embed(encoder, scene, tmp_path / name, options, progress=batches(after + 1))
    assert not (tmp_path / name).exists() and (tmp_path / f"{name}.part").is_dir()
    stopped = calls[-2]  # the last batch died before its checkpoint
    products.embed(encoder, scene, tmp_path / name, options, progress=batches(10**9))
    assert calls[0] == stopped > 0
    assert (tmp_path / name).read_bytes() == want
    assert not (tmp_path / f"{name}.part").exists()


@pytest.mark.parametrize("changed", ["scene", "weights", "options"])
def test_another_job_starts_anew(encoder, tmp_path, changed):
    scene = opened(tmp_path / "a.tif", scenery.pixels(140, 200))
    options, output = dataclasses.replace(OPTIONS, batch=3, every=0), tmp_path / "e.tif"

    def die(done, total):
        if done > 10:
            raise Killed

    with pytest.raises(Killed):
        products.embed(encoder, scene, output, options, progress=die)
    if changed == "scene":
        scene = opened(tmp_path / "a.tif", scenery.pixels(140, 200, seed=1))
    other = scenery.encoder(1) if changed == "weights" else encoder
    options = dataclasses.replace(options, overlap=16) if changed == "options" else options
    calls = []
    products.embed(other, scene, output, options, progress=lambda done, _: calls.append(done))
    assert calls[0] == 0
    products.embed(other, scene, tmp_path / "f.tif", options)
    assert output.read_bytes() == (tmp_path / "f.tif").read_bytes()


def test_bands_in_files_of_their_own(encoder, data_root, tmp_path):
    folder = next((data_root / "s2_majortom").rglob("B02.tif")).parent
    files = sorted(folder.glob("B*.tif"))  # not in the sensor's order: B8A comes last
    scene = scenes.open_scene(files, L2A)
    assert scene.shape == (1068, 1068)
    part, valid = scene.read(96, 102, 64, 64)
    whole, _ = scene.read(0, 0, 300, 300)
    np.testing.assert_array_equal(part, whole[96:160, 102:166])
    for name in ("B04", "B8A", "B01"):
        with rasterio.open(folder / f"{name}.tif") as file:
            ratio = 1068 // file.width
            own = file.read(1).astype(float)
        mean = part[48:, 48:, scene.sensor.names.index(name)].mean()
        area = slice(round(144 / ratio), 160 // ratio), slice(150 // ratio, 166 // ratio)
        np.testing.assert_allclose(mean, own[area].mean(), rtol=0.05)
    options = dataclasses.replace(OPTIONS, side=128, overlap=32, batch=16, swath=4096)
    products.embed(encoder, scene, tmp_path / "e.tif", options)
    values, profile = scenery.read(tmp_path / "e.tif")
    with rasterio.open(folder / "B02.tif") as file:
        assert profile["transform"] == file.transform @ rasterio.Affine.scale(8)
        assert profile["crs"] == file.crs
    assert values.shape == (134, 134, 32) and np.isfinite(values).all()
    pixels, seen = scene.read(96, 96, 128, 128)
    want = tokens(encoder, pixels, seen)
    np.testing.assert_allclose(values[16:24, 16:24], want[4:12, 4:12], **TOLERANCE)
    with pytest.raises(errors.UserError, match="named after it"):
        scenes.open_scene([*files[:-1], folder / "cloud_mask.tif"], L2A)


def test_bad_scenes_leave_nothing(encoder, tmp_path):
    image = scenery.pixels(64, 64)
    cases = {
        "no valid pixel": dict(image=image * 0),
        "north-up grid": dict(image=image, transform=rasterio.Affine(7, 7, 5e5, 7, -7, 5e6)),
        "axes are swapped": dict(
            image=image, crs="EPSG:4326", transform=rasterio.Affine(0.1, 0, 52, 0, -0.1, 119)
        ),
        "11 bands": dict(image=image[..., :11]),
        "has no CRS": dict(image=image, crs=None, transform=None),
        "look like reflectance": dict(image=image.astype(np.float32) / 10_000),
    }
    for number, (words, case) in enumerate(cases.items()):
        output = tmp_path / f"{number}.{'parquet' if 'CRS' in words else 'tif'}"
        with pytest.raises(errors.UserError, match=words):
            products.embed(encoder, opened(tmp_path / "in.tif", **case), output, OPTIONS)
        assert not output.exists()
