"""CSMAE: exact sizes, what the variants share, and what reaches what."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smarties.models import autoencoder, build, csmae, masking
from smarties.models.csmae import Job

S1, S2 = "sentinel1-grd", "sentinel2-l2a"
BANDS = ((S1, 2), (S2, 10))
JOBS = tuple(Job(s, t, s, (s, "masked")) for s in (0, 1) for t in (0, 1))
# [spec sheet, calculated from the published sizes] encoder CE, encoder SE, decoder common, specific
COUNTS = {
    "tiny": (5_858_304, 10_307_712, 26_704_524, 52_023_948),
    "small": (22_333_440, 40_079_616, 26_802_828, 52_220_556),
    "base": (87_134_208, 158_016_000, 26_999_436, 52_613_772),
    "large": (153_927_680, 279_894_016, 27_130_508, 52_875_916),
}


def model(
    width=32, heads=2, specific=0, shared=2, decoding="common", pooling="avg", embedding="linear",
    decoder=None, image_size=32, patch=8, bands=BANDS,
):  # fmt: skip
    return build.csmae_from(
        bands=bands,
        ranges=17,
        image_size=image_size,
        patch=patch,
        encoder=dict(width=width, heads=heads, specific=specific, shared=shared),
        decoder=decoder or dict(width=16, depth=1, heads=2),
        decoding=decoding,
        pooling=pooling,
        embedding=embedding,
    )


def shapes(module):
    return jax.eval_shape(lambda key: csmae.init(module, key), jax.random.key(0))


@functools.partial(jax.jit, static_argnums=0)
def initialised(module, key):
    return csmae.init(module, key)


def count(tree):
    return sum(np.prod(x.shape, dtype=int) for x in jax.tree.leaves(tree))


@pytest.mark.parametrize("size", COUNTS)
@pytest.mark.parametrize("variant", ["cecd", "cesd", "secd", "sesd"])
def test_parameter_counts(size, variant):
    one = autoencoder.SIZES[size]
    depths = dict(shared=12) if variant[0] == "c" else dict(specific=10, shared=2)
    got = {
        pooling: shapes(
            model(
                one.width, one.heads, **depths, pooling=pooling, image_size=120, patch=15,
                decoding="common" if variant[2] == "c" else "specific",
                decoder=dict(width=512, depth=8, heads=16),
            )
        )
        for pooling in ("avg", "token")
    }  # fmt: skip
    encoder = COUNTS[size][variant[0] == "s"]
    assert count(got["avg"]["encoder"]) == encoder
    assert count(got["token"]["encoder"]) == encoder - 2 * one.width
    rest = count(got["avg"]["decoder"]) + count(got["avg"]["heads"])
    assert rest == COUNTS[size][2 + (variant[2] == "s")]
    if size == "base":
        totals = dict(cecd=114_133_644, cesd=139_747_980, secd=185_015_436, sesd=210_629_772)
        assert count(got["avg"]) == totals[variant]
        blocks = count(got["avg"]["encoder"]["common"])
        share = {"c": 0.976, "s": 0.090}[variant[0]]
        assert blocks / encoder == pytest.approx(share, abs=0.001)


@pytest.mark.parametrize("embedding", ["linear", "spectrum"])
@pytest.mark.parametrize("decoding", ["common", "specific"])
def test_masked_pixels_cannot_reach_what_is_predicted_from_a_sensor(embedding, decoding):
    """Predictions move with the visible pixels of their source, and with nothing else."""
    module = model(specific=1, shared=1, embedding=embedding, decoding=decoding)
    params = initialised(module, jax.random.key(0))
    params = jax.tree.map(
        lambda x: x + 0.05 * jax.random.normal(jax.random.key(x.size), x.shape), params
    )
    noises = jax.random.uniform(jax.random.key(1), (2, 3, 16))
    masks = masking.pair("random", *noises, 0.5)
    patches = tuple(jax.random.normal(jax.random.key(c), (3, 16, c, 64)) for _, c in BANDS)
    matrices = [None, None]
    if embedding == "spectrum":
        matrices = [np.eye(17, dtype=np.float32)[:c] for _, c in BANDS]

    @jax.jit
    def gradients(patches):
        def predicted(patches):
            _, pixels = module.apply({"params": params}, (S1, S2), patches, matrices, masks, JOBS)
            return jnp.stack([jnp.cos(x).sum() for x in pixels])

        _, back = jax.vjp(predicted, patches)
        return jax.vmap(lambda row: back(row)[0])(jnp.eye(4))

    every = gradients(patches)
    for number, job in enumerate(JOBS):
        grads = [grad[number] for grad in every]
        for side, grad in enumerate(grads):
            size = np.abs(grad).sum((2, 3))
            visible = np.take_along_axis(size, np.asarray(masks[side].visible), 1)
            masked = np.take_along_axis(size, np.asarray(masks[side].masked), 1)
            assert (masked == 0).all()
            assert (visible > 0).all() if side == job.source else (visible == 0).all()


def test_sensors_with_different_numbers_of_visible_tokens():
    module = model(specific=1, shared=1)
    params = initialised(module, jax.random.key(0))
    noise = jax.random.uniform(jax.random.key(1), (3, 16))
    masks = masking.pair("disjoint", noise, noise, 0.75)
    patches = tuple(jax.random.normal(jax.random.key(c), (3, 16, c, 64)) for _, c in BANDS)
    features, pixels = jax.jit(
        lambda p: module.apply({"params": p}, (S1, S2), patches, (None, None), masks, JOBS)
    )(params)
    assert [x.shape for x in features] == [(3, 32)] * 2
    assert [x.shape[1:3] for x in pixels] == [(12, 2), (12, 10), (4, 2), (4, 10)]
