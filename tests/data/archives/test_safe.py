"""Sentinel-2 products: tiles, offsets of the baselines, and a real tile as JPEG 2000."""

import json

import numpy as np
import pytest
import rasterio

from smarties import errors
from smarties.data.archives import s2_tiles, safe
from smarties.spectrum import registry

L1C, L2A = "sentinel2-l1c", "sentinel2-l2a"
PRODUCT = "S2A_MSI{level}_20220604T054641_N{baseline}_R048_T43RDP_20220604T085302.SAFE"
STEM = "T43RDP_20220604T054641"


def save(file, pixels, gsd=10.0, **profile):
    """Writes [H, W] as lossless JPEG 2000 whose first pixel begins at (500000, 3400000)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        file,
        "w",
        driver="JP2OpenJPEG",
        height=pixels.shape[0],
        width=pixels.shape[1],
        count=1,
        dtype=pixels.dtype,
        quality="100",
        reversible="yes",
        **{
            "crs": "EPSG:32643",
            "transform": rasterio.Affine(gsd, 0, 500_000, 0, -gsd, 3_400_000),
        }
        | profile,
    ) as data:
        data.write(pixels, 1)


def metadata(baseline="04.00", offset="-1000", key="BOA_ADD_OFFSET", head=""):
    offsets = f'<{key} band_id="0">{offset}</{key}><{key} band_id="1">{offset}</{key}>'
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<n1:Level xmlns:n1="https://psd-14"><P>'
        f"<PRODUCT_START_TIME>2022-06-04T05:46:41.024Z</PRODUCT_START_TIME>"
        f"<PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>"
        f"{offsets if offset else ''}</P></n1:Level>"
    )


def write(root, level="L2A", baseline="0400", size=120, product=PRODUCT, xml=None):
    """Writes a product; returns its folder and the pixels by band."""
    product = root / product.format(level=level, baseline=baseline)
    inner = product / "GRANULE" / f"{level}_T43RDP_A036304_20220604T055210" / "IMG_DATA"
    rng, pixels = np.random.default_rng(0), {}
    for band in registry.sensor(L1C if level == "L1C" else L2A).bands:
        k, gsd = int(band.gsd) // 10, int(band.gsd)
        pixels[band.name] = rng.integers(900, 4000, (size // k, size // k)).astype(np.uint16)
        if level == "L1C":
            save(inner / f"{STEM}_{band.name}.jp2", pixels[band.name], gsd)
        else:
            save(inner / f"R{gsd}m" / f"{STEM}_{band.name}_{gsd}m.jp2", pixels[band.name], gsd)
            if gsd < 60:  # as in real products, bands come in the coarser folders too
                save(inner / "R60m" / f"{STEM}_{band.name}_60m.jp2", pixels["B01"] * 0 + 1, 60)
    save(inner / "R10m" / f"{STEM}_TCI_10m.jp2", pixels["B02"])
    if xml:
        (product / f"MTD_MSI{level}.xml").write_text(xml)
    return product, pixels


@pytest.mark.parametrize(("level", "baseline"), [("L2A", "0400"), ("L2A", "0301"), ("L1C", "0510")])
def test_tiles_of_a_product(tmp_path, level, baseline):
    product, pixels = write(tmp_path / "any" / "depth", level, baseline)
    source = safe.Safe(tmp_path, level=level, tile=72)
    assert len(source) == 4 and not source.omitted
    (sensor,) = source.sensors
    example = source[1]
    assert example["id"] == f"{product.stem}@0,72"
    image, valid = example["images"][sensor], example["valid"][sensor]
    assert image.dtype == np.uint16 and image.shape == (72, 72, len(pixels))
    assert valid[:, :48].all() and not valid[:, 48:].any()
    for i, (band, whole) in enumerate(pixels.items()):
        k = 120 // whole.shape[0]
        raw = np.kron(whole, np.ones((k, k), np.int64))[:72, 72:].astype(int)
        want = np.maximum(raw - 1000, 0) if baseline >= "0400" else raw
        np.testing.assert_array_equal(image[:, :48, i], want, err_msg=band)
    assert example["transform"].tolist() == [10, 0, 500_720, 0, -10, 3_400_000]
    assert example["crs"] == "EPSG:32643"
    assert example["time"] == 1_654_321_601  # 2022-06-04 05:46:41 UTC
    assert len(safe.Safe(product, level=level, tile=120)) == 1


def test_tiles_that_split_coarse_pixels_repeat_them(tmp_path):
    _, pixels = write(tmp_path, baseline="0301")
    whole = np.zeros((120, 120, 12), int)
    source = safe.Safe(tmp_path, tile=50)
    for i in range(len(source)):
        row, column = map(int, source[i]["id"].split("@")[1].split(","))
        part = source[i]["images"][L2A]
        room = whole[row : row + 50, column : column + 50]
        room[:] = part[: room.shape[0], : room.shape[1]]
    np.testing.assert_array_equal(whole[..., 0], np.kron(pixels["B01"], np.ones((6, 6))))
    np.testing.assert_array_equal(whole[..., 4], np.kron(pixels["B05"], np.ones((2, 2))))


def test_nothing_measured_and_saturated_are_not_valid(tmp_path):
    product, pixels = write(tmp_path)
    band = pixels["B02"].copy()
    band[3, 4], band[5, 6], band[7, 8] = 0, 65_535, 400
    save(next(product.glob("**/*_B02_10m.jp2")), band)
    example = safe.Safe(tmp_path, tile=120)[0]
    assert np.argwhere(~example["valid"][L2A]).tolist() == [[3, 4], [5, 6]]
    assert not example["images"][L2A][[3, 5], [4, 6]].any()
    assert example["images"][L2A][7, 8, 1] == 0  # darker than dark stays a measurement


def test_the_offset_is_told_by_the_metadata_of_products_made_by_users(tmp_path):
    for name, offset, taken in (("with", "-1000", 1000), ("without", "0", 0)):
        root = tmp_path / name
        _, pixels = write(root, baseline="9999", xml=metadata("99.99", offset))
        image = safe.Safe(root, tile=120)[0]["images"][L2A]
        want = np.maximum(pixels["B02"].astype(int) - taken, 0)
        np.testing.assert_array_equal(image[..., 1], want)
    root = tmp_path / "silent"
    write(root, baseline="9999", xml=metadata("99.99", ""))
    with pytest.raises(errors.UserError, match="does not name its processing baseline: give"):
        safe.Safe(root)
    assert safe.Safe(root, baseline=3.0, tile=120)[0]["images"][L2A].max() > 3000


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (metadata("02.14"), "name says baseline 04.00, its metadata 02.14"),
        (metadata(offset="0"), "baseline 04.00 adds 1000, but its metadata say 0"),
        (metadata(offset="much"), "give the offset"),
        (metadata(head='<!DOCTYPE x [<!ENTITY a "b">]>'), "has a document type"),
        (metadata()[:200], "MTD_MSIL2A.xml: truncated or no XML"),
        (metadata().replace("2022-06-04T05", "June"), "is no ISO 8601 time"),
    ],
)
def test_contradictory_metadata_are_named(tmp_path, xml, message):
    write(tmp_path / "bad", xml=xml)
    good = PRODUCT.replace("T43RDP", "T43RDQ")
    write(tmp_path / "good", xml=metadata(), product=good)
    source = safe.Safe(tmp_path, tile=120)
    assert len(source) == 1 and "T43RDQ" in source[0]["id"]
    (omission,) = source.omitted
    assert "T43RDP" in omission.file
    assert message in omission.reason


def test_missing_broken_and_repeated_files(tmp_path):
    product, _ = write(tmp_path / "a")
    with pytest.raises(errors.UserError, match="no example of Safe"):
        safe.Safe(tmp_path, level="L1C")
    with pytest.raises(errors.UserError, match="unknown level 'L2': did you mean 'L2A'"):
        safe.Safe(tmp_path, level="L2")
    source = safe.Safe(tmp_path, tile=120)
    file = next(product.glob("**/*_B03_10m.jp2"))
    whole = file.read_bytes()
    file.write_bytes(whole[:150])
    with pytest.raises(errors.Unreadable, match=f"{file.name}: missing, truncated"):
        source[0]
    file.write_bytes(whole)
    save(file, np.ones((120, 120), np.uint16), crs="EPSG:32644")
    with pytest.raises(errors.UserError, match="B03_10m.jp2: EPSG:32644, but"):
        safe.Safe(tmp_path, tile=120)
    file.write_bytes(whole)
    write(tmp_path / "b")
    source = safe.Safe(tmp_path, tile=120)
    assert len(source) == 1 and source.omitted[0].reason == "the id appears twice"
    for coarse in product.glob("**/*_B03_*.jp2"):
        coarse.unlink()
    other = tmp_path / "b" / product.name
    next(other.glob("**/*_B01_60m.jp2")).unlink()
    with pytest.raises(errors.UserError, match="no file of band B0[13] in IMG_DATA"):
        safe.Safe(tmp_path)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_real_tile_on_s3(data_root):
    """Only B01, B09 and B10 are georeferenced; the values are those of the files."""
    root = data_root / "s2_jp2_l1c"
    with pytest.raises(errors.UserError, match="does not name its processing baseline"):
        s2_tiles.S2Tiles(root, preview=True)
    source = s2_tiles.S2Tiles(root, preview=True, baseline=2.05, tile=256)
    assert len(source) == 9 and not source.omitted
    ids = [source[i]["id"] for i in range(9)]
    assert ids[4] == "19/U/DP/2017/7/29/0@256,256"
    whole = np.zeros((768, 768, 13), np.uint16)
    valid = np.zeros((768, 768), bool)
    for i, name in enumerate(ids):
        row, column = map(int, name.split("@")[1].split(","))
        example = source[i]
        assert example["crs"] == "EPSG:32619" and example["time"] == 1_501_286_400
        scale = (509_760 - 399_960) / 687
        np.testing.assert_allclose(example["transform"][2], 399_960 + column * scale, atol=1)
        whole[row : row + 256, column : column + 256] = example["images"][L1C]
        valid[row : row + 256, column : column + 256] = example["valid"][L1C]
    folder = root / "tiles/19/U/DP/2017/7/29/0/preview"
    pixels = []
    for name in registry.sensor(L1C).names:
        with rasterio.open(folder / f"{name}.jp2") as data:
            pixels.append(data.read(1))
    pixels = np.stack(pixels, -1)
    seen = (pixels > 0).all(-1)
    np.testing.assert_array_equal(valid[:687, :687], seen)
    assert not valid[687:].any() and 0.5 < seen.mean() < 0.8
    np.testing.assert_array_equal(whole[:687, :687], np.where(seen[..., None], pixels, 0))


def test_the_product_of_a_tile_on_s3_tells_its_baseline(tmp_path):
    place = tmp_path / "tiles/43/R/DP/2022/6/4/0"
    for name in registry.sensor(L1C).names:
        save(place / f"{name}.jp2", np.full((12, 12), 1500, np.uint16))
        save(place / f"preview/{name}.jp2", np.full((6, 6), 1500, np.uint16))
    product = PRODUCT.format(level="L1C", baseline="0400").removesuffix(".SAFE")
    info = {"timestamp": "2022-06-04T05:52:10.000Z", "productName": product}
    (place / "tileInfo.json").write_text(json.dumps(info))
    example = s2_tiles.S2Tiles(tmp_path, tile=12)[0]
    assert (example["images"][L1C] == 500).all() and example["time"] == 1_654_321_930
    assert s2_tiles.S2Tiles(tmp_path, tile=6, preview=True)[0]["valid"][L1C].all()
    with pytest.raises(errors.UserError, match="no file of band B07"):
        (place / "B07.jp2").unlink()
        s2_tiles.S2Tiles(tmp_path)
