"""Masks of pairs: the same, independent, complements."""

import jax
import numpy as np
import pytest

from smarties import errors
from smarties.models import masking


def drawn(kind, ratio=0.5, tokens=64, pairs=200):
    noises = jax.random.uniform(jax.random.key(0), (2, pairs, tokens))
    return masking.pair(kind, *noises, ratio)


def seen(mask):
    shown = np.zeros((len(mask.visible), mask.visible.shape[1] + mask.masked.shape[1]), bool)
    np.put_along_axis(shown, np.asarray(mask.visible), True, 1)
    hidden = np.zeros_like(shown)
    np.put_along_axis(hidden, np.asarray(mask.masked), True, 1)
    assert (shown != hidden).all()
    return shown


def test_identical():
    one, two = map(seen, drawn("identical", 0.75))
    assert (one == two).all() and (one.sum(1) == 16).all()


def test_random():
    """Independent draws agree about a position half the time, and never all the time."""
    one, two = map(seen, drawn("random"))
    assert abs((one == two).mean() - 0.5) < 0.02 and (one.sum(1) == 32).all()
    assert (two.sum(1) == 32).all() and not (one == two).all(1).any()


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_disjoint(ratio):
    one, two = map(seen, drawn("disjoint", ratio))
    assert (one == ~two).all() and (one.sum(1) == round(64 * (1 - ratio))).all()


def test_what_cannot_be_masked_is_said():
    masking.check("disjoint", 64, 0.75)
    with pytest.raises(errors.UserError, match=r"36\.75: disjoint masks need a whole number"):
        masking.check("disjoint", 49, 0.75)
    masking.check("random", 49, 0.75)
    for ratio in (0.0, 0.999):
        with pytest.raises(errors.UserError, match="some must be masked and some visible"):
            masking.check("random", 64, ratio)


def test_how_many_stay_is_rounded_down_but_not_by_floating_point():
    assert masking.visible_tokens(10, 0.9) == 1 and masking.visible_tokens(16, 0.9) == 1
    assert masking.visible_tokens(196, 0.75) == 49
