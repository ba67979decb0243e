"""The published statistics fit the real patches, band by band and in the sensors' order."""

import numpy as np
import pytest

from smarties import errors
from smarties.cli import data
from smarties.data.archives import bigearthnet_statistics, bigearthnet_v1
from smarties.spectrum import registry

S1, S2 = "sentinel1-grd", "sentinel2-l2a"


@pytest.mark.parametrize("version", bigearthnet_statistics.STATISTICS)
@pytest.mark.parametrize("sensor", [S1, S2])
def test_real_patches_lie_where_the_statistics_say(data_root, version, sensor):
    source = bigearthnet_v1.BigEarthNetV1(
        data_root / "bigearthnet_samples" / "v1", sensors=(sensor,)
    )
    means = np.array([source[i]["images"][sensor].mean((0, 1)) for i in range(len(source))])
    mean, std = bigearthnet_statistics.of(version, registry.sensor(sensor))
    assert (np.abs(means.mean(0) - mean) < std).all()
    other = registry.sensor(sensor).select(registry.sensor(sensor).names[::-1])
    backwards, _ = bigearthnet_statistics.of(version, other)
    np.testing.assert_array_equal(backwards, mean[::-1])
    assert np.corrcoef(means.mean(0), mean)[0, 1] > max(
        0.9, np.corrcoef(means.mean(0), backwards)[0, 1]
    )


def test_unknown_names():
    with pytest.raises(errors.UserError, match="did you mean 'bigearthnet-v"):
        bigearthnet_statistics.of("bigearthnet-v3", registry.sensor(S2))
    with pytest.raises(errors.UserError, match="band of bigearthnet-v2 'B10'"):
        bigearthnet_statistics.of("bigearthnet-v2", registry.sensor("sentinel2-l1c"))


def test_they_are_printed_beside_those_of_prepared_patches(data_root, tmp_path, capsys):
    root = str(data_root / "bigearthnet_samples" / "v1")
    data.main(["prepare", "bigearthnet-v1", "--source", root, "--out", str(tmp_path)])
    data.main(["stats", str(tmp_path)])
    said = capsys.readouterr().out
    assert "bigearthnet-v1 as published (bigearthnet_common" in said
    assert "B8A" in said and "2266.5    1356.1" in said
