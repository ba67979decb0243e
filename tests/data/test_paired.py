"""Two sources joined by a list: the very examples the list names, and no others."""

import numpy as np
import pytest
import rasterio

from smarties import errors
from smarties.cli import data
from smarties.data import prepare, records, sources

S1, S2 = "sentinel1-grd", "sentinel2-l2a"


def save(file, pixels, east):
    file.parent.mkdir(parents=True, exist_ok=True)
    height, width, count = pixels.shape
    with rasterio.open(
        file, "w", driver="GTiff", height=height, width=width, count=count, dtype=pixels.dtype,
        crs="EPSG:32632", transform=rasterio.Affine(10, 0, 5e5 + east, 0, -10, 5e6),
    ) as image:  # fmt: skip
        image.write(np.moveaxis(pixels, -1, 0))


@pytest.fixture
def roots(tmp_path):
    """Four optical and three radar scenes of 24 pixels; radar of "d" lies elsewhere."""
    rng = np.random.default_rng(0)
    for k, name in enumerate("abcd"):
        optical = rng.integers(200, 4000, (24, 24, 12)).astype(np.uint16)
        save(tmp_path / "optical" / f"{name}.tif", optical, 500 * k)
    for k, (name, east) in enumerate((("z", 0), ("y", 520), ("x", 9000))):
        radar = rng.normal(-14 - k, 1, (24, 24, 2)).astype(np.float32)
        save(tmp_path / "radar" / f"{name}.tif", radar, east)
    for part, sensor in (("optical", S2), ("radar", S1)):
        (tmp_path / part / "dataset.yaml").write_text(f'sensors: {{{sensor}: "*.tif"}}\n')
    return tmp_path


def make(roots, *more):
    data.main(
        ["pairs", "described", "--source", str(roots / "optical"), "--with", "described"]
        + ["--with_source", str(roots / "radar"), "--rule", "overlap"]
        + ["--out", str(roots / "pairs.csv"), *more]
    )


def arguments(roots):
    described = {"kind": "described"}
    return {
        "pairs": str(roots / "pairs.csv"),
        "first": described | {"root": str(roots / "optical")},
        "second": described | {"root": str(roots / "radar")},
    }


def test_pairs_by_footprint_are_listed_and_read(roots, capsys):
    make(roots, "-r", "threshold=0.3")
    said = capsys.readouterr().out
    assert "2 pairs; alone 2 of the first and 1 of the second" in said
    source = sources.source("paired", **arguments(roots))
    assert [source[i]["id"] for i in range(len(source))] == ["a|z", "b|y"]
    assert source.sensors == (S2, S1)
    alone = [sources.source(**arguments(roots)[k]) for k in ("first", "second")]
    for i, (one, two) in enumerate(((0, 2), (1, 1))):
        np.testing.assert_array_equal(source[i]["images"][S2], alone[0][one]["images"][S2])
        np.testing.assert_array_equal(source[i]["images"][S1], alone[1][two]["images"][S1])
    digest = source.list.sha256
    assert source.identity()["list"] == digest and digest in said
    prepare.prepare(source, roots / "out", "pairs")
    assert records.Records(roots / "out").index["source"]["list"] == digest


def test_another_list_and_impossible_pairs_are_refused(roots):
    make(roots, "-r", "threshold=0.3")
    given = arguments(roots)
    with pytest.raises(errors.UserError, match="another list than the run's"):
        sources.source("paired", **given, sha256="0" * 64)
    with pytest.raises(errors.UserError, match="both sources have sentinel2-l2a"):
        sources.source("paired", **given | {"second": given["first"]})
    (roots / "optical" / "b.tif").unlink()
    with pytest.raises(errors.UserError, match="no example is called 'b'"):
        sources.source("paired", **given)
    with pytest.raises(errors.UserError, match="unknown option of rule overlap 'treshold'"):
        make(roots, "-r", "treshold=0.3")
