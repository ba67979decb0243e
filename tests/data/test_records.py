"""Records return what was written, and say what is broken; TFDS and Grain read the same files."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from smarties import errors
from smarties.data import prepare, records, sources
from smarties.spectrum import registry

S1, S2 = "sentinel1-grd", "sentinel2-l2a"


class Noise:
    """Random examples with every kind of field; in those of `blank` one sensor is all invalid."""

    sensors = (S2, S1)
    classes = ("a", "b", "c", "d", "e")

    def __init__(self, count=7, blank=(), size=48, splits=None):
        self.count, self.blank, self.size = count, blank, size
        self.splits = splits or {"train": range(count)}

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        rng = np.random.default_rng(i)
        n = self.size
        valid = {S2: rng.random((n, n)) > 0.1, S1: np.full((n, n), i not in self.blank)}
        images = {
            S2: rng.integers(1, 9999, (n, n, 12)).astype(np.uint16),
            S1: rng.normal(-12, 4, (n, n, 2)).astype(np.float32),
        }
        return {
            "images": images,
            "valid": valid,
            "id": f"Lieu é {i}",
            "location": rng.random(2).astype(np.float32),
            "time": np.float64(1.5e9 + i),
            "labels": rng.integers(0, 2, 5).astype(np.uint8),
            "crs": "EPSG:32632",
        }

    def identity(self):
        return {"kind": "noise", "count": self.count}


def assert_same(one, other):
    assert one.keys() == other.keys() and one["id"] == other["id"]
    for key in one.keys() - {"id"}:
        pair = (one[key], other[key])
        leaves = [dict(sorted(x.items())) if isinstance(x, dict) else {"": x} for x in pair]
        assert list(leaves[0]) == list(leaves[1])
        for a, b in zip(*(x.values() for x in leaves), strict=True):
            assert np.asarray(a).dtype == np.asarray(b).dtype
            np.testing.assert_array_equal(a, b)


@pytest.fixture
def written(tmp_path):
    return prepare.prepare(Noise(), tmp_path, "noise", shards=3).directory


def test_records_return_what_was_written(written, tmp_path):
    source = records.Records(written)
    assert sorted(f.name for f in written.iterdir()) == [
        "dataset_info.json", "features.json",
        *(f"noise-train.array_record-0000{k}-of-00003" for k in range(3)),
        "omitted.jsonl", "smarties.json",
    ]  # fmt: skip
    assert len(source) == 7 and source.sensors == Noise.sensors and source.classes == Noise.classes
    assert source.definitions[S2] == registry.sensor(S2)
    for i in (6, 0, 3, 3, 1, 2, 4, 5):
        assert_same(Noise()[i], source[i])
    assert not source[0]["images"][S2].flags.owndata  # a view of the record
    assert_same(Noise()[2], pickle.loads(pickle.dumps(source))[2])
    assert records.Records(tmp_path).directory == written
    for i in (-1, 7):
        with pytest.raises(IndexError):
            source[i]


def test_tensorflow_datasets_reads_them_without_tensorflow(written, tmp_path):
    import tensorflow_datasets as tfds

    for data in (
        tfds.data_source("noise", split="train", data_dir=tmp_path),
        tfds.builder_from_directory(written).as_data_source("train"),
    ):
        assert len(data) == 7
        for key in (S1, S2):
            np.testing.assert_array_equal(data[4]["images"][key], Noise()[4]["images"][key])
        assert data[4]["id"].decode() == "Lieu é 4" and data[4]["time"] == 1.5e9 + 4
    code = (
        "import sys; from smarties.data import records\n"
        f"records.Records({str(written)!r})[0]\nassert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_splits_are_ranges_and_can_be_read_alone(tmp_path):
    splits = {"train": range(4), "validation": range(4, 5), "test": range(5, 7)}
    prepare.prepare(Noise(splits=splits), tmp_path, "noise")
    source = records.Records(tmp_path)
    assert source.splits == splits
    test = records.Records(tmp_path, split="test")
    assert len(test) == 2 and test.splits == {"test": range(2)}
    assert_same(test[1], Noise()[6])
    assert test.identity() != source.identity()
    with pytest.raises(errors.UserError, match="did you mean 'validation'"):
        records.Records(tmp_path, split="validatoin")


def test_a_cached_source_is_the_source_in_all_but_speed(tmp_path):
    splits = {"train": range(4), "test": range(4, 7)}
    prepare.prepare(Noise(splits=splits), tmp_path, "noise")
    plain = records.Records(tmp_path)
    cached = sources.source("records", directory=tmp_path, cache=True)
    for name in ("sensors", "definitions", "classes", "splits", "published", "directory"):
        assert getattr(cached, name) == getattr(plain, name)
    assert cached.identity() == plain.identity() and cached[2] is cached[2]
    again = pickle.loads(pickle.dumps(cached))
    assert again.classes == plain.classes and again[2]["id"] == plain[2]["id"]
    with pytest.raises(AttributeError):
        _ = cached.nothing


def test_identity_follows_the_contents_not_the_place(written, tmp_path):
    for name, source, shards in (("same", Noise(), 1), ("other", Noise(6), None)):
        prepare.prepare(source, tmp_path / "x", name, shards=shards)
    same, other = (records.Records(tmp_path / "x" / n).identity() for n in ("same", "other"))
    assert records.Records(written).identity() == same != other


def test_truncated_and_missing_shards_are_named(written):
    shard = written / "noise-train.array_record-00001-of-00003"
    contents = shard.read_bytes()
    shard.write_bytes(contents[:-100])
    with pytest.raises(errors.UserError, match="00001-of-00003: truncated"):
        records.Records(written)
    shard.unlink()
    with pytest.raises(errors.UserError, match="00001-of-00003: missing"):
        records.Records(written)


def test_a_flipped_bit_is_never_read_as_data(written):
    shard = written / "noise-train.array_record-00001-of-00003"
    contents = bytearray(shard.read_bytes())
    contents[len(contents) // 4] ^= 4
    shard.write_bytes(contents)
    source, outcomes = records.Records(written), []
    for i in range(7):
        try:
            assert_same(Noise()[i], source[i])
            outcomes.append("same")
        except errors.Unreadable as error:
            assert "noise-train.array_record-00001-of-00003: record" in str(error)
            outcomes.append("told")
    assert outcomes[:2] == ["same"] * 2 and outcomes[4:] == ["same"] * 3
    assert "told" in outcomes[2:4]


def test_a_changed_registry_or_index_is_refused(written):
    file = written / "smarties.json"
    index = json.loads(file.read_text())
    index["sensors"][S1]["bands"].reverse()
    file.write_text(json.dumps(index))
    with pytest.raises(errors.UserError, match="written with bands VH, VV, but is registered"):
        records.Records(written)
    file.write_text(json.dumps(index | {"format": 99}))
    with pytest.raises(errors.UserError, match="not of format 2"):
        records.Records(written)
    file.write_text("{")
    with pytest.raises(errors.UserError, match="not JSON"):
        records.Records(written)
    with pytest.raises(errors.UserError, match="no prepared dataset"):
        records.Records(written / "none")
