"""Maps over rasters of predictors: what the model says pixel by pixel, aligned, nodata kept."""

import types

import numpy as np
import pytest
import rasterio
import toy_species

from smarties import errors
from smarties.inference import predictor_rasters, shapley, species_games, species_maps

SHAPE = (70, 90)


def from_origin(west, north, across, down):
    return rasterio.Affine(across, 0, west, 0, -down, north)


GROUND = from_origin(500_000, 5_200_000, 100, 100)


def raster(path, layers, names=(), transform=GROUND, crs="EPSG:32632", nodata=-9999.0):
    """A GeoTIFF of layers [c, H, W], NaN stored as nodata."""
    layers = np.asarray(layers, np.float32)
    with rasterio.open(
        path, "w", driver="GTiff", count=len(layers), height=layers.shape[1],
        width=layers.shape[2], dtype="float32", crs=crs, transform=transform, nodata=nodata,
    ) as data:  # fmt: skip
        data.write(np.where(np.isnan(layers), nodata, layers))
        if names:
            data.descriptions = names
    return path


@pytest.fixture
def layers():
    """[F, H, W] of the toy's predictors: clay is missing in a corner, and all in a strip."""
    found = np.random.default_rng(0).normal(size=(4, *SHAPE)).astype(np.float32)
    found[2, :20, :30] = np.nan
    found[:, :, 80:] = np.nan
    return found


@pytest.fixture
def files(tmp_path, layers):
    """Two climate bands in one file, the other predictors in files of their names."""
    return [
        raster(tmp_path / "climate.tif", layers[[1, 0]], ("wet", "warm")),
        raster(tmp_path / "slope.tif", layers[3:]),
        raster(tmp_path / "clay.tif", layers[2:3]),
    ]


def read(path):
    """(values [bands, H, W], what the file says about itself)."""
    with rasterio.open(path) as data:
        return data.read(), types.SimpleNamespace(
            names=data.descriptions, nodata=data.nodata, transform=data.transform, crs=data.crs,
            tags=data.tags(), layout=data.tags(ns="IMAGE_STRUCTURE").get("LAYOUT"),
        )  # fmt: skip


def test_maps_are_the_model_pixel_by_pixel(tmp_path, layers, files, monkeypatch):
    monkeypatch.setattr(species_maps, "SIDE", 32)
    model = toy_species.toy()
    players, which = species_games.groups(model), species_games.chosen(model, ["oak", "moss"])
    grid = predictor_rasters.grid(files, model.predictors)
    out, why = tmp_path / "map.tif", [tmp_path / "oak.tif", tmp_path / "moss.tif"]
    seen = []
    species_maps.write(
        model, grid, which, out, why, players=players, progress=lambda *n: seen.append(n)
    )
    assert seen[-1] == (9, 9) and not list(tmp_path.glob(".map.*"))
    values = layers.reshape(4, -1).T
    full = 1 / (1 + np.exp(-model.predict(values)))[:, which]
    full[np.isnan(values).all(1)] = np.nan
    got, data = read(out)
    np.testing.assert_allclose(got, full.T.reshape(2, *SHAPE), atol=1e-6)
    assert data.names == ("oak", "moss") and np.isnan(data.nodata)
    assert data.transform == GROUND and data.crs == "EPSG:32632"
    assert data.layout == "COG"
    game = species_games.predictions(model, players, values[:500], which)
    want = shapley.exact(game, players.names).values
    for k, path in enumerate(why):
        each, data = read(path)
        assert data.names == players.names and data.tags["EMPTY"] == "0.5"
        np.testing.assert_allclose(0.5 + each.sum(0), got[k], atol=1e-5)
        there = np.isfinite(full[:500, 0])
        mine = each.reshape(3, -1)[:, :500]
        np.testing.assert_allclose(mine[:, there], want[:, there, k], atol=1e-6)
        assert np.isnan(mine[:, ~there]).all() and np.abs(each[1][:20, :30]).max() < 1e-6
        assert np.nanmax(np.abs(each[2])) < 1e-6  # slope moves none


def test_longitude_and_latitude_need_no_raster(tmp_path, layers):
    file = raster(tmp_path / "warm.tif", layers[:1], transform=from_origin(7, 47, 0.5, 0.5),
                  crs="EPSG:4326")  # fmt: skip
    grid = predictor_rasters.grid([file], ("Latitude", "warm", "Longitude"))
    with grid.opened() as reader:
        found = reader.read(10, 20, 2, 3)
    np.testing.assert_allclose(found[..., 0], [[41.75] * 3, [41.25] * 3], atol=1e-4)
    np.testing.assert_allclose(found[..., 2], [[17.25, 17.75, 18.25]] * 2, atol=1e-4)


def test_a_missing_raster_is_a_mistake_unless_it_may_be(tmp_path, layers, files):
    model = toy_species.toy()
    with pytest.raises(errors.UserError, match="no raster of predictor 'clay'"):
        predictor_rasters.grid(files[:2], model.predictors)
    grid = predictor_rasters.grid(files[:2], model.predictors, missing_ok=True)
    species_maps.write(
        model, grid, np.array([1]), tmp_path / "moss.tif", players=species_games.groups(model)
    )
    got, _ = read(tmp_path / "moss.tif")
    want = 1 / (1 + np.exp(-0.5 * layers[0] * layers[1]))
    np.testing.assert_allclose(got[0], want, atol=1e-6)


@pytest.mark.parametrize(
    "change, said",
    [
        (dict(transform=from_origin(500_050, 5_200_000, 100, 100)), "another grid than .*from"),
        (dict(crs="EPSG:32633"), "another grid than .*another CRS"),
        (dict(crop=True), "another grid than .*69 x 90 pixels, not 70 x 90"),
        (dict(transform=rasterio.Affine(100, 5, 0, 5, -100, 0)), "rotated"),
        (dict(name="warm.tif"), "predictor 'warm' is in .*climate.tif and in .*warm.tif"),
    ],
)
def test_mistakes_are_one_line(tmp_path, layers, files, change, said):
    change = dict(change)
    band = layers[2:3, 1:] if change.pop("crop", False) else layers[2:3]
    other = raster(tmp_path / change.pop("name", "clay.tif"), band, **change)
    with pytest.raises(errors.UserError, match=said):
        predictor_rasters.grid([files[0], files[1], other], toy_species.toy().predictors)


def test_nothing_known_anywhere_writes_nothing(tmp_path, layers):
    model = toy_species.toy()
    file = raster(tmp_path / "all.tif", layers * np.nan, model.predictors)
    grid = predictor_rasters.grid([file], model.predictors)
    with pytest.raises(errors.UserError, match="no predictor is known at any pixel"):
        species_maps.write(
            model, grid, np.array([0]), tmp_path / "out.tif", players=species_games.groups(model)
        )
    assert [p.name for p in tmp_path.iterdir()] == ["all.tif"]


def test_levels_of_rasters_become_indices(tmp_path):
    file = raster(tmp_path / "soil.tif", [[[10, 20], [30, np.nan]]])
    grid = predictor_rasters.grid([file], ["soil"], levels={"soil": ("30", "10")})
    with grid.opened() as reader:
        found = reader.read(0, 0, 2, 2)[..., 0]
    np.testing.assert_array_equal(found, [[1, np.nan], [0, np.nan]])
