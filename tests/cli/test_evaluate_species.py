"""`smarties evaluate` of a table that a YAML file describes, and its errors of one line."""

import json

import numpy as np
import pytest

from smarties import errors
from smarties.cli import evaluate

CONFIG = """
from ml_collections import config_dict

def get_config(arg=""):
    return config_dict.ConfigDict(dict(
        name="own", steps=2, batch_size=16, task=dict(name="species"),
        model=dict(width=16, depth=1, heads=2, hidden=16, frequencies=4),
        data=dict(table=dict(kind="described", file="TABLE"), split=dict(test=0.3)),
        evaluate=dict(every=0, subsets=dict(warm=("warm",))),
        optimizer=dict(learning_rate=0.01),
    ))
"""
TABLE = """
predictors: {file: sites.csv, id: site}
occurrences: {file: species.csv, id: site}
"""


@pytest.fixture
def config(tmp_path):
    rng = np.random.default_rng(0)
    warm, wet = rng.normal(size=(2, 300))
    rows = [f"{i},{a},{b}" for i, (a, b) in enumerate(zip(warm, wet, strict=True))]
    (tmp_path / "sites.csv").write_text("\n".join(["site,warm,wet", *rows]))
    marks = [f"{i},{int(a > 0.3)},{int(i == 5)}" for i, a in enumerate(warm)]
    (tmp_path / "species.csv").write_text("\n".join(["site,oak,rare", *marks]))
    (tmp_path / "table.yaml").write_text(TABLE)
    file = tmp_path / "own.py"
    file.write_text(CONFIG.replace("TABLE", str(tmp_path / "table.yaml")))
    return file


def test_prints_a_table_of_methods(config, tmp_path, capsys):
    results = tmp_path / "rows.jsonl"
    evaluate.main(["--config", str(config), "--results", str(results)])
    said = capsys.readouterr().out
    assert "mean AUC of 1 species" in said and "boosting" in said
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert min(row["auc"] for row in rows if row["missing"] == "oracle") > 0.95
    assert {row["subset"] for row in rows} == {"all", "warm"}


def test_a_constant_predictor_and_foreign_weights_are_refused(config, tmp_path):
    sites = tmp_path / "sites.csv"
    with pytest.raises(errors.UserError, match="no config.json"):
        evaluate.main(["--config", str(config), "--weights", str(tmp_path)])
    lines = [f"{line.rpartition(',')[0]},4" for line in sites.read_text().splitlines()[1:]]
    sites.write_text("\n".join(["site,warm,wet", *lines]))
    with pytest.raises(errors.UserError, match="'wet' is 4 in all 210 training rows"):
        evaluate.main(["--config", str(config)])
