"""Every configuration builds: parameters by shape alone."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

from smarties import tasks
from smarties.cli import configuration
from smarties.data import sources
from smarties.inference import protocol, retrieval, retrieval_protocol
from smarties.training import settings

FILES = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))
JUDGES = ("evaluate_", "segment_")
RETRIEVALS = [path for path in FILES if path.stem.startswith("retrieval_")]
CONFIGS = [path for path in FILES if not path.stem.startswith((*JUDGES, "retrieval_"))]
EVALUATIONS = [path for path in FILES if path.stem.startswith(JUDGES)]


class Pairs:
    """Stands for sources that are not here: two places of every registered sensor."""

    def __init__(self, **arguments):
        from smarties.spectrum import registry

        self.sensors, self._known = tuple(registry.sensors()), registry.sensors()
        self._arguments = {k: str(v) for k, v in arguments.items()}

    def __len__(self):
        return 2

    def __getitem__(self, index):
        images = {
            n: np.zeros((8, 8, len(s.bands)), s.bands[0].dtype) for n, s in self._known.items()
        }
        return {
            "images": images,
            "valid": {n: np.ones((8, 8), bool) for n in images},
            "id": str(index),
            "land_cover": np.zeros((8, 8), np.uint8),
        }

    def identity(self):
        return self._arguments


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_builds(path, monkeypatch):
    monkeypatch.setattr(sources, "source", lambda kind, **arguments: Pairs(**arguments))
    config = configuration.load(str(path))
    adapts = config.task.name not in ("pretraining", "csmae")
    task = tasks.make(config, data=not adapts)
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    if config.task.name == "species":
        assert {"encoder", "head", "mask_token"} <= set(shapes)
    elif adapts:
        assert {"encoder", "head"} <= set(shapes)
        loss = jax.eval_shape(task.loss, shapes, task.batch_spec(), jax.random.key(0))[0]
        assert loss.shape == () and all(task.metadata()["adaptation"].values())
    else:
        assert set(shapes) == {"encoder", "decoder", "heads"}
    assert task.flops() > 0 and task.batch_spec() and task.data_identity()


@pytest.mark.parametrize("arg", protocol.PROTOCOLS)
@pytest.mark.parametrize("path", EVALUATIONS, ids=lambda p: p.stem)
def test_evaluates(path, arg):
    def resolve(config):
        return settings.resolve(config, protocol.DEFAULTS)

    config = configuration.load(f"{path}:{arg}", (), resolve).to_dict()
    protocol.check(config)
    assert config["protocol"] == arg
    found = {run.features for run in protocol.runs(config, model=True)}
    alone = {"band statistics"}
    if config["task"] == "segmentation":
        alone = {"bands of the pixel", "most frequent class"}
    assert found == {"model", "random weights", "random convolutions"} | alone


def test_scenes_that_judge_maps_are_neither_learnt_from_nor_pretrained_on(tmp_path, monkeypatch):
    monkeypatch.setenv("SMARTIES_DATA", str(tmp_path))
    maps, pretraining = (
        configuration.load(str(next(f for f in FILES if f.stem == name)), (), lambda config: config)
        for name in ("segment_terramesh", "smarties_samples")
    )
    learnt = [
        stream.source.ids for name, stream in pretraining.data.streams.items() if "terra" in name
    ] + [maps.data.splits.train.ids]
    assert len(learnt) == 3
    for scene in ("282D_485L_3_3", "637U_59R_1_3"):
        assert not any(re.search(ids, scene) for ids in learnt)
        judges = [n for n, s in maps.data.splits.items() if re.search(s.ids, scene)]
        assert judges == ["test" if scene.startswith("637U") else "validation"]


@pytest.mark.parametrize(
    "path", [*map(str, RETRIEVALS), f"{RETRIEVALS[0].parent}/retrieval_planet.py:place"]
)
def test_retrieves(path, monkeypatch):
    monkeypatch.setattr(sources, "source", lambda kind, **arguments: Pairs(**arguments))

    def resolve(config):
        return settings.resolve(config, retrieval_protocol.DEFAULTS)

    config = configuration.load(path, (), resolve).to_dict()
    config["data"]["classes"] = ("one", "another")
    ways = {(run.query, run.archive) for run in retrieval.Retrieval(config).runs}
    both = set(config["sensors"])
    place = config["relevance"] == "place"
    assert ways == {(a, b) for a in both for b in both if a != b or not place}
    if not place:
        assert set(config["data"]["splits"]) == {"query", "archive"}


@pytest.mark.parametrize("arg", protocol.PROTOCOLS)
def test_images_of_uc_merced_are_split_by_their_numbers(arg):
    (path,) = [path for path in EVALUATIONS if "ucmerced" in path.stem]
    config = configuration.load(f"{path}:{arg}", (), lambda config: config)
    for number in range(100):
        name = f"beach/beach{number:02}"
        found = [s for s, rule in config.data.splits.items() if re.search(rule.ids, name)]
        held = "validation" if arg == "held_out" and 60 <= number < 70 else "train"
        assert found == ["test" if number >= 70 else held]
