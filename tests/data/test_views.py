"""Views: what the device makes of stored numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smarties.data import views
from smarties.spectrum import registry


def ramp(n, c=1, b=1):
    y, x = np.mgrid[:n, :n].astype(np.float32)
    return jnp.asarray(np.repeat((y * 10 + x)[None, :, :, None], c, 3).repeat(b, 0) / n)


def test_standardise_follows_the_sheet_and_hides_what_is_invalid():
    sensor = registry.sensor("sentinel2-l1c")
    image = np.random.default_rng(0).integers(0, 6000, (2, 4, 4, 13)).astype(np.uint16)
    valid = np.ones((2, 4, 4), bool)
    valid[0, 1, 1] = False
    out, seen = views.standardise(image, valid, sensor)
    assert out.shape == (2, 4, 4, 12)  # B10 is read and not selected
    band = sensor.bands[11]
    low, high = band.clip
    want = (np.clip((image[1, 2, 3, 11] - low) / (high - low), 0, 1) - band.mean) / band.std
    np.testing.assert_allclose(out[1, 2, 3, 10], want, rtol=1e-5)
    assert (np.asarray(out[0, 1, 1]) == 0).all() and not seen[0, 1, 1]


def test_nan_becomes_invalid():
    image = np.full((1, 3, 3, 2), -12.0, np.float32)
    image[0, 0, 2, 1] = np.nan
    out, seen = views.standardise(image, np.ones((1, 3, 3), bool), registry.sensor("sentinel1-grd"))
    assert np.isfinite(out).all() and not seen[0, 0, 2] and seen.sum() == 8


def test_the_whole_window_at_its_own_size_changes_nothing():
    image = ramp(8, 3, 2)
    out, ok = views.resample(image, jnp.ones((2, 8, 8), bool), views.whole_window(2), 8)
    np.testing.assert_allclose(out, image, atol=1e-5)
    assert ok.all()


def test_flips_and_quarter_turns_are_exact():
    image = jnp.asarray(np.random.default_rng(0).normal(size=(1, 6, 6, 2)), jnp.float32)
    valid = jnp.ones((1, 6, 6), bool)
    yes = jnp.ones(1, bool)
    turned = views.whole_window(1).replace(flip_rows=yes, transpose=yes)
    out, _ = views.resample(image, valid, turned, 6)
    np.testing.assert_allclose(out[0], np.swapaxes(np.asarray(image)[0, ::-1], 0, 1), atol=1e-5)


def test_a_pair_of_two_resolutions_shows_the_same_ground():
    """One smooth scene at 64 and 16 pixels, through the same windows; another is the control."""

    def scene(n):
        y, x = (np.mgrid[:n, :n] + 0.5) / n
        return jnp.asarray(
            (np.sin(5 * x) + np.cos(4 * y))[None, :, :, None].repeat(8, 0), jnp.float32
        )

    window = views.random_window(jax.random.key(1), 8)
    both = [views.resample(scene(n), jnp.ones((8, n, n), bool), window, 24)[0] for n in (64, 16)]
    other = views.random_window(jax.random.key(2), 8)
    control, _ = views.resample(scene(16), jnp.ones((8, 16, 16), bool), other, 24)
    inner = (slice(None), slice(4, -4), slice(4, -4))
    error = np.abs(both[0] - both[1])[inner].max()
    assert error < 0.05
    assert np.abs(both[0] - control)[inner].max() > 10 * error


def test_windows_stay_inside_and_cover_the_asked_area():
    window = views.random_window(jax.random.key(0), 2000, (0.25, 1.0))
    assert (window.top >= 0).all() and (window.top + window.side <= 1 + 1e-6).all()
    area = np.asarray(window.side) ** 2
    assert 0.25 <= area.min() < 0.27 and 0.98 < area.max() <= 1.0
    assert abs(area.mean() - 0.625) < 0.02


def test_shrinking_averages():
    """A checkerboard shrunk by 8 is grey: without antialiasing it would be black or white."""
    board = jnp.asarray((np.indices((64, 64)).sum(0) % 2)[None, :, :, None], jnp.float32)
    out, _ = views.resample(board, jnp.ones((1, 64, 64), bool), views.whole_window(1), 8)
    np.testing.assert_allclose(out, 0.5, atol=0.02)


def test_a_hole_stays_a_hole():
    valid = jnp.ones((1, 16, 16), bool).at[0, 8, 8].set(False)
    image = ramp(16)
    out, ok = views.resample(image, valid, views.whole_window(1), 8)
    assert not ok[0, 4, 4] and ok[0, 0, 0] and (np.asarray(out)[~np.asarray(ok)] == 0).all()


@pytest.mark.parametrize("patch", [2, 4])
def test_patchify_and_back(patch):
    image = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 12, 3)), jnp.float32)
    patches = views.patchify(image, patch)
    grid = (8 // patch, 12 // patch)
    np.testing.assert_array_equal(views.unpatchify(patches, grid), image)
    np.testing.assert_array_equal(  # second token of the first row, second band, row-major
        patches[0, 1, 1], image[0, :patch, patch : 2 * patch, 1].ravel()
    )


def test_labels_turn_with_their_image():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, (64, 8, 8))
    window = views.random_window(jax.random.key(1), 64, (1.0, 1.0))
    image = jax.nn.one_hot(jnp.asarray(labels), 5)
    turned, _ = views.resample(image, jnp.ones((64, 8, 8), bool), window, 8)
    found = views.nearest(jnp.asarray(labels), window, 8)
    np.testing.assert_array_equal(found, turned.argmax(-1))
    larger = views.nearest(jnp.asarray(labels), views.whole_window(64), 16)
    np.testing.assert_array_equal(larger, labels.repeat(2, 1).repeat(2, 2))


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_mixtures_weigh_images_as_their_labels(mixup, cutmix):
    weight, share = views.mix(jax.random.key(0), 256, 16, mixup, cutmix)
    np.testing.assert_allclose(np.broadcast_to(weight, (256, 16, 16, 1)).mean((1, 2, 3)), share,
                               rtol=1e-5)  # fmt: skip
    cut = np.isin(np.broadcast_to(weight, (256, 16, 16, 1)), (0, 1)).all((1, 2, 3))
    assert 0 <= share.min() < 0.2 and 0.8 < share.max() <= 1
    if mixup and cutmix:
        assert 0.3 < cut.mean() < 0.7
    else:
        assert cut.all() == bool(cutmix)
