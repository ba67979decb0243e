"""STAC items of both versions: known sensors, new sensors, grids and offsets, no network."""

import json
import re
import warnings

import numpy as np
import pytest
import rasterio

from smarties import errors
from smarties.data.archives import stac_items
from smarties.spectrum import registry, stac

S1, S2 = "sentinel1-grd", "sentinel2-l2a"


def save(file, pixels, *, gsd=10.0, crs="EPSG:32632", **profile):
    """Writes [H, W, C] as a GeoTIFF whose first pixel begins at (500000, 5000000)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if crs:
        profile |= {"crs": crs, "transform": rasterio.Affine(gsd, 0, 5e5, 0, -gsd, 5e6)}
    height, width, count = pixels.shape
    with rasterio.open(
        file,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=count,
        dtype=pixels.dtype,
        **profile,
    ) as data:
        data.write(np.moveaxis(pixels, -1, 0))


def write_item(root, name="one", **parts):
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "made",
        "bbox": [9, 45, 9.1, 45.1], **parts,
    }  # fmt: skip
    item["properties"] = {"datetime": "2023-06-04T10:00:00Z", **parts.get("properties", {})}
    file = root / "items" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(item))
    return item


def sentinel2(root, name="one", fields=None, size=24, **parts):
    """Writes an item with a file per band in the manner of public catalogues; returns pixels."""
    rng, assets, pixels = np.random.default_rng(0), {}, {}
    for band in registry.sensor(S2).bands:
        k, gsd = max(1, int(band.gsd) // 10), int(band.gsd)
        pixels[band.name] = rng.integers(1100, 5000, (size // k, size // k, 1)).astype(np.uint16)
        save(root / "files" / f"{name}_{band.name}.tif", pixels[band.name], gsd=gsd)
        assets[f"key-{band.name}"] = {
            "href": f"../files/{name}_{band.name}.tif",
            "roles": ["data"],
            "eo:bands": [
                {
                    "name": band.name,
                    "center_wavelength": band.center / 1000,
                    "full_width_half_max": band.fwhm / 1000,
                }
            ],
            **(fields or {}),
        }
    assets["thumb"] = {"href": "https://x.org/t.png", "roles": ["thumbnail"]}
    assets["visual"] = {"href": "v.tif", "roles": ["visual"], "eo:bands": [{"name": "B04"}]}
    return pixels, write_item(root, name, assets=assets, **parts)


@pytest.mark.parametrize(
    ("properties", "fields", "taken"),
    [
        ({"s2:processing_baseline": "05.09"}, {}, 1000),
        ({"s2:processing_baseline": "02.12"}, {}, 0),
        (
            {"s2:processing_baseline": "04.00"},
            {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]},
            1000,
        ),
        ({}, {"raster:bands": [{"scale": 0.0001, "offset": 0}]}, 0),
        (
            {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True},
            {"raster:bands": [{"scale": 0.0001, "offset": 0}]},
            0,
        ),
    ],
)
def test_the_offset_of_a_known_sensor_is_taken_off(tmp_path, properties, fields, taken):
    pixels, _ = sentinel2(tmp_path, properties=properties, fields=fields)
    source = stac_items.StacItems(tmp_path, sensor=S2, tile=12)
    assert len(source) == 4 and source[3]["id"] == "one@12,12"
    image = source[3]["images"][S2]
    assert image.dtype == np.uint16 and source[3]["valid"][S2].all()
    for i, (name, whole) in enumerate(pixels.items()):
        k = 24 // len(whole)
        want = np.kron(whole[..., 0], np.ones((k, k), int))[12:, 12:] - taken
        np.testing.assert_array_equal(image[..., i], want, err_msg=name)
    assert source[3]["time"] == 1_685_872_800 and source[3]["crs"] == "EPSG:32632"


@pytest.mark.parametrize(
    ("properties", "fields", "message"),
    [
        ({}, {}, "does not tell"),
        (
            {"s2:processing_baseline": "05.09"},
            {"raster:bands": [{"scale": 0.0001, "offset": 0}]},
            r"contradicts itself: added \[0, 1000\]",
        ),
        (
            {"earthsearch:boa_offset_applied": True},
            {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]},
            "contradicts itself",
        ),
    ],
)
def test_an_offset_is_never_guessed(tmp_path, properties, fields, message):
    pixels, _ = sentinel2(tmp_path, properties=properties, fields=fields)
    with pytest.raises(errors.UserError, match=message):
        stac_items.StacItems(tmp_path, sensor=S2)
    source = stac_items.StacItems(tmp_path, sensor=S2, baseline=4.0)
    np.testing.assert_array_equal(source[0]["images"][S2][..., 1], pixels["B02"][..., 0] - 1000)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("name", [S2, S1])
def test_a_sensor_comes_back_with_its_pixels(data_root, tmp_path, version, name):
    """Real scenes of all bands in one file, described by the registered sensor."""
    sensor = registry.sensor(name)
    part = "S2L2A" if name == S2 else "S1RTC"
    files = sorted((data_root / "s1s2_terramesh" / part).glob("*.tif"))[:2]
    for file in files:
        (tmp_path / file.name).write_bytes(file.read_bytes())
        asset = {"href": f"../{file.name}", **stac.write(sensor, version)}
        with rasterio.open(file) as data:
            grid = {"proj:shape": [data.height, data.width], "proj:code": data.crs.to_string()}
        write_item(tmp_path, file.stem, assets={"all": {**asset, **grid}})
    source = stac_items.StacItems(tmp_path, tile=112)
    assert source.sensors == ("made",) and len(source) == 8 and not source.omitted
    assert source.definitions["made"].bands == sensor.bands
    known = stac_items.StacItems(tmp_path, sensor=name, tile=112, baseline=3.0)
    for file in files:
        with rasterio.open(file) as data:
            pixels = np.moveaxis(data.read(), 0, -1)
        i = next(i for i in range(8) if source[i]["id"] == f"{file.stem}@112,0")
        np.testing.assert_array_equal(source[i]["images"]["made"], pixels[112:, :112])
        np.testing.assert_array_equal(known[i]["images"][name], pixels[112:, :112])


def test_real_band_files_of_a_patch(data_root, tmp_path):
    patch = next((data_root / "bigearthnet_samples/v2").glob("**/*_B02.tif")).parent
    assets = {}
    for file in patch.glob("*_B*.tif"):
        band = file.stem.rpartition("_")[2]
        (tmp_path / file.name).write_bytes(file.read_bytes())
        assets[band] = {"href": f"../{file.name}", "eo:bands": [{"name": band}]}
    write_item(tmp_path, assets=assets, properties={"s2:processing_baseline": "02.06"})
    example = stac_items.StacItems(tmp_path, sensor=S2)[0]
    for i, band in enumerate(registry.sensor(S2).names):
        with rasterio.open(next(patch.glob(f"*_{band}.tif"))) as data:
            pixels = data.read(1)
        k = 120 // len(pixels)
        want = np.kron(pixels, np.ones((k, k), int))
        np.testing.assert_array_equal(example["images"][S2][..., i], want, err_msg=band)
    assert np.isfinite(example["location"]).all()


def test_a_new_sensor_borrows_statistics(tmp_path):
    fields = {"raster:bands": [{"scale": 1e-4, "offset": -0.1, "data_type": "uint16", "nodata": 0}]}
    said = {"s2:processing_baseline": "05.09"}
    pixels, _ = sentinel2(tmp_path, fields=fields, properties=said)
    with pytest.raises(errors.UserError, match="has no clip, mean, std"):
        stac_items.StacItems(tmp_path)
    source = stac_items.StacItems(tmp_path, statistics=S2)
    made, known = source.definitions["made"], registry.sensor(S2)
    assert made.names == known.names
    for band, other in zip(made.bands, known.bands, strict=True):
        assert band.offset == -0.1 and band.center == pytest.approx(other.center)
        np.testing.assert_allclose(band.clip, np.add(other.clip, 1000), rtol=1e-6)
    image = source[0]["images"]["made"]
    np.testing.assert_array_equal(image[..., 1], pixels["B02"][..., 0])  # as it is stored
    chosen = stac_items.StacItems(tmp_path, statistics=S2, assets=["key-B08", "key-B04"])
    assert chosen.definitions["made"].names == ("B08", "B04")
    np.testing.assert_array_equal(chosen[0]["images"]["made"][..., 1], pixels["B04"][..., 0])
    del fields["raster:bands"][0]["offset"]
    sentinel2(tmp_path, fields=fields, properties=said)
    with pytest.raises(errors.UserError, match="have 1000 added, but made takes 0 off"):
        stac_items.StacItems(tmp_path, statistics=S2)


def radar_item(root, pixels, unit=None, **parts):
    raster = {"data_type": "float32", "nodata": -32768} | ({"unit": unit} if unit else {})
    assets = {}
    for i, key in enumerate(("vh", "vv")):  # the other order than the properties'
        save(root / "files" / f"{key}.tif", pixels[..., i : i + 1])
        assets[key] = {"href": f"../files/{key}.tif", "roles": ["data"], "raster:bands": [raster]}
    sar = {"sar:polarizations": ["VV", "VH"], "sar:center_frequency": 5.405}
    write_item(root, assets=assets, properties=sar, **parts)


def test_radar_is_known_by_polarisation_and_linear_power_only_when_told(tmp_path):
    power = np.random.default_rng(0).uniform(0.01, 0.3, (16, 16, 2)).astype(np.float32)
    power[2, 3, 0] = -32768
    power[4, 5] = 0
    radar_item(tmp_path, power)
    with pytest.raises(errors.UserError, match="band vh: neither unit nor scale is told"):
        stac_items.StacItems(tmp_path)
    source = stac_items.StacItems(tmp_path, sensor="s1-rtc")
    with pytest.raises(errors.Unreadable, match="look like linear power"):
        source[0]
    example = stac_items.StacItems(tmp_path, sensor="s1-rtc", linear=True)[0]
    valid, image = example["valid"]["s1-rtc"], example["images"]["s1-rtc"]
    assert np.argwhere(~valid).tolist() == [[2, 3], [4, 5]] and image.dtype == np.float32
    np.testing.assert_allclose(image[valid], 10 * np.log10(power[valid][:, ::-1]), rtol=1e-5)
    radar_item(tmp_path, 10 * np.log10(np.maximum(power, 1e-3)), unit="dB")
    made = stac_items.StacItems(tmp_path, statistics=S1).definitions["made"]
    assert [(b.name, b.polarization, b.frequency, b.unit) for b in made.bands] == [
        ("vh", "VH", 5.405, "dB"),
        ("vv", "VV", 5.405, "dB"),
    ]


def test_the_item_gives_the_grid_of_files_without_one_and_must_agree(tmp_path):
    pixels = np.full((16, 20, 2), -12, np.float32)
    grid = {"proj:shape": [16, 20], "proj:transform": [10, 0, 5e5, 0, -10, 5e6, 0, 0, 1]}

    def write(crs, **proj):
        save(tmp_path / "r.tif", pixels, crs=crs)
        asset = {"href": "../r.tif", **stac.write(registry.sensor(S1)), **proj}
        write_item(tmp_path, assets={"r": asset})
        return stac_items.StacItems(tmp_path, tile=10)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(tmp_path / "r.tif", pixels, crs=None)
    asset = {"href": "../r.tif", **stac.write(registry.sensor(S1))}
    write_item(tmp_path, assets={"r": {**asset, **grid, "proj:epsg": 32632}})
    example = stac_items.StacItems(tmp_path, tile=10)[1]
    assert example["crs"] == "EPSG:32632" and example["transform"][2] == 500_100
    write_item(tmp_path, assets={"r": asset})
    np.testing.assert_allclose(stac_items.StacItems(tmp_path)[0]["location"], (9.05, 45.05))
    assert write("EPSG:32632", **grid, **{"proj:code": "EPSG:32632"})[0]["valid"][
        S1 and "made"
    ].all()
    with pytest.raises(errors.UserError, match="r.tif: EPSG:32632, but the item says EPSG:32633"):
        write("EPSG:32632", **grid, **{"proj:code": "EPSG:32633"})
    with pytest.raises(errors.UserError, match="r.tif: unknown CRS 'EPSG:9'"):
        write("EPSG:32632", **grid, **{"proj:epsg": 9})
    with pytest.raises(errors.UserError, match=r"r.tif: \(16, 20\) pixels, but .* \(20, 16\)"):
        write("EPSG:32632", **{"proj:shape": [20, 16]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"href": "https://x.org/a.tif"}, "https://x.org/a.tif is not on this disk: download it"),
        ({"href": "s3://bucket/a.tif"}, "is not on this disk"),
        ({"href": "/vsicurl/https://x.org/a.tif"}, "leaves its root"),
        ({"href": "../../a.tif"}, "leaves its root"),
        ({"href": "none.tif"}, "none.tif: missing, truncated or no image"),
        ({"eo:bands": [{"name": "X"}]}, "band B02 of sentinel2-l2a has no asset"),
        ({"eo:bands": [{"name": "B03"}]}, r"band B03 .* several assets \(key-B03, a\)"),
        ({"eo:bands": 3}, "asset a is malformed"),
        ({"raster:bands": [{"scale": 0.001, "offset": 0}]}, "has scale 0.001, but 0.0001"),
    ],
)
def test_bad_items_are_omitted_and_named(tmp_path, change, message):
    said = {"s2:processing_baseline": "02.12"}
    _, item = sentinel2(tmp_path / "root", properties=said)
    sentinel2(tmp_path / "root", "two", properties=said)
    item["assets"]["a"] = {**item["assets"]["key-B02"], **change}
    if "several" not in message:
        del item["assets"]["key-B02"]
    write_item(tmp_path / "root", **{k: item[k] for k in ("assets", "properties")})
    source = stac_items.StacItems(tmp_path / "root", sensor=S2, tile=24)
    assert [source[i]["id"] for i in range(len(source))] == ["two@0,0"]
    (omission,) = source.omitted
    assert re.search(message, omission.reason) and "\n" not in omission.reason


def test_lists_collections_and_broken_files(tmp_path):
    said = {"s2:processing_baseline": "02.12"}
    items = [sentinel2(tmp_path, name, properties=said)[1] for name in ("b", "a", "c")]
    (tmp_path / "items" / "all.json").write_text(
        json.dumps({"type": "FeatureCollection", "features": items})
    )
    (tmp_path / "items" / "collection.json").write_text(json.dumps({"type": "Collection"}))
    (tmp_path / "items" / "broken.json").write_text('{"type": "Feat')
    source = stac_items.StacItems(tmp_path, sensor=S2)
    assert [source[i]["id"] for i in range(len(source))] == ["a", "b", "c"]
    reasons = sorted(o.reason.split(" (")[0] for o in source.omitted)
    assert reasons == ["missing, truncated or no JSON", *["the id appears twice"] * 3]
    source = stac_items.StacItems(tmp_path, sensor=S2, items=["items/c.json", "items/b.json"])
    assert [source[i]["id"] for i in range(len(source))] == ["c", "b"]
    for items in (["../x.json"], "../*.json"):
        with pytest.raises(errors.UserError, match="leaves its root"):
            stac_items.StacItems(tmp_path, sensor=S2, items=items)
    with pytest.raises(errors.UserError, match="no example of StacItems"):
        stac_items.StacItems(tmp_path / "files")


def test_items_of_other_bands_are_no_examples_of_a_new_sensor(tmp_path):
    for name, width in (("a", 0.03), ("b", 0.05)):
        save(tmp_path / f"{name}.tif", np.full((8, 8, 1), 900, np.uint16))
        band = {"name": "red", "eo:center_wavelength": 0.66, "eo:full_width_half_max": width}
        shared = {"raster:scale": 1e-4, "data_type": "uint16"}
        asset = {"href": f"../{name}.tif", "bands": [band], **shared}
        write_item(tmp_path, name, assets={"red": asset})
    source = stac_items.StacItems(tmp_path, statistics=S2)
    assert len(source) == 1 and source.definitions["made"].bands[0].scale == 1e-4
    assert "describes other bands than the first item (red)" in source.omitted[0].reason


def test_chosen_assets_are_taken_in_order_unless_their_names_say_another(tmp_path):
    said = {"s2:processing_baseline": "02.12"}
    pixels, item = sentinel2(tmp_path, properties=said)
    for i, key in enumerate(list(item["assets"])[:12]):
        item["assets"][f"x{i}"] = {**item["assets"].pop(key), "eo:bands": [{"name": f"x{i}"}]}
    write_item(tmp_path, assets=item["assets"], properties=said)
    keys = [f"x{i}" for i in range(12)]
    image = stac_items.StacItems(tmp_path, sensor=S2, assets=keys)[0]["images"][S2]
    np.testing.assert_array_equal(image[..., 7], pixels["B08"][..., 0])
    for i in (2, 3):
        item["assets"][f"x{i}"]["eo:bands"][0]["name"] = f"B0{6 - i}"
    write_item(tmp_path, assets=item["assets"], properties=said)
    with pytest.raises(errors.UserError, match="asset x2 is band b4, not b3 of sentinel2-l2a"):
        stac_items.StacItems(tmp_path, sensor=S2, assets=keys)
