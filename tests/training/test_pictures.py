"""Pictures of evaluations: drawn as a run goes, the same after a resume, and never its end."""

import sys
import types

import jax
import pytest
import toy
from PIL import Image

from smarties import errors
from smarties.training import loop, storage

_DEVICES = jax.devices()[:1]
CONFIG = dict(steps=11, log__every=1, evaluate__every=2)


@pytest.fixture(autouse=True)
def _one_device(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: _DEVICES)


def draw(workdir, step):
    """Draws a square whose grey is the step."""
    path = workdir / "figures" / f"scenes-{step:08d}.png"
    Image.new("RGB", (4, 4), (step, step, step)).save(path)
    return path


def drawn(workdir):
    return {path.name: path.read_bytes() for path in sorted((workdir / "figures").iterdir())}


def test_every_evaluation_is_drawn_and_the_numbers_stay_the_same(tmp_path):
    loop.train(toy.Linear(), toy.config(**CONFIG), tmp_path / "plain")
    loop.train(toy.Linear(), toy.config(**CONFIG), tmp_path / "drawn", draw)
    steps = (0, 2, 4, 6, 8, 10, 11)
    assert list(drawn(tmp_path / "drawn")) == [f"scenes-{step:08d}.png" for step in steps]
    texts = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("plain", "drawn")]
    assert texts[0] == texts[1]


def test_a_resumed_run_has_the_pictures_of_an_undisturbed_one(tmp_path):
    class Short(toy.Linear):
        def batches(self, *where):
            yield from (batch for batch, _ in zip(super().batches(*where), range(9), strict=False))

    whole, torn = tmp_path / "whole", tmp_path / "torn"
    loop.train(toy.Linear(), toy.config(**CONFIG), whole, draw)
    with pytest.raises(errors.UserError, match="ended after 9"):
        loop.train(Short(), toy.config(**CONFIG | {"evaluate__every": 1}), torn, draw)
    assert "scenes-00000007.png" in drawn(torn)  # beyond the checkpoint of step 5, and not due
    (torn / "figures" / "mine-7.png").touch()
    for step in (1, 3):
        (torn / "figures" / f"scenes-{step:08d}.png").unlink()
    loop.train(toy.Linear(), toy.config(**CONFIG), torn, draw)
    (torn / "figures" / "mine-7.png").unlink()  # nobody else's is touched
    assert drawn(torn) == drawn(whole)


def test_a_picture_that_fails_is_a_warning(tmp_path, capsys):
    def fails(workdir, step):
        if step == 4:
            raise ValueError("no\nsuch colour")
        return draw(workdir, step)

    loop.train(toy.Linear(), toy.config(**CONFIG), tmp_path, fails)
    told = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert told == ["warning: no picture of step 4 (ValueError('no\\nsuch colour'))"]
    assert "scenes-00000004.png" not in drawn(tmp_path) and len(drawn(tmp_path)) == 6


def test_a_disk_without_room_for_pictures_is_borne_as_configured(tmp_path, capsys):
    def full(workdir, step):
        raise OSError(28, "No space left on device")

    with pytest.raises(storage.Unwritable, match="the picture of step 0 could not be written"):
        loop.train(toy.Linear(), toy.config(**CONFIG), tmp_path / "a", full)
    config = toy.config(**CONFIG, checkpoint__on_failure="continue")
    loop.train(toy.Linear(), config, tmp_path / "b", full)
    assert capsys.readouterr().err.count("No space left on device); going on without") == 7
    assert (tmp_path / "b" / "results.json").exists()


def test_boards_get_the_picture(tmp_path, monkeypatch):
    logged = []

    def init(**_):
        return types.SimpleNamespace(
            log=lambda values, step: logged.append((step, values)), finish=lambda: None
        )

    wandb = types.SimpleNamespace(init=init, Image=lambda path: ("image", path))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    config = toy.config(**CONFIG, log__wandb=True, log__tensorboard=True)
    loop.train(toy.Linear(), config, tmp_path, draw)
    shown = {step: values for step, values in logged if "evaluate/scenes" in values}
    assert list(shown) == [0, 2, 4, 6, 8, 10, 11]
    path = str(tmp_path / "figures" / "scenes-00000008.png")
    assert shown[8] == {"evaluate/scenes": ("image", path)}
    assert [step for step, _ in logged] == sorted(step for step, _ in logged)  # wandb insists
    (events,) = (tmp_path / "tensorboard").glob("events*")
    assert events.read_bytes().count(b"evaluate/scenes") == 7
    assert events.read_bytes().count(b"\x89PNG") == 7
