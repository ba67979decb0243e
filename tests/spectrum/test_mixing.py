"""Mixing matrices: what every band of every sensor is made of."""

import dataclasses
import json

import numpy as np
import pytest

from smarties import errors
from smarties.spectrum import mixing, registry
from smarties.spectrum.bands import Band, Sensor

SPECTRUM = registry.spectrum()
RANGES = [r.name for r in SPECTRUM.ranges]
SENSORS = sorted(registry.sensors())


def optical(*centers: float) -> Sensor:
    bands = tuple(Band(name=f"{c:g}", center=c, fwhm=10.0) for c in centers)
    return Sensor(name="made-up", bands=bands)


@pytest.mark.parametrize("rule", mixing.RULES)
@pytest.mark.parametrize("name", SENSORS)
def test_rows_are_shares(name, rule):
    matrix = mixing.mixing(SPECTRUM, registry.sensor(name).select(), rule)
    assert matrix.shape == (len(registry.sensor(name).index()), 17)
    assert matrix.dtype == np.float32
    assert (matrix >= 0).all() and ((matrix > 0).sum(1) <= 2).all()
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("name", SENSORS)
@pytest.mark.parametrize("rule", mixing.RULES)
def test_a_known_band_is_one_hot(name, rule):
    sensor = registry.sensor(name)
    for band in sensor.bands:
        known = dict(band.range).get("smarties-v1")
        if known in RANGES:
            row = mixing.mixing(SPECTRUM, sensor.select([band.name]), rule)[0]
            assert row.tolist() == [float(r == known) for r in RANGES]


@pytest.mark.parametrize("name", ["sentinel2-l1c", "landsat5-tm", "naip", "enmap", "sentinel1-grd"])
def test_permuting_bands_permutes_rows_and_a_subset_takes_rows(name):
    sensor = registry.sensor(name).select()
    matrix = mixing.mixing(SPECTRUM, sensor)
    order = np.random.default_rng(0).permutation(len(sensor.bands))
    permuted = sensor.select([sensor.names[i] for i in order])
    np.testing.assert_array_equal(mixing.mixing(SPECTRUM, permuted), matrix[order])
    subset = sensor.select([sensor.names[i] for i in order[: len(order) // 2]])
    np.testing.assert_array_equal(mixing.mixing(SPECTRUM, subset), matrix[order[: len(order) // 2]])
    if len(order) > 2:
        assert not np.array_equal(matrix[order], matrix), "the permutation must change something"


@pytest.mark.parametrize("rule", ["linear", "log"])
def test_rows_vary_continuously_with_wavelength(rule):
    centers = np.arange(400, 2401)
    matrix = mixing.mixing(SPECTRUM, optical(*map(float, centers)), rule).astype(np.float64)
    assert matrix.min() >= 0 and matrix.max() <= 1
    known = sorted(r.center for r in SPECTRUM.ranges if r.domain == "optical")
    closest = min(np.diff(known))  # 5 nm: no weight can move faster than one in that
    assert np.abs(np.diff(matrix, axis=0)).max() <= 1.1 / closest
    assert np.abs(np.diff(matrix, axis=0)).max(1).mean() < 0.02
    order = np.argsort([r.center for r in SPECTRUM.ranges])
    for row in matrix[:, order]:
        (at,) = np.nonzero(row)
        assert len(at) <= 2 and at[-1] - at[0] <= 1, "only two neighbours"


@pytest.mark.parametrize("rule", ["linear", "log"])
def test_a_band_at_a_centre_is_that_range_and_the_nearer_range_weighs_more(rule):
    for r in SPECTRUM.ranges:
        if r.domain == "optical":
            row = mixing.mixing(SPECTRUM, optical(r.center), rule)[0]
            assert RANGES[row.argmax()] == r.name and row.max() == 1
    row = mixing.mixing(SPECTRUM, optical(1100.0), rule)[0]
    assert (
        row[RANGES.index("short_wave_infrared_1")] > row[RANGES.index("short_wave_infrared_3")] > 0
    )


def test_linear_recovers_the_wavelength_and_log_its_logarithm():
    known = np.array([r.center for r in SPECTRUM.ranges])
    sensor = optical(452.0, 600.0, 1234.0, 2000.0)
    centers = np.array([b.center for b in sensor.bands])
    np.testing.assert_allclose(
        mixing.mixing(SPECTRUM, sensor, "linear") @ known, centers, rtol=1e-5
    )
    logs = mixing.mixing(SPECTRUM, sensor, "log") @ np.log(known)
    np.testing.assert_allclose(np.exp(logs), centers, rtol=1e-5)


def test_beyond_the_ends_the_outermost_range_holds():
    first, last = mixing.mixing(SPECTRUM, optical(350.0, 2500.0))
    assert RANGES[first.argmax()] == "aerosol" and first.max() == 1
    assert RANGES[last.argmax()] == "short_wave_infrared_4" and last.max() == 1


def test_released_weighs_the_farther_part_more_and_linear_the_nearer():
    blue = registry.sensor("landsat8-oli-tirs").select("B2")
    parts = [RANGES.index("aerosol"), RANGES.index("blue_1")]
    released = mixing.mixing(SPECTRUM, blue, "released")[0]
    linear = mixing.mixing(SPECTRUM, blue, "linear")[0]
    np.testing.assert_allclose(released[parts], [0.79, 0.21], atol=1e-6)
    np.testing.assert_allclose(linear[parts], [0.21, 0.79], atol=1e-3)


def test_released_mixes_thermal_from_radar_and_no_other_rule_does():
    thermal = registry.sensor("landsat8-oli-tirs").select("B10")
    row = mixing.mixing(SPECTRUM, thermal, "released")[0]
    assert row[RANGES.index("microwave_1")] == pytest.approx(0.99984, abs=1e-5)
    assert row[RANGES.index("short_wave_infrared_4")] == pytest.approx(0.00016, abs=1e-5)
    for rule in ("linear", "log"):
        with pytest.raises(errors.UserError, match="B10 of landsat8-oli-tirs is thermal"):
            mixing.mixing(SPECTRUM, thermal, rule)


@pytest.mark.parametrize("rule", ["linear", "log"])
def test_interpolation_stays_in_its_domain(rule):
    domains = [r.domain for r in SPECTRUM.ranges]
    for sensor in registry.sensors().values():
        for band in sensor.bands:
            if band.domain == "thermal":
                continue
            plain = dataclasses.replace(band, range=())
            row = mixing.mixing(SPECTRUM, Sensor(name="plain", bands=(plain,)), rule)[0]
            assert {domains[i] for i in np.nonzero(row)[0]} == {band.domain}


def test_radar_without_its_polarisation_takes_the_one_of_its_kind():
    bands = tuple(Band(name=p, frequency=1.27, polarization=p) for p in ("HH", "HV"))
    matrix = mixing.mixing(SPECTRUM, Sensor(name="l-band", bands=bands))
    assert [RANGES[i] for i in matrix.argmax(1)] == ["microwave_1", "microwave_2"]


def test_golden_projections_and_aggregates(golden):
    meta = json.loads((golden / "smarties" / "meta.json").read_text())
    for name in ("rgb", "sentinel2-l1c", "sentinel2-l2a", "sentinel1-grd"):
        released = name.upper()
        matrix = mixing.mixing(SPECTRUM, registry.sensor(name).select(), "released")
        expected = np.eye(17, dtype=np.float32)[meta["sensor_projection_indices"][released]]
        np.testing.assert_array_equal(matrix, expected)
    aggregated = {17: "thermal_infrared_1", 18: "blue_2"}
    parts = {17: [14, 15], 18: [0, 1]}
    landsat = registry.sensor("landsat8-oli-tirs")
    bands = landsat.select(landsat.names)
    for row, band, index in zip(
        mixing.mixing(SPECTRUM, bands, "released"),
        bands.bands,
        meta["sensor_projection_indices"]["LANDSAT8-LIKE"],
        strict=True,
    ):
        expected = np.zeros(17)
        if index in aggregated:
            assert dict(band.range)["smarties-v1"] == aggregated[index]
            expected[parts[index]] = meta["agg_weights"][str(index)]
        else:
            expected[index] = 1
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_an_unknown_rule_or_range_is_one_clear_line():
    with pytest.raises(errors.UserError, match="did you mean 'linear'"):
        mixing.mixing(SPECTRUM, optical(500.0), "linaer")  # pyright: ignore
    band = Band(name="B1", center=500.0, fwhm=10.0, range=(("smarties-v1", "blue1"),))
    with pytest.raises(errors.UserError, match="'blue1': did you mean 'blue_1'"):
        mixing.mixing(SPECTRUM, Sensor(name="s", bands=(band,)))


def test_words():
    landsat = registry.sensor("landsat8-oli-tirs")

    def say(band, rule):
        return mixing.words(SPECTRUM, mixing.mixing(SPECTRUM, landsat.select(band), rule)[0])

    assert say("B2", "linear") == "0.21 aerosol + 0.79 blue_1"
    assert say("B2", "released") == "0.79 aerosol + 0.21 blue_1"
    assert say("B4", "linear") == "red_2"
    assert say("B10", "released") == "0.00016 short_wave_infrared_4 + 0.99984 microwave_1"
