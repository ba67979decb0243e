"""Streaming statistics: equal to NumPy's where they claim to be exact, close where they do not."""

import numpy as np
import pytest
import yaml
from test_records import S1, S2, Noise

from smarties import errors
from smarties.data import statistics
from smarties.spectrum import registry


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_statistics_are_numpys(dtype):
    rng = np.random.default_rng(0)
    parts = [rng.normal(90, 30, (n, 3)).astype(dtype) for n in (1, 70, 5000)]
    sketch = statistics.Sketch(3, np.dtype(dtype))
    for part in parts:
        sketch.add(part)
    every = np.concatenate(parts).astype(float)
    for band, one in enumerate(sketch.statistics((2, 50, 98))):
        x = every[:, band]
        assert one.count == len(x) and (one.minimum, one.maximum) == (x.min(), x.max())
        np.testing.assert_allclose([one.mean, one.std], [x.mean(), x.std()])
        np.testing.assert_allclose(list(one.percentiles.values()), np.percentile(x, (2, 50, 98)))
        low, high = np.percentile(x, (1, 99))
        clipped = np.clip((x - low) / (high - low), 0, 1)
        np.testing.assert_allclose(one.clip, (low, high))
        np.testing.assert_allclose(
            [one.clipped_mean, one.clipped_std], [clipped.mean(), clipped.std()], rtol=1e-6
        )


def test_many_floats_are_sketched_within_their_bound(monkeypatch):
    monkeypatch.setattr(statistics, "EXACT", 5000)
    rng = np.random.default_rng(1)
    sketch, parts = statistics.Sketch(2, np.dtype("float32")), []
    for _ in range(10):
        parts.append(rng.normal(-12, 5, (2000, 2)).astype(np.float32))
        sketch.add(parts[-1])
    assert sketch._kept is None  # memory no longer grows
    every = np.concatenate(parts).astype(float)
    for band, one in enumerate(sketch.statistics((1, 50, 99))):
        exact = np.percentile(every[:, band], (1, 50, 99))
        np.testing.assert_allclose(list(one.percentiles.values()), exact, rtol=3e-4)
        mean, std = every[:, band].mean(), every[:, band].std()
        np.testing.assert_allclose([one.mean, one.std], [mean, std], rtol=3e-4)


def test_only_valid_pixels_count_and_a_sensor_file_comes_out(tmp_path):
    source = Noise(4)
    found = statistics.measure(source, range(4))
    seen = np.concatenate([source[i]["images"][S2][source[i]["valid"][S2]] for i in range(4)])
    assert found[S2][0].count == len(seen) < 4 * 48 * 48
    np.testing.assert_allclose([one.mean for one in found[S2]], seen.mean(0))
    entry = statistics.sensor_file(registry.sensor(S2), found[S2], "mine", "noise")
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(entry))
    sensor = registry.sensor(file)
    assert sensor.names == registry.sensor(S2).names
    assert sensor.bands[3].clip == found[S2][3].clip
    assert sensor.bands[3].statistics == f"noise, {len(seen)} pixels"


def test_nothing_and_constants_are_refused():
    with pytest.raises(errors.UserError, match="no valid pixel"):
        statistics.Sketch(2, np.dtype("uint16")).statistics()
    sketch = statistics.Sketch(2, np.dtype("float32"))
    sketch.add(np.full((9, 2), -12, np.float32))
    with pytest.raises(errors.UserError, match="band VV of sentinel1-grd is -12 almost everywhere"):
        statistics.sensor_file(registry.sensor(S1), sketch.statistics(), "x", "y")
