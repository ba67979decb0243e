"""The 43 and the 19 classes: the table, its exceptions, and the labels of real patches."""

import glob
import json

import numpy as np
import pytest

from smarties import errors
from smarties.data.archives import nomenclature

# Written out apart from the module: how many codes each class has, in the official order.
SIZES = (2, 1, 3, 4, 1, 1, 1, 1, 1, 1, 1, 2, 2, 1, 1, 2, 2, 2, 3)
DROPPED = {122, 123, 124, 131, 132, 133, 141, 142, 332, 334, 335, 423, 999}


def test_45_codes_of_which_32_have_a_class():
    codes = np.array(list(nomenclature.NAMES))
    index = nomenclature.index_19(codes)
    assert len(codes) == 45 and len(nomenclature.CLASSES_43) == 43
    assert set(codes[index == nomenclature.UNLABELLED]) == DROPPED
    assert tuple(np.bincount(index[index < 19])) == SIZES and sum(SIZES) == 32
    assert np.all(np.diff(codes) > 0)
    assert nomenclature.CLASSES_19[0] == "Urban fabric"
    assert nomenclature.CLASSES_19[18] == "Marine waters"
    assert nomenclature.CLASSES_19 != tuple(sorted(nomenclature.CLASSES_19))
    assert nomenclature.CLASSES_43[0] == "Continuous urban fabric"
    assert nomenclature.CLASSES_43[42] == "Sea and ocean"


def test_names_to_19():
    present = nomenclature.labels_19(["Salines", "Airports", "Vineyards", "Olive groves"])
    assert [nomenclature.CLASSES_19[i] for i in np.flatnonzero(present)] == [
        "Permanent crops",
        "Coastal wetlands",
    ]
    assert nomenclature.labels_19(["Airports", "Intertidal flats"]).sum() == 0
    assert nomenclature.labels_43(["Airports", "Salines"]).sum() == 2
    for spelt in ("Transitional woodland/shrub", "Transitional woodland, shrub"):
        assert np.flatnonzero(nomenclature.labels_19([spelt])) == [13]
        assert nomenclature.code(spelt) == 324
    with pytest.raises(errors.UserError, match="did you mean 'Salines'"):
        nomenclature.labels_19(["Saline"])
    with pytest.raises(errors.UserError, match="unknown label"):
        nomenclature.code("Glaciers and perpetual snow")  # not among the 43 of v1


def test_a_quarter_unlabelled_is_too_much():
    codes = np.full((100, 100), 312)
    codes[:, :24] = 999
    codes[:90, 24] = 122  # 24.9 %: roads have no class either
    assert np.flatnonzero(nomenclature.map_labels(codes)) == [9]
    codes[90:, 24] = 999
    assert nomenclature.map_labels(codes) is None
    for wrong in (0, 100, 336, 1000, 65535):
        with pytest.raises(errors.Unreadable, match=f"m.tif: {wrong} is no CORINE"):
            nomenclature.index_19(np.full((2, 2), wrong, np.uint16), "m.tif")


def test_labels_of_real_v1_patches_are_those_of_v2(data_root):
    """v2 took labels from a newer CORINE; of these eleven it says what v1 said."""
    parquet = pytest.importorskip("pyarrow.parquet")
    compute = pytest.importorskip("pyarrow.compute")
    root = data_root / "bigearthnet_samples"
    tables = [
        parquet.read_table(root / "v2" / f, columns=["s2v1_name", "labels"])
        for f in ("metadata.parquet", "metadata_for_patches_with_snow_cloud_or_shadow.parquet")
    ]
    files = glob.glob(str(root / "v1/BigEarthNet-v1.0/*/*.json"))
    same = 0
    for file in files:
        with open(file) as text:
            labels = nomenclature.labels_19(json.load(text)["labels"])
        name = file.split("/")[-2]
        for table in tables:
            rows = table.filter(compute.equal(table["s2v1_name"], name))
            for row in rows["labels"].to_pylist():
                now = {nomenclature.CLASSES_19[i] for i in np.flatnonzero(labels)}
                assert now == set(row), file
                same += 1
    assert len(files) == same == 11
