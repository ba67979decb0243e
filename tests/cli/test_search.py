"""smarties index and search, as typed: sources of all kinds, S1 to S2, a kill, and mistakes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import smarties
from smarties.data.planet import source as planet
from smarties.inference.index import archive, rows
from smarties.spectrum import registry

rasterio = pytest.importorskip("rasterio")
pytest.importorskip("pyarrow")
pytestmark = pytest.mark.slow

S1, S2 = "sentinel1-grd", "sentinel2-l2a"
PLANET = ("planet", "-o", "count=24", "-o", "size=32")


def write(path, image, west=5e5):
    place = dict(crs="EPSG:32632", transform=rasterio.Affine(10, 0, west, 0, -10, 5e6))
    size = dict(height=image.shape[0], width=image.shape[1], count=image.shape[2])
    with rasterio.open(path, "w", driver="GTiff", dtype=image.dtype, **size, **place) as file:
        file.write(np.moveaxis(image, -1, 0))
    return path


@pytest.fixture(scope="module")
def world():
    return planet.Planet(sensors=(S2, S1), count=24, size=32)


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    """An archive of 24 places seen by both sensors."""
    from smarties.cli import main

    out = tmp_path_factory.mktemp("search") / "archive"
    argv = ["index", *PLANET, "--weights", run, "--sensor", f"{S2},{S1}", "--out", out]
    assert main.main([str(a) for a in argv]) == 0
    return out


@pytest.fixture
def query(world, tmp_path):
    return write(tmp_path / "query.tif", world[5]["images"][S1])


def test_from_radar_to_optical_and_back(run, made, world, command, tmp_path, query):
    model = smarties.load(run)
    z = {}
    for sensor in (S1, S2):
        z[sensor] = model.embed(np.stack([e["images"][sensor] for e in world]), sensor=sensor)
        z[sensor] /= np.linalg.norm(z[sensor], axis=1, keepdims=True)
    optical = write(tmp_path / "optical.tif", world[7]["images"][S2])
    for file, number, of, to in ((query, 5, S1, S2), (optical, 7, S2, S1)):
        out = tmp_path / f"to-{to}"
        done = command("search", "--archive", made, "--query", file, "--sensor", of, "--of", to,
                       "--k", 6, "--out", out)  # fmt: skip
        assert done.code == 0, done.err
        want = np.argsort(-(z[to] @ z[of][number]), kind="stable")[:6]
        found = rows.read(out / "results.parquet")
        assert found["id"].to_pylist() == [f"planet-0-{i}" for i in want]
        assert {*found["sensor"].to_pylist()} == {to}
        np.testing.assert_allclose(found["similarity"], (z[to] @ z[of][number])[want], atol=1e-5)
        ids = [line.split()[6] for line in done.out.splitlines()[1:7]]
        assert ids == found["id"].to_pylist() and "24 of 48 images pass" in done.out
        page = (out / "index.html").read_text()
        assert page.count("<div class='card'>") == 7 and "<svg" not in page  # inline, as an image
        assert "<script" not in page and f"planet-0-{want[0]}" in page
        with Image.open(out / "gallery.png") as picture:
            assert min(picture.size) > 500
    itself = command("search", "--archive", made, "--query", query, "--sensor", S1, "--k", 1,
                     "--out", tmp_path / "self")  # fmt: skip
    assert itself.out.splitlines()[1].split()[:2] == ["1", "1.0000"]


def test_centred_filtered_by_all_and_by_faiss(made, command, tmp_path, query):
    given = ("search", "--archive", made, "--query", query, "--sensor", S1, "--of", S2)
    done = command(*given, "--centre", "--since", "1970-02-01", "--until", "1970-11-01",
                   "--bbox", -180, -90, 180, 90, "--out", tmp_path / "a")  # fmt: skip
    assert done.code == 0, done.err
    assert "own mean" in done.out
    times = rows.read(tmp_path / "a" / "results.parquet", ["time"])["time"].to_pylist()
    assert times and all(2 <= moment.month <= 10 for moment in times)
    pytest.importorskip("faiss")
    done = command(*given, "--method", "flat", "--out", tmp_path / "b")
    assert "flat: 100% of the exact nearest" in done.out


def test_a_folder_that_grows_and_a_scene(run, command, tmp_path, world):
    (tmp_path / "images").mkdir()
    images = [world[i]["images"][S2] for i in range(4)]
    names = ("20200101T101010", "b_2021-06-30T00:00:00", "c", "d")
    for name, image in zip(names[:2], images, strict=False):
        write(tmp_path / "images" / f"{name}.tif", image)
    out = tmp_path / "archive"
    argv = ("index", tmp_path / "images", "--weights", run, "--sensor", S2, "--out", out)
    assert "2 added, 0 known before, 0 omitted" in command(*argv).out
    for name, image in zip(names[2:], images[2:], strict=True):
        write(tmp_path / "images" / f"{name}.tif", image)
    (tmp_path / "images" / "broken.tif").write_bytes(b"no image")
    done = command(*argv)
    assert "2 added, 2 known before, 1 omitted" in done.out and "broken.tif" in done.out
    opened = archive.open_archive(out)
    (shard,) = opened.shards
    table = rows.read(opened.file(shard, ".parquet")).to_pylist()
    assert {r["id"]: r["time"] and r["time"].isoformat()[:10] for r in table} == {
        names[0]: "2020-01-01", names[1]: "2021-06-30", "c": None, "d": None}  # fmt: skip
    want = smarties.load(run).embed(np.stack(images), sensor=S2)
    at = [[*names].index(r["id"]) for r in table]
    np.testing.assert_allclose(opened.part(shard).vectors, want[at], atol=1e-5)

    scene = np.concatenate([np.concatenate(images[:2], 1), np.concatenate(images[2:], 1)])
    scene[:32, 32:] = 0  # no data
    file = write(tmp_path / "scene_20200223T101010.tif", scene, west=6e5)
    done = command("index", file, "--weights", run, "--sensor", S2, "--out", tmp_path / "chips")
    assert "3 added, 0 known before, 1 omitted" in done.out
    opened = archive.open_archive(tmp_path / "chips")
    np.testing.assert_allclose(opened.part(opened.shards[0]).vectors, want[[0, 2, 3]], atol=1e-5)
    table = rows.read(opened.file(opened.shards[0], ".parquet")).to_pylist()
    assert [r["id"][-5:] for r in table] == ["0@0,0", "@32,0", "32,32"]
    assert all(r["time"].isoformat().startswith("2020-02-23") for r in table)
    step = (table[1]["lat"] - table[0]["lat"]) * 111_195
    assert step == pytest.approx(-320, rel=0.02)
    whole = command("search", "--archive", tmp_path / "chips", "--query", file, "--sensor", S2,
                    "--k", 1, "--fit", "mean", "--out", tmp_path / "found")  # fmt: skip
    assert "64 x 64 pixels, mean of 3 chips of 32 x 32 pixels" in whole.out


def test_records(run, command, tmp_path):
    pytest.importorskip("array_record")
    command("data", "prepare", *PLANET, "-o", f"sensors=[{S2},{S1}]", "--out", tmp_path / "data")
    done = command("index", tmp_path / "data", "--weights", run, "--sensor", S1, "--out",
                   tmp_path / "archive", "--dtype", "float16")  # fmt: skip
    assert "24 added" in done.out and "24 vectors of 32 float16" in done.out, done.err


def test_a_killed_build_goes_on(run, tmp_path, made):
    out = tmp_path / "archive"
    argv = [sys.executable, "-m", "smarties.cli.main", "index", *PLANET, "--weights", run,
            "--sensor", f"{S2},{S1}", "--out", out, "--batch", "4", "--every", "0"]  # fmt: skip
    argv = [str(a) for a in argv]
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    running = subprocess.Popen(argv, **quiet)
    until = time.monotonic() + 120
    while not (out / "index.json").exists() and time.monotonic() < until:
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    kept = vectors(out)
    assert 0 < len(kept) < 48
    again = subprocess.run(argv, capture_output=True, text=True, env=os.environ)
    assert again.returncode == 0 and f"{len(kept)} known before" in again.stdout, again.stderr
    found, want = vectors(out), vectors(made)
    assert found.keys() == want.keys()
    for key, vector in want.items():
        np.testing.assert_allclose(found[key], vector, atol=1e-5)
    assert not [p for p in Path(out).rglob("*") if p.name.endswith(".part")]


def vectors(folder):
    opened, found = archive.open_archive(folder), {}
    for shard in opened.shards:
        names = rows.read(opened.file(shard, ".parquet"), ["id"])["id"].to_pylist()
        for name, vector in zip(names, opened.part(shard).vectors, strict=True):
            assert (shard.sensor, name) not in found
            found[shard.sensor, name] = np.array(vector)
    return found


def test_mistakes_of_search(run, made, mistake, tmp_path, query, world):
    before = (made / "index.json").read_bytes()
    good = dict(archive=made, query=query, sensor=S1, out=tmp_path / "out")

    def line(**changed):
        given = {k: v for k, v in {**good, **changed}.items() if v is not None}
        return mistake("search", *(t for k, v in given.items() for t in (f"--{k}", v)))

    older = smarties.load(run, step=3)
    from smarties.interchange import hub

    hub.write(tmp_path / "older", older.params, {**older.config})
    optical = write(tmp_path / "optical.tif", world[7]["images"][S2])
    rgb = write(tmp_path / "rgb.tif", world[7]["images"][S2][..., [3, 2, 1]])
    for words, changed in {
        "was made with": dict(weights=tmp_path / "older"),
        "did you mean 'sentinel1-grd'": dict(sensor="sentinel1-gdr"),
        "sensor of": dict(of="rgb"),
        "k is 49": dict(k=49),
        "k is 25": dict(k=25, of=S2),
        "no archive (no index.json)": dict(archive=tmp_path),
        "B01": dict(query=rgb, sensor=S2, bands="B04,B03,B02"),
        "bands": dict(query=optical),
        "missing, truncated": dict(query=tmp_path / "none.tif"),
        "no ISO 8601": dict(since="yesterday"),
        "no GeoJSON": dict(within=tmp_path / "query.tif"),
        "label of": dict(label="lava"),
        "passes the filters": dict(since="2030-01-01"),
        "exists already": dict(out=tmp_path),
    }.items():
        assert words in line(**changed), words
    assert not (tmp_path / "out").exists() and (made / "index.json").read_bytes() == before
    changed = tmp_path / "changed"
    changed.mkdir()
    for content, words in (
        ({**json.loads(before), "format": 7}, "format 7, but this version reads format 1"),
        ({**json.loads(before), "shards": []}, "the archive is empty"),
        (json.loads(before), "corrupt (missing)"),
    ):
        (changed / "index.json").write_text(json.dumps(content))
        assert words in line(archive=changed)


def test_mistakes_of_index(run, made, mistake, command, tmp_path, world):
    before = vectors(made)
    given = ("--weights", run, "--out", made)
    sensor = registry.sensor(S2)
    images = world[3]["images"][S2].astype("f4") / 10_000  # reflectance, not stored numbers
    (tmp_path / "unit").mkdir()
    file = write(tmp_path / "unit" / "unit.tif", images)
    for words, argv in {
        "unknown file, folder or kind of source 'planett'": ("planett", "--sensor", S2),
        "give SOURCE and --sensor": PLANET,
        "look like reflectance": (tmp_path / "unit", "--sensor", S2),
        "dtype float32, not int8": (*PLANET, "--sensor", S2, "--dtype", "int8"),
        "side 32, not 16": (*PLANET, "--sensor", S2, "--window", "16"),
        f"{S2} with bands": (*PLANET, "--sensor", S2, "--bands", "B04,B03,B02"),
        "a multiple of 8": (*PLANET, "--sensor", S2, "--window", "30"),
        "no .tif file": (tmp_path / "none", "--sensor", S2),
    }.items():
        (tmp_path / "none").mkdir(exist_ok=True)
        assert words in mistake("index", *argv, *given), words
    assert str(file) in mistake("index", tmp_path / "unit", "--sensor", sensor.name, *given)
    after = vectors(made)
    assert before.keys() == after.keys()
    assert "0 shards left out" in command("index", *given, "--repair").out
