"""A species model is trained, loaded and explained: its known drivers come out on top."""

import csv
import runpy
from pathlib import Path

import numpy as np
import pytest

from smarties.cli import main
from smarties.training import loop

NICHES = Path(__file__).parents[1] / "tasks" / "test_species.py"


@pytest.mark.slow
def test_drivers_of_a_trained_model(tmp_path, capsys):
    """middle lives by warm, wetland by wet, loamy by soil, a categorical column; noise by none."""
    niches = runpy.run_path(str(NICHES))
    task, table = niches["_task"](), niches["_table"](300, seed=5)
    loop.train(task, niches["_config"](250), tmp_path / "run")
    soil = ["" if np.isnan(k) else table.levels["soil"][int(k)] for k in table.values[:, 3]]
    there = table.presence.toarray()
    with (tmp_path / "places.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*table.species[:3], "soil", "noise", "wet", "warm"])
        for row, kind, known in zip(table.values, soil, there, strict=True):
            shown = ["" if np.isnan(x) else x for x in row[[2, 1, 0]]]
            writer.writerow([*known[:3], kind, *shown])
    options = ["--places", str(tmp_path / "places.csv"), "--metric", "auc", "--by", "predictors"]
    out = tmp_path / "why"
    assert main.main(["explain", str(tmp_path / "run"), *options, "--out", str(out)]) == 0
    with (out / "values.csv").open() as file:
        found = {(r["species"], r["player"]): float(r["value"]) for r in csv.DictReader(file)}
    for name, driver in (("middle", "warm"), ("wetland", "wet"), ("loamy", "soil")):
        mine = {player: found[name, player] for player in ("warm", "wet", "noise", "soil")}
        assert max(mine, key=lambda p: mine[p]) == driver and mine[driver] > 0.2, mine
        assert abs(mine["noise"]) < 0.05, mine
    assert "mean over species" in capsys.readouterr().out
    options = ["--places", str(tmp_path / "places.csv"), "--species", "middle"]
    assert main.main(["explain", str(tmp_path / "run"), *options, "--out", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
