"""smarties evaluate with a retrieval, on places whose images show their labels, or do not."""

import json

import numpy as np
import pytest

from smarties.data import sources
from smarties.spectrum import registry

S2, L8, S1 = "sentinel2-l2a", "landsat8-oli-tirs", "sentinel1-grd"
LABELS = 5
CONFIG = f"""
from ml_collections import config_dict

def get_config(arg="labels"):
    config = config_dict.ConfigDict()
    config.name, config.task, config.relevance = "places", "retrieval", arg
    config.sensors, config.k = ("{S2}", "{L8}"), (3, 5, 10)
    config.convolutions = dict(filters=8)
    config.data = dict(
        source=dict(kind="places", way="shown", count=200),
        splits=dict(query=dict(ids="^a"), archive=dict(ids="^b")),
    )
    if arg == "place":
        config.data.splits = dict(query=dict(ids="."))
    return config
"""


class Places:
    """Spectra that are sums of those of an image's labels.

    Ways: "shown"; "shuffled", labels of another place; "permuted", Landsat images of another place;
    "unique", no two places share a label; "none", no labels; "nothing", no places.
    """

    sensors = (S2, L8)

    def __init__(self, way="shown", count=200):
        self.way, self.count = way, 0 if way == "nothing" else count
        self.classes = tuple(f"class {i}" for i in range(count if way == "unique" else LABELS))

    def __len__(self):
        return self.count

    def labels(self, index):
        labels = np.random.default_rng((index, 0)).random(LABELS) < 0.4
        labels[index % LABELS] = True
        return labels

    def __getitem__(self, index):
        images = {}
        for name in self.sensors:
            seen = (index + 1) % self.count if (self.way, name) == ("permuted", L8) else index
            sensor, rng = registry.sensor(name), np.random.default_rng((seen, 1))
            amount = self.labels(seen) * rng.uniform(0.8, 1.2, LABELS)
            place = np.array([np.log((b.center or 1e4) / 400) for b in sensor.bands])
            spectrum = np.sin(place[:, None] * np.arange(2, 2 + LABELS)[None]) @ amount
            low, high = np.array([band.clip for band in sensor.bands]).T
            share = 0.5 + 0.08 * spectrum + rng.normal(0, 0.01, (16, 16, len(low)))
            images[name] = (low + (high - low) * share.clip(0, 1)).astype(sensor.bands[0].dtype)
        order = np.random.default_rng(1).permutation(self.count)
        labels = self.labels(order[index] if self.way == "shuffled" else index)
        if self.way == "unique":
            labels = np.arange(self.count) == index
        return {
            "images": images,
            "valid": {name: np.ones((16, 16), bool) for name in self.sensors},
            "id": f"{'ab'[index % 2]}{index}",
            "labels": (labels & (self.way != "none")).astype(np.uint8),
        }

    def identity(self):
        return {"way": self.way, "count": self.count}


@pytest.fixture(autouse=True)
def places(monkeypatch):
    original = sources.reader
    monkeypatch.setattr(sources, "reader", lambda n: Places if n == "places" else original(n))


@pytest.fixture
def config(tmp_path):
    (tmp_path / "places.py").write_text(CONFIG)
    return tmp_path / "places.py"


@pytest.fixture
def rows(command, config, tmp_path):
    """Returns a function that evaluates and returns the rows of the file."""

    def call(*argv, arg="labels"):
        file = tmp_path / "results.jsonl"
        result = command("evaluate", "--config", f"{config}:{arg}", "--results", file, *argv)
        assert result.code == 0, result.err
        return [json.loads(line) for line in file.read_text().splitlines()]

    return call


def by(rows, metric):
    """{(features, sensor pair): value}, of poolings the best."""
    found = {}
    for row in rows:
        key = row["features"], row["sensor"]
        found[key] = max(found.get(key, 0), row["metrics"][metric][0])
    return found


def test_a_row_for_each_way_and_encoder(rows, run, command, tmp_path):
    first = rows("--weights", run)
    pairs = [f"{a}->{b}" for a in (S2, L8) for b in (S2, L8)]
    assert {row["sensor"] for row in first} == set(pairs)
    assert len(first) == 4 * (2 * 2 + 2 + 1)
    names = ("f1_of_means", "mean_pair_f1", "precision", "recall", "map", "ndcg")
    for row in first:
        assert set(row["metrics"]) == {f"{n}@{k}" for n in names for k in (3, 5, 10)}
        value, low, high = row["metrics"]["f1_of_means@5"]
        assert low <= value <= high and row["select"] == "f1_of_means@5"
        assert row["examples"] == {"query": 100, "left out": 0, "archive": 100}
        assert bool(row["checkpoint"]) == (row["features"] in ("model", "random weights"))
    for metric in ("f1_of_means@5", "map@10", "ndcg@10"):
        found = by(first, metric)
        for pair in pairs:
            chance = found["random retrieval", pair]
            assert found["band statistics", pair] > chance + 0.15, (metric, pair)
    assert len(rows("--weights", run)) == len(first)  # the rest is there
    more = rows("--weights", run, "--config.centred=True")[len(first) :]
    assert {row["features"] for row in more} == {"model", "random weights"} and len(more) == 16
    shown = command("results", tmp_path / "results.jsonl", "--figures", tmp_path / "pictures")
    assert "places: f1_of_means@5, %" in shown.out and "over best baseline" in shown.out
    assert (tmp_path / "pictures" / "places-ways.svg").stat().st_size > 3000


def test_shuffled_labels_are_chance(rows, run):
    found = rows("--weights", run, "--config.data.source.way=shuffled")
    for metric in ("f1_of_means@10", "map@10", "ndcg@10"):
        values = by(found, metric)
        for (name, pair), value in values.items():
            assert value == pytest.approx(values["random retrieval", pair], abs=0.08), name


@pytest.mark.slow
def test_random_weights_are_near_chance_across_sensors(rows, run, config):
    """Of the planet, where images of one sensor are alike without any learning."""
    both = f'("{S2}", "{S1}")'
    text = CONFIG.replace(f'("{S2}", "{L8}")', both).replace(
        'kind="places", way="shown", count=200',
        f'kind="planet", sensors={both}, count=200, size=32, cache=True',
    )
    classes = "data = dict(\n        classes=tuple('abcdefghij'),"
    text = text.replace("data = dict(", classes).replace('"^a"', '"[02468]$"')
    config.write_text(text.replace('"^b"', '"[13579]$"'))
    across, found = {f"{S2}->{S1}", f"{S1}->{S2}"}, rows("--weights", run)
    values = by(found, "f1_of_means@10")
    chance = values["random retrieval", f"{S2}->{S2}"]
    untrained = [
        row["metrics"]["f1_of_means@10"][0]
        for row in found
        if row["features"] == "random weights" and row["sensor"] in across
    ]
    assert len(untrained) == 4 and np.mean(untrained) == pytest.approx(chance, abs=0.06)
    assert values["band statistics", f"{S2}->{S2}"] > chance + 0.1
    assert not {("band statistics", way) for way in across} & set(values)  # no band of one kind


def test_places_are_found_unless_pairs_are_permuted(rows, run):
    way = f"{S2}->{L8}"
    found = by(rows("--weights", run, arg="place"), "place_recall@1")
    assert {pair for _, pair in found} == {way, f"{L8}->{S2}"}
    assert found["random retrieval", way] == pytest.approx(1 / 200)
    assert found["band statistics", way] > 0.3
    other = rows("--config.data.source.way=permuted", arg="place")[14:]
    for metric in ("place_recall@1", "place_recall@10"):
        assert by(other, metric)["band statistics", way] < 0.15


def test_a_query_does_not_find_itself(rows, config):
    """No two places share a label: all that is to be found is the query, by either sensor."""
    config.write_text(CONFIG.replace(', archive=dict(ids="^b")', ""))
    for row in rows("--config.data.source.way=unique"):
        assert row["metrics"]["precision@3"] == [0, 0, 0], row["sensor"]
        assert row["metrics"]["map@10"][0] == 0 and row["examples"]["archive"] == 100


MISTAKES = {
    "k is 101, but the archive has 100 images": "--config.k=(5,101)",
    "the query is empty: its source has no examples": "--config.data.source.way=nothing",
    "split archive has no example by its rule": "--config.data.splits.archive.ids=^c",
    "no query has a label": "--config.data.source.way=none",
    "unknown sensor of a source 'sentinel1-grd'": f"--config.sensors=('{S2}','{S1}')",
    "unknown key of labels in the source's examples 'lables'": "--config.data.labels=lables",
    "unknown denominator 'hit': did you mean 'hits'": "--config.denominator=hit",
    "unknown relevance 'places': did you mean 'place'": "--config.relevance=places",
    "k is (0,): numbers of results, 1 or more": "--config.k=(0,)",
    "sensors is (): give some": "--config.sensors=()",
    "unknown band of sentinel2-l2a 'B4'": "--config.bands=('B4','')",
    "bands are given of 1 sensors, but there are 2": "--config.bands=('B04',)",
    "task is retrieve, but": "--config.task=retrieve",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line(mistake, config, tmp_path, words):
    file = tmp_path / "results.jsonl"
    said = mistake("evaluate", "--config", config, "--results", file, MISTAKES[words])
    assert words in said and not file.exists()
