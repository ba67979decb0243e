"""What bench says of species, at sizes of seconds; it needs shap."""

import pytest

from smarties import errors
from smarties.inference import species_benchmark, species_games


def test_a_benchmark_without_shap_is_a_mistake(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "shap", None)
    with pytest.raises(errors.UserError, match="needs shap: pip install"):
        species_benchmark.compare(10, 2, 1, 2, 1)


def test_the_toy_takes_what_a_model_takes():
    model = species_benchmark.toy(3)
    assert species_games.groups(model).members.sum() == species_benchmark.PREDICTORS
    assert len(species_games.predictors(model).names) == species_benchmark.PREDICTORS


@pytest.mark.filterwarnings("ignore")
def test_rows(monkeypatch):
    pytest.importorskip("shap")
    monkeypatch.setattr(species_benchmark, "MOST", 40)
    monkeypatch.setattr(species_benchmark, "PROBE", 2)
    rows = species_benchmark.compare(400, 30, 2, 2, 1)
    found = {line.name: line.median for line in rows}
    assert found["AUC, largest difference"] < 1e-12 and found["AUC, loop / ours"] > 1
    assert 0.4 < found["61 predictors, error found / error stated"] < 2.5
    assert found["6 groups, 2 places, all 64 coalitions"] > 0
