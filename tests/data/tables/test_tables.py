"""Tables are read as described, split without leaks, and whatever is wrong is said in one line."""

import gzip

import numpy as np
import pytest
from scipy import sparse

from smarties import errors
from smarties.data.tables import files, nceas, sources, splits, splotopen
from smarties.data.tables import table as tables

SITES = "site,lon,lat,warm,wet,soil\na,1,50,3.5,,clay\nb,2,51,4.5,7,sand\nc,3,52,5.5,9,\n"
DENSE = "site,oak,elm\nc,1,0\na,0,1\nb,1,1\n"
LONG = "site,species\na,elm\nb,oak\nb,elm\nc,oak\nc,oak\n"
YAML = """
predictors: {file: sites.csv, id: site, categorical: [soil], coordinates: [lon, lat]}
groups: {climate: [warm, wet], ground: [soil]}
occurrences: {file: species.csv, id: site, layout: LAYOUT}
"""


def _write(folder, sites=SITES, species=DENSE, layout="dense", text=YAML):
    (folder / "sites.csv").write_text(sites)
    (folder / "species.csv").write_text(species)
    (folder / "table.yaml").write_text(text.replace("LAYOUT", layout))
    return sources.table("described", file=str(folder / "table.yaml"))


@pytest.mark.parametrize("layout, species", [("dense", DENSE), ("long", LONG)])
def test_described(tmp_path, layout, species):
    table = _write(tmp_path, species=species, layout=layout)
    assert table.predictors == ("warm", "wet", "soil") and table.levels == {
        "soil": ("clay", "sand")
    }
    np.testing.assert_array_equal(table.values[:, :2], [[3.5, np.nan], [4.5, 7], [5.5, 9]])
    np.testing.assert_array_equal(table.values[:, 2], [0, 1, np.nan])
    presence = dict(zip(table.species, table.presence.toarray().T.tolist(), strict=True))
    assert presence == {"oak": [0, 1, 1], "elm": [1, 1, 0]}
    assert table.groups == {"climate": ("warm", "wet"), "ground": ("soil",)}


def test_parquet_is_the_same_table(tmp_path):
    from pyarrow import csv, parquet

    text = _write(tmp_path)
    for name in ("sites", "species"):
        parquet.write_table(csv.read_csv(tmp_path / f"{name}.csv"), tmp_path / f"{name}.parquet")
    other = _write(tmp_path, text=YAML.replace(".csv", ".parquet"))
    np.testing.assert_array_equal(text.values, other.values)
    assert (text.presence != other.presence).nnz == 0


@pytest.mark.parametrize(
    "change, said",
    [
        (dict(sites=SITES.replace("4.5", "four")), "row 2, column 'warm' is 'four', no number"),
        (dict(sites=SITES.replace("4.5", "inf")), "row 2, column 'warm' is 'inf', not finite"),
        (dict(sites=SITES.replace("b,2", "a,2")), "site 'a' is in rows 1 and 2"),
        (dict(sites=SITES.replace("warm", "warmth")), "did you mean 'warmth'"),
        (dict(species=DENSE.replace("b,1,1", "b,2,1")), "row 3, column 'oak' is 2"),
        (dict(species=DENSE.replace("b,1,1", "z,1,1")), "no predictors, the first is 'z'"),
        (dict(text=YAML.replace("categorical", "categories")), "did you mean"),
        (dict(text=YAML.replace("[soil]}\nocc", "[soil, wet]}\nocc")), "'climate' and 'ground'"),
        (dict(layout="wide"), "dense"),
        (dict(species="site,oak\na,1,1\n"), "species.csv: not a CSV"),
    ],
)
def test_bad_tables_are_named(tmp_path, change, said):
    with pytest.raises(errors.UserError, match=said) as found:
        _write(tmp_path, **change)
    assert "\n" not in str(found.value)


def _places(count=4000, seed=0):
    rng = np.random.default_rng(seed)
    return tables.Table(
        predictors=("a", "b"),
        values=rng.normal(size=(count, 2)).astype(np.float32),
        species=("s",),
        presence=sparse.csr_array(np.ones((count, 1), np.uint8)),
        coordinates=rng.uniform((0, 40), (20, 60), (count, 2)),
        degrees=True,
        sites=np.arange(count).astype(str),
    )


def test_blocks_are_shared_by_no_two_parts():
    places = _places()
    rows = splits.split(places, "blocks", test=0.15, validation=0.15, size=1.0, seed=3)
    block = splits.blocks(places, 1.0)
    assert block.max() + 1 == 400
    found = [set(block[r]) for r in rows.values()]
    assert not found[0] & found[1] and not found[0] & found[2] and not found[1] & found[2]
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(4000))
    assert 540 < len(rows["test"]) < 660 and 540 < len(rows["validation"]) < 660
    again = splits.split(places, "blocks", test=0.15, validation=0.15, size=1.0, seed=3)
    other = splits.split(places, "blocks", test=0.15, validation=0.15, size=1.0, seed=4)
    np.testing.assert_array_equal(rows["test"], again["test"])
    assert not np.array_equal(rows["test"], other["test"])


def test_buffer_keeps_training_rows_away():
    places = _places()
    rows = splits.split(places, "blocks", test=0.2, size=3.0, buffer=0.5)
    near = np.linalg.norm(
        places.coordinates[rows["train"], None] - places.coordinates[None, rows["test"]], axis=-1
    )
    assert near.min() >= 0.5
    assert len(rows["train"]) > 500


def test_kilometres_are_so_many_degrees():
    places = _places()
    assert 18 * 10 <= splits.blocks(places, 111.2, "km").max() + 1 <= 20 * 14


def test_splits_refuse_what_they_cannot_do():
    places = _places(20)
    for arguments, said in (
        (dict(kind="block"), "blocks"),
        (dict(kind="given"), "says of no row"),
        (dict(test=0.6, validation=0.5), "shares"),
        (dict(kind="blocks", size=100.0), "leaves no"),
        (dict(kind="blocks", size=1.0, buffer=100.0), "leaves no train"),
    ):
        with pytest.raises(errors.UserError, match=said):
            splits.split(places, **arguments)


def test_scale_is_of_training_rows_and_refuses_constants():
    places = _places(100)
    places.values[50:] += 100
    scale = tables.Scale.of(places, np.arange(50))
    standard = scale.apply(places.values)
    np.testing.assert_allclose(standard[:50].mean(0), 0, atol=1e-4)
    assert standard[50:].min() > 50
    again = tables.Scale.read(scale.plain())
    np.testing.assert_array_equal(again.apply(places.values), standard)
    for constant, said in ((3.0, "'b' is 3 in all"), (np.nan, "'b' is missing in all")):
        places.values[:50, 1] = constant
        with pytest.raises(errors.UserError, match=said):
            tables.Scale.of(places, np.arange(50))


def test_levels_of_numbers_are_in_their_order():
    found, known = files.levels(np.array(["10", "2", "", "x"]))
    assert known == ("2", "10", "x")
    np.testing.assert_array_equal(found, [1, 0, np.nan, 2])


def _nceas(folder):
    def put(name, text):
        with gzip.open(folder / f"{name}.csv.gz", "wt") as file:
            file.write(text)

    put("NZtest_env", "group,siteid,x,y,age,rain,toxicats\np,1,5,6,0,2,1\np,2,7,8,1,3,3\n")
    put("NZtest_pa", "group,siteid,x,y,nz01,nz02\np,1,5,6,0,1\np,2,7,8,1,1\n")
    head = "siteid,spid,x,y,occ,group,age,rain,toxicats\n"
    put(
        "NZtrain_po", head + "3,nz01,1,23,1,p,0,4,1\n3,nz02,1,23,1,p,0,4,1\n4,nz02,12,3,1,p,2,5,1\n"
    )
    put("NZtrain_bg", head + "9,pseudo1,4,4,0,,1,6,1\n")


def test_presence_only_places_are_told_by_their_coordinates(tmp_path):
    _nceas(tmp_path)
    table = nceas.table(str(tmp_path), "NZ", protocol="presence_only")
    assert table.part.tolist() == ["test", "test", "train", "train", "train"]
    rows = {tuple(x): p for x, p in zip(table.coordinates, table.presence.toarray(), strict=True)}
    assert rows[1, 23].tolist() == [1, 1] and rows[12, 3].tolist() == [0, 1]
    assert not rows[4, 4].any() and rows[5, 6].tolist() == [0, 1]
    assert table.levels["age"] == ("0", "1", "2")
    with pytest.raises(errors.UserError, match="group of NZ"):
        nceas.table(str(tmp_path), "NZ", "bird")


def test_benchmark_has_the_documented_sizes(data_root):
    table = nceas.table(str(data_root / "sdm_disdat"), "NZ")
    assert (len(table), len(table.predictors), len(table.species)) == (19_120, 13, 52)
    assert not np.isnan(table.values).any()


def test_splotopen_is_put_in_the_order_of_its_occurrences(tmp_path, monkeypatch):
    plots = np.array([7, 3, 5])
    groups = list(splotopen.GROUPS.values())
    metadata = groups[4]
    parts = (*groups[:4], metadata[:2], metadata[2:13], metadata[13:], groups[5])
    for name, names in zip(splotopen.FILES, parts, strict=True):
        values = plots[:, None] + np.arange(len(names)) / 100
        lines = [f"{splotopen.ID},{','.join(names)}"]
        lines += [f"{p},{','.join(map(str, row))}" for p, row in zip(plots, values, strict=True)]
        (tmp_path / f"{name}_data.csv").write_text("\n".join(lines) + "\n")
    np.save(tmp_path / "satclip_embeddings.npy", plots[:, None] * np.ones((1, 256)))
    np.save(tmp_path / "species_occurrences.npy", np.ones((3, 2), bool))
    (tmp_path / "species_names.csv").write_text("Species Name,Index\nx,1\ny,0\n")
    with pytest.raises(errors.UserError, match="21 presences"):
        splotopen.table(str(tmp_path))
    monkeypatch.setattr(splotopen, "FEWEST", 1)
    table = splotopen.table(str(tmp_path))
    assert table.species == ("y", "x") and len(table.predictors) == 61
    np.testing.assert_allclose(table.values[:, 0], [3, 5, 7])
    np.testing.assert_allclose(table.vectors["satclip"][:, 0], [3, 5, 7])
