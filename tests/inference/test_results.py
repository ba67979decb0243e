"""Rows: appended by many, read back, refused where they are none; the lead over baselines."""

import concurrent.futures
import json

import numpy as np
import pytest

from smarties import errors
from smarties.inference import results


def row(features="model", value=0.8, probe="knn", key=None, replicates=(), **changes):
    return dict(
        key=key or f"{features}/{probe}/{value}", name="t", data="d", protocol="held_out",
        sensor="rgb", bands="", labelled="1%", track="", level="", seed=0, features=features,
        probe=probe, checkpoint="abcdef012", select="accuracy", replicates=list(replicates),
        metrics={"accuracy": [value, value - 0.1, value + 0.1], "macro_f1": [0.5, 0.4, 0.6]},
    ) | changes  # fmt: skip


def test_rows_of_many_writers_are_all_whole(tmp_path):
    file = tmp_path / "new" / "results.jsonl"
    rows = [row(key=str(i), replicates=np.arange(3000) + i) for i in range(40)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda r: results.append(file, json.loads(json.dumps(r, default=int))), rows))
    assert {r["key"] for r in results.read(file)} == {str(i) for i in range(40)}


def test_a_later_row_takes_the_place_of_an_earlier(tmp_path):
    file = tmp_path / "results.jsonl"
    for value in (0.1, 0.2):
        results.append(file, row(key="same", value=value))
    (only,) = results.read(file)
    assert only["metrics"]["accuracy"][0] == 0.2 and len(file.read_text().splitlines()) == 2
    assert results.read(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("line", ["{", "3", '{"key": 1}'])
def test_what_is_no_row_is_said_with_its_line(tmp_path, line):
    file = tmp_path / "results.jsonl"
    results.append(file, row())
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(errors.UserError, match=r"results.jsonl:2 is (no row|a row without)"):
        results.read(file)


def test_the_lead_is_over_the_best_baseline_and_paired():
    rng = np.random.default_rng(0)
    shared = rng.normal(0.6, 0.05, 200)
    rows = [
        row("band statistics", 0.5, replicates=shared - 0.1),
        row("random weights", 0.6, "logistic", replicates=shared),
        row("model", 0.65, replicates=shared + 0.05 + rng.normal(0, 0.005, 200)),
        row("band statistics", 0.9, labelled="100%"),  # another condition
    ]
    (group, _) = results.groups(rows)
    best = results.best_baseline(group, "accuracy")
    assert best is rows[1]
    value, low, high = results.gap(rows[2], best, "accuracy")
    assert value == pytest.approx(0.05) and 0.03 < low < 0.05 < high < 0.07
    assert results.gap(rows[2], best, "macro_f1")[1:] == (None, None)
    lines = results.table(rows)
    assert [line[2] for line in lines[:3]] == [
        "model [abcdef]",
        "random weights",
        "band statistics",
    ]
    assert lines[0][-1].startswith("+5.0 (+") and lines[1][-1] == ""
    marked = results.text([results.HEADER, *lines], markdown=True).splitlines()
    assert marked[1].startswith("| --- |") and len(marked) == 6
    with pytest.raises(errors.UserError, match="did you mean 'accuracy'"):
        results.table(rows, "acuracy")
