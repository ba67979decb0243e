"""BigEarthNet v1: the real patches and pairs, lists of splits, and every kind of bad file."""

import json
import pickle

import bigearthnet_files as files
import numpy as np
import pytest
import rasterio

from smarties import errors
from smarties.data.archives import bigearthnet_v1, nomenclature
from smarties.spectrum import registry

S1, S2 = files.S1, files.S2
OPTICAL, RADAR = "BigEarthNet-v1.0", "BigEarthNet-S1-v1.0"
PAIRS = {
    "S2A_MSIL2A_20170617T113321_36_85": "S1A_IW_GRDH_1SDV_20170617T064724_29UPU_36_85",
    "S2A_MSIL2A_20170617T113321_4_55": "S1A_IW_GRDH_1SDV_20170617T064724_29UPU_4_55",
    "S2A_MSIL2A_20171221T112501_56_35": "S1A_IW_GRDH_1SDV_20171221T064238_29SND_56_35",
}
NORTH = "S2A_MSIL2A_20180510T94033_19_86"  # its time lacks the hour's zero


@pytest.fixture(scope="module")
def real(data_root):
    return data_root / "bigearthnet_samples" / "v1"


def by_id(source):
    return {example["id"]: example for example in (source[i] for i in range(len(source)))}


def test_real_pairs(real):
    source = bigearthnet_v1.BigEarthNetV1(real, sensors=(S2, S1))
    examples = by_id(source)
    assert set(examples) == set(PAIRS) and set(source.splits) == {"train"}
    reasons = [omission.reason for omission in source.omitted]
    assert sum(reason.startswith("no Sentinel-2 patch") for reason in reasons) == 3
    assert sum(f"no image of {S1} belongs" in reason for reason in reasons) == 8
    for name, example in examples.items():
        for sensor, folder, image in ((S2, OPTICAL, name), (S1, RADAR, PAIRS[name])):
            for i, band in enumerate(registry.sensor(sensor).names):
                with rasterio.open(real / folder / image / f"{image}_{band}.tif") as data:
                    pixels = data.read(1)
                times = 120 // len(pixels)
                whole = pixels.repeat(times, 0).repeat(times, 1)
                np.testing.assert_array_equal(example["images"][sensor][..., i], whole)
                assert example["images"][sensor].dtype == pixels.dtype
        vv, vh = np.moveaxis(example["images"][S1], -1, 0)
        assert not np.array_equal(vv, vh) and vv.mean() > vh.mean()
    example = examples["S2A_MSIL2A_20171221T112501_56_35"]
    assert example["time"] == 1_513_855_501  # date -u -d "2017-12-21 11:25:01" +%s
    assert example["crs"] == "EPSG:32629"
    np.testing.assert_array_equal(example["transform"], (10, 0, 567_180, 0, -10, 4_358_040))
    np.testing.assert_allclose(example["location"], (-8.2132, 39.3638), atol=1e-3)
    assert [source.classes[i] for i in np.flatnonzero(example["labels"])] == [
        "Complex cultivation patterns",
        "Land principally occupied by agriculture, with significant areas of natural vegetation",
        "Broad-leaved forest",
        "Transitional woodland, shrub",
    ]


def test_real_optical_patches_with_43_classes(real):
    source = bigearthnet_v1.BigEarthNetV1(real, nomenclature=43)
    examples = by_id(source)
    assert len(examples) == 11 and not source.omitted
    assert source.classes == nomenclature.CLASSES_43
    for name, example in examples.items():
        text = (real / OPTICAL / name / f"{name}_labels_metadata.json").read_text()
        present = {source.classes[i] for i in np.flatnonzero(example["labels"])}
        assert present == set(json.loads(text)["labels"])
    assert examples[NORTH]["time"] == 1_525_945_233  # 2018-05-10 09:40:33 UTC
    assert pickle.loads(pickle.dumps(source)).identity() == source.identity()


def test_real_radar_patches(real):
    """Their JSON files spell two keys otherwise than those of Sentinel-2."""
    source = bigearthnet_v1.BigEarthNetV1(real, sensors=(S1,))
    examples = by_id(source)
    assert len(examples) == 6
    example = examples["S1A_IW_GRDH_1SDV_20170613T165043_33UUP_61_40"]
    assert example["time"] == 1_497_372_643
    assert np.flatnonzero(example["labels"]).tolist() == [0, 2, 6, 8, 15, 17]


PLACES = {"a": (3, 40), "b": (45, 45), "c": (15, 45)}


def names(place):
    column, row = place
    optical = f"S2A_MSIL2A_20170613T101031_{column}_{row}"
    return optical, f"S1A_IW_GRDH_1SDV_20170613T165043_33UUP_{column}_{row}"


def describe(folder, place, labels, **changes):
    x, y = files.corner(*place)
    radar = folder.name.startswith("S1")
    content = {
        "labels": labels,
        "coordinates": {"ulx": x, "uly": y, "lrx": x + 1200, "lly" if radar else "lry": y - 1200},
        "projection": rasterio.crs.CRS.from_epsg(32633).to_wkt(),
    }
    if radar:
        content |= {"corresponding_s2_patch": names(place)[0]}
        content |= {"acquisition_time": "2017-06-13T16:50:43"}
    else:
        content |= {"acquisition_date": "2017-06-13 10:10:31"}
    text = json.dumps({k: v for k, v in (content | changes).items() if v is not None})
    (folder / f"{folder.name}_labels_metadata.json").write_text(text)


@pytest.fixture
def written(tmp_path):
    """Three pairs; returns the root."""
    rng = np.random.default_rng(0)
    for place in PLACES.values():
        optical, radar = names(place)
        files.optical(tmp_path / OPTICAL / optical, place, rng)
        files.radar(tmp_path / RADAR / radar, place, rng)
        describe(tmp_path / OPTICAL / optical, place, ["Airports", "Salines"])
        describe(tmp_path / RADAR / radar, place, ["Airports", "Salines"])
    return tmp_path


def opened(root, **options):
    return bigearthnet_v1.BigEarthNetV1(root, **{"sensors": (S2, S1)} | options)


def test_lists_make_the_splits(written):
    a, b, c = (names(place) for place in PLACES.values())
    train, test = written / "train.csv", written / "test.txt"
    train.write_text(f'patch,radar\n"{b[0]}","{b[1]}"\n{a[0]},{a[1]}\n')
    test.write_text(f"{c[0]} {c[1]}\n\n")
    lists = {"train": train, "test": test}
    for path in (written / RADAR).glob("*/*.json"):  # not needed where lists tell the pairs
        text = path.read_text()
        path.write_text(text.replace("corresponding_s2_patch", "x"))
    source = opened(written, lists=lists)
    ids = {split: [source[i]["id"] for i in part] for split, part in source.splits.items()}
    assert ids == {"train": [b[0], a[0]], "test": [c[0]]} and not source.omitted
    source = opened(written, lists=lists, sensors=(S1,))
    assert source[0]["id"] == b[1]
    source = opened(written, lists=lists, exclude=(test,))
    assert [(o.file, o.reason) for o in source.omitted] == [(c[0], f"listed in {test}")]
    test.write_text(f"{a[0]}\n{c[0]}\n")
    source = opened(written, lists=lists, sensors=(S2,))
    reason = "the id appears twice, in train and test"
    assert [(o.file, o.reason) for o in source.omitted] == [(a[0], reason)]
    test.write_text("S2A_MSIL2A_20170613T101031_9_9\n")
    source = opened(written, lists=lists, sensors=(S2,))
    assert "no folder S2A_MSIL2A_20170613T101031_9_9" in source.omitted[0].reason


def test_lists_of_optical_names_are_paired_by_the_json_of_the_radar(written):
    a, b, _ = (names(place) for place in PLACES.values())
    (written / "train.csv").write_text(f"{b[0]}\n{a[0]}\n")
    lists = {"train": written / "train.csv"}
    assert list(by_id(opened(written, lists=lists))) == [b[0], a[0]]
    assert list(by_id(opened(written, lists=lists, sensors=(S1,)))) == [b[1], a[1]]


def test_a_list_of_pairs_spares_the_json_of_the_radar(written):
    file = written / "pairs.csv"
    rows = [f"{s1},{s2},Austria,Summer" for s2, s1 in map(names, (*PLACES.values(), (9, 9)))]
    file.write_text("\n".join(["s1_name,s2_name,country,season", *rows]))
    for path in (written / RADAR).glob("*/*.json"):
        path.write_text(path.read_text().replace("corresponding_s2_patch", "x"))
    assert len(opened(written, pairs=file)) == 3
    file.write_text("\n".join(rows[:2]))
    source = opened(written, pairs=file)
    assert len(source) == 2 and [o.file for o in source.omitted] == [names(PLACES["c"])[0]]


@pytest.mark.parametrize("line", ["../S2A_MSIL2A_20170613T101031_3_40", "S2A_MSIL2A_3_40", "x"])
def test_lists_with_anything_else_are_refused(written, line):
    file = written / "train.csv"
    file.write_text(f"{names((3, 40))[0]}\n{line}\n")
    with pytest.raises(errors.UserError, match=r"train\.csv, line 2: "):
        opened(written, lists={"train": file})
    with pytest.raises(errors.UserError, match=r"train\.csv, line 2: "):
        opened(written, exclude=(file,))


def test_patches_without_labels_are_omitted(written):
    place = PLACES["a"]
    folder = written / OPTICAL / names(place)[0]
    describe(folder, place, ["Airports", "Bare rock"])
    source = opened(written)
    assert len(source) == 2 and len(source.omitted) == 1
    assert source.omitted[0].file == folder.name
    assert "is one of the 19 classes" in source.omitted[0].reason
    assert len(opened(written, nomenclature=43)) == 3
    file = written / "train.csv"  # a list is believed, until the patch is read
    file.write_text(f"{folder.name}\n")
    with pytest.raises(errors.Unreadable, match=f"{folder.name}.*19 classes"):
        opened(written, lists={"train": file})[0]


@pytest.mark.parametrize(
    ("sensor", "changes", "reason"),
    [
        (S2, {"labels": ["Airport"]}, "did you mean 'Airports'"),
        (S2, {"labels": None}, "missing, truncated or incomplete"),
        (S2, {"coordinates": {"ulx": 0}}, "missing, truncated or incomplete"),
        (S1, {"corresponding_s2_patch": None}, "names no corresponding_s2_patch"),
        (S1, {"corresponding_s2_patch": "../../x"}, "no Sentinel-2 patch ../../x"),
        (S1, {"corresponding_s2_patch": names(PLACES["b"])[0]}, "is already paired with"),
    ],
)
def test_bad_json_is_told_when_opened(written, sensor, changes, reason):
    place = PLACES["a"]
    folder = written / (OPTICAL if sensor == S2 else RADAR) / names(place)[sensor == S1]
    describe(folder, place, **{"labels": ["Airports", "Salines"]} | changes)
    source = opened(written)
    told = [(o.file, o.reason) for o in source.omitted if reason in o.reason]
    assert told and told[0][0] in (folder.name, names(PLACES["b"])[1])
    assert len(source) == 2


def test_truncated_json(written):
    place = PLACES["a"]
    folder = written / OPTICAL / names(place)[0]
    file = folder / f"{folder.name}_labels_metadata.json"
    source = opened(written)
    file.write_text(file.read_text()[:50])
    with pytest.raises(errors.Unreadable, match=f"{file.name}: missing, truncated"):
        source[1]
    assert len(opened(written)) == 2


def broken(root, what):
    """Spoils the first pair; returns the folder to be named and the reason."""
    place, rng = PLACES["a"], np.random.default_rng(1)
    optical, radar = (
        root / folder / name for folder, name in zip((OPTICAL, RADAR), names(place), strict=True)
    )
    labels = ["Salines"]
    if what == "crs":
        files.radar(radar, place, rng, crs="EPSG:32634")
        wkt = rasterio.crs.CRS.from_epsg(32634).to_wkt()
        describe(radar, place, labels, projection=wkt)
        return radar, "its CRS is EPSG:32634, that of S2A"
    if what == "overlap":
        x, y = files.corner(60, 60)
        files.radar(radar, (60, 60), rng)
        corners = {"ulx": x, "uly": y, "lrx": x + 1200, "lry": y - 1200}
        describe(radar, place, labels, coordinates=corners)
        return radar, "does not overlap"
    if what == "json corners":
        files.optical(optical, (4, 40), rng)
        return optical, "its JSON says corners"
    if what == "json crs":
        describe(optical, place, labels, projection=rasterio.crs.CRS.from_epsg(32631).to_wkt())
        return optical, "its JSON says CRS"
    if what == "json no crs":
        describe(optical, place, labels, projection="nowhere")
        return optical, "no CRS"
    if what == "vh":
        band = (radar / f"{radar.name}_VV.tif").read_bytes()
        (radar / f"{radar.name}_VH.tif").write_bytes(band)
        return radar, "VH equals VV"
    file = optical / f"{optical.name}_B8A.tif"
    if what == "missing":
        file.unlink()
        return file, "missing, truncated or no image"
    file.write_bytes(file.read_bytes()[:3000])
    return file, "missing, truncated or no image"


@pytest.mark.parametrize(
    "what",
    ["crs", "overlap", "json corners", "json crs", "json no crs", "vh", "missing", "truncated"],
)
def test_bad_files_are_named(written, what):
    file, reason = broken(written, what)
    source = opened(written)
    index = [source.name(item) for item in source._items].index(names(PLACES["a"])[0])
    with pytest.raises(errors.Unreadable) as error:
        source[index]
    assert file.name in str(error.value) and reason in str(error.value)
    assert source[(index + 1) % 3]["labels"].nonzero()[0].tolist() == [16]


def test_a_time_that_the_json_does_not_tell_is_that_of_the_name(written):
    place = PLACES["a"]
    folder = written / OPTICAL / names(place)[0]
    for said in (None, "2017-06-13 9:60:00", 7):
        describe(folder, place, ["Salines"], acquisition_date=said)
        example = by_id(opened(written))[folder.name]
        assert example["time"] == 1_497_348_631


def test_what_cannot_be_opened_says_why(written):
    with pytest.raises(errors.UserError, match="number of classes 20"):
        opened(written, nomenclature=20)
    with pytest.raises(errors.UserError, match="no such folder: .*elsewhere"):
        opened(written, folders=("elsewhere", RADAR))
    with pytest.raises(errors.UserError, match="leaves its root"):
        opened(written, folders=("../..", RADAR))
    with pytest.raises(errors.UserError, match="nothing to read"):
        opened(written, sensors=())
    with pytest.raises(errors.UserError, match="missing or no text"):
        opened(written, lists={"train": written / "none.csv"})
