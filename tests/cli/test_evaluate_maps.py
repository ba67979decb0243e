"""smarties evaluate on class maps of the planet, as a person types it."""

import json

import pytest

CONFIG = """
from ml_collections import config_dict
from smarties.data.planet.world import LAND_COVER

def split(first, count):
    return dict(
        kind="planet", sensors=("sentinel2-l2a",), first=first, count=count, size=32, cache=True
    )

def get_config(arg="held_out"):
    config = config_dict.ConfigDict()
    config.name, config.task, config.sensor = "maps", "segmentation", "sentinel2-l2a"
    config.logistic, config.convolutions = dict(C=(0.01, 1.0)), dict(filters=8)
    config.segmentation = dict(pixels=600)
    config.tracks = dict(bands=("B04,B03,B02",))
    config.data = dict(
        labels="land_cover", classes=LAND_COVER, leave_out_empty=True,
        splits=dict(train=split(0, 24), validation=split(100, 8), test=split(200, 12)),
    )
    return config
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "maps.py").write_text(CONFIG)
    return tmp_path / "maps.py"


def test_a_row_for_each_the_lead_and_the_pictures(command, run, config, tmp_path):
    file, pictures = tmp_path / "results.jsonl", tmp_path / "pictures"
    asked = ("evaluate", "--config", config, "--results", file, "--weights", run)
    first = command(*asked, "--figures", pictures)
    assert first.code == 0, first.err
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(r["features"], r["track"]) for r in rows[:5]] == [
        ("model", ""), ("random weights", ""), ("bands of the pixel", ""),
        ("random convolutions", ""), ("most frequent class", ""),
    ]  # fmt: skip
    assert len(rows) == 10 and {r["select"] for r in rows} == {"miou"}
    values = {(r["features"], r["track"]): r["metrics"]["miou"][0] for r in rows}
    assert values["bands of the pixel", ""] > values["most frequent class", ""] + 0.1
    assert values["bands of the pixel", ""] > values["bands of the pixel", "bands"]
    assert {r["chosen"]["variant"] for r in rows[:2]} <= {"tokens", "final_tokens"}
    names = {path.name for path in pictures.iterdir()}
    assert "maps-sentinel2-l2a-maps.png" in names and "maps-sentinel2-l2a-classes.svg" in names
    shown = command("results", file, "--markdown").out
    assert shown.count("| miou |") == 10
    again = command(*asked)
    assert "10 of 10 runs are in" in again.out and len(file.read_text().splitlines()) == 10


def test_labels_that_are_no_maps(mistake, config, tmp_path):
    file = tmp_path / "results.jsonl"
    asked = ("evaluate", "--config", config, "--results", file, "--config.data.labels=labels")
    assert "labels of example planet-0-200 is no map [H, W]" in mistake(*asked)
    assert not file.exists()
