"""Sensors to STAC and back."""

import json

import pytest

from smarties import errors
from smarties.spectrum import registry, stac


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("name", sorted(registry.sensors()))
def test_round_trip(name, version):
    sensor = registry.sensor(name)
    entry = json.loads(json.dumps(stac.write(sensor, version), allow_nan=False))
    assert stac.read(entry, name).bands == sensor.bands
    assert stac.read({"properties": entry}, name).bands == sensor.bands


def test_wavelengths_are_micrometres_and_radar_has_none():
    blue = stac.write(registry.sensor("sentinel2-l2a"))["bands"][1]
    assert (blue["eo:center_wavelength"], blue["eo:full_width_half_max"]) == (0.4927, 0.065)
    old = stac.write(registry.sensor("sentinel2-l2a"), "1.0")
    assert old["eo:bands"][1]["center_wavelength"] == 0.4927
    assert old["raster:bands"][1]["scale"] == 1e-4 and "sar:center_frequency" not in old
    radar = stac.write(registry.sensor("sentinel1-grd"))["bands"][1]
    assert (radar["sar:center_frequency"], radar["sar:polarizations"]) == (5.405, ["VH"])
    assert not any("wavelength" in key for key in radar)


def test_a_foreign_entry_takes_statistics_over():
    entry = {
        "bands": [
            {"name": "r", "eo:center_wavelength": 0.665, "eo:full_width_half_max": 0.03,
             "raster:scale": 0.001, "data_type": "uint16", "nodata": "nan"}
        ]
    }  # fmt: skip
    band = stac.read(entry, "foreign", statistics="sentinel2-l2a").bands[0]
    assert (band.center, band.fwhm, band.statistics.split()[-1]) == (665.0, 30.0, "sentinel2-l2a")
    assert 250 < band.clip[1] < 320 and band.nodata != band.nodata
    with pytest.raises(errors.UserError, match="band r in foreign has no clip"):
        stac.read(entry, "foreign")


def test_entries_that_describe_no_bands():
    with pytest.raises(errors.UserError, match="has no bands"):
        stac.read({"type": "Feature"}, "empty")
    with pytest.raises(errors.UserError, match="2 eo:bands and 1 raster:bands"):
        stac.read({"eo:bands": [{"name": "a"}, {"name": "b"}], "raster:bands": [{}]}, "odd")
    nanometres = {
        "bands": [{"name": "r", "eo:center_wavelength": 665, "eo:full_width_half_max": 30}]
    }
    with pytest.raises(errors.UserError, match="band r.*665 .*micrometres"):
        stac.read(nanometres, "wrong", statistics="sentinel2-l2a")
    with pytest.raises(errors.UserError, match="STAC version"):
        stac.write(registry.sensor("rgb"), "2.0")  # pyright: ignore
