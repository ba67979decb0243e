"""CSMAE at work: bands by name, statistics that travel, features as frozen encoders give them."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import smarties
from smarties import tasks
from smarties.cli import configuration
from smarties.inference import csmae, features, model
from smarties.interchange import csmae as names
from smarties.interchange import weights
from smarties.spectrum import registry
from smarties.tasks import csmae_inputs

S1, S2 = csmae_inputs.BANDS


def made(folder, embedding="linear", pooling="avg", decoding="specific"):
    """Returns a file of random weights of a tiny model with the inputs of the release."""
    sensors = [csmae_inputs.sensor("bigearthnet-v1", registry.sensor(n)) for n in (S1, S2)]
    config = weights.config_of(
        name="tiny",
        model=dict(
            image_size=32, patch=8, pooling=pooling, decoding=decoding, embedding=embedding,
            encoder=dict(width=32, heads=2, specific=1, shared=1),
            decoder=dict(width=16, depth=1, heads=2),
        ),
        rule="linear",
        sensors={s.name: registry.sensor_to_dict(s) for s in sensors},
    )  # fmt: skip
    stacks = {name: list(bands) for name, bands in csmae_inputs.BANDS.items()}
    config |= {"kind": names.KIND, "stacks": stacks}
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda x: rng.normal(size=x.shape, scale=0.2).astype(np.float32), weights.shapes(config)
    )
    weights.write(folder / "tiny.safetensors", params, config)
    return folder / "tiny.safetensors"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return smarties.load(made(tmp_path_factory.mktemp("weights")))


def images(name, count=3, side=32):
    rng = np.random.default_rng(3)
    if name == S1:
        return rng.normal(-15, 4, (count, side, side, 2)).astype(np.float32)
    return rng.integers(100, 5000, (count, side, side, 12)).astype(np.uint16)


def test_bands_are_found_by_name(loaded):
    """Whatever the order of the channels, the embedding sees its own."""
    z = loaded.embed(images(S2), sensor=S2)
    assert z.shape == (3, 32) and np.abs(z[0] - z[1]).max() > 1e-3
    stack = csmae_inputs.BANDS[S2]
    index = registry.sensor(S2).index(stack)
    by_name = loaded.embed(images(S2)[..., index], sensor=S2, bands=stack)
    np.testing.assert_allclose(by_name, z, atol=1e-5)
    swapped = loaded.embed(images(S1)[..., ::-1], sensor=S1, bands="VH,VV")
    np.testing.assert_allclose(swapped, loaded.embed(images(S1), sensor=S1), atol=1e-5)
    assert np.abs(loaded.embed(images(S1)[..., ::-1], sensor=S1) - swapped).max() > 1e-2


def test_features_are_those_of_the_module_on_standardised_images(loaded):
    """By hand: the published mean and standard deviation, nothing clipped, bands in order."""
    from smarties.data import views
    from smarties.data.archives import bigearthnet_statistics

    known = bigearthnet_statistics.STATISTICS["bigearthnet-v1"].bands
    for name, stack in csmae_inputs.BANDS.items():
        pixels = images(name)[..., registry.sensor(name).index(stack)].astype(np.float32)
        mean, std = np.array([known[b] for b in stack], np.float32).T
        pixels = (pixels - mean) / std
        encoder = loaded.encoder.clone(sensor=name)
        own = {"params": loaded.params["encoder"]}

        @jax.jit
        def pooled(x, encoder=encoder, own=own):
            normed, _ = encoder.apply(own, views.patchify(x, 8), None, (4, 4))
            return encoder.apply(own, normed, method="pool")

        got = loaded.embed(images(name), sensor=name)
        np.testing.assert_allclose(got, pooled(jnp.asarray(pixels)), atol=2e-3)


@pytest.mark.parametrize(("pooling", "default"), [("avg", "mean"), ("token", "cls")])
def test_the_default_pooling_is_that_of_training(tmp_path, pooling, default):
    loaded = smarties.load(made(tmp_path, pooling=pooling))
    assert isinstance(loaded, csmae.Csmae) and loaded.pooling == default
    z = loaded.embed(images(S1), sensor=S1)
    np.testing.assert_array_equal(z, loaded.embed(images(S1), sensor=S1, pooling=default))
    other = {"mean": "cls", "cls": "mean"}[default]
    assert np.abs(z - loaded.embed(images(S1), sensor=S1, pooling=other)).max() > 1e-3


def test_other_sizes_and_tokens(loaded):
    assert loaded.tokens(images(S1, side=48), sensor=S1).shape == (3, 6, 6, 32)
    assert loaded.embed(images(S1, side=60), sensor=S1, size=32).shape == (3, 32)


def test_what_it_was_not_trained_on_is_refused(loaded):
    with pytest.raises(smarties.UserError, match="has no blocks for rgb: it was trained on sent"):
        loaded.embed(np.ones((1, 32, 32, 3), np.uint8), sensor="rgb")
    with pytest.raises(smarties.UserError, match="needs exactly the bands VH, VV of"):
        loaded.embed(images(S1)[..., :1], sensor=S1, bands="VV")


def test_through_the_spectrum_any_bands_will_do(tmp_path):
    loaded = smarties.load(made(tmp_path, embedding="spectrum"))
    few = registry.sensor(S2).index("B04,B03,B02")
    z = loaded.embed(images(S2)[..., few], sensor=S2, bands="B04,B03,B02")
    assert z.shape == (3, 32) and np.isfinite(z).all()


@pytest.mark.parametrize("embedding", ["linear", "spectrum"])
def test_weights_come_back_bit_for_bit(tmp_path, embedding):
    file = made(tmp_path, embedding=embedding)
    params, config = weights.read(file)
    weights.write(tmp_path / "again.safetensors", params, config)
    again, said = weights.read(tmp_path / "again.safetensors")
    jax.tree.map(np.testing.assert_array_equal, params, again)
    assert said == config and (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()


@pytest.mark.slow
def test_a_run_is_loaded_with_what_it_was_trained_on(tmp_path):
    """One step of a tiny run; what it embeds is what its parameters say, in any format."""
    from smarties.cli import main

    changes = dict(
        steps=1, batch_size=8, **{
            "model.encoder.width": 32, "model.encoder.heads": 2, "model.decoder.width": 16,
            "model.image_size": 32, "evaluate.every": 0, "evaluate.source.count": 8,
            "evaluate.archive.count": 8, "data.streams.bigearthnet.source.count": 8,
            "optimizer.warmup_steps": 0, "task.inputs": "bigearthnet-v1", "log.every": 1,
            "checkpoint.every": 1,
        },
    )  # fmt: skip
    run, file = tmp_path / "run", tmp_path / "weights.safetensors"
    overrides = [f"--config.{key}={value}" for key, value in changes.items()]
    config = Path(__file__).parents[2] / "configs" / "csmae_secd.py"
    arguments = ["--config", f"{config}:planet", "--workdir", str(run)]
    assert main.main(["train", *arguments, *overrides]) == 0
    assert main.main(["export", str(run), "--output", str(file)]) == 0
    one, two = smarties.load(run), smarties.load(file)
    assert isinstance(one, csmae.Csmae) and one.config["stacks"][S1] == ["VH", "VV"]
    assert len(one.sensor(S2).select().bands) == 10
    for name in (S1, S2):
        z = one.embed(images(name), sensor=name)
        np.testing.assert_allclose(two.embed(images(name), sensor=name), z, atol=1e-6)
    adapt = Path(__file__).parents[2] / "configs" / "eurosat.py"
    with pytest.raises(smarties.UserError, match="whose encoder is judged frozen"):
        given = configuration.load(str(adapt), [f"--config.task.weights={file}"])
        tasks.make(given, load=smarties.load)


def test_as_frozen_encoder(loaded):
    """What evaluation extracts is what `embed` gives, from sources with the registered sensor."""
    for name in (S1, S2):
        pixels = images(name)
        seen = features.View(registry.sensor(name))
        encoder = features.Transformer(loaded, (loaded.pooling,))
        got = encoder(pixels, np.ones(pixels.shape[:3], bool), seen)[loaded.pooling]
        np.testing.assert_allclose(got, loaded.embed(pixels, sensor=name), atol=1e-4)
    other = features.untrained(loaded, 0)
    assert isinstance(other, model.Model)
    z = other.embed(images(S1), sensor=S1)
    assert np.abs(z - loaded.embed(images(S1), sensor=S1)).max() > 1e-2
    assert features.digest(other) != features.digest(loaded)
