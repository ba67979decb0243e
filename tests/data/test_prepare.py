"""Preparing: the same bytes however it is done, all or nothing, and no example lost in silence."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from test_records import S1, S2, Noise

from smarties import errors
from smarties.data import prepare, publishing, records, verify
from smarties.data.archives import archive


def files(folder: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in records.find(folder).iterdir()}


def names(folder: Path) -> list[str]:
    """Returns what is in a folder, but for the lock that stays."""
    return sorted(f.name for f in folder.iterdir() if not f.name.endswith("-lock"))


def test_workers_and_jobs_make_the_same_bytes(tmp_path):
    splits = {"train": range(11), "test": range(11, 14)}
    source = Noise(14, blank=(2,), splits=splits)
    prepare.prepare(source, tmp_path / "one", "noise", shards=3)
    prepare.prepare(source, tmp_path / "two", "noise", shards=3, workers=2)
    for job in (2, 0, 1):
        outcome = prepare.prepare(source, tmp_path / "jobs", "noise", only=(job, 3))
        assert (outcome.directory is None) == (job != 1)
    assert (outcome.written, outcome.finished) == ({"train": 10, "test": 3}, 6)
    assert files(tmp_path / "one") == files(tmp_path / "two") == files(tmp_path / "jobs")
    assert names(tmp_path / "jobs" / "noise") == ["1.0.0"]


def test_the_last_jobs_may_finish_at_once_and_come_again(tmp_path, monkeypatch):
    source = Noise(6)
    prepare.prepare(source, tmp_path, "noise", only=(0, 2))
    whole, build = [], publishing.builder.build

    def meanwhile(*arguments, **options):
        """As the first of two jobs publishes, the second sees all parts finished."""
        monkeypatch.setattr(publishing.builder, "build", build)
        other = threading.Thread(
            target=lambda: whole.append(prepare.prepare(source, tmp_path, "noise", only=(1, 2)))
        )
        other.start()
        time.sleep(0.3)
        threads.append(other)
        return build(*arguments, **options)

    threads = []
    monkeypatch.setattr(publishing.builder, "build", meanwhile)
    whole.append(prepare.prepare(source, tmp_path, "noise", only=(1, 2)))
    threads[0].join()
    whole.append(prepare.prepare(source, tmp_path, "noise", only=(0, 2)))
    assert [outcome.written for outcome in whole] == [{"train": 6}] * 3
    assert {outcome.directory for outcome in whole} == {tmp_path / "noise" / "1.0.0"}
    assert names(tmp_path / "noise") == ["1.0.0"]
    with pytest.raises(errors.UserError, match="exists"):
        prepare.prepare(Noise(5), tmp_path, "noise", only=(0, 2))


_SLOW = """
import time
from test_records import Noise
from smarties.data import prepare

class Slow(Noise):
    def __getitem__(self, i):
        time.sleep(0.1)
        return super().__getitem__(i)

prepare.prepare(Slow(24), {out!r}, "noise", shards=8)
"""


def test_a_killed_command_goes_on_without_redoing_finished_shards(tmp_path):
    code = _SLOW.format(out=str(tmp_path / "out"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent)])}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    parts = tmp_path / "out" / "noise" / ".1.0.0-parts"
    deadline = time.monotonic() + 60
    while len(list(parts.glob("train-*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {f.name: f.stat().st_mtime_ns for f in parts.glob("train-*.json")}
    assert 3 <= len(finished) < 8 and not (tmp_path / "out" / "noise" / "1.0.0").exists()
    kept = {f.name: (f.stat().st_mtime_ns, f.stat().st_ino) for f in parts.glob("*.array_record")}
    read = []

    class Watched(Noise):
        def __getitem__(self, i):
            read.append(i)
            return super().__getitem__(i)

    prepare.prepare(Watched(24), tmp_path / "out", "noise", shards=8)
    assert len(set(read) - {0}) <= 3 * (8 - len(finished))  # example 0 tells the layout
    whole = records.find(tmp_path / "out")
    again = {f.stat().st_ino for f in whole.glob("*array_record*")}
    assert {inode for _, inode in kept.values()} <= again  # the very files
    prepare.prepare(Noise(24), tmp_path / "whole", "noise", shards=8)
    assert files(tmp_path / "whole") == files(tmp_path / "out")


def test_parts_of_another_source_are_not_mixed_in(tmp_path):
    prepare.prepare(Noise(6), tmp_path, "noise", only=(0, 2))
    with pytest.raises(errors.UserError, match="parts of another source"):
        prepare.prepare(Noise(5), tmp_path, "noise", only=(1, 2))
    prepare.prepare(Noise(5), tmp_path, "noise", shards=2, overwrite=True)
    assert len(records.Records(tmp_path)) == 5


def test_what_is_omitted_is_told_by_example(tmp_path):
    class Broken(Noise):
        def __getitem__(self, i):
            example = super().__getitem__(i)
            if i == 1:
                raise errors.Unreadable("x_B02.tif: truncated: get the file again")
            if i == 2:
                example["images"][S2] = example["images"][S2].astype(np.float32)
            if i == 3:
                example["images"][S1] = 10 ** (example["images"][S1] / 10)
            if i == 4:
                example["images"][S1] = example["images"][S1][:24]
            return example

    outcome = prepare.prepare(Broken(9, blank=(5,)), tmp_path, "noise")
    reasons = [line["reason"] for line in outcome.omitted]
    assert outcome.written == {"train": 4} and len(reasons) == 5
    for found, wanted in zip(
        reasons,
        ("x_B02.tif: truncated", "Lieu é 2: images/sentinel2-l2a <f4", "Lieu é 3.*linear power",
         r"Lieu é 4: images/sentinel1-grd <f4 \[24, 48, 2\] is not as in the first",
         "Lieu é 5: every pixel of sentinel1-grd is invalid"),
        strict=True,
    ):  # fmt: skip
        assert re.search(wanted, found), (wanted, found)
    lines = (outcome.directory / "omitted.jsonl").read_text().splitlines()
    assert [json.loads(line)["reason"] for line in lines] == reasons
    with pytest.raises(errors.Unreadable, match="x_B02.tif"):
        prepare.prepare(Broken(9), tmp_path / "strict", "noise", strict=True)
    with pytest.raises(errors.UserError, match="no example could be written: .*every pixel"):
        prepare.prepare(Noise(2, blank=(0, 1)), tmp_path / "none", "noise")


def test_a_failed_overwrite_loses_nothing(tmp_path, monkeypatch):
    prepare.prepare(Noise(), tmp_path, "noise")
    before = files(tmp_path)
    with pytest.raises(errors.UserError, match="exists: choose another folder"):
        prepare.prepare(Noise(3), tmp_path, "noise")

    class Failing(Noise):
        def __getitem__(self, i):
            if i == 5:
                raise KeyboardInterrupt
            return super().__getitem__(i)

    with pytest.raises(KeyboardInterrupt):
        prepare.prepare(Failing(), tmp_path, "noise", overwrite=True)
    assert files(tmp_path) == before

    def fails(self, **_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(publishing.builder.Prepared, "_download_and_prepare", fails)
        with pytest.raises(OSError, match="disk full"):
            prepare.prepare(Noise(3), tmp_path, "noise", overwrite=True)
    assert files(tmp_path) == before
    # Killed between the two renames: the next one finds the old dataset again.
    whole = tmp_path / "noise" / "1.0.0"
    whole.rename(whole.with_name(".1.0.0-replaced"))
    with publishing.alone(whole):
        assert files(tmp_path) == before
    prepare.prepare(Noise(3), tmp_path, "noise", overwrite=True)
    assert len(records.Records(tmp_path)) == 3 and names(tmp_path / "noise") == ["1.0.0"]


def test_a_kill_while_publishing_leaves_nothing_that_looks_finished(tmp_path, monkeypatch):
    def fails(*_):
        raise SystemExit("killed")

    with monkeypatch.context() as patch:
        patch.setattr(publishing.builder.tfds.core.DatasetInfo, "update_data_dir", fails)
        with pytest.raises(SystemExit):
            prepare.prepare(Noise(), tmp_path, "noise")
    with pytest.raises(errors.UserError, match="no prepared dataset"):
        records.Records(tmp_path)
    prepare.prepare(Noise(), tmp_path, "noise")
    assert len(records.Records(tmp_path)) == 7 and names(tmp_path / "noise") == ["1.0.0"]


def test_overwriting_leaves_nothing_of_what_waited(tmp_path):
    class Bright(Noise):
        def __getitem__(self, i):
            example = super().__getitem__(i)
            example["images"][S2] = np.full_like(example["images"][S2], 9000)
            return example

    prepare.prepare(Noise(6), tmp_path, "noise", only=(0, 2))
    with pytest.raises(errors.UserError, match="one of several jobs cannot overwrite"):
        prepare.prepare(Bright(6), tmp_path, "noise", only=(1, 2), overwrite=True)
    prepare.prepare(Bright(6), tmp_path, "noise", shards=2, overwrite=True)
    source = records.Records(tmp_path)
    assert all((source[i]["images"][S2] == 9000).all() for i in range(6))


def test_strict_stops_at_what_opening_found_and_at_shards_with_omissions(tmp_path):
    class Lacking(Noise):
        omitted = (archive.Omission(file="x.tif", reason="the id appears twice"),)

    with pytest.raises(errors.UserError, match="x.tif: the id appears twice"):
        prepare.prepare(Lacking(), tmp_path, "noise", strict=True)
    prepare.prepare(Noise(6, blank=(1,)), tmp_path, "noise", only=(0, 2))
    with pytest.raises(errors.UserError, match="every pixel of sentinel1-grd is invalid"):
        prepare.prepare(Noise(6, blank=(1,)), tmp_path, "noise", only=(1, 2), strict=True)


def test_labels_alone_can_be_prepared(tmp_path):
    class Labels(Noise):
        sensors = ()

        def __getitem__(self, i):
            return super().__getitem__(i) | {"images": {}, "valid": {}}

    prepare.prepare(Labels(), tmp_path, "noise")
    example = records.Records(tmp_path)[2]
    np.testing.assert_array_equal(example["labels"], Noise()[2]["labels"])


def test_bad_targets_and_names_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.UserError, match="cannot be written"):
        prepare.prepare(Noise(2), tmp_path / "file" / "below", "noise")
    with pytest.raises(errors.UserError, match="small letters, digits"):
        prepare.prepare(Noise(2), tmp_path, "../noise")
    with pytest.raises(errors.UserError, match="one or more are needed"):
        prepare.prepare(Noise(2), tmp_path, "noise", shards=0)


def test_verify_counts_labels_and_finds_damage(tmp_path):
    splits = {"train": range(5), "test": range(5, 8)}
    directory = prepare.prepare(Noise(8, splits=splits), tmp_path, "noise", shards=2).directory
    source = records.Records(directory)
    report = verify.verify(source)
    labels = np.stack([Noise()[i]["labels"] for i in range(8)])
    assert report.counts == {"train": 5, "test": 3} and not report.corrupt
    for split, part in splits.items():
        assert report.labels[split] == dict(zip(Noise.classes, labels[part].sum(0), strict=True))
    valid = np.mean([Noise()[i]["valid"][S2] for i in range(8)])
    assert report.valid[S2] == pytest.approx(valid) and report.finite[S1] == 1
    # A shard of other, whole records: ArrayRecord sees nothing, the checksum does.
    other = prepare.prepare(Noise(8, blank=(0,), splits={"train": range(1, 6), "test": range(3)}),
                            tmp_path / "other", "noise", shards=2).directory  # fmt: skip
    pair = sorted(directory.glob("*train*")), sorted(other.glob("*train*"))
    for mine, theirs in itertools.islice(zip(*pair, strict=True), 1):
        mine.write_bytes(theirs.read_bytes())
    report = verify.verify(records.Records(directory))
    assert len(report.corrupt) == 1 and "not the records that were written" in report.corrupt[0]
    index = other / "smarties.json"
    index.write_text(index.read_text().replace('"a",', '"z",'))
    assert "classes, sensors or layout are not those" in verify.verify(
        records.Records(other)).corrupt[0]  # fmt: skip


_PEAK = """
import resource
from test_records import Noise
from smarties.data import prepare, records, statistics, verify

directory = prepare.prepare(Noise({count}, size=160), {out!r}, "noise", shards=4).directory
source = records.Records(directory)
statistics.measure(source, range(len(source)))
verify.verify(source)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_set(tmp_path):
    peaks, sizes = [], []
    for count in (30, 300):
        out = tmp_path / str(count)
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        code = _PEAK.format(count=count, out=str(out))
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, check=True, capture_output=True
        )
        peaks.append(int(done.stdout) * 1024)
        sizes.append(sum(f.stat().st_size for f in out.rglob("*array_record*")))
    assert sizes[1] - sizes[0] > 200e6
    assert peaks[1] - peaks[0] < 0.1 * (sizes[1] - sizes[0]), (peaks, sizes)
