"""Zarr cubes of both formats: real months put together again, coordinates, blanks, bad input."""

import json
import pickle
import re
import shutil
import warnings

import numpy as np
import pytest

from smarties import errors
from smarties.data.archives import zarr_cube
from smarties.spectrum import registry

zarr = pytest.importorskip("zarr")

NAMES = ("B02", "B03", "B04")
SENSOR = registry.sensor("sentinel2-l2a").select(NAMES)


def write(path, pixels, *, version=3, dims=("time", "band", "y", "x"), names=NAMES, **attributes):
    """Writes a cube of 10 m in EPSG:32631 with coordinates, days since 2020-11-01."""
    coordinates = {
        "time": np.arange(pixels.shape[0]) * 30,
        "band": np.array(names),
        "y": 5_000_005 - 10.0 * np.arange(pixels.shape[-2]),
        "x": 600_005 + 10.0 * np.arange(pixels.shape[-1]),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        group = zarr.open_group(path, mode="w", zarr_format=version)
        group.attrs["crs"] = "EPSG:32631"

        def create(name, values, own):
            named = {"dimension_names": own} if version == 3 else {}
            chunks = tuple(min(8, n) for n in values.shape)
            array = group.create_array(name, data=values, chunks=chunks, **named)
            if version == 2:
                array.attrs["_ARRAY_DIMENSIONS"] = own
            return array

        create("s2", pixels, dims).attrs.update(attributes)
        for name in dims:
            if coordinates[name] is not None and not (name == "band" and names is None):
                create(name, coordinates[name], (name,))
        if "time" in dims:
            group["time"].attrs["units"] = "days since 2020-11-01"
    return path


def numbers(shape, seed=0):
    return np.random.default_rng(seed).integers(1, 4000, shape).astype(np.uint16)


@pytest.mark.parametrize("version", [2, 3])
def test_real_months_come_back_tile_by_tile(data_root, tmp_path, version):
    cube = np.load(data_root / "s1s2_worldcereal" / "worldcereal_cube.npz")
    names = tuple("B02 B03 B04 B05 B06 B07 B08 B11 B12".split())
    months, sensor = cube["s2"][:4], registry.sensor("sentinel2-l2a").select(names)
    write(tmp_path / "a/belgium.zarr", months, version=version, names=names, _FillValue=65_535)
    source = zarr_cube.ZarrCube(tmp_path, sensor=sensor, variable="s2", tile=48)
    assert len(source) == 4 * 9 and not source.omitted
    whole, seen = np.zeros((4, 144, 144, 9), np.uint16), np.zeros((4, 144, 144), bool)
    for i in range(len(source)):
        example = source[i]
        name, place = example["id"].split("@")
        month, (row, column) = int(name.rpartition("/")[2]), map(int, place.split(","))
        assert name == f"a/belgium/{month:04d}"
        assert example["time"] == 1_604_188_800 + month * 30 * 86_400
        assert example["crs"] == "EPSG:32631"
        here = [10, 0, 600_000 + 10 * column, 0, -10, 5_000_010 - 10 * row]
        assert example["transform"].tolist() == here
        part = np.s_[month, row : row + 48, column : column + 48]
        whole[part], seen[part] = example["images"][sensor.name], example["valid"][sensor.name]
    want = np.moveaxis(months, 1, -1)
    blank = ((want == 65_535) | (want == 0)).any(-1)
    assert np.round(blank.mean((1, 2)), 1).tolist() == [0, 1, 1, 0]  # December, January: clouds
    np.testing.assert_array_equal(seen[:, :100, :100], ~blank)
    np.testing.assert_array_equal(whole[:, :100, :100], np.where(blank[..., None], 0, want))
    assert not seen[:, 100:].any() and not whole[:, :, 100:].any()


@pytest.mark.parametrize("version", [2, 3])
def test_bands_are_joined_by_name(tmp_path, version):
    pixels = numbers((4, 10, 12))
    dims, names = ("band", "y", "x"), ("b4", "B08", "B02", "B03")
    write(tmp_path / "c.zarr", pixels, version=version, dims=dims, names=names)
    source = zarr_cube.ZarrCube(tmp_path, sensor=SENSOR, variable="s2")
    (example,) = [source[i] for i in range(len(source))]
    want = np.moveaxis(pixels[[2, 3, 0]], 0, -1)
    np.testing.assert_array_equal(example["images"][SENSOR.name], want)
    assert example["id"] == "c" and np.isnan(example["time"])
    np.testing.assert_allclose(example["location"], (4.27, 45.14), atol=0.02)
    again = zarr_cube.ZarrCube(tmp_path / "c.zarr", sensor=SENSOR, variable="s2")
    assert again[0]["id"] == "c"
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy[0]["images"][SENSOR.name], want)


def test_a_variable_for_each_band_and_dimensions_without_names(tmp_path):
    group = zarr.open_group(tmp_path / "d.zarr", mode="w", zarr_format=2)
    pixels = numbers((3, 10, 12))
    for name, band in zip(NAMES, pixels, strict=True):
        group.create_array(f"r10m/{name}", data=band, chunks=(8, 8))
    variables = [f"r10m/{name}" for name in NAMES]
    with pytest.raises(errors.UserError, match="r10m/B02: 2 dimensions without names: give dims"):
        zarr_cube.ZarrCube(tmp_path, sensor=SENSOR, variable=variables)
    source = zarr_cube.ZarrCube(tmp_path, sensor=SENSOR, variable=variables, dims=("y", "x"))
    np.testing.assert_array_equal(source[0]["images"][SENSOR.name], np.moveaxis(pixels, 0, -1))
    assert source[0]["crs"] == "" and np.isnan(source[0]["location"]).all()
    group.create_array("r10m/B05", data=pixels[0, :5, :6], chunks=(5, 6))
    with pytest.raises(errors.UserError, match="the bands of one cube are alike"):
        zarr_cube.ZarrCube(
            tmp_path, sensor=SENSOR, variable=[*variables[:2], "r10m/B05"], dims=("y", "x")
        )
    with pytest.raises(errors.UserError, match="2 variables for the 3 bands"):
        zarr_cube.ZarrCube(tmp_path, sensor=SENSOR, variable=variables[:2])


def test_blank_is_what_the_file_says(tmp_path):
    radar = registry.sensor("sentinel1-grd")
    pixels = np.random.default_rng(0).normal(-14, 2, (2, 6, 6)).astype(np.float32)
    pixels[0, 1, 2], pixels[1, 3, 4], pixels[0, 5, 5] = np.nan, -999, np.inf
    dims, names = ("band", "y", "x"), ("VV", "VH")
    for version, fill in ((2, -999.0), (3, -999), (3, "AAAAAAA4j8A="), (2, "-999")):
        write(tmp_path / "r.zarr", pixels, version=version, dims=dims, names=names, _FillValue=fill)
        example = zarr_cube.ZarrCube(tmp_path, sensor=radar, variable="s2")[0]
        blank = np.argwhere(~example["valid"][radar.name]).tolist()
        assert blank == [[1, 2], [3, 4], [5, 5]], fill
        assert not example["images"][radar.name][1, 2].any()
    signed = numbers((3, 6, 6)).astype(np.int32)
    signed[0, 0, 0], signed[1, 2, 2] = 65_535, 40_000
    wrapped = signed.astype(np.uint16).view(np.int16)
    write(tmp_path / "r.zarr", wrapped, dims=dims, _FillValue=-1, _Unsigned="true")
    example = zarr_cube.ZarrCube(tmp_path, sensor=SENSOR, variable="s2")[0]
    assert example["images"][SENSOR.name].dtype == np.uint16
    assert example["images"][SENSOR.name][2, 2, 1] == 40_000
    assert np.argwhere(~example["valid"][SENSOR.name]).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ("B02", "B03", "B08")}, "sentinel2-l2a needs B04 just once"),
        ({"names": None, "bands": 4}, "4 bands without names, but sentinel2-l2a has 3"),
        ({"scale_factor": 0.001}, "scale_factor is 0.001, but scale is 0.0001"),
        ({"add_offset": -0.1}, "add_offset is -0.1, but offset is 0"),
        ({"dims": ("when", "band", "y", "x")}, "unknown dimension of .* 'when'"),
        ({"variable": "S2"}, "unknown variable of .*bad.zarr 'S2': known: band, s2"),
        ({"variable": "../good.zarr/s2"}, "bad.zarr"),
    ],
)
def test_bad_cubes_are_omitted_and_named(tmp_path, change, message):
    change = dict(change)
    variable = change.pop("variable", "s2")
    pixels = numbers((2, change.pop("bands", 3), 8, 8))
    dims = change.pop("dims", None)
    write(tmp_path / "bad.zarr", pixels, **change)
    if dims:
        group = zarr.open_group(tmp_path / "bad.zarr", mode="a")
        del group["s2"]
        group.create_array("s2", data=pixels, dimension_names=dims)
    write(tmp_path / "good.zarr", numbers((1, 3, 8, 8)))
    if variable == "s2":
        source = zarr_cube.ZarrCube(tmp_path, sensor=SENSOR, variable=variable)
        assert len(source) == 1
        (omission,) = source.omitted
        assert omission.file.endswith("bad.zarr")
        assert re.search(message, omission.reason) and "\n" not in omission.reason
    else:
        with pytest.raises(errors.UserError, match=message):
            zarr_cube.ZarrCube(tmp_path, sensor=SENSOR, variable=variable)


def test_uneven_coordinates_strange_times_and_missing_cubes(tmp_path):
    path = write(tmp_path / "a.zarr", numbers((2, 3, 8, 8)))
    group = zarr.open_group(path, mode="a")
    group["time"].attrs["units"] = "moons since 2020"
    with pytest.raises(errors.UserError, match="time counts 'moons since 2020'"):
        zarr_cube.ZarrCube(tmp_path, sensor=SENSOR, variable="s2")
    group["time"].attrs["units"] = "hours since 2020-11-01 00:00:00"
    times = [zarr_cube.ZarrCube(tmp_path, sensor=SENSOR, variable="s2")[i]["time"] for i in (0, 1)]
    assert times[1] - times[0] == 30 * 3600
    group.attrs["crs"] = "EPSG:999999"
    with pytest.raises(errors.UserError, match="s2: unknown CRS 'EPSG:999999'"):
        zarr_cube.ZarrCube(tmp_path, sensor=SENSOR, variable="s2")
    group.attrs["crs"] = 32631
    assert zarr_cube.ZarrCube(tmp_path, sensor=SENSOR, variable="s2")[0]["crs"] == "EPSG:32631"
    group["x"][3] = 0
    with pytest.raises(errors.UserError, match="coordinate x is not evenly spaced"):
        zarr_cube.ZarrCube(tmp_path, sensor=SENSOR, variable="s2")
    shutil.rmtree(path)
    with pytest.raises(errors.UserError, match="no example of ZarrCube"):
        zarr_cube.ZarrCube(tmp_path, sensor=SENSOR, variable="s2")
    for pattern in ("../*.zarr", "/tmp/*.zarr"):
        with pytest.raises(errors.UserError, match="leaves its root"):
            zarr_cube.ZarrCube(tmp_path, sensor=SENSOR, variable="s2", pattern=pattern)


def test_a_truncated_chunk_is_named_when_read(tmp_path):
    write(tmp_path / "t.zarr", numbers((1, 3, 16, 16)))
    source = zarr_cube.ZarrCube(tmp_path, sensor=SENSOR, variable="s2", tile=8)
    chunk = tmp_path / "t.zarr/s2/c/0/0/1/0"
    chunk.write_bytes(chunk.read_bytes()[:20])
    assert source[0]["valid"][SENSOR.name].all()
    with pytest.raises(errors.Unreadable, match="t.zarr: s2: missing, truncated or no Zarr"):
        source[2]


def test_pickled_coordinates_are_refused_before_they_run(tmp_path):
    """A codec behind one of text, which zarr itself would follow."""

    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = write(tmp_path / "p.zarr", numbers((3, 8, 8)), version=2, dims=("band", "y", "x"))
    file = path / "band/.zarray"
    said = json.loads(file.read_text())
    said |= {"dtype": "|O", "filters": [{"id": "vlen-utf8"}], "fill_value": ""}
    said["compressor"] = {"id": "pickle", "protocol": 5}
    file.write_text(json.dumps(said))
    (path / "band/0").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(errors.UserError, match="stored pickled, which may run code"):
        zarr_cube.ZarrCube(tmp_path, sensor=SENSOR, variable="s2")
    assert not (tmp_path / "ran").exists()
