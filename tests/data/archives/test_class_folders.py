"""Folders of one class each: labels, sizes, lists, and files that are broken."""

import importlib
import pickle

import numpy as np
import PIL.Image
import pytest
import rasterio

from smarties import errors
from smarties.data import archives
from smarties.data.archives import class_folders
from smarties.spectrum import registry

KINDS = [
    (class_folders.EuroSat, 10, "eurosat_ms"),
    (class_folders.EuroSatRgb, 10, "eurosat_rgb"),
    (class_folders.UcMerced, 21, "uc"),
    (class_folders.Resisc45, 45, "resisc"),
    (class_folders.WhuRs19, 19, "whu"),
]


def picture(file, shape, seed=0):
    """Writes and returns a picture that survives compression nearly unchanged."""
    file.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.add.outer(np.arange(shape[0]), np.arange(shape[1]))[..., None]
    pixels = (ramp * [1, 2, 3] // 8 + seed * 10).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(file, quality=100, subsampling=0)
    return pixels


@pytest.fixture
def merced(tmp_path):
    base = tmp_path / "UCMerced_LandUse" / "Images"
    shapes = {"beach/beach00": (256, 256), "beach/beach01": (250, 256), "river/river00": (260, 257)}
    return tmp_path, {
        name: picture(base / f"{name}.tif", shape, i)
        for i, (name, shape) in enumerate(shapes.items())
    }


@pytest.mark.parametrize(("kind", "count", "_"), KINDS)
def test_classes_are_those_published_in_sorted_order(kind, count, _):
    assert len(set(kind.CLASSES)) == count and list(kind.CLASSES) == sorted(kind.CLASSES)
    registered = [getattr(importlib.import_module(m), c) for m, c in archives.ARCHIVES.values()]
    assert kind in registered
    assert kind.SENSOR in kind.CARD.units
    registry.sensor(kind.SENSOR)


@pytest.mark.parametrize("kind", [class_folders.Resisc45, class_folders.WhuRs19])
def test_pictures_of_every_class_get_its_index(kind, tmp_path):
    for i, name in enumerate(kind.CLASSES):
        picture(tmp_path / name / f"{name}_1.jpg", (kind.SIZE, kind.SIZE), i % 8)
    source = kind(tmp_path)
    assert source.classes == kind.CLASSES and not source.omitted
    for i in (0, 5, len(source) - 1):
        example = source[i]
        assert example["labels"] == i and example["id"] == f"{kind.CLASSES[i]}/{kind.CLASSES[i]}_1"
        image = example["images"][kind.SENSOR]
        assert image.shape == (kind.SIZE, kind.SIZE, 3) and image.dtype == np.uint8
        assert example["valid"][kind.SENSOR].all() and np.isnan(example["location"]).all()


def test_other_sizes_are_cropped_or_padded_about_the_centre(merced):
    root, written = merced
    source = class_folders.UcMerced(root)
    same, small, large = (source[i] for i in range(3))
    np.testing.assert_array_equal(same["images"]["uc-merced"], written["beach/beach00"])
    assert same["valid"]["uc-merced"].all()
    np.testing.assert_array_equal(small["images"]["uc-merced"][3:253], written["beach/beach01"])
    expected = np.zeros((256, 256), bool)
    expected[3:253] = True
    np.testing.assert_array_equal(small["valid"]["uc-merced"], expected)
    assert not small["images"]["uc-merced"][~expected].any()
    np.testing.assert_array_equal(
        large["images"]["uc-merced"], written["river/river00"][2:258, :256]
    )
    assert [e["labels"] for e in (same, small, large)] == [3, 3, 16]
    missing = [omission.file for omission in source.omitted]
    assert len(missing) == 19 and missing[0].endswith("Images/agricultural")


def test_lists_make_splits_and_say_what_is_missing(merced, tmp_path):
    root, _ = merced
    (root / "train.txt").write_text("beach/beach00.png\nriver00\n\nbeach/beach07.tif\n")
    (tmp_path / "other.txt").write_text("beach01.tif\nriver/river00.tif\n")
    lists = {"train": "train.txt", "test": str(tmp_path / "other.txt")}
    source = class_folders.UcMerced(root, lists=lists)
    assert [source[i]["id"] for i in source.splits["train"]] == ["beach/beach00", "river/river00"]
    assert [source[i]["id"] for i in source.splits["test"]] == ["beach/beach01"]
    said = {o.file: o.reason for o in source.omitted if "river00" in o.file or "07" in o.file}
    assert said["river/river00"] == "the id appears twice, in train and test"
    assert "train.txt lists it, but it is not there" in said["beach/beach07.tif"]
    assert source.identity() != class_folders.UcMerced(root).identity()
    copy = pickle.loads(pickle.dumps(source))
    assert copy.identity() == source.identity() and copy[1]["id"] == source[1]["id"]


@pytest.mark.parametrize("line", ["../../secret.tif", "/etc/passwd"])
def test_lists_that_leave_the_root_are_refused(merced, line):
    root, _ = merced
    (root / "train.txt").write_text(f"{line}\n")
    with pytest.raises(errors.UserError, match="leaves its root"):
        class_folders.UcMerced(root, lists={"train": "train.txt"})
    with pytest.raises(errors.UserError, match="val.txt: missing, or no text"):
        class_folders.UcMerced(root, lists={"val": "val.txt"})


def test_links_that_leave_the_root_are_refused(merced, tmp_path_factory):
    root, _ = merced
    other = tmp_path_factory.mktemp("other") / "x.tif"
    picture(other, (256, 256))
    (root / "UCMerced_LandUse/Images/beach/beach02.tif").symlink_to(other)
    with pytest.raises(errors.UserError, match="beach02.tif: leaves its root"):
        class_folders.UcMerced(root)[2]


def test_bad_files_are_named(merced):
    root, _ = merced
    base = root / "UCMerced_LandUse" / "Images"
    file = base / "beach" / "beach00.tif"
    whole = file.read_bytes()
    source = class_folders.UcMerced(root)
    for content in (whole[: len(whole) // 2], b"no image"):
        file.write_bytes(content)
        with pytest.raises(errors.Unreadable, match="beach00.tif: missing, truncated"):
            source[0]
    PIL.Image.new("L", (256, 256)).save(file)
    with pytest.raises(errors.Unreadable, match="beach00.tif: uint8 of 256x256 is no picture"):
        source[0]
    file.unlink()
    with pytest.raises(errors.Unreadable, match="beach00.tif: missing"):
        source[0]
    picture(base / "beech" / "beech00.tif", (256, 256))
    said = [o for o in class_folders.UcMerced(root).omitted if o.file.endswith("beech")]
    assert "did you mean 'beach'?" in said[0].reason
    for empty in (root, root / "none"):
        with pytest.raises(errors.UserError, match="no example of Resisc45"):
            class_folders.Resisc45(empty)


def test_eurosat_with_nodata_truncation_and_other_units(tmp_path):
    rng = np.random.default_rng(0)
    file = tmp_path / "EuroSAT_MS" / "River" / "River_1.tif"
    file.parent.mkdir(parents=True)
    pixels = rng.integers(100, 3000, (13, 64, 64)).astype(np.uint16)

    def save(pixels):
        profile = dict(driver="GTiff", width=64, height=64, count=len(pixels), dtype=pixels.dtype)
        transform = rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)
        with rasterio.open(file, "w", crs="EPSG:32632", transform=transform, **profile) as data:
            data.write(pixels)

    pixels[:, 3, 4] = 0
    save(pixels)
    example = class_folders.EuroSat(tmp_path)[0]
    assert list(map(tuple, np.argwhere(~example["valid"]["eurosat"]))) == [(3, 4)]
    assert example["labels"] == 8 and example["crs"] == "EPSG:32632"
    np.testing.assert_allclose(example["location"], (9.0, 45.15), atol=0.02)
    np.testing.assert_array_equal(example["images"]["eurosat"], np.moveaxis(pixels, 0, -1))
    for bad, message in (
        (pixels[:12], "River_1.tif: 12 bands, but eurosat has 13"),
        ((pixels / 1e4).astype(np.float32), "River_1: .* look like reflectance in 0..1"),
    ):
        save(bad)
        with pytest.raises(errors.Unreadable, match=message):
            class_folders.EuroSat(tmp_path)[0]
    save(pixels)
    file.write_bytes(file.read_bytes()[:20_000])
    with pytest.raises(errors.Unreadable, match="River_1.tif: missing, truncated"):
        class_folders.EuroSat(tmp_path)[0]


def test_real_eurosat(data_root):
    root = data_root / "eurosat_samples"
    source, rgb = class_folders.EuroSat(root), class_folders.EuroSatRgb(root)
    assert len(source) == len(rgb) == 3
    for i, (label, name) in enumerate(
        ((0, "AnnualCrop_1"), (5, "Pasture_300"), (9, "SeaLake_3000"))
    ):
        example, shot = source[i], rgb[i]
        folder = name.partition("_")[0]
        assert example["id"] == shot["id"] == f"{folder}/{name}"
        assert example["labels"] == shot["labels"] == label
        with rasterio.open(root / "EuroSAT_MS" / folder / f"{name}.tif") as data:
            np.testing.assert_array_equal(
                np.moveaxis(example["images"]["eurosat"], -1, 0), data.read()
            )
            west, north = data.xy(0, 0)
        assert example["images"]["eurosat"].dtype == np.uint16
        assert example["transform"][2] == pytest.approx(west, abs=10)
        jpeg = PIL.Image.open(root / "EuroSAT_RGB" / folder / f"{name}.jpg")
        np.testing.assert_array_equal(shot["images"]["rgb"], np.asarray(jpeg))
        if folder == "SeaLake":  # nothing to see in it
            continue
        # The picture is of the same bands: red, green, blue lie at 3, 2, 1 of the thirteen.
        for band, channel in ((3, 0), (2, 1), (1, 2)):
            both = example["images"]["eurosat"][..., band], shot["images"]["rgb"][..., channel]
            assert np.corrcoef(*(x.ravel().astype(float) for x in both))[0, 1] > 0.7


def test_real_uc_merced(data_root):
    root = data_root / "rgb_ucmerced"
    source = class_folders.UcMerced(root)
    assert len(source) == 210 and not source.omitted
    labels, other = [], 0
    for i in range(len(source)):
        example = source[i]
        labels.append(int(example["labels"]))
        image, valid = example["images"]["uc-merced"], example["valid"]["uc-merced"]
        assert image.shape == (256, 256, 3)
        file = root / "UCMerced_LandUse" / "Images" / f"{example['id']}.tif"
        pixels = np.asarray(PIL.Image.open(file))
        if pixels.shape == image.shape:
            np.testing.assert_array_equal(image, pixels)
        else:
            other += 1
            assert valid.sum() == min(pixels.shape[0], 256) * min(pixels.shape[1], 256)
    assert other == 5 and labels == sorted(labels) and np.bincount(labels).tolist() == [10] * 21
