"""Sensors from YAML: the package's own, a user's file, and files that describe nothing possible."""

import json
import pickle

import numpy as np
import pytest
import yaml

from smarties import errors
from smarties.spectrum import registry
from smarties.spectrum.bands import Band

GOOD = {"name": "B1", "center": 500, "fwhm": 50, "clip": [0, 3000], "mean": 0.4, "std": 0.2}
RADAR = {"name": "VV", "frequency": 5.4, "polarization": "VV", "unit": "dB", "clip": [-30, 0],
         "mean": 0.5, "std": 0.2}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def _write(content) -> str:
        path = tmp_path / "mine.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return str(path)

    return _write


def refused(path: str) -> str:
    with pytest.raises(errors.UserError) as caught:
        registry.sensor(path)
    message = str(caught.value)
    assert "\n" not in message and "mine.yaml" in message
    return message


@pytest.mark.parametrize("name", sorted(registry.sensors()))
def test_every_registered_sensor(name):
    sensor = registry.sensor(name)
    assert sensor.name == name == name.lower() and sensor.title and sensor.source
    assert all(band.statistics for band in sensor.bands), "every statistic says where it is from"
    assert sensor.index(), "some band is selected"
    assert (
        registry.sensor_from_dict(json.loads(json.dumps(registry.sensor_to_dict(sensor))), name)
        == sensor
    )
    assert (
        registry.sensor_from_dict(
            yaml.safe_load(yaml.safe_dump(registry.sensor_to_dict(sensor))), name
        )
        == sensor
    )
    assert hash(sensor) == hash(pickle.loads(pickle.dumps(sensor)))
    for band in sensor.bands:
        limits = np.iinfo(band.dtype) if np.dtype(band.dtype).kind in "iu" else np.finfo(band.dtype)
        assert limits.min <= band.clip[0] < band.clip[1] <= limits.max
        assert 0 < band.mean < 1 and 0 < band.std < 0.5


def test_orders_and_selections_of_the_files():
    l1c = registry.sensor("sentinel2-l1c")
    assert l1c.names == (*(f"B0{i}" for i in range(1, 9)), "B8A", "B09", "B10", "B11", "B12")
    assert set(l1c.names) - set(l1c.select().names) == {"B10"}
    assert registry.sensor("sentinel2-l2a").names == l1c.select().names
    eurosat = registry.sensor("eurosat")
    assert eurosat.names == (*(n for n in l1c.names if n != "B8A"), "B8A")
    assert "B10" not in eurosat.select().names
    assert registry.sensor("rgb").names == ("red", "green", "blue")
    assert registry.sensor("sentinel1-grd").names == ("VV", "VH")
    assert len(registry.sensor("enmap").bands) == 224
    assert [b.name for b in registry.sensor("landsat8-oli-tirs").bands if not b.selected] == ["B10"]


@pytest.mark.parametrize(
    ("sensor", "band", "clip", "mean", "std"),
    [
        (
            "rgb",
            "green",
            (0.8408760022210329, 254.8135793768661),
            0.40887942910194397,
            0.26291385293006897,
        ),
        (
            "sentinel1-grd",
            "VH",
            (-33.421480627395354, -9.905399040164635),
            0.6035320162773132,
            0.2288305163383484,
        ),
        (
            "sentinel2-l2a",
            "B01",
            (1.0, 2811.4529362270814),
            0.11504939943552017,
            0.14282256364822388,
        ),
        (
            "sentinel2-l2a",
            "B12",
            (4.277889404039971, 3387.4430439994744),
            0.29588255286216736,
            0.23555098474025726,
        ),
        (
            "sentinel2-l1c",
            "B8A",
            (20.55911232659136, 4884.792779577175),
            0.4563218057155609,
            0.2460414320230484,
        ),
        (
            "sentinel2-l1c",
            "B10",
            (0.23132576070531397, 74.06991863107127),
            0.2185993492603302,
            0.14908181130886078,
        ),
        ("eurosat", "B09", (57, 1851), 0.3750271201133728, 0.22142820060253143),
        ("eurosat", "B8A", (119, 5312), 0.4768053889274597, 0.23559165000915527),
        (
            "whu-rs19",
            "blue",
            (6.690973452598544, 249.4375221467738),
            0.3949107825756073,
            0.23853836953639984,
        ),
        (
            "uc-merced",
            "red",
            (5.498963563859194, 244.8077720335493),
            0.39974889159202576,
            0.2723924219608307,
        ),
        (
            "resisc45",
            "green",
            (15.39449249751984, 238.42203000992066),
            0.366093248128891,
            0.21009083092212677,
        ),
    ],
)
def test_statistics_are_those_of_the_release(sensor, band, clip, mean, std):
    found = registry.sensor(sensor).select(band).bands[0]
    assert (found.clip, found.mean, found.std) == (clip, mean, std)
    assert found.statistics.startswith("SMARTIES release")


def test_borrowed_statistics_are_moved_through_physical_values():
    l2a, landsat = registry.sensor("sentinel2-l2a"), registry.sensor("landsat8-oli-tirs")
    blue = landsat.select("B2").bands[0]
    b01, b02 = l2a.select("B01,B02").bands
    share = (blue.center - b01.center) / (b02.center - b01.center)
    for i in range(2):
        reflectance = 1e-4 * ((1 - share) * b01.clip[i] + share * b02.clip[i])
        assert blue.clip[i] * 2.75e-5 - 0.2 == pytest.approx(reflectance, abs=1e-9)
    assert blue.mean == pytest.approx((1 - share) * b01.mean + share * b02.mean)
    assert blue.statistics == "interpolated over wavelength from sentinel2-l2a"
    assert registry.sensor("enmap").bands[0].statistics == "those of B01 of sentinel2-l2a"
    assert "red of rgb" in registry.sensor("naip").select("nir").bands[0].statistics
    kelvin = {
        b.name: [x * b.scale + b.offset for x in b.clip] for b in registry.sensor("hls-l30").bands
    }
    assert kelvin["B10"] == pytest.approx([293 * 0.00341802 + 149, 61440 * 0.00341802 + 149])


def test_a_users_file_works_wherever_a_name_does(write):
    path = write(
        {
            "name": "mine",
            "defaults": {"scale": 1.0e-4, "statistics": {"from": "sentinel2-l2a"}},
            "bands": [
                {"name": "red", "center": 664.6, "fwhm": 20},
                {**RADAR, "statistics": "measured"},
            ],
        }
    )
    sensor = registry.sensor(path)
    assert sensor.bands[0].mean == pytest.approx(registry.sensor("sentinel2-l2a").bands[3].mean)
    assert sensor.bands[1].domain == "microwave" and sensor.bands[1].statistics == "measured"
    assert registry.sensor(sensor) is sensor


def test_extending_inherits_overrides_and_orders(write):
    path = write({"name": "crop", "extends": "sentinel2-l2a", "defaults": {"gsd": 5},
                  "bands": [{"name": "B08", "mean": 0.3}, {"name": "B02"}]})  # fmt: skip
    nir, blue = registry.sensor(path).bands
    original = registry.sensor("sentinel2-l2a").select("B08,B02").bands
    assert (nir.name, nir.gsd, nir.mean, nir.clip) == ("B08", 5, 0.3, original[0].clip)
    assert (blue.center, blue.range) == (original[1].center, original[1].range)
    whole = registry.sensor(write({"name": "again", "extends": "rgb"}))
    assert whole.bands == registry.sensor("rgb").bands
    assert "did you mean 'B8A'" in refused(write({"name": "x", "extends": "sentinel2-l2a",
                                                  "bands": [{"name": "B80"}]}))  # fmt: skip


def test_a_series_makes_one_band_per_centre(write):
    series = {"series": "N{:02d}", "first": 8, "center": [500, 510, 520], **GOOD}
    del series["name"]
    path = write({"name": "fine", "bands": [{**series, "center": [500, 510, 520]}]})
    assert [(b.name, b.center) for b in registry.sensor(path).bands] == [
        ("N08", 500), ("N09", 510), ("N10", 520)
    ]  # fmt: skip
    for wrong in ({"center": 500}, {"series": "N"}, {"series": "{x}"}):
        assert "series" in refused(write({"name": "fine", "bands": [{**series, **wrong}]}))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"center": -500}, "center -500 nm is impossible"),
        ({"center": 50}, "100 to 1e+06 nm"),
        ({"center": 2e6}, "100 to 1e+06 nm"),
        ({"center": 0.5}, "center 0.5 nm is impossible"),
        ({"fwhm": 0}, "fwhm 0 nm is impossible"),
        ({"fwhm": -3}, "fwhm -3 nm is impossible"),
        ({"fwhm": 501}, "at most the center, 500 nm"),
        ({"fwhm": None}, "needs center and fwhm"),
        ({"center": None, "fwhm": None}, "needs center and fwhm"),
        ({"frequency": 5.4, "polarization": "VV"}, "both a wavelength and a frequency"),
        ({"center": float("nan")}, "not a finite number"),
        ({"scale": "1e-4"}, "YAML reads 1.0e-4"),
        ({"scale": 0}, "scale must not be 0"),
        ({"clip": [5, 5]}, "must run from low to high"),
        ({"clip": [9, 5]}, "must run from low to high"),
        ({"clip": 5}, "two numbers"),
        ({"std": 0}, "std 0 must be above 0"),
        ({"std": -0.1}, "std -0.1 must be above 0"),
        ({"std": None}, "has no std"),
        ({"dtype": "uint17"}, "did you mean 'uint16'"),
        ({"unit": "reflektance"}, "did you mean 'reflectance'"),
        ({"centre": 500}, "did you mean 'center'"),
        ({"statistics": {"from": "sentinel2"}}, "choose one"),
    ],
)
def test_impossible_bands(write, change, expected):
    band = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    message = refused(write({"name": "mine", "bands": [band]}))
    assert expected in message
    assert "B1" in message or "centre" in message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"frequency": 0.05}, "0.1 to 100 GHz"),
        ({"frequency": 5400}, "0.1 to 100 GHz"),
        ({"frequency": None}, "frequency is missing"),
        ({"polarization": "VW"}, "polarization of band VV"),
        ({"polarization": None}, "polarization of band VV"),
    ],
)
def test_impossible_radar(write, change, expected):
    band = {k: v for k, v in {**RADAR, **change}.items() if v is not None}
    assert expected in refused(write({"name": "mine", "bands": [band]}))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"bands": [GOOD]}, "has no name"),
        ({"name": "x"}, "has no bands"),
        ({"name": "x", "bands": []}, "has no bands"),
        ({"name": "x", "bands": "B1"}, "must be a list"),
        ({"name": "x", "bands": ["B1"]}, "must be a mapping"),
        ({"name": "x", "bands": [{**GOOD, "name": 1}]}, "no text"),
        ({"name": "x", "bands": [GOOD, GOOD]}, "band B1 in"),
        ({"name": "x", "bandz": [GOOD]}, "did you mean 'bands'"),
        (
            {"name": "x", "bands": [GOOD], "extends": "sentinel2-l2b"},
            "did you mean 'sentinel2-l2a'",
        ),
        ({"name": "x", "bands": [GOOD], "defaults": {"gsdd": 1}}, "did you mean 'gsd'"),
        ("- a\n- list\n", "must be a mapping"),
        ("just text", "must be a mapping"),
        ("", "must be a mapping"),
        ("name: [unclosed", "is not YAML"),
    ],
)
def test_files_that_describe_no_sensor(write, entry, expected):
    assert expected in refused(write(entry))


def test_statistics_from_a_sensor_that_cannot_give_them(write):
    thermal = {
        "name": "T",
        "center": 11000,
        "fwhm": 500,
        "unit": "K",
        "statistics": {"from": "sentinel2-l2a"},
    }
    assert "has no thermal band in K" in refused(write({"name": "x", "bands": [thermal]}))
    unknown = {**thermal, "statistics": {"from": "sentinel2-l3"}}
    assert "did you mean" in refused(write({"name": "x", "bands": [unknown]}))


def test_missing_file_and_unknown_name(tmp_path):
    with pytest.raises(errors.UserError, match="no such file"):
        registry.sensor(str(tmp_path / "none.yaml"))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(errors.UserError, match=r"binary\.yaml"):
        registry.sensor(tmp_path / "binary.yaml")
    with pytest.raises(errors.UserError, match="did you mean 'sentinel2-l1c'"):
        registry.sensor("sentinel2-l1d")


def test_bands_of_a_sensor_are_asked_for_by_name():
    rgb = registry.sensor("rgb")
    assert rgb.index("blue,red") == (2, 0)
    for names, expected in (("blu", "did you mean 'blue'"), ("red,red", "asked for twice")):
        with pytest.raises(errors.UserError, match=expected):
            rgb.index(names)
    assert isinstance(rgb.bands[0], Band)
