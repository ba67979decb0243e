"""Sentinel-2 offsets: what names say, and numbers on one scale."""

import numpy as np
import pytest

from smarties import errors
from smarties.data.archives import baseline


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("S2B_MSIL2A_20220803T101559_N0400_R065_T32TQM_20220803T132455.SAFE", 4.0),
        ("S2A_MSIL1C_20190907T105621_N0208_R094_T30SXH_20190907T130110", 2.08),
        ("S2A_OPER_MSI_L1C_TL_SGS__20160101T101010_A002_T32UMC_N02.01", 2.01),
        ("S2A_MSIL2A_20180101T000000_N0500_R001_T01ABC_20230101T000000", 5.0),
        ("S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP", None),
        ("20190907T105621_20190907T110111_T30SXH", None),
        ("", None),
    ],
)
def test_names_tell_the_baseline(name, expected):
    assert baseline.baseline_of(name) == expected


def test_an_unknown_baseline_is_never_guessed():
    assert baseline.settle("a_N0510_b", 2.0, "x") == 5.1
    assert baseline.settle("a", 2.0, "x") == 2.0
    with pytest.raises(errors.Unreadable, match="x.tif: .* does not name its processing baseline"):
        baseline.settle("a_N9999_b", None, "x.tif")


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32])
def test_newer_numbers_lose_their_offset_where_valid(dtype):
    pixels = np.array([[[0, 0], [999, 1000]], [[1001, 9000], [3000, 20000]]], dtype)
    valid = np.array([[False, True], [True, True]])
    expected = [[[0, 0], [0, 0]], [[1, 8000], [2000, 19000]]]
    new = baseline.harmonise(pixels, valid, 4.0)
    np.testing.assert_array_equal(new, expected)
    assert new.dtype == dtype
    np.testing.assert_array_equal(baseline.harmonise(pixels, valid, 3.01), pixels)
