"""SSL4EO-S12: joining by date, grids that differ, baselines, and bad files; pairing in general."""

import json
import pickle

import layouts
import numpy as np
import pytest
from scipy import ndimage

from smarties import errors
from smarties.data import times
from smarties.data.archives import nearest, ssl4eo
from smarties.spectrum import registry

SIZE = {10: 24, 20: 12, 60: 4}


def write(root, folder, place, image, seed, told=None, crs="EPSG:32632"):
    """Writes one image, a file per band; returns the pixels by band."""
    rng, written = np.random.default_rng(seed), {}
    sensor = next(s for s, f in ssl4eo.FOLDERS.items() if f == folder)
    for band in registry.sensor(sensor).bands:
        where = root / folder / place / image
        if folder == "s1":
            pixels = rng.normal(-14, 3, (24, 24)).astype(np.float32)
        else:
            pixels = rng.integers(1100, 4000, (SIZE[int(band.gsd)],) * 2).astype(np.uint16)
        name = band.name.replace("B0", "B")
        layouts.tif(where / f"{name}.tif", pixels, gsd=10 * (24 // len(pixels)), crs=crs)
        written[name] = pixels
    if told is not None:
        (where / "metadata.json").write_text(json.dumps(told))
    return written


OLD = {"PROCESSING_BASELINE": "02.14", "PRODUCT_ID": "S2B_MSIL2A_20200604T054639_N0214_R048"}


@pytest.fixture
def archive(tmp_path):
    """Two places, three optical and two radar images; returns the root and the pixels."""
    written = {}
    for seed, (folder, place, image, told) in enumerate(
        [
            ("s2a", "0000001", "20200101T000000_20200101T000001_T32ABC", OLD),
            ("s2a", "0000001", "20200601T000000_20200601T000001_T32ABC", OLD),
            ("s2a", "0000002", "20200301T120000_20200301T120001_T32ABC", OLD),
            ("s1", "0000001", "S1A_IW_GRDH_1SDV_20200610T010800_20200610T010825_0", {}),
            ("s1", "0000002", "S1A_IW_GRDH_1SDV_20200311T010800_20200311T010825_0", {}),
        ]
    ):
        written[folder, place, image[:8]] = write(tmp_path, folder, place, image, seed, told)
    return tmp_path, written


def test_nearest_joins_the_closest_first_and_none_twice():
    day = nearest.DAY
    first = {"a": 0.0, "b": 10 * day, "c": 100 * day}
    second = {"x": 9 * day, "y": 12 * day, "z": 200 * day}
    assert nearest.nearest(first, second, 30) == {"a": "y", "b": "x"}
    assert nearest.nearest(first, second, 5) == {"b": "x"}
    assert nearest.nearest(first, {}, 5) == {}
    backwards = {name: second[name] for name in reversed(second)}
    assert nearest.nearest(first, backwards, 300) == nearest.nearest(first, second, 300)
    assert nearest.nearest({"a": 5.0}, {"y": 6.0, "x": 4.0}, 1) == {"a": "x"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("S1A_IW_GRDH_1SDV_19700102T000010_19700103T000000", 86_410),
        ("1970-01-02T00:00:10Z", 86_410),
        ("1970-13-02T00:00:10Z", np.nan),
        ("0000200", np.nan),
    ],
)
def test_times_of_names(text, expected):
    np.testing.assert_equal(times.found(text), expected)


def test_seasons_are_joined_by_date(archive):
    root, written = archive
    source = ssl4eo.Ssl4Eo(root, size=24)
    ids = [source[i]["id"] for i in range(len(source))]
    assert ids == [
        "0000001/20200601T000000_20200601T000001_T32ABC",
        "0000002/20200301T120000_20200301T120001_T32ABC",
    ]
    assert [o.file for o in source.omitted] == [
        "s2a/0000001/20200101T000000_20200101T000001_T32ABC"
    ]
    assert "no image of s1 within 45 days" in source.omitted[0].reason
    example, optic = source[0], written["s2a", "0000001", "20200601"]
    image = example["images"]["sentinel2-l2a"]
    assert image.shape == (24, 24, 12) and image.dtype == np.uint16
    np.testing.assert_array_equal(image[..., 1], optic["B2"])
    np.testing.assert_array_equal(image[..., 0], np.kron(optic["B1"], np.ones((6, 6))))
    np.testing.assert_array_equal(image[..., 8], np.kron(optic["B8A"], np.ones((2, 2))))
    radar = next(v for k, v in written.items() if k[:2] == ("s1", "0000001"))
    np.testing.assert_array_equal(example["images"]["sentinel1-grd"][..., 1], radar["VH"])
    assert example["time"] == 1_590_969_600
    copy = pickle.loads(pickle.dumps(source))
    assert copy.identity() == source.identity()
    np.testing.assert_array_equal(copy[0]["images"]["sentinel2-l2a"], image)


def test_grids_are_laid_centre_on_centre(archive):
    root, written = archive
    radar = next((root / "s1" / "0000001").glob("*"))
    pixels = next(v for k, v in written.items() if k[:2] == ("s1", "0000001"))
    for name in ("VV", "VH"):
        layouts.tif(radar / f"{name}.tif", pixels[name], corner=(499_990.0, 5_000_010.0))
    image = ssl4eo.Ssl4Eo(root, size=20)[0]["images"]["sentinel1-grd"]
    np.testing.assert_array_equal(image[..., 0], pixels["VV"][2:22, 2:22])


def test_baselines_are_on_one_scale(archive):
    root, written = archive
    folder = root / "s2a" / "0000001" / "20200601T000000_20200601T000001_T32ABC"
    optic = written["s2a", "0000001", "20200601"]

    def band(**options):
        return ssl4eo.Ssl4Eo(root, size=24, **options)[0]["images"]["sentinel2-l2a"][..., 2]

    for told in (
        {"PROCESSING_BASELINE": "05.10", "PRODUCT_ID": OLD["PRODUCT_ID"]},
        {"PRODUCT_ID": "S2B_MSIL2A_20200604T054639_N0400_R048"},
    ):
        (folder / "metadata.json").write_text(json.dumps(told))
        np.testing.assert_array_equal(band(), optic["B3"] - 1000)
        np.testing.assert_array_equal(band(baseline=2.0), optic["B3"] - 1000)
    (folder / "metadata.json").unlink()
    with pytest.raises(errors.Unreadable, match="metadata.json: .*does not name its processing"):
        band()
    np.testing.assert_array_equal(band(baseline=2.0), optic["B3"])
    np.testing.assert_array_equal(band(baseline=4.0), optic["B3"] - 1000)
    for text, message in (("{", "no JSON"), ("[]", "JSON list, not an object")):
        (folder / "metadata.json").write_text(text)
        with pytest.raises(errors.Unreadable, match=f"metadata.json: .*{message}"):
            band()


def test_bad_files_are_named(archive):
    root, _ = archive
    source = ssl4eo.Ssl4Eo(root, size=24)
    folder = root / "s2a" / "0000001" / "20200601T000000_20200601T000001_T32ABC"
    layouts.halve(folder / "B8.tif")
    with pytest.raises(errors.Unreadable, match="B8.tif: missing, truncated"):
        source[0]
    layouts.tif(folder / "B8.tif", np.ones((17, 17), np.uint16))
    with pytest.raises(errors.Unreadable, match="B8.tif: 17x17 pixels cannot cover"):
        source[0]
    layouts.tif(folder / "B8.tif", np.ones((24, 24), np.int16))
    with pytest.raises(errors.Unreadable, match="B8.tif: int16, but .*B1.tif is uint16"):
        source[0]
    (folder / "B8.tif").unlink()
    with pytest.raises(errors.Unreadable, match="B8.tif: missing"):
        source[0]
    radar = next((root / "s1" / "0000002").glob("*"))
    for name in ("VV", "VH"):
        pixels = np.full((24, 24), -10, np.float32)
        layouts.tif(radar / f"{name}.tif", pixels, crs="EPSG:32633")
    with pytest.raises(errors.Unreadable, match="V[VH].tif and 1 more .*co-registered"):
        source[1]
    for name in ("VV", "VH"):
        layouts.tif(radar / f"{name}.tif", pixels, corner=(5e5, 4e6))
    with pytest.raises(errors.Unreadable, match="V[VH].tif and 1 more .*the same ground"):
        source[1]
    with pytest.raises(errors.Unreadable, match="share 24x24 pixels, and 25x25"):
        ssl4eo.Ssl4Eo(root, size=25, sensors=("sentinel2-l2a",))[0]


def test_what_is_not_there(archive):
    root, _ = archive
    (root / "s1" / "0000002" / "undated").mkdir()
    source = ssl4eo.Ssl4Eo(root, size=24)
    assert {"s1/0000002/undated": "no date in its name"}.items() <= {
        o.file: o.reason for o in source.omitted
    }.items()
    with pytest.raises(errors.UserError, match="unknown sensor of SSL4EO-S12 'sentinel2'"):
        ssl4eo.Ssl4Eo(root, sensors=("sentinel2",))
    with pytest.raises(errors.UserError, match="no example of Ssl4Eo"):
        ssl4eo.Ssl4Eo(root, sensors=("sentinel2-l1c",))


def test_real_location(data_root):
    root = data_root / "s1s2_ssl4eo_s12"
    source = ssl4eo.Ssl4Eo(root, sensors=("sentinel2-l2a", "sentinel2-l1c", "sentinel1-grd"))
    assert len(source) == 2 and not source.omitted
    spring, summer = (f"2020{d}T054639_2020{d}T054" for d in ("0604", "0813"))
    joined = [
        (f"{spring}831_T43RCP", f"{spring}831_T43RCP", "0607"),
        (f"{summer}952_T43RCP", "20200823T054639_20200823T055618_T43RCP", "0903"),
    ]
    base = root / "SSL4EO-S12"
    for i, (l2a, l1c, day) in enumerate(joined):
        example = source[i]
        assert example["id"] == f"0000200/{l2a}"
        images = example["images"]
        assert all(image.shape[:2] == (264, 264) for image in images.values())
        assert all(valid.all() for valid in example["valid"].values())
        for sensor, folder, image in (
            ("sentinel2-l2a", "s2a", l2a),
            ("sentinel2-l1c", "s2c", l1c),
            ("sentinel1-grd", "s1", next((base / "s1" / "0000200").glob(f"*_2020{day}T*")).name),
        ):
            band = "VV" if folder == "s1" else "B4"
            pixels = layouts.read(base / folder / "0000200" / image / f"{band}.tif")[..., 0]
            found = images[sensor][..., 0 if folder == "s1" else 3]
            np.testing.assert_array_equal(found, pixels)
            assert found.dtype == pixels.dtype
        np.testing.assert_allclose(example["location"], (73.3058, 30.464), atol=5e-4)
    centre = ssl4eo.Ssl4Eo(root, size=200)[0]["images"]
    for sensor, image in centre.items():
        np.testing.assert_array_equal(image, source[0]["images"][sensor][32:232, 32:232])


def test_real_radar_and_optical_contents_agree_where_they_are_laid(data_root):
    """By the georeference they would be three and four pixels apart, and agree far less."""
    example = ssl4eo.Ssl4Eo(data_root / "s1s2_ssl4eo_s12")[0]["images"]
    optic = example["sentinel2-l2a"].astype(float)
    index = (optic[..., 7] - optic[..., 3]) / (optic[..., 7] + optic[..., 3])

    def detail(image):
        return ndimage.gaussian_filter(image, 1.2) - ndimage.gaussian_filter(image, 12)

    one, other = detail(index), detail(example["sentinel1-grd"][..., 1].astype(float))

    def agreement(row, column):
        shifted = other[20 + row : 244 + row, 20 + column : 244 + column]
        return np.corrcoef(one[20:244, 20:244].ravel(), shifted.ravel())[0, 1]

    assert agreement(0, 0) > 0.5 > 0.2 > agreement(3, 4)
