"""The picture of an evaluation: drawn for its own step, read back exactly, and strung together."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smarties.figures import report, sheet
from smarties.spectrum import registry

PAIR = ("sentinel2-l2a", "sentinel1-grd")
TASK = {"name": "pretraining", "standardise_targets": False}


def evaluate(workdir: Path, step: int, error: float, seed: int = 0, grid: int = 4, patch: int = 4):
    """Leaves what an evaluation leaves: predictions are the truth with an error of this size."""
    rng, count = np.random.default_rng(seed), grid**2
    masked = np.stack([rng.permutation(count)[: count // 2] for _ in range(3)])
    arrays = {"radar/keep": rng.random((3, count)) < 0.5, "radar/masked": masked}
    for side, name in enumerate(PAIR):
        bands = len(registry.sensor(name).select().bands)
        patches = rng.normal(size=(3, count, bands, patch**2)).astype(np.float32)
        true = np.take_along_axis(patches, masked[:, :, None, None], 1)
        arrays[f"radar/{side}/{name}/patches"] = patches
        arrays[f"radar/{side}/{name}/predicted"] = true + np.float32(error)
    (workdir / "figures").mkdir(exist_ok=True)
    (workdir / "config.json").write_text(json.dumps({"name": "x", "task": TASK}))
    np.savez(workdir / "figures" / "reconstructions.npz", step=step, **arrays)


def test_a_sheet_is_drawn_of_its_own_step_only(tmp_path):
    assert sheet.draw(tmp_path, 0) is None
    evaluate(tmp_path, 50, 0.0)
    path = sheet.draw(tmp_path, 50)
    assert path == tmp_path / "figures" / "reconstructions-00000050.png"
    first = path.read_bytes()
    assert sheet.draw(tmp_path, 100) is None  # this evaluation left nothing
    assert {p.name for p in path.parent.iterdir()} == {path.name, "reconstructions.npz"}
    sheet.draw(tmp_path, 50)
    assert path.read_bytes() == first
    with Image.open(path) as picture:
        assert 500 < picture.width < 1500 and 250 < picture.height < 500  # two scenes, two sensors


@pytest.mark.parametrize(("grid", "side"), [(4, 16), (14, 56), (64, 256)])
def test_what_was_drawn_is_read_back(tmp_path, grid, side):
    evaluate(tmp_path, 0, 0.0, grid=grid)
    sheet.draw(tmp_path, 0)
    rows = sheet.growth(tmp_path / "figures")
    assert [(one.stream, one.sensor) for one in rows] == [("radar", name) for name in PAIR]
    for one in rows:
        assert one.original.shape == (128, 128, 3) and one.original.std() > (
            40 if side < 128 else 15
        )
        np.testing.assert_array_equal(one.steps[0], one.original)  # the prediction was the truth
    if side == 16:  # pixels stay pixels
        blocks = rows[0].original.reshape(16, 8, 16, 8, 3)
        assert (blocks == blocks[:, :1, :, :1]).all()


def test_reconstructions_get_better_over_the_steps_shown(tmp_path):
    for step, error in ((0, 4.0), (50, 1.0), (100, 0.25)):
        evaluate(tmp_path, step, error)
        sheet.draw(tmp_path, step)
    for one in sheet.growth(tmp_path / "figures"):
        far = [np.abs(p.astype(int) - one.original).mean() for p in one.steps.values()]
        assert list(one.steps) == [0, 50, 100] and far == sorted(far, reverse=True) and far[0] > 10
    page = report.write(tmp_path).read_text()
    assert "Reconstructions over training" in page
    assert [page.count(f"<span>step {step}</span>") for step in (0, 50, 100)] == [1, 1, 1]
    assert page.count("<img") == 2 * (1 + 3) + 3 * 2 * 4


def test_another_scene_is_left_out(tmp_path):
    for step, seed in ((0, 1), (50, 0), (100, 0)):
        evaluate(tmp_path, step, 1.0, seed)
        sheet.draw(tmp_path, step)
    assert [list(one.steps) for one in sheet.growth(tmp_path / "figures")] == [[50, 100]] * 2


@pytest.mark.parametrize("count", [0, 1, 5, 6, 7, 40, 1000])
def test_steps_are_few_with_both_ends_and_more_of_the_beginning(count):
    steps = list(range(0, 50 * count, 50))
    chosen = sheet._spread(steps, 6)
    assert chosen == sorted(set(chosen)) and set(chosen) <= set(steps)
    if count <= 6:
        assert chosen == steps
    else:
        assert 5 <= len(chosen) <= 6 and (chosen[0], chosen[-1]) == (0, steps[-1])
        gaps = np.diff(chosen)
        assert (np.diff(gaps) >= 0).all() and gaps[-1] > gaps[0]


def test_a_broken_picture_is_noted_in_the_report(tmp_path):
    evaluate(tmp_path, 0, 1.0)
    sheet.draw(tmp_path, 0)
    (tmp_path / "figures" / "reconstructions-00000050.png").write_bytes(b"\x89PNG cut")
    page = report.write(tmp_path).read_text()
    assert "reconstructions-*.png cannot be shown" in page and "held-out scenes" in page
