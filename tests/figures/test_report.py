"""The page of a run holds its numbers, stands alone, and survives what is missing."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest

from smarties.cli import main
from smarties.errors import UserError
from smarties.figures import blocks, curves, reconstructions, report
from smarties.losses import reconstruction
from smarties.spectrum import registry

PAIR = ("sentinel2-l2a", "sentinel1-grd")
GRID, PATCH, SCENES = 4, 4, 2
CONFIG = {
    "name": "a <small> run", "steps": 20, "batch_size": 8,
    "task": {"name": "pretraining", "standardise_targets": True},
    "data": {"streams": {"radar": {"first": PAIR[0], "second": PAIR[1]}}},
    "evaluate": {"unseen": ["landsat5-tm"]},
}  # fmt: skip
NUMBERS = {
    "reconstruct/sentinel1-grd": 0.4321, "reconstruct/sentinel1-grd/mean": 0.8765,
    "knn/sentinel1-grd": 0.731, "knn/sentinel1-grd/random": 0.912, "knn/landsat5-tm": 0.655,
    "retrieve/sentinel1-grd->sentinel2-l2a": 0.345,
    "retrieve/sentinel1-grd->sentinel2-l2a/low": 0.2,
    "retrieve/sentinel1-grd->sentinel2-l2a/high": 0.47,
    "retrieve/sentinel1-grd->sentinel2-l2a/chance": 0.0125, "something/else": 7.125,
}  # fmt: skip


def pictures(seed: int = 0) -> dict[str, np.ndarray]:
    """Returns arrays of a stream whose predictions are the true patches in their own units."""
    rng = np.random.default_rng(seed)
    tokens = GRID**2
    masked = np.stack([rng.permutation(tokens)[:12] for _ in range(SCENES)])
    arrays = {"radar/keep": rng.random((SCENES, tokens)) < 0.5, "radar/masked": masked}
    for side, name in enumerate(PAIR):
        bands = len(registry.sensor(name).select().bands)
        patches = rng.normal(size=(SCENES, tokens, bands, PATCH**2)).astype(np.float32)
        true = np.take_along_axis(patches, masked[:, :, None, None], 1)
        valid = np.ones((SCENES, 12, 1, PATCH**2), np.float32)
        arrays[f"radar/{side}/{name}/patches"] = patches
        arrays[f"radar/{side}/{name}/predicted"] = np.array(
            reconstruction.standardise(true, valid, None)
        )
    return arrays


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "figures").mkdir()
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "results.json").write_text(json.dumps({"step": 20, **NUMBERS}))
    lines = [{"step": s, "name": "train/loss", "value": 2.0 / s} for s in range(1, 21)]
    lines += [{"step": s, "name": f"evaluate/{k}", "value": v} for s in (0, 20) for k, v in
              NUMBERS.items()]  # fmt: skip
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    np.savez(tmp_path / "figures" / "reconstructions.npz", **pictures())
    return tmp_path


def test_the_page_holds_the_numbers_and_marks_the_best(run):
    page = report.write(run).read_text()
    assert "<b>0.432</b>" in page and "<td>0.876" in page  # errors: the lowest
    assert "<td>73.1 %" in page and "<b>91.2 %</b>" in page  # accuracies: the highest, not ours
    assert "<b>34.5 %</b>" in page and "20.0 – 47.0 %" in page and "<td>1.2 %" in page
    assert "7.125" in page
    assert re.search(r"landsat5-tm <span[^>]*>not in pretraining", page)
    assert not re.search(r"sentinel1-grd <span[^>]*>not in pretraining", page)
    assert "<h1>a &lt;small&gt; run</h1>" in page and 'class="note"' in page  # no clock


def test_the_page_stands_alone(run):
    page = report.write(run).read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 5 + SCENES * 2 * 4
    assert all(source.startswith("data:image/") for source in sources)
    assert "<script" not in page and "url(" not in page and "@import" not in page
    for source in sources[:5]:
        svg = base64.b64decode(source.split(",")[1]).decode()
        assert not re.search(r'(?:href|src)="(?!#)', svg)


def test_broken_and_missing_pieces_are_noted(run):
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 21, "name": "train/lo')
    (run / "figures" / "reconstructions.npz").write_bytes(b"PK\x03\x04 cut")
    page = report.write(run).read_text()
    assert "1 line could not be read" in page and "reconstructions.npz cannot be shown" in page
    (run / "figures" / "reconstructions.npz").unlink()
    (run / "results.json").unlink()
    (run / "config.json").write_text("{")
    page = report.write(run).read_text()
    assert "no figures/reconstructions.npz" in page and "config.json cannot be read" in page
    assert "those of step 20" in page and "0.432" in page


def test_a_folder_that_is_no_run_is_said(tmp_path, capsys):
    with pytest.raises(UserError, match="no run directory"):
        report.write(tmp_path)
    assert main.main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_the_command_prints_the_path(run, capsys):
    assert main.main(["report", str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(run / "report.html")


@pytest.mark.parametrize("name", ["sentinel2-l2a", "naip"])
def test_pictures_undo_standardisation(name):
    sensor = registry.sensor(name).select()
    shown = np.random.default_rng(0).integers(0, 256, (5, 7, 3))
    image = np.zeros((5, 7, len(sensor.bands)))
    for channel, colour in enumerate(("red", "green", "blue")):
        i = next(i for i, band in enumerate(sensor.bands) if band.common_name == colour)
        image[..., i] = (shown[..., channel] / 255 - sensor.bands[i].mean) / sensor.bands[i].std
    np.testing.assert_array_equal(reconstructions.to_rgb(image, sensor), shown)


def test_radar_shows_both_polarisations_and_one_band_is_grey():
    sensor = registry.sensor("sentinel1-grd").select()
    unit = np.array([0.6, 0.2])
    image = (unit - [b.mean for b in sensor.bands]) / [b.std for b in sensor.bands]
    np.testing.assert_array_equal(
        reconstructions.to_rgb(image[None, None], sensor)[0, 0], [153, 51, 178]
    )
    one = sensor.select(["VH"])
    grey = reconstructions.to_rgb(image[None, None, 1:], one)[0, 0]
    np.testing.assert_array_equal(grey, [51, 51, 51])


def test_true_patches_as_predictions_give_back_the_image(tmp_path):
    arrays = pictures()
    np.savez(tmp_path / "r.npz", **arrays)
    for scene in reconstructions.read(tmp_path / "r.npz", CONFIG["task"])["radar"]:
        for row in scene:
            original, masked, mixed, made = (panel.astype(int) for panel in row.panels)
            assert np.abs(made - original).max() <= 1
            assert (masked == 238).all(-1).mean() >= 12 / 16
            assert (mixed != original).any(-1).mean() > 0.2
        first, second = (row.panels for row in scene)
        own = (first[2] == first[0]).all(-1)
        np.testing.assert_array_equal(second[2][own], second[0][own])  # the complement
    scenes = reconstructions.read(tmp_path / "r.npz", {"standardise_targets": False})["radar"]
    original, *_, made = (panel.astype(int) for panel in scenes[0][1].panels)
    assert np.abs(made - original).max() > 1


def test_pictures_of_other_bands_are_refused(tmp_path):
    arrays = pictures()
    key = f"radar/0/{PAIR[0]}/predicted"
    arrays[key] = arrays[key][:, :, :2]
    np.savez(tmp_path / "r.npz", **arrays)
    with pytest.raises(UserError, match="disagree"):
        reconstructions.read(tmp_path / "r.npz", {})


def test_a_loss_that_spans_much_is_drawn_on_a_log_axis_and_nan_is_left_out():
    flat = curves.loss({1: 1.0, 2: float("nan"), 3: 1.2})
    steep = curves.loss({1: 100.0, 2: 10.0, 3: 1.0})
    assert b">100<" in steep and b">10<" in steep and b">100<" not in flat


def lines(series: dict[str, dict[int, float]]) -> str:
    entries = [
        {"step": s, "name": k, "value": v} for k, of in series.items() for s, v in of.items()
    ]
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def test_a_run_of_another_task_has_a_page(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"steps": 9, "data": {"streams": [3]}}))
    series = {"train/loss": {1: 1.0, 2: 0.5}, "train/absolute": {1: 3.0, 2: 2.0},
              "train/skipped": {1: 0.0, 2: 0.0}, "evaluate/bias": {0: 1.0, 2: 12.625},
              "evaluate/iou/forest": {0: 0.25, 2: 0.75},
              "evaluate/iou/forest/low": {0: 0.1, 2: 0.5}}  # fmt: skip
    (tmp_path / "metrics.jsonl").write_text(lines(series))
    page = report.write(tmp_path).read_text()
    assert "2 of 9 steps" in page and "not come to its end" in page and "those of step 2" in page
    assert "<td>bias</td><td>12.62</td>" in page and "<td>iou/forest</td><td>0.75</td>" in page
    found = re.findall(r"<h4>([^<]+) <span>([^<]+)</span>", page)
    assert found == [("absolute", "2"), ("bias", "12.625"), ("forest", "0.750")]
    assert "<h3>Iou</h3>" in page and "pictures" not in page


def test_a_run_without_anything_but_its_end_has_a_page(tmp_path):
    (tmp_path / "results.json").write_text('{"step": 12}')
    page = report.write(tmp_path).read_text()
    assert "12 steps" in page and "<img" not in page
    assert re.findall('"note">([^<]+)', page) == [
        "no config.json", "no metrics.jsonl", "no clock.jsonl", "no evaluation",
    ]  # fmt: skip


def test_the_bar_shows_where_the_time_went(run):
    clock = {"time/step": {10: 50.0, 20: 22.0}, "time/evaluation": {10: 20.0, 20: 4.0},
             "time/data_wait": {10: 3.0, 20: 0.5}, "time/compile": {10: 0.0},
             "time/checkpoint": {20: 0.5}, "mfu": {10: 0.25, 20: 0.375},
             "pairs_per_second": {10: 1.0, 20: 2.0}, "memory_gb": {10: 1.0, 20: 2.5}}  # fmt: skip
    (run / "clock.jsonl").write_text(lines(clock))
    page = report.write(run).read_text()
    widths = [float(w) for w in re.findall(r'<i style="width: ([\d.]+)%', page)]
    assert widths == [72.0, 24.0, 3.5, 0.5]
    key = re.findall(r"</i>([^<]+) <b>([^<]+)</b> ([^<]+)</span>", page)
    assert key == [("steps", "72 %", "1 min 12 s"), ("evaluation", "24 %", "24 s"),
                   ("waiting for data", "4 %", "4 s"), ("checkpoint", "0.5 %", "0 s")]  # fmt: skip
    assert "1 min 40 s of wall time" in page
    for text in ("MFU <span>37.5 %", "pairs/s <span>2<", "memory, GB <span>2.500",
                 "waiting for data <span>2.22 %"):  # fmt: skip
        assert text in page, text


SIZES = {"gradient": 0.5, "update": 0.01, "parameter": 3.0}
PARTS = ("decoder/embed", "encoder/transformer/blocks/10", "encoder/transformer/blocks/2",
         "heads/kernel")  # fmt: skip


def test_norms_are_maps_of_blocks_in_their_order(tmp_path):
    norms = {f"norms/{kind}/{part}": {10: size, 20: 2 * size} for kind, size in SIZES.items()
             for part in PARTS}  # fmt: skip
    (tmp_path / "metrics.jsonl").write_text(lines(norms))
    page = report.write(tmp_path).read_text()
    svg = base64.b64decode(re.findall(r'alt="norms[^"]*" src="[^,]*,([^"]*)"', page)[0]).decode()
    texts = re.findall(r">([^<>]+)</text>", svg)
    parts = ["encoder block 2", "encoder block 10", "decoder embed", "heads kernel"]
    assert [text for text in texts if text in parts] == parts
    for title in ("gradient", "update ÷ parameter", "parameter"):
        assert title in texts
    assert "0.0033" in texts and "6" in texts  # 0.01 / 3, and the largest parameter


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-12])
def test_norms_that_do_not_move_or_are_zero_are_drawn(value):
    maps = {"gradient": {"a": {10: value}}, "parameter": {"a": {10: value}, "b": {20: 1.0}}}
    assert blocks._picture(maps).startswith(b"<?xml")


def test_long_logs_are_drawn_with_few_columns():
    norms = {"gradient": {"a": {step: 1.0 + step for step in range(0, 100_000, 10)}}}
    assert len(blocks._picture(norms)) < 20_000
