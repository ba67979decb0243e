"""`smarties explain` on a model whose reasons are known: values, pictures, mistakes."""

import csv
import json

import numpy as np
import pytest
import toy_species

from smarties import errors
from smarties.cli import explain


def table(path, n=60, presences=True):
    """A CSV with the columns in another order than the model's, and one more."""
    values, there = toy_species.sites(n)
    names = [*toy_species.toy().predictors, *(toy_species.toy().species if presences else ())]
    rows = [["" if np.isnan(x) else f"{x:.6g}" for x in row] for row in values]
    rows = [
        [*row, *map(str, map(int, t))][: len(names)] for row, t in zip(rows, there, strict=True)
    ]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["site", *names[::-1]])
        writer.writerows([f"s{i}", *row[::-1]] for i, row in enumerate(rows))
    return path


def run(*argv, model=None):
    explain.main([str(a) for a in ("run", *argv)], load=lambda _: model or toy_species.toy())


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_predictions_at_places(tmp_path, capsys):
    out = tmp_path / "why"
    places = table(tmp_path / "places.csv")
    run("--places", places, "--species", "oak,fern", "--id", "site", "--out", out)
    rows = read(out / "values.csv")
    assert len(rows) == 60 * 2 * 3 and {r["place"] for r in rows} == {f"s{i}" for i in range(60)}
    values = toy_species.sites(60)[0]
    full = 1 / (1 + np.exp(-toy_species.toy().predict(values)))
    for i, k, name in ((0, 2, "oak"), (17, 0, "fern")):
        mine = [r for r in rows if r["place"] == f"s{i}" and r["species"] == name]
        total = float(mine[0]["empty"]) + sum(float(r["value"]) for r in mine)
        assert total == pytest.approx(full[i, k], abs=1e-5) and float(mine[0]["empty"]) == 0.5
    assert (out / "oak-place-s0.svg").is_file() and (out / "fern-interactions.svg").is_file()
    assert json.loads((out / "explanation.json").read_text())["coalitions"] == 8
    assert "oak: climate" in capsys.readouterr().out


def test_the_metric_and_its_mean(tmp_path, capsys):
    out = tmp_path / "why"
    places = table(tmp_path / "places.csv")
    run("--places", places, "--metric", "auc", "--by", "predictors", "--out", out)
    found = {(r["species"], r["player"]): float(r["value"]) for r in read(out / "values.csv")}
    assert found["moss", "clay"] > 0.2 and abs(found["moss", "slope"]) < 1e-9
    for player in toy_species.toy().predictors:
        mean = np.mean([found[s, player] for s in toy_species.toy().species])
        assert found["mean over species", player] == pytest.approx(mean)
    assert {p.name for p in out.glob("*.svg")} == {"mean.svg", "species.svg", "interactions.svg"}
    assert "mean over species: warm" in capsys.readouterr().out


def test_many_predictors_are_sampled_with_errors(tmp_path):
    import pyarrow.parquet

    names = tuple(f"x{i:02}" for i in range(14))
    weights = np.zeros((14, 1))
    weights[:3, 0] = (2, 1, 0.5)
    model = toy_species.Toy(weights, names, {"all": names}, ("oak",))
    places = tmp_path / "places.csv"
    rng = np.random.default_rng(0)
    rows = [",".join(f"{x:.4f}" for x in rng.normal(size=14)) for _ in range(4)]
    places.write_text("\n".join([",".join(names), *rows]))
    options = ("--places", places, "--species", "oak", "--by", "predictors", "--format", "parquet")
    run(*options, "--squares", 3, "--out", tmp_path / "why", model=model)
    rows = pyarrow.parquet.read_table(tmp_path / "why" / "values.parquet").to_pylist()
    assert len(rows) == 4 * 14 and max(r["error"] for r in rows) > 0
    for r in rows:
        if r["player"] > "x02":
            assert abs(r["value"]) < 1e-7


@pytest.mark.parametrize(
    "options, said",
    [
        (("--species", "okk"), "unknown species 'okk': did you mean 'oak'"),
        ((), "--species: name those"),
        (("--species", "oak", "--hide", "sail"), "unknown group of predictors"),
        (("--species", "oak", "--hide", "soil,relief,climate"), "none is left"),
        (("--species", "oak", "--presences", "x.csv"), "for --metric"),
        (("--species", "oak", "--id", "name"), "unknown column 'name'"),
        (("--species", "oak", "--squares", "1"), "at least 2"),
        (("--metric", "auc", "--presences", "{none}"), "no column is named after a species"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(tmp_path, options, said):
    none = table(tmp_path / "none.csv", presences=False)
    places = table(tmp_path / "places.csv")
    options = [o.format(none=none) for o in options]
    with pytest.raises(errors.UserError, match=said):
        run("--places", places, "--out", tmp_path / "why", *options)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["none.csv", "places.csv"]


def test_species_that_cannot_be_evaluated_are_named(tmp_path, capsys):
    places = table(tmp_path / "places.csv")
    lines = places.read_text().splitlines()
    at = lines[0].split(",").index("moss")
    parts = [line.split(",") for line in lines[1:]]
    lines[1:] = [",".join([*p[:at], "0", *p[at + 1 :]]) for p in parts]
    places.write_text("\n".join(lines))
    run("--places", places, "--metric", "ap", "--out", tmp_path / "why")
    assert "without a presence or an absence: moss" in capsys.readouterr().out
    with pytest.raises(errors.UserError, match="is there already"):
        run("--places", places, "--metric", "ap", "--out", tmp_path / "why")


def rasters(folder, nodata=-1.0):
    import rasterio

    values = np.random.default_rng(1).normal(size=(4, 30, 40)).astype(np.float32)
    values[:, :, 35:] = nodata
    files = []
    for name, layer in zip(toy_species.toy().predictors, values, strict=True):
        files.append(folder / f"{name}.tif")
        with rasterio.open(
            files[-1], "w", driver="GTiff", count=1, height=30, width=40, dtype="float32",
            crs="EPSG:4326", nodata=nodata, transform=rasterio.Affine(0.1, 0, 7, 0, -0.1, 47),
        ) as data:  # fmt: skip
            data.write(layer, 1)
    return files


def test_maps_with_points(tmp_path, capsys):
    import rasterio

    files, out, species = rasters(tmp_path), tmp_path / "maps", ("oak", "fern")
    points = tmp_path / "points.csv"
    points.write_text("longitude,latitude,species\n8,46,oak\n9,45,oak\n8,44.5,fern\n0,0,oak\n")
    run("--rasters", *files, "--species", "oak,fern", "--points", points, "--out", out)
    assert "1 of 4 points lie outside" in capsys.readouterr().out
    each = {f"{a}-{s}{e}" for a, e in (("map", ".svg"), ("shapley", ".tif")) for s in species}
    assert {p.name for p in out.iterdir()} == {"suitability.tif", *each}
    with rasterio.open(out / "suitability.tif") as data:
        full, transform = data.read(), data.transform
    with rasterio.open(out / "shapley-fern.tif") as data:
        assert data.transform == transform and data.descriptions == ("climate", "soil", "relief")
        np.testing.assert_allclose(0.5 + data.read().sum(0), full[1], atol=1e-5)
    assert np.isnan(full[:, :, 35:]).all() and np.isfinite(full[:, :, :35]).all()


def test_mistakes_of_maps(tmp_path):
    files = rasters(tmp_path)
    points = tmp_path / "points.csv"
    points.write_text("longitude,latitude\n500000,5000000\n")
    there = sorted(tmp_path.iterdir())
    for options, said in (
        (("--points", points), "none of 1 lies inside"),
        (("--metric", "auc"), "not of --rasters"),
    ):
        with pytest.raises(errors.UserError, match=said):
            run("--rasters", *files, "--species", "oak", "--out", tmp_path / "maps", *options)
    with pytest.raises(errors.UserError, match="no raster of predictor 'slope'"):
        run("--rasters", *files[:3], "--species", "oak", "--out", tmp_path / "maps")
    assert sorted(tmp_path.iterdir()) == there
