"""An archive: appended to, resumed, centred, searched; and what is refused."""

import dataclasses
import json
import os

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("rasterio")

import scenery

from smarties import errors
from smarties.data.planet import source as planet
from smarties.figures import thumbnails
from smarties.inference import features
from smarties.inference.index import (
    approximate,
    archive,
    filters,
    indexing,
    items,
    querying,
    rows,
    writing,
)

S1, S2 = "sentinel1-grd", "sentinel2-l2a"
SIDE = 32


def places(sensor, count=20, first=0):
    world = planet.Planet(sensors=(S2, S1), count=count, first=first, size=SIDE)
    return items.Examples(
        world, features.view(world, sensor), "planet", planet.LAND_COVER, seconds=86400.0
    )


def build(folder, several, model=None, shard=8, dtype="float32", **options):
    model = model or scenery.encoder()
    made = writing.Options(side=SIDE, dtype=dtype)
    with writing.opened(folder, model, "tiny", made, shard) as writer:
        return [indexing.add(writer, model, some, thumbnails.jpeg, batch=6, **options)
                for some in several]  # fmt: skip


def content(folder):
    """Vectors by sensor and key."""
    opened = archive.open_archive(folder)
    found = {}
    for shard in opened.shards:
        part, keys = opened.part(shard), rows.read(opened.file(shard, ".parquet"), ["key"])
        for key, vector in zip(keys["key"].to_pylist(), part.vectors, strict=True):
            assert (shard.sensor, key) not in found
            found[shard.sensor, key] = np.array(vector)
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive") / "both"
    build(folder, [places(S2), places(S1)])
    return folder


def test_vectors_are_those_of_the_encoder_and_rows_tell_what_they_are(both):
    opened, some = archive.open_archive(both), places(S2)
    read = [some.read(i) for i in range(20)]
    z = scenery.encoder().embed(np.stack([item.image for item in read]), sensor=S2)
    for item, vector in zip(read, z, strict=True):
        np.testing.assert_allclose(content(both)[S2, item.key], vector, atol=1e-5)
    assert len(opened) == 40 and {shard.count for shard in opened.shards} == {8, 4}
    table = rows.read(opened.file(opened.of(S2)[0], ".parquet"))
    row = table.to_pylist()[3]
    assert row["id"] == "planet-0-3" and row["sensor"] == S2
    assert row["model"] == features.digest(scenery.encoder())
    assert row["labels"] == list(read[3].labels) and set(row["labels"]) < {*planet.LAND_COVER}
    np.testing.assert_allclose((row["lon"], row["lat"]), read[3].place)
    geo = json.loads(table.schema.metadata[b"geo"])["columns"]["geometry"]
    assert geo["geometry_types"] == ["Point"] and len(geo["bbox"]) == 4
    assert row["picture"].startswith(b"\xff\xd8")


def test_the_nearest_are_those_of_cosines_of_all_pairs(both):
    opened, some = archive.open_archive(both), places(S1)
    known = content(both)
    optical = [(key, vector) for (sensor, key), vector in known.items() if sensor == S2]
    query = known[S1, some.keys[7]]
    unit = [v / np.linalg.norm(v) for _, v in optical]
    want = np.argsort(-(np.stack(unit) @ query))[:5]
    found = querying.find(opened, query, 5, filters.Filters(sensor=S2)).rows
    assert found["key"].to_pylist() == [optical[i][0] for i in want]
    assert found["rank"].to_pylist() == [1, 2, 3, 4, 5] and {*found["sensor"].to_pylist()} == {S2}
    itself = querying.find(opened, query, 1).rows.to_pylist()[0]
    assert itself["key"] == some.keys[7] and itself["similarity"] == pytest.approx(1, abs=1e-5)


def test_centring_takes_each_sensors_own_mean_off(both):
    opened, known = archive.open_archive(both), content(both)
    z = {s: np.stack([v for (sensor, _), v in known.items() if sensor == s]) for s in (S1, S2)}
    for sensor in (S1, S2):  # sums of pieces are those of the whole
        mean, deviation = opened.centre(sensor)
        np.testing.assert_allclose(mean, z[sensor].mean(0), atol=1e-5)
        np.testing.assert_allclose(deviation, z[sensor].std(0), atol=1e-5)
    c = {s: (z[s] - z[s].mean(0)) / (z[s].std(0) + 1e-6) for s in z}
    unit = {s: x / np.linalg.norm(x, axis=1, keepdims=True) for s, x in c.items()}
    found = querying.find(opened, z[S1][4], 5, filters.Filters(sensor=S2), centre=S1).rows
    want = np.sort(unit[S2] @ unit[S1][4])[::-1][:5]
    np.testing.assert_allclose(found["similarity"].to_numpy(), want, atol=1e-4)
    plain = querying.find(opened, z[S1][4], 5, filters.Filters(sensor=S2)).rows
    assert plain["similarity"][0].as_py() > want[0] + 0.01  # an offset had made all alike


def test_adding_leaves_what_is_there_and_adds_nothing_twice(both, tmp_path):
    folder = tmp_path / "a"
    build(folder, [places(S2, 13)])
    before, opened = content(folder), archive.open_archive(folder)
    full = [shard for shard in opened.shards if shard.count == 8]
    times = {s: [opened.file(x, s).stat().st_mtime_ns for x in full] for s in (".npy", ".parquet")}
    (again,) = build(folder, [places(S2, 13)])
    assert (again.added, again.known) == (0, 13)
    build(folder, [places(S2, 7, first=13), places(S1)])
    after, opened = content(folder), archive.open_archive(folder)
    assert len(after) == 40 and len(opened.shards) == 6
    for key, vector in before.items():
        np.testing.assert_array_equal(after[key], vector)
    assert full == [s for s in opened.shards if s in full]
    assert times == {s: [opened.file(x, s).stat().st_mtime_ns for x in full] for s in times}
    found, want = (np.sort(np.stack([*x.values()]), 0) for x in (after, content(both)))
    np.testing.assert_allclose(found, want, atol=1e-5)  # keys differ: worlds of 13 and 7 places


@dataclasses.dataclass
class Failing:
    """Images of which one stops the program."""

    inner: items.Examples
    last: int

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def read(self, index):
        if index == self.last:
            raise KeyboardInterrupt
        return self.inner.read(index)


def test_a_stopped_build_keeps_what_it_had_and_goes_on(both, tmp_path):
    folder, seen = tmp_path / "a", []
    with pytest.raises(KeyboardInterrupt):
        build(folder, [Failing(places(S2), 15)], every=0.0)
    kept = content(folder)
    assert 6 <= len(kept) < 20
    left = folder / "shards" / "000077.npy"
    left.write_bytes(b"left by a killed build")
    os.utime(left, (0, 0))
    (outcome,) = build(folder, [places(S2)], progress=lambda done, total: seen.append(total))
    assert outcome.known == len(kept) and outcome.added == 20 - len(kept) == seen[-1]
    want = {key: vector for key, vector in content(both).items() if key[0] == S2}
    found = content(folder)
    assert found.keys() == want.keys() and not left.exists()
    for key, vector in want.items():
        np.testing.assert_allclose(found[key], vector, atol=1e-5)
    mean, _ = archive.open_archive(folder).centre(S2)
    np.testing.assert_allclose(mean, np.mean([*want.values()], 0), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_smaller_vectors_find_nearly_the_same(both, tmp_path, dtype):
    build(tmp_path / "a", [places(S2), places(S1)], dtype=dtype)
    small, whole = archive.open_archive(tmp_path / "a"), archive.open_archive(both)
    assert small.part(small.shards[0]).vectors.dtype == dtype
    for centre in (None, S1):
        shared = []
        for (sensor, _), vector in content(both).items():
            if sensor == S1:
                found = [
                    {*querying.find(one, vector, 5, centre=centre).rows["key"].to_pylist()}
                    for one in (small, whole)
                ]
                shared.append(len(found[0] & found[1]) / len(found[1]))
        assert np.mean(shared) > 0.9


def test_filters(both):
    opened = archive.open_archive(both)
    every = [row for shard in opened.of(S2)
             for row in rows.read(opened.file(shard, ".parquet")).to_pylist()]  # fmt: skip
    query = content(both)[S1, places(S1).keys[0]]

    def ids(**chosen):
        found = querying.find(opened, query, 20, filters.Filters(sensor=S2, **chosen))
        assert found.looked == len(found.rows)
        return {*found.rows["id"].to_pylist()}

    day = 86400.0
    assert ids() == {row["id"] for row in every}
    spring = {r["id"] for r in every if 80 * day <= r["time"].timestamp() < 172 * day}
    assert 0 < len(spring) < 20 and ids(since=80 * day, until=172 * day) == spring
    wet = {row["id"] for row in every if "water" in row["labels"]}
    assert 0 < len(wet) < 20 and ids(label="water") == wet
    north = {row["id"] for row in every if row["lat"] > 0}
    assert 0 < len(north) < 20 and ids(area=filters.box((-180, 0, 180, 90))) == north
    assert ids(label="water", area=filters.box((-180, 0, 180, 90))) == wet & north
    for chosen, words in (
        (dict(label="watre"), "did you mean 'water'"),
        (dict(sensor="landsat8-oli-tirs"), "sensor of"),
        (dict(sensor=S2, since=1e9), "no image of"),
    ):
        with pytest.raises(errors.UserError, match=words):
            querying.find(opened, query, 1, filters.Filters(**chosen))


def test_areas(tmp_path):
    square = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
    hole = [[4, 4], [6, 4], [6, 6], [4, 6], [4, 4]]
    far = [[178, 0], [184, 0], [184, 5], [178, 5], [178, 0]]
    tree = {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {
        "type": "MultiPolygon", "coordinates": [[square, hole], [far]]}}]}  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(tree))
    lon = np.array([5, 1, 11, 179, -177, -175, np.nan])
    lat = np.array([5, 1, 1, 1, 1, 1, 1.0])
    found = filters.inside(lon, lat, filters.geojson(tmp_path / "a.json"))
    assert found.tolist() == [False, True, False, True, True, False, False]
    (tmp_path / "b.json").write_text('{"type": "Point", "coordinates": [1, 2]}')
    with pytest.raises(errors.UserError, match="no GeoJSON of polygons"):
        filters.geojson(tmp_path / "b.json")
    with pytest.raises(errors.UserError, match="west and south"):
        filters.box((3, 0, 1, 1))


def test_what_is_refused_leaves_the_archive_as_it_was(both, tmp_path):
    folder = tmp_path / "a"
    build(folder, [places(S2, 9)])
    before = content(folder)
    other = scenery.encoder(seed=1)
    with pytest.raises(errors.UserError, match="was made with"):
        build(folder, [places(S2)], other)
    world = planet.Planet(sensors=(S2,), count=3, size=SIDE)
    few = items.Examples(world, features.view(world, S2, "B04,B03,B02"), "planet")
    with pytest.raises(errors.UserError, match="B01.*not.*B04, B03, B02"):
        build(folder, [few])
    with pytest.raises(errors.UserError, match="dtype float32, not int8"):
        build(folder, [places(S2)], dtype="int8")
    with writing.opened(folder, scenery.encoder(), "tiny", writing.Options(side=SIDE)):
        with pytest.raises(errors.UserError, match="another process"):
            build(folder, [places(S2)])
    after = content(folder)
    assert before.keys() == after.keys()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "letters.txt").write_text("mine")
    with pytest.raises(errors.UserError, match="is no archive"):
        build(tmp_path / "b", [places(S2, 3)])


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_a_corrupt_shard_is_named_and_can_be_left_out(tmp_path, suffix):
    folder = tmp_path / "a"
    build(folder, [places(S2)])
    whole = content(folder)
    opened = archive.open_archive(folder)
    file = opened.file(opened.shards[1], suffix)
    good = file.read_bytes()
    middle = len(good) // 2
    query = whole[S2, places(S2).keys[0]]
    file.write_bytes(good[:middle] + bytes([good[middle] ^ 255]) + good[middle + 1 :])
    with pytest.raises(errors.UserError, match=f"{file}: corrupt"):
        querying.find(opened, query, 20)
    file.write_bytes(good[:-1])
    with pytest.raises(errors.UserError, match=f"{file}: corrupt .* bytes in place of"):
        archive.open_archive(folder)
    with writing.opened(folder, scenery.encoder(), "tiny", None) as writer:
        assert writer.repair() == [f"{opened.shards[1].name} (8 images of {S2})"]
    assert len(content(folder)) == 12
    (outcome,) = build(folder, [places(S2)])
    assert outcome.added == 8 and content(folder).keys() == whole.keys()
    mean, _ = archive.open_archive(folder).centre(S2)
    np.testing.assert_allclose(mean, np.mean([*whole.values()], 0), atol=1e-5)


def test_other_formats_and_nothing(both, tmp_path):
    with pytest.raises(errors.UserError, match="no archive"):
        archive.open_archive(tmp_path)
    for text, words in (
        (json.dumps({**archive.open_archive(both).index, "format": 2}), "format 2, but"),
        ("{", "not JSON"),
    ):
        (tmp_path / "index.json").write_text(text)
        with pytest.raises(errors.UserError, match=words):
            archive.open_archive(tmp_path)
    index = archive.open_archive(both).index
    empty = archive.Archive(tmp_path, {**index, "shards": []})
    with pytest.raises(errors.UserError, match="empty"):
        querying.find(empty, np.ones(32), 1)
    for k in (0, 41):
        with pytest.raises(errors.UserError, match="has 40 images"):
            querying.find(archive.open_archive(both), np.ones(32), k)


def test_by_faiss_beside_exact(both):
    pytest.importorskip("faiss")
    opened, query = archive.open_archive(both), content(both)[S1, places(S1).keys[0]]
    exact = querying.find(opened, query, 10, filters.Filters(sensor=S2)).rows
    for method in ("flat", "hnsw", "hnsw"):  # the second time from its file
        for label in (None, "water"):
            found = querying.find(
                opened, query, 10, filters.Filters(sensor=S2, label=label), method=method
            )
            assert found.recall == 1.0
            if label is None:
                assert found.rows["key"].to_pylist() == exact["key"].to_pylist()
            assert all(label in names for names in found.rows["labels"].to_pylist() if label)
    assert len([*(both / approximate.FOLDER).iterdir()]) == 2
    with pytest.raises(errors.UserError, match="needs 1000 or more"):
        querying.find(opened, query, 10, method="ivf")


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "shards").mkdir()
    theirs = tmp_path / "shards" / "train-000.tar"
    theirs.write_text("theirs")
    with pytest.raises(errors.UserError, match="is no archive"):
        build(tmp_path, [places(S2, 2)])
    assert theirs.read_text() == "theirs" and not (tmp_path / ".lock").exists()
