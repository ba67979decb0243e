"""A small world for CSMAE: eight classes that two sensors show by different signs.

4 x 4 cells of 6 x 6 pixels with 1 to 3 classes an image. Sensor two has a signature in 10 bands and
a texture for each class, sensor one a signature in 2 bands, another texture, and speckle. Gain and
offset of every band of every image are drawn anew.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from smarties.data import views
from smarties.models import build, csmae, masking
from smarties.tasks import csmae as task

NAMES, BANDS = ("one", "two"), (2, 10)
CLASSES, CELLS, SIDE = 8, 4, 6
VARIANTS = {
    "cecd": (0, 3, "common"), "cesd": (0, 3, "specific"),
    "secd": (2, 1, "common"), "sesd": (2, 1, "specific"),
}  # fmt: skip


def images(count, seed, world=0):
    """Returns ((one [n, 24, 24, 2], two [n, 24, 24, 10]), classes present [n, 8] bool)."""
    fixed, rng = np.random.default_rng(world), np.random.default_rng((world, seed))
    signatures = [fixed.normal(size=(CLASSES, c)) for c in BANDS]
    textures = [fixed.normal(size=(CLASSES, SIDE, SIDE)) for _ in BANDS]
    present = [rng.choice(CLASSES, rng.integers(1, 4), replace=False) for _ in range(count)]
    cells = np.stack([rng.choice(few, (CELLS, CELLS)) for few in present])
    both = []
    for i, (signature, texture) in enumerate(zip(signatures, textures, strict=True)):
        # [n, cell rows, cell columns, rows, columns, bands] -> [n, H, W, bands]
        value = signature[cells][:, :, :, None, None] * texture[cells][..., None]
        value = value.transpose(0, 1, 3, 2, 4, 5).reshape(count, 24, 24, -1)
        if i == 0:
            value = value * rng.gamma(4, 1 / 4, value.shape)
        gain = rng.uniform(0.7, 1.3, (count, 1, 1, value.shape[-1]))
        offset = 0.5 * rng.normal(size=gain.shape)
        both.append(gain * value + offset + 0.3 * rng.normal(size=value.shape))
    labels = np.stack([np.isin(np.arange(CLASSES), grid) for grid in cells])
    return tuple(x.astype(np.float32) for x in both), labels


def module(variant, pooling="avg"):
    specific, shared, decoding = VARIANTS[variant]
    return build.csmae_from(
        bands=tuple(zip(NAMES, BANDS, strict=True)), ranges=17, image_size=24, patch=SIDE,
        encoder=dict(width=64, heads=4, specific=specific, shared=shared),
        decoder=dict(width=64, depth=1, heads=4), decoding=decoding, pooling=pooling, unroll=3,
    )  # fmt: skip


def draw(recipe, key, count):
    noises = jax.random.uniform(key, (2, count, CELLS * CELLS))
    return masking.pair(recipe.masking, *noises, recipe.mask_ratio)


def losses(model, recipe, params, pair, masks, mde=1.0):
    """Returns the mean of each term of the loss of a batch [B, 24, 24, c]; `mde` times the last."""
    patches = tuple(views.patchify(x, SIDE) for x in pair)
    jobs = recipe.jobs()
    outputs = model.apply({"params": params}, NAMES, patches, (None, None), masks, jobs)
    valid = tuple(jnp.ones((*x.shape[:2], 1, SIDE * SIDE)) for x in patches)
    found = task.terms(recipe, jobs, outputs, patches, valid, masks)
    return {k: v.mean() * (mde if k == "mde" else 1) for k, v in found.items()}


def start(model, seed=0):
    return csmae.init(model, jax.random.key(seed))


@functools.partial(jax.jit, static_argnums=(0, 1, 4, 5, 6))
def train(model, recipe, pair, key, steps, mde=1.0, batch=64):
    """Returns the parameters after so many steps of AdamW."""
    tx = optax.adamw(optax.warmup_cosine_decay_schedule(0, 1e-3, 30, steps), 0.9, 0.95)

    def step(carry, key):
        params, state = carry
        chosen = jax.random.choice(key, len(pair[0]), (batch,), replace=False)
        masks = draw(recipe, jax.random.fold_in(key, 1), batch)
        part = tuple(x[chosen] for x in pair)
        grads = jax.grad(lambda p: sum(losses(model, recipe, p, part, masks, mde).values()))(params)
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    params = csmae.init(model, key)
    return jax.lax.scan(step, (params, tx.init(params)), jax.random.split(key, steps))[0][0]


@functools.partial(jax.jit, static_argnums=(0, 1))
def features(model, side, params, image):
    """Returns pooled features [n, D] of whole images, as evaluation makes them."""
    encoder = model.encoder.clone(sensor=NAMES[side])
    own = {"params": params["encoder"]}
    normed, _ = encoder.apply(own, views.patchify(image, SIDE), None, (CELLS, CELLS))
    return encoder.apply(own, normed, method="pool")


def f1(query, archive, wanted, known, k=10):
    """Returns F1@k: of the mean precision and the mean recall of labels [n, L]."""
    query, archive = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, archive))
    found = known[np.argsort(-query @ archive.T, 1)[:, :k]]
    both = (found & wanted[:, None]).sum(-1)
    precision = (both / found.sum(-1)).mean()
    recall = (both / wanted.sum(-1)[:, None]).mean()
    return float(2 * precision * recall / (precision + recall))


def chance(wanted, known):
    """Returns the F1 of archives in random order, in expectation."""
    both = wanted.astype(float) @ known.T
    precision, recall = (both / known.sum(1)[None]).mean(), (both / wanted.sum(1)[:, None]).mean()
    return float(2 * precision * recall / (precision + recall))


def across(model, params, query, archive):
    """Returns F1@10 (one -> two, two -> one) of (images, labels) pairs."""
    found = [
        [np.asarray(features(model, side, params, pair[side])) for side in (0, 1)]
        for pair, _ in (query, archive)
    ]
    return tuple(f1(found[0][a], found[1][b], query[1], archive[1]) for a, b in ((0, 1), (1, 0)))
