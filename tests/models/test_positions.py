"""Positions: the released tables and their interpolation."""

import numpy as np

from smarties.models import positions


def test_tables_and_interpolation_of_the_release(golden):
    case = np.load(golden / "smarties" / "pos_embed_interp.npz")
    np.testing.assert_allclose(
        positions.sincos_2d((4, 4), 64), case["out/sincos_pos_embed"][0, 1:], atol=1e-6
    )
    np.testing.assert_allclose(
        positions.sincos_2d((4, 4), 32), case["out/sincos_decoder_pos_embed"][0, 1:], atol=1e-6
    )
    table = case["in/pos_embed"][0, 1:].reshape(4, 4, 64)
    got = positions.interpolate(table, (6, 6)).reshape(-1, 64)
    np.testing.assert_allclose(got, case["out/pos_embed"][0, 1:], atol=2e-5)


def test_rows_and_columns_differ():
    table = positions.positions((3, 5), 16).reshape(3, 5, 16)
    assert np.ptp(table[:, 0], axis=0)[:8].max() == 0  # the first half does not know the row
    assert np.ptp(table[0], axis=0)[8:].max() == 0
