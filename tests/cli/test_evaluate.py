"""smarties evaluate and results, as a person types them, on images with a planted class."""

import json

import numpy as np
import pytest

from smarties.data import sources

CONFIG = """
from ml_collections import config_dict

def get_config(arg="held_out"):
    config = config_dict.ConfigDict()
    config.name, config.protocol, config.sensor = "planted", arg, "sentinel2-l2a"
    config.probes = ("knn", "logistic")
    config.knn = dict(k=(5,))
    config.logistic = dict(C=(0.01, 1.0))
    config.convolutions = dict(filters=8)
    config.data = dict(
        classes=("dark", "middle", "bright"),
        source=dict(kind="planted", planted=True, multi=False, wrong=False),
        splits=dict(
            train=dict(ids="train"), validation=dict(ids="validation"), test=dict(ids="test")
        ),
    )
    return config
"""
COUNTS = {"train": 60, "validation": 30, "test": 90}


class Planted:
    """Noise whose brightness is its class, or (planted=False) has nothing to do with it."""

    sensors = ("sentinel2-l2a", "sentinel1-grd")

    def __init__(self, planted=True, multi=False, wrong=False):
        self.options = {"planted": planted, "multi": multi, "wrong": wrong}
        self.names = [f"{split}{i}" for split, n in COUNTS.items() for i in range(n)]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        label = index % 3
        level = label if self.options["planted"] else rng.integers(3)
        image = rng.normal(500 + 400 * level, 150, (16, 16, 12)).clip(1, 5000).astype(np.uint16)
        radar = rng.normal(-15, 2, (16, 16, 2)).astype(np.float32)
        hot = np.arange(3) == label
        labels = hot.astype(np.uint8) if self.options["multi"] else np.int64(label)
        return {
            "images": {"sentinel2-l2a": image, "sentinel1-grd": radar},
            "valid": {name: np.ones((16, 16), bool) for name in self.sensors},
            "id": self.names[index],
            "labels": labels + 7 * self.options["wrong"],
        }

    def identity(self):
        return self.options


@pytest.fixture(autouse=True)
def planted(monkeypatch):
    monkeypatch.setitem(sources.KINDS, "planted", (__name__, "Planted"))
    original = sources.reader
    monkeypatch.setattr(sources, "reader", lambda n: Planted if n == "planted" else original(n))


@pytest.fixture
def config(tmp_path):
    (tmp_path / "planted.py").write_text(CONFIG)
    return tmp_path / "planted.py"


@pytest.fixture
def rows(command, config, tmp_path):
    """Returns a function that evaluates and returns the rows of the file."""

    def call(*argv):
        file = tmp_path / "results.jsonl"
        result = command("evaluate", "--config", config, "--results", file, *argv)
        assert result.code == 0, result.err
        return [json.loads(line) for line in file.read_text().splitlines()]

    return call


def by(rows, metric="accuracy"):
    return {
        (r["features"], r["probe"], r["track"], r["level"]): r["metrics"][metric][0] for r in rows
    }


@pytest.mark.slow
def test_a_row_for_each_and_none_twice(rows, run, command, config, tmp_path):
    first = rows("--weights", run)
    assert {r["features"] for r in first} == {
        "model", "random weights", "band statistics", "random convolutions",
    }  # fmt: skip
    found = by(first)
    assert len(found) == 8 and found["band statistics", "logistic", "", ""] > 0.95
    for row in first:
        value, low, high = row["metrics"]["accuracy"]
        assert low <= value <= high and row["examples"] == {"train": 60, "test": 90}
        assert np.sum(row["confusion"]) == 90 and row["seconds"] > 0 and row["hardware"]
        assert bool(row["checkpoint"]) == (row["features"] in ("model", "random weights"))
    assert len(rows("--weights", run)) == 8
    again = rows("--weights", run, "--again")
    assert len(again) == 16
    for old, new in zip(again[:8], again[8:], strict=True):
        assert {k: v for k, v in old.items() if k != "seconds"} == {
            k: v for k, v in new.items() if k != "seconds"
        }
    more = rows("--config.labelled=('5-shot','100%')")  # the rest is there
    assert len(more) == 16 + 4 and {r["labelled"] for r in more[16:]} == {"5-shot"}
    shown = command("results", tmp_path / "results.jsonl", "--markdown").out
    assert shown.count("\n| planted |") == 12 and "over best baseline" in shown
    pictures = tmp_path / "pictures"
    command("results", tmp_path / "results.jsonl", "--figures", pictures)
    assert len(list(pictures.glob("*.svg"))) >= 3


def test_labels_that_have_nothing_to_do_with_images_are_chance(rows):
    for name, value in by(rows("--config.data.source.planted=False")).items():
        assert value < 0.52, name


def test_tracks_are_worse_the_harder_they_are(rows):
    """The class is the brightness of all bands: fewer of them, or wrong labels, tell less."""
    found = by(
        rows(
            "--config.probes=('logistic',)",
            "--config.tracks.bands=('B02,B03,B04,B08','B09')",
            "--config.tracks.sensor=('sentinel1-grd',)",
            "--config.tracks.noise=(0.3,0.6)",
            "--config.tracks.resolution=(0.25,)",
        )
    )
    one = {k[2:]: v for k, v in found.items() if k[0] == "band statistics"}
    whole = one["", ""]
    assert whole > 0.95
    assert whole >= one["bands", "B02,B03,B04,B08"] >= one["bands", "B09"]
    assert whole - 0.03 > one["bands", "B09"]
    assert whole > one["noise", "0.3"] > one["noise", "0.6"]
    assert one["sensor", "sentinel1-grd"] < 0.5


@pytest.mark.parametrize("protocol", ["held_out", "released"])
def test_the_released_protocol_is_the_papers(rows, run, config, protocol):
    config.write_text(CONFIG.replace('arg="held_out"', f'arg="{protocol}"'))
    found = rows("--weights", run, "--config.knn.k=(1,5)")
    chosen = {r["features"]: r["chosen"] for r in found if r["probe"] == "knn"}
    if protocol == "released":
        want = {"variant": "cls", "k": 20, "temperature": 0.07, "standardise": False}
        assert chosen["model"] == chosen["random weights"] == want
    else:
        assert {c["k"] for c in chosen.values()} <= {1, 5}


def test_several_labels_an_image(rows):
    found = rows("--config.data.source.multi=True", "--config.metrics=('macro_ap','sample_f1')")
    assert by(found, "micro_ap")["band statistics", "logistic", "", ""] > 0.85
    assert set(found[0]["metrics"]) == {"micro_ap", "macro_ap", "sample_f1"}


MISTAKES = {
    "unknown metric 'acuracy': did you mean 'accuracy'": "--config.metrics=('acuracy',)",
    "unknown protocol 'heldout': did you mean 'held_out'": "--config.protocol=heldout",
    "labels of example train0: 7 is none of 3 classes": "--config.data.source.wrong=True",
    "split train has no example of fourth": "--config.data.classes=('a','b','c','fourth')",
    "unknown band of sentinel2-l2a 'B4': did you mean": "--config.bands=B4",
    "unknown band of sentinel2-l2a 'B99'": "--config.tracks.bands=('B99',)",
    "unknown sensor of a source 'enmap'": "--config.sensor=enmap",
    "unknown key of labels": "--config.data.labels=land_cover",
    "labelled is '1 %'": "--config.labelled=('1 %',)",
    "split test has no example by its rule": "--config.data.splits.test.ids=tset",
    "did you mean 'tracks'": "--config.track=x",
    "unknown value of probes 'knm'": "--config.probes=('knm',)",
    "resolution 2.0: a share": "--config.tracks.resolution=(2.0,)",
    "label noise of 3.0: a share": "--config.tracks.noise=(3.0,)",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line(mistake, config, tmp_path, words):
    file = tmp_path / "results.jsonl"
    said = mistake("evaluate", "--config", config, "--results", file, MISTAKES[words])
    assert words in said and not file.exists()


def test_no_results_yet(mistake, tmp_path):
    assert "has no rows of results" in mistake("results", tmp_path / "results.jsonl")
