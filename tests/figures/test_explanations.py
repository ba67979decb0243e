"""Pictures of Shapley values show the numbers they are given."""

import io

import numpy as np
import pytest

from smarties.figures import explanations, suitability

NAMES = ("climate", "soil", "relief", "human")
VALUES = np.array([0.3, -0.2, 0.05, 0.1])


def drawn(figure):
    """The texts of a figure that can be saved."""
    figure.savefig(io.BytesIO(), format="png")
    axes = figure.axes[0]
    return axes, [label.get_text() for label in axes.get_yticklabels()]


def test_bars_are_sorted_and_as_long_as_the_values():
    axes, names = drawn(explanations.bar(NAMES, VALUES, np.full(4, 0.02)))
    assert names == ["climate", "soil", "human", "relief"]
    assert [p.get_width() for p in axes.patches] == [0.3, -0.2, 0.1, 0.05]


def test_many_players_end_in_one_bar_of_their_sum():
    values = np.linspace(1, 0.1, 61)
    axes, names = drawn(explanations.bar([f"p{i}" for i in range(61)], values))
    assert len(names) == explanations.MOST and names[-1] == "42 others"
    assert axes.patches[-1].get_width() == pytest.approx(values[19:].sum())


def test_a_waterfall_goes_from_nothing_to_all():
    full = 0.5 + VALUES.sum()
    axes, names = drawn(explanations.waterfall(NAMES, VALUES, 0.5, full, list("wxyz")))
    assert names == ["climate = w", "soil = x", "human = z", "relief = y"]
    bars = sorted(axes.patches, key=lambda p: -p.get_y())
    assert bars[0].get_x() == pytest.approx(0.5)
    for low, high in zip(bars, bars[1:], strict=False):
        assert low.get_x() + low.get_width() == pytest.approx(high.get_x())
    assert bars[-1].get_x() + bars[-1].get_width() == pytest.approx(full)


def test_a_beeswarm_has_every_place_at_its_value():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 50)) * np.array([1, 3, 0, 2])[:, None]
    data = np.where(rng.random((4, 50)) < 0.2, np.nan, values)
    axes, names = drawn(explanations.beeswarm(NAMES, values, data))
    assert names == ["soil", "human", "climate", "relief"]
    for line, player in zip(axes.collections, (1, 3, 0, 2), strict=False):
        np.testing.assert_allclose(np.sort(line.get_offsets()[:, 0]), np.sort(values[player]))
        assert np.abs(line.get_offsets()[:, 1] - round(line.get_offsets()[:, 1].mean())).max() < 0.5


def test_interactions_and_maps():
    axes, names = drawn(explanations.interactions(NAMES, np.outer(VALUES, VALUES)))
    assert names == list(NAMES)
    layers = VALUES[:, None, None] * np.ones((4, 20, 30))
    layers[:, :3] = np.nan
    figure = suitability.maps(
        NAMES, layers, 0.5 + layers.sum(0), (5, 8, 45, 47), np.array([[6.0, 46.0]])
    )
    drawn(figure)
    pictures = [a for a in figure.axes if a.images]
    assert [a.get_title() for a in pictures] == ["suitability", *NAMES]
    assert {a.images[0].get_clim() for a in pictures[1:]} == {(-0.3, 0.3)}
    assert np.ma.getmaskarray(np.ma.masked_invalid(pictures[1].images[0].get_array())).any()
