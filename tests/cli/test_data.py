"""smarties data: prepare, inspect, stats, verify."""

import numpy as np
import pytest
import rasterio

from smarties import errors
from smarties.cli import data
from smarties.data import records, sources
from smarties.spectrum import registry


def save(file, pixels):
    file.parent.mkdir(exist_ok=True)
    height, width, count = pixels.shape
    with rasterio.open(
        file, "w", driver="GTiff", height=height, width=width, count=count, dtype=pixels.dtype,
        crs="EPSG:32632", transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6),
    ) as image:  # fmt: skip
        image.write(np.moveaxis(pixels, -1, 0))


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for name in "pq":
        pixels = rng.integers(200, 4000, (40, 40, 12)).astype(np.uint16)
        if name == "q":
            pixels[:20, :20] = 0
        save(tmp_path / "in" / f"{name}_s2.tif", pixels)
        save(tmp_path / "in" / f"{name}_s1.tif", rng.normal(-14, 3, (40, 40, 2)).astype("float32"))
    save(tmp_path / "in" / "r_s2.tif", pixels)
    return tmp_path / "in"


def prepare(root, *more):
    data.main(
        ["prepare", "folder", "--source", str(root), "--out", str(root.parent / "out")]
        + ["-o", "tile=20", "--pattern", "sentinel2-l2a=*_s2.tif"]
        + ["--pattern", "sentinel1-grd=*_s1.tif", *more]
    )


def test_a_folder_becomes_records_that_can_be_looked_at(root, capsys):
    out = root.parent / "out"
    prepare(root, "--shards", "2")
    said = capsys.readouterr().out
    assert "written: train 7; omitted: 0" in said
    assert "scenes 2; unmatched 1" in said and "all invalid 1" in said
    source = sources.source("records", directory=out)
    assert len(source) == 7 and source[0]["images"]["sentinel2-l2a"].shape == (20, 20, 12)
    data.main(["inspect", str(out), "--count", "2"])
    said = capsys.readouterr().out
    assert "train 7; 2 shards" in said and "sentinel1-grd (dB): VV, VH" in said
    assert (out / "folder" / "1.0.0" / "contact-sheet.png").stat().st_size > 5_000
    data.main(["verify", str(out)])
    said = capsys.readouterr().out
    assert "all 7 records are whole" in said and "sentinel1-grd: 100.00 % of pixels valid" in said


def test_statistics_become_sensor_files_that_configs_take(root, capsys):
    prepare(root)
    data.main(["stats", str(root.parent / "out"), "--out", str(root.parent / "stats")])
    said = capsys.readouterr().out
    assert "reflectance = number * 0.0001" in said and "of split train of folder" in said
    sensor = registry.sensor(str(root.parent / "stats" / "sentinel2-l2a-folder.yaml"))
    assert sensor.names == registry.sensor("sentinel2-l2a").names
    low, high = sensor.bands[0].clip
    assert 200 <= low < 300 < 3900 < high < 4000


def test_existing_records_need_overwrite_unless_they_are_these(root, capsys):
    prepare(root)
    prepare(root)
    assert capsys.readouterr().out.count("1.0.0: ready") == 2
    with pytest.raises(errors.UserError, match="exists"):
        prepare(root, "-o", "stride=10")
    prepare(root, "-o", "stride=10", "--overwrite")


def test_damage_is_an_error(root):
    prepare(root, "--shards", "1")
    (file,) = (root.parent / "out").rglob("*array_record*")
    contents = bytearray(file.read_bytes())
    contents[len(contents) // 3] ^= 1
    file.write_bytes(contents)
    with pytest.raises(errors.UserError, match="damaged: .*folder-train.array_record-00000"):
        data.main(["verify", str(root.parent / "out")])


def test_the_planet_becomes_records_job_by_job(tmp_path, capsys):
    for job in ("1/2", "0/2"):
        data.main(
            ["prepare", "planet", "--out", str(tmp_path), "--as", "toy", "--shard", job]
            + ["-o", "sensors=[sentinel2-l2a, sentinel1-grd]", "-o", "count=3", "-o", "size=32"]
        )
    said = capsys.readouterr().out
    assert "1 of 2 shards are finished" in said and "toy/1.0.0: ready" in said
    source = records.Records(tmp_path)
    planet = sources.source("planet", sensors=source.sensors, count=3, size=32)
    for name in source.sensors:
        np.testing.assert_array_equal(source[1]["images"][name], planet[1]["images"][name])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("-o", "tiles=3"), "unknown argument of source folder 'tiles': did you mean 'tile'"),
        (("-o", "tile"), "is not KEY=VALUE"),
        (("-o", "tile=wide"), "option tile is 'wide': a number like its default 96 is due"),
        (("--shards", "3", "--shard", "0/2"), "--shard 0/2 says how many"),
        (("--pattern", "sentinel2-l2a"), "is not one SENSOR=GLOB"),
        (("--pattern", "sentinel-2=x"), "unknown sensor 'sentinel-2'"),
    ],
)
def test_bad_arguments_get_one_line(root, more, message):
    with pytest.raises(errors.UserError, match=message):
        prepare(root, *more)


def test_unknown_names_and_shards_are_refused(root, capsys):
    for argv in (["info", "bigearthnet"], ["prepare", "plnet", "--out", str(root)]):
        with pytest.raises(errors.UserError, match="unknown"):
            data.main(argv)
    with pytest.raises(SystemExit):
        prepare(root, "--shard", "2/2")
    assert "is not I/N" in capsys.readouterr().err


def test_unknown_sources_and_arguments_get_a_suggestion():
    with pytest.raises(errors.UserError, match="did you mean 'planet'"):
        sources.source("plnet")
    with pytest.raises(errors.UserError, match="did you mean 'tile'"):
        sources.source("folder", root=".", sensors={}, tiles=3)
    with pytest.raises(errors.UserError, match="needs the argument 'directory'"):
        sources.source("records")
