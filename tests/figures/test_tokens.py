"""Principal components as colours: what differs looks different, whatever the basis."""

import numpy as np
import pytest

from smarties import errors
from smarties.figures import tokens


def field(noise=0.1):
    """Three kinds of ground in a space of 16 features, and which is where."""
    rng = np.random.default_rng(0)
    kinds = np.kron(rng.integers(0, 3, (6, 8)), np.ones((5, 5), int))
    return rng.normal(size=(3, 16))[kinds] + noise * rng.normal(size=(*kinds.shape, 16)), kinds


def test_kinds_of_ground_have_colours_of_their_own():
    values, kinds = field()
    colours, shares = tokens.principal_colours(values)
    means = np.stack([colours[kinds == k].mean(0) for k in range(3)])
    nearest = np.linalg.norm(colours[..., None, :2] - means[None, None, :, :2], axis=-1).argmin(-1)
    assert (nearest == kinds).mean() > 0.99
    assert 0.9 < shares[:2].sum() <= 1 and shares[2] < 0.05
    shuffled = np.random.default_rng(1).permutation(values.reshape(-1, 16)).reshape(values.shape)
    other, _ = tokens.principal_colours(shuffled)
    assert np.abs(np.diff(other, axis=1)).mean() > 2 * np.abs(np.diff(colours, axis=1)).mean()


def test_colours_do_not_depend_on_scale_or_shift():
    values, _ = field()
    want, _ = tokens.principal_colours(values)
    np.testing.assert_allclose(tokens.principal_colours(3 * values + 7)[0], want, atol=1e-6)


def test_nodata_is_white_and_counts_for_nothing():
    values, _ = field()
    values[:5] = np.nan
    colours, _ = tokens.principal_colours(values)
    assert (colours[:5] == 1).all()
    np.testing.assert_array_equal(colours[5:], tokens.principal_colours(values[5:])[0])
    with pytest.raises(errors.UserError, match="at least 4"):
        tokens.principal_colours(np.full((4, 4, 16), np.nan))


def test_the_picture_is_a_file(tmp_path):
    values, _ = field()
    scene = np.random.default_rng(0).random((60, 80, 3))
    path = tokens.write(scene, [("trained", values), ("untrained", values)], tmp_path / "t.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert len(tokens.picture(scene, [("one", values)]).axes) == 2
