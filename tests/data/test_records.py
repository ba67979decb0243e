"""Records return what was written, appear whole or not at all, and say what is broken."""

import json
import pickle

import numpy as np
import pytest

from smarties import errors
from smarties.data import records
from smarties.spectrum import registry

S1, S2 = "sentinel1-grd", "sentinel2-l2a"


class Noise:
    """Random examples with every kind of field; in those of `blank` one sensor is all invalid."""

    sensors = (S2, S1)

    def __init__(self, count=7, blank=(), size=48):
        self.count, self.blank, self.size = count, blank, size

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
            "time": np.float32(i),
            "labels": rng.integers(0, 2, 5).astype(np.uint8),
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
            assert np.asarray(a).dtype == b.dtype
            np.testing.assert_array_equal(a, b)


@pytest.fixture
def written(tmp_path):
    records.write(Noise(), tmp_path / "r", shards=3)
    return tmp_path / "r"


def test_records_return_what_was_written(written):
    source = records.Records(written)
    assert sorted(f.name for f in written.iterdir()) == [
        "index.json", *(f"part-0000{k}-of-00003.array_record" for k in range(3)),
    ]  # fmt: skip
    assert len(source) == 7 and source.sensors == Noise.sensors
    assert source.definitions[S2] == registry.sensor(S2)
    for i in (6, 0, 3, 3, 1, 2, 4, 5):
        assert_same(Noise()[i], source[i])
    assert not source[0]["images"][S2].flags.owndata  # a view of the record
    assert_same(Noise()[2], pickle.loads(pickle.dumps(source))[2])
    for i in (-1, 7):
        with pytest.raises(IndexError):
            source[i]


def test_identity_follows_the_contents_not_the_place(written, tmp_path):
    records.write(Noise(), tmp_path / "same", shards=1)
    records.write(Noise(6), tmp_path / "other")
    same, other = (records.Records(tmp_path / n).identity() for n in ("same", "other"))
    assert records.Records(written).identity() == same != other


def test_all_invalid_examples_are_skipped_and_counted(tmp_path):
    index = records.write(Noise(blank=(0, 4)), tmp_path / "r", shards=2)
    assert (index["count"], index["skipped_all_invalid"]) == (5, 2)
    source = records.Records(tmp_path / "r")
    assert [source[i]["id"] for i in range(5)] == [f"Lieu é {i}" for i in (1, 2, 3, 5, 6)]
    with pytest.raises(errors.UserError, match="every example is all invalid"):
        records.write(Noise(2, blank=(0, 1)), tmp_path / "none")


def test_a_shard_may_be_left_empty(tmp_path):
    records.write(Noise(4, blank=(1,)), tmp_path / "r", shards=4)
    source = records.Records(tmp_path / "r")
    assert [source[i]["time"] for i in range(3)] == [0, 2, 3]


def test_a_failed_write_leaves_nothing_and_loses_nothing(written, tmp_path):
    class Failing(Noise):
        def __getitem__(self, i):
            if i == 5:
                raise KeyboardInterrupt
            return super().__getitem__(i)

    before = records.Records(written).identity()
    for target in (written, tmp_path / "new"):
        with pytest.raises(KeyboardInterrupt):
            records.write(Failing(), target, overwrite=True)
    assert [f.name for f in tmp_path.iterdir()] == ["r"]
    assert records.Records(written).identity() == before


def test_only_records_are_overwritten_and_only_when_asked(written, tmp_path):
    with pytest.raises(errors.UserError, match="exists: choose another folder"):
        records.write(Noise(3), written)
    records.write(Noise(3), written, overwrite=True)
    assert len(records.Records(written)) == 3
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(errors.UserError, match="no folder of records"):
        records.write(Noise(3), tmp_path / "mine", overwrite=True)
    with pytest.raises(errors.UserError, match="cannot be written"):
        records.write(Noise(3), tmp_path / "no" / "parent")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["mine", "r"]
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "x"


def test_truncated_and_missing_shards_are_named(written):
    shard = written / "part-00001-of-00003.array_record"
    contents = shard.read_bytes()
    shard.write_bytes(contents[:-100])
    with pytest.raises(errors.UserError, match="part-00001-of-00003.array_record: truncated"):
        records.Records(written)
    shard.unlink()
    with pytest.raises(errors.UserError, match="part-00001-of-00003.array_record: missing"):
        records.Records(written)


def test_a_flipped_bit_is_never_read_as_data(written):
    shard = written / "part-00001-of-00003.array_record"
    contents = bytearray(shard.read_bytes())
    contents[len(contents) // 4] ^= 4
    shard.write_bytes(contents)
    source, outcomes = records.Records(written), []
    for i in range(7):
        try:
            assert_same(Noise()[i], source[i])
            outcomes.append("same")
        except errors.UserError as error:
            assert "part-00001-of-00003.array_record: record" in str(error)
            outcomes.append("told")
    assert outcomes[:2] == ["same"] * 2 and outcomes[4:] == ["same"] * 3
    assert "told" in outcomes[2:4]


def test_verify_compares_checksums_of_our_own(written, monkeypatch):
    source = records.Records(written, verify=True)
    assert_same(Noise()[3], source[3])
    good = source._files[3]
    monkeypatch.setattr(source, "_files", {3: good[:900] + bytes([good[900] ^ 1]) + good[901:]})
    with pytest.raises(errors.UserError, match="record 1 is corrupt"):
        source[3]


def test_examples_of_other_shapes_are_refused(tmp_path):
    class Growing(Noise):
        def __getitem__(self, i):
            self.size = 16 + i
            return super().__getitem__(i)

    with pytest.raises(errors.UserError, match="Lieu é 1 has .* same fields, shapes and dtypes"):
        records.write(Growing(), tmp_path / "r")


def test_numbers_of_another_unit_are_refused(tmp_path):
    class Power(Noise):
        def __getitem__(self, i):
            example = super().__getitem__(i)
            example["images"][S1] = 10 ** (example["images"][S1] / 10)
            return example

    with pytest.raises(errors.UserError, match="look like linear power"):
        records.write(Power(), tmp_path / "r")


def test_a_changed_registry_or_index_is_refused(written):
    file = written / "index.json"
    index = json.loads(file.read_text())
    index["sensors"][S1]["bands"].reverse()
    file.write_text(json.dumps(index))
    with pytest.raises(errors.UserError, match="written with bands VH, VV, but is registered"):
        records.Records(written)
    file.write_text(json.dumps(index | {"format": 99}))
    with pytest.raises(errors.UserError, match="not of format 1"):
        records.Records(written)
    file.write_text("{")
    with pytest.raises(errors.UserError, match="not JSON"):
        records.Records(written)
    with pytest.raises(errors.UserError, match="no folder of records"):
        records.Records(written / "none")
