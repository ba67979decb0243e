"""A run of an adaptation, trained by the command's loop, predicts as its task does."""

import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import rasterio

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))
import planet

from smarties import errors
from smarties.cli import main
from smarties.inference import predictor
from smarties.training import loop

SMALL = dict(
    steps=3, mesh=dict(data=8, fsdp=1, tensor=1), checkpoint=dict(every=0, keep=1),
    optimizer=dict(learning_rate=1e-2, ema=0.5),
)  # fmt: skip


@pytest.fixture(scope="module")
def images():
    source = planet.make()[0].data.train.source
    batch = [source[i] for i in range(4)]
    return {n: np.stack([example["images"][n] for example in batch]) for n in source.sensors}


@pytest.mark.parametrize("mode", ["linear_probe", "lora"])
def test_classes_of_images(mode, images, tmp_path):
    some = ("B08", "B04", "B03")
    task, config = planet.make(task=dict(mode=mode), data=dict(bands={planet.S2: some}), **SMALL)
    numbers = loop.train(task, config, tmp_path)
    assert 0 <= numbers["test/micro_ap/low"] <= numbers["test/micro_ap"]
    found = predictor.load(tmp_path)
    assert found.classes == task.classes and found.step == 3 and not found.maps
    known = found.predict(images[planet.S2])
    assert known.shape == (4, 10) and ((known > 0) & (known < 1)).all()
    main.main(["export", str(tmp_path), "--output", str(tmp_path / "exported")])
    exported = predictor.load(tmp_path / "exported")
    assert exported.classes == task.classes and "lora" not in exported.params
    np.testing.assert_allclose(exported.predict(images[planet.S2]), known, rtol=1e-4, atol=1e-6)
    # Bands that are not used do not matter; those that are do.
    other = images[planet.S2].copy()
    names = found.sensors[planet.S2].names
    other[..., names.index("B12")] = 0
    np.testing.assert_array_equal(found.predict(other), known)
    other[..., names.index("B08")] = 0
    assert (found.predict(other) != known).any()
    plain = predictor.load(tmp_path, average=False)
    params = jax.tree.map(np.asarray, plain.params)
    assert "stats" in params if mode == "linear_probe" else "lora" in params
    with pytest.raises(errors.UserError, match=r"give .B, H, H, 12., all bands"):
        found.predict(images[planet.S2][..., :3])
    with pytest.raises(errors.UserError, match="trained on sentinel2-l2a, not on"):
        found.predict(images)


def test_maps_of_any_side_at_the_scale_of_training(images, tmp_path):
    task, config = planet.make(task=dict(name="segmentation", labels="map"), **SMALL)
    loop.train(task, config, tmp_path)
    found = predictor.load(tmp_path)
    known = found.predict(images[planet.S2])
    assert known.shape == (4, 10, 32, 32) and found.maps
    np.testing.assert_allclose(known.sum(1), 1, rtol=1e-5)
    large = np.tile(images[planet.S2], (1, 2, 2, 1))
    assert found.predict(large).shape == (4, 10, 64, 64)
    assert found._at(64).inputs.size == 64 and found._at(64) is found._at(63)


def test_a_scene_becomes_the_map_of_its_head(images, tmp_path):
    task, config = planet.make(task=dict(name="segmentation", labels="map"), **SMALL)
    loop.train(task, config, tmp_path / "run")
    scene = np.concatenate(list(images[planet.S2][:2]), axis=1)  # 32 x 64
    with rasterio.open(
        tmp_path / "scene.tif", "w", driver="GTiff", height=32, width=64, count=12,
        dtype=scene.dtype, crs="EPSG:32632", transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6),
    ) as data:  # fmt: skip
        data.write(np.moveaxis(scene, -1, 0))
    argv = ["predict", str(tmp_path / "scene.tif"), "--sensor", planet.S2]
    argv += ["--weights", str(tmp_path / "run"), "--out", str(tmp_path / "map.tif")]
    assert main.main([*argv, "--window", "32", "--overlap", "0"]) in (0, None)
    known = predictor.load(tmp_path / "run").predict(images[planet.S2][:2])
    with rasterio.open(tmp_path / "map.tif") as data:
        found = data.read(1)
    assert found.shape == (32, 64)
    agree = found == np.concatenate(list(known.argmax(1)), axis=1)
    assert agree.mean() > 0.98  # but for ties


def test_classifiers_make_no_maps(tmp_path):
    task, config = planet.make(**SMALL)
    loop.train(task, config, tmp_path)
    with pytest.raises(errors.UserError, match="these weights classify images"):
        predictor.load(tmp_path).on(planet.S2)


def test_other_runs_have_no_head(tmp_path):
    with pytest.raises(errors.UserError, match="has no config.json"):
        predictor.load(tmp_path)
