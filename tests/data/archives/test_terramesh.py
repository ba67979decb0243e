"""TerraMesh: one grid for all modalities, offsets that are left, and bad files."""

import pickle

import layouts
import numpy as np
import pytest

from smarties import errors
from smarties.data.archives import terramesh

ALL = tuple(terramesh.FOLDERS)


@pytest.fixture
def mesh(tmp_path):
    """Two scenes of 32 pixels; returns the root and the pixels by folder and scene."""
    rng, written = np.random.default_rng(0), {}
    for scene in ("1U_2R_0_0", "1U_2R_0_1"):
        toa = layouts.optical(rng, 32, 13, np.int16)
        toa[..., 10] = rng.integers(5, 40, (32, 32))
        surface = np.delete(toa, 10, axis=-1)
        surface[..., -1] = surface[..., -1] * 1.15
        parts = {
            "S1RTC": layouts.radar(rng, 32),
            "S2L1C": toa,
            "S2L2A": surface,
            "S2RGB": rng.integers(0, 255, (32, 32, 3)).astype(np.uint8),
            "LULC": rng.integers(0, 10, (32, 32)).astype(np.uint8),
            "DEM": rng.integers(-5, 3000, (32, 32)).astype(np.int16),
        }
        for folder, pixels in parts.items():
            layouts.tif(tmp_path / folder / f"{scene}.tif", pixels)
            written[folder, scene] = pixels
    return tmp_path, written


def test_examples_are_the_centre_of_all_modalities(mesh):
    root, written = mesh
    (root / "scenes.csv").write_text(
        "scene,s2_datetime,s1_datetime\n1U_2R_0_0,1970-01-02T00:00:10,\n9U_9R_0_0,,\n"
    )
    source = terramesh.TerraMesh(root, sensors=ALL, size=28)
    assert len(source) == 2
    example, scene = source[0], "1U_2R_0_0"
    centre = np.s_[2:30, 2:30]
    for sensor, folder in terramesh.FOLDERS.items():
        np.testing.assert_array_equal(example["images"][sensor], written[folder, scene][centre])
        assert example["images"][sensor].dtype == written[folder, scene].dtype
        assert example["valid"][sensor].all()
    np.testing.assert_array_equal(example["map"], written["LULC", scene][centre])
    np.testing.assert_array_equal(example["elevation"], written["DEM", scene][centre])
    assert example["id"] == scene and example["time"] == 86_410
    assert np.isnan(source[1]["time"])
    np.testing.assert_array_equal(example["transform"], (10, 0, 500_020, 0, -10, 4_999_980))
    assert [o.file for o in source.omitted] == ["9U_9R_0_0"]
    copy = pickle.loads(pickle.dumps(source))
    assert copy.identity() == source.identity() and copy[1]["id"] == "1U_2R_0_1"


def test_offsets_that_are_left_are_measured(mesh):
    root, written = mesh
    name = "1U_2R_0_0"
    for folder in ("S2L1C", "S2L2A"):
        layouts.tif(root / folder / f"{name}.tif", written[folder, name] + np.int16(1000))
    measured = terramesh.TerraMesh(root, sensors=ALL, size=32)[0]["images"]
    for sensor in ("sentinel2-l1c", "sentinel2-l2a"):
        expected = written[terramesh.FOLDERS[sensor], name]
        np.testing.assert_array_equal(measured[sensor], expected)
        assert measured[sensor].dtype == np.int16
    stored = terramesh.TerraMesh(root, sensors=("sentinel2-l2a",), size=32, offset="stored")
    np.testing.assert_array_equal(stored[0]["images"]["sentinel2-l2a"], expected + 1000)
    toa = terramesh.TerraMesh(root, sensors=("sentinel2-l1c",), size=32, offset="stored")
    with pytest.raises(errors.Unreadable, match="still have the 1000"):
        toa[0]
    with pytest.raises(errors.UserError, match="unknown offset"):
        terramesh.TerraMesh(root, offset="maybe")


def test_a_missing_modality_is_omitted_by_name(mesh):
    root, _ = mesh
    (root / "S1RTC" / "1U_2R_0_1.tif").unlink()
    source = terramesh.TerraMesh(root, size=32)
    assert len(source) == 1
    assert [o.file for o in source.omitted] == ["S1RTC/1U_2R_0_1.tif"]
    assert len(terramesh.TerraMesh(root, size=32, sensors=("sentinel2-l2a",))) == 2
    with pytest.raises(errors.UserError, match="unknown sensor of TerraMesh 's1-grd'"):
        terramesh.TerraMesh(root, sensors=("s1-grd",))
    for content, message in ((b"scene\n", "no column s2_datetime"), (b"\xff\xfe", "no text")):
        (root / "scenes.csv").write_bytes(content)
        with pytest.raises(errors.UserError, match=f"scenes.csv: .*{message}"):
            terramesh.TerraMesh(root)
    with pytest.raises(errors.UserError, match="no example of TerraMesh"):
        terramesh.TerraMesh(root / "none")


def bad(root, what, written):
    scene, rng = "1U_2R_0_0", np.random.default_rng(1)
    optic, radar = root / "S2L2A" / f"{scene}.tif", root / "S1RTC" / f"{scene}.tif"
    surface, echo = written["S2L2A", scene], written["S1RTC", scene]
    if what == "truncated":
        layouts.halve(optic)
    elif what == "bands":
        layouts.tif(optic, layouts.optical(rng, 32, 13))
    elif what == "crs":
        layouts.tif(radar, echo, crs="EPSG:32633")
    elif what == "elsewhere":
        layouts.tif(radar, echo, corner=(6e5, 5e6))
    elif what == "size":
        layouts.tif(radar, layouts.radar(rng, 20))
    elif what == "power":
        layouts.tif(radar, 10 ** (echo / 10))
    elif what == "reflectance":
        layouts.tif(optic, (surface / 1e4).astype(np.float32))
    elif what == "label":
        layouts.tif(root / "LULC" / f"{scene}.tif", np.full((32, 32), 11, np.uint8))
    elif what == "height":
        layouts.tif(root / "DEM" / f"{scene}.tif", np.ones((32, 32), np.float32))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("truncated", "S2L2A/1U_2R_0_0.tif: missing, truncated"),
        ("bands", "S2L2A/1U_2R_0_0.tif: 13 bands, but sentinel2-l2a has 12"),
        ("crs", "S1RTC/1U_2R_0_0.tif .*EPSG:3263"),
        ("elsewhere", "S1RTC/1U_2R_0_0.tif .*do not cover the same ground"),
        ("size", "S1RTC/1U_2R_0_0.tif .*are no grids of one ground"),
        ("power", "1U_2R_0_0: .*look like linear power"),
        ("reflectance", "1U_2R_0_0: .*look like reflectance in 0..1"),
        ("label", "LULC/1U_2R_0_0.tif: 1024 pixels have unknown label 11"),
        ("height", "DEM/1U_2R_0_0.tif: float32, not int16"),
    ],
)
def test_bad_files_are_named(mesh, what, message):
    root, written = mesh
    bad(root, what, written)
    source = terramesh.TerraMesh(root, size=32, offset="stored")
    with pytest.raises(errors.Unreadable, match=message) as told:
        source[0]
    assert "\n" not in str(told.value)
    assert source[1]["id"] == "1U_2R_0_1"


def test_nodata_and_nan_are_invalid(mesh):
    root, written = mesh
    echo, optic = (written[folder, "1U_2R_0_0"].copy() for folder in ("S1RTC", "S2L2A"))
    echo[3, 4, 1], optic[5, 6] = np.nan, 0
    layouts.tif(root / "S1RTC" / "1U_2R_0_0.tif", echo)
    layouts.tif(root / "S2L2A" / "1U_2R_0_0.tif", optic)
    example = terramesh.TerraMesh(root, size=32)[0]
    for sensor, pixel in (("s1-rtc", (3, 4)), ("sentinel2-l2a", (5, 6))):
        assert list(map(tuple, np.argwhere(~example["valid"][sensor]))) == [pixel]
        assert not example["images"][sensor][pixel].any()


def test_real_scenes(data_root):
    root = data_root / "s1s2_terramesh"
    source = terramesh.TerraMesh(root, sensors=ALL)
    others = tuple(sensor for sensor in ALL if sensor != "sentinel2-l1c")
    stored = terramesh.TerraMesh(root, sensors=others, offset="stored")
    assert len(source) == 5 and not source.omitted
    # Independently: where the cirrus band never comes near 0, the offset is still there.
    for i, (toa, surface) in enumerate([(1000, 0), (0, 0), (1000, 1000), (1000, 0), (0, 0)]):
        example, scene = source[i], source.name(source._items[i])
        for sensor, folder in terramesh.FOLDERS.items():
            pixels = layouts.read(root / folder / f"{scene}.tif")
            if sensor in others:
                np.testing.assert_array_equal(stored[i]["images"][sensor], pixels)
            less = {"sentinel2-l1c": toa, "sentinel2-l2a": surface}.get(sensor, 0)
            expected = np.maximum(pixels, less) - less if less else pixels
            np.testing.assert_array_equal(example["images"][sensor], expected)
        assert example["images"]["sentinel2-l1c"][..., 10].min() < 60
        pixels = layouts.read(root / "DEM" / f"{scene}.tif")[..., 0]
        np.testing.assert_array_equal(example["elevation"], pixels)
        np.testing.assert_array_equal(
            example["map"], layouts.read(root / "LULC" / f"{scene}.tif")[..., 0]
        )
    first = source[0]
    assert first["time"] == 1_627_046_561 and first["crs"] == "EPSG:32722"
    np.testing.assert_allclose(first["location"], (-48.10605, -25.31594), atol=1e-4)
    water = first["map"] == source.classes.index("water")
    assert np.median(first["images"]["s1-rtc"][water][:, 0]) < -14
