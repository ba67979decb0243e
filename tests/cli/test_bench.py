"""The table of bench, its loaders, and what it refuses."""

import json

import numpy as np
import pytest

from smarties.cli import bench, main
from smarties.inference import benchmark, products, scenes, throughput
from smarties.spectrum import registry


def test_table_shows_medians_with_quartiles():
    rows = [benchmark.row("step", "time", "s", (3, 1, 2, 4, 100)), benchmark.row("a", "b", "x", 7)]
    lines = bench.table(rows).splitlines()
    assert lines[1].split() == ["step", "time", "3", "2", "..", "4", "s"]
    assert lines[2].split() == ["a", "b", "7", "x"]


def test_compared_things_take_turns():
    order = []
    runs = {name: lambda name=name: order.append(name) or float(len(order)) for name in "ab"}
    assert benchmark.turns(runs, 3) == {"a": [1, 3, 5], "b": [2, 4, 6]}
    assert order == list("ababab")


def test_matmul_rate_is_the_best_shape():
    matmul = benchmark.Matmul([(8, 8, 8), (256, 256, 256)], "float32")
    matmul._rate = lambda m, k, n: float(m)
    assert matmul() == 256 and matmul.best == ((256, 256, 256), [256])


def test_compilations_are_counted():
    import jax
    import jax.numpy as jnp

    double = jax.jit(lambda x: 2 * x + 1)
    inputs = [jnp.ones(3), jnp.ones(3), jnp.ones(5)]
    with benchmark.compilations() as seconds:
        double(inputs[0])
        double(inputs[1])
        assert len(seconds) == 1
        double(inputs[2])
    assert len(seconds) == 2


def test_records_read_faster_than_geotiff(tmp_path, monkeypatch, capsys):
    pytest.importorskip("rasterio")
    monkeypatch.delenv("SMARTIES_DATA", raising=False)
    file = tmp_path / "bench.json"
    argv = ["bench", "--no_hugepages", "--parts", "loader", "--repeats", "1", "--json", str(file)]
    assert main.main(argv) == 0
    assert "ArrayRecord / GeoTIFF" in capsys.readouterr().out
    rows = {row["name"]: row["values"] for row in json.loads(file.read_text())["rows"]}
    assert rows["ArrayRecord / GeoTIFF"][0] > 2


@pytest.mark.parametrize("argv", [["--parts", "stap"], ["--json", "/nowhere/bench.json"]])
def test_refusals_are_one_line(argv, capsys):
    assert main.main(["bench", "--no_hugepages", *argv]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_sizes_and_roofline_print_shares_of_the_step(capsys, tmp_path):
    file = tmp_path / "bench.json"
    options = (
        "--parts roofline,sizes --size tiny --sizes tiny --batches 2 --image_size 32 --unroll 1"
    )
    argv = ["bench", "--no_hugepages", *options.split(), "--repeats", "1", "--json", str(file)]
    assert main.main(argv) == 0
    found = {row["part"]: {} for row in json.loads(file.read_text())["rows"]}
    for row in json.loads(file.read_text())["rows"]:
        found[row["part"]][row["name"], row["unit"]] = row["values"][0]
    shares = [value for (_, unit), value in found["roofline"].items() if unit == "% of step"]
    assert len(shares) == 4 and shares[0] == 100
    assert abs(sum(shares[1:]) - 100) < 1e-6 and min(shares[1:3]) > 0
    assert 0 < found["sizes"]["tiny, 2 pairs, of matmul", "%"] < 100
    assert found["sizes"]["tiny, 2 pairs, peak memory", "GB"] > 0.1


@pytest.mark.long
def test_scenes_are_measured_beside_the_plain_loop(capsys, tmp_path):
    pytest.importorskip("rasterio")
    file = tmp_path / "bench.json"
    options = "scene --size tiny --image_size 32 --batch 4 --unroll 1 --sides 96,160"
    argv = ["bench", *options.split(), "--no_hugepages", "--json", str(file)]
    assert main.main(argv) == 0
    rows = {
        (row["name"], row["unit"]): row["values"] for row in json.loads(file.read_text())["rows"]
    }
    for side in (96, 160):
        ours, theirs = (rows[f"{side} x {side} pixels, {k}", "Mpx/s"][0] for k in ("ours", "plain"))
        assert rows[f"{side} x {side} pixels, plain / ours", "x"][0] == pytest.approx(ours / theirs)
    assert 1 <= rows["ours, most peak memory / least", "x"][0] < 1.2


def test_plain_loop_and_ours_write_the_same(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    section = benchmark.model_of("tiny", 32, 16, "float32", 1)
    known = throughput.encoder(section)
    sensor = registry.sensor(throughput.SENSOR)
    scene = scenes.open_scene([throughput.write_scene(tmp_path, 80)], sensor)
    found = []
    for kind in (products.embed, throughput.plain):
        kind(known, scene, tmp_path / "emb.tif", products.Options(batch=2, overlap=16))
        with rasterio.open(tmp_path / "emb.tif") as file:
            found.append((file.read(), file.transform))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-3, atol=1e-4)
    assert found[0][1] == found[1][1] and np.ptp(found[0][0]) > 1
