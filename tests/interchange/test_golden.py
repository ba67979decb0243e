"""Agreement with the released code: features, predictions, losses, gradients, trajectories."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from safetensors.numpy import load_file

from smarties.data import views
from smarties.interchange import released
from smarties.models import build, mixup
from smarties.tasks import embedding, objective

SENSORS = {
    "RGB": [5, 3, 2],
    "SENTINEL2-L1C": [0, 1, 4, 6, 7, 8, 10, 9, 11, 12, 13, 14],
    "SENTINEL2-L2A": [0, 1, 4, 6, 7, 8, 10, 9, 11, 12, 13, 14],
    "SENTINEL1-GRD": [15, 16],
}
STREAMS = {
    "pretrain_fmow_rgb_s2l1c": [("RGB", "SENTINEL2-L1C")],
    "pretrain_ben_s2l2a_s1": [("SENTINEL2-L2A", "SENTINEL1-GRD")],
    "pretrain_mixed": [("RGB", "SENTINEL2-L1C"), ("SENTINEL2-L2A", "SENTINEL1-GRD")],
}
MODES = {"ref": "released", "swapfix": "mirrored"}


def matrix(name):
    if name != "LANDSAT8-LIKE":
        return np.eye(17, dtype=np.float32)[SENSORS[name]]
    rows = np.eye(19, dtype=np.float32)[[0, 18, 4, 6, 11, 13, 14, 17]]
    rows[7, [14, 15]] = 0.00015687105208527955, 0.9998431289479147
    rows[1, [0, 1]] = 0.79, 0.21
    return rows[:, :17]


def model(mode="mirrored"):
    return build.autoencoder_from(
        ranges=17,
        image_size=64,
        patch=16,
        encoder=dict(width=64, depth=2, heads=4),
        decoder=dict(width=32, depth=1, heads=4),
        mode=mode,
    )


def batch(case, name):
    """Patches [b, N, C, 256] and mixing matrices of each stream."""
    patches, mixings = [], []
    for i, sensors in enumerate(STREAMS[name]):
        images = [case[f"in/g{i}_{side}_img"].transpose(0, 2, 3, 1) for side in ("first", "second")]
        patches.append(tuple(views.patchify(jnp.asarray(x), 16) for x in images))
        mixings.append(tuple(matrix(s) for s in sensors))
    return tuple(patches), tuple(mixings)


def reconstruct(mode, params, patches, mixings, draw, standardised):
    draws = by_stream(draw, patches)
    outputs = model(mode).apply({"params": params}, patches, mixings, draws)
    valid = tuple(tuple(jnp.ones((*x.shape[:2], 1, 256)) for x in pair) for pair in patches)
    losses = objective.per_sample(
        outputs, patches, valid, draws, standardised=standardised, count=12 * 256
    )
    return jnp.concatenate(losses).mean()


def by_stream(draw, patches):
    ends = np.cumsum([0, *(len(first) for first, _ in patches)])
    rows = [slice(*pair) for pair in zip(ends[:-1], ends[1:], strict=True)]
    return tuple(jax.tree.map(lambda x, r=r: x[r], draw) for r in rows)


def draw(case, ratio=0.75, step=None):
    noises = [case[f"in/noise_{n}"] for n in ("mixup", "mask")]
    noises = [jnp.asarray(n if step is None else n[step]) for n in noises]
    return mixup.from_noise(*noises, mix_ratio=0.5, mask_ratio=ratio)


@pytest.fixture(scope="module")
def folder(golden):
    return golden / "smarties"


@pytest.fixture(scope="module")
def params(folder):
    return released.read(load_file(folder / "pretrain_model.safetensors"))


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("standardised", [False, True])
def test_loss(folder, params, name, mode, standardised):
    case = np.load(folder / f"{name}.npz")
    loss = reconstruct(MODES[mode], params, *batch(case, name), draw(case), standardised)
    np.testing.assert_allclose(loss, case[f"out/{mode}/norm{int(standardised)}/loss"], rtol=1e-5)


@pytest.mark.parametrize("ratio", [0.5, 0.9])
def test_mask_ratio(folder, params, ratio):
    case = np.load(folder / "pretrain_mixed.npz")
    drawn = draw(case, ratio)
    loss = reconstruct("released", params, *batch(case, "pretrain_mixed"), drawn, False)
    np.testing.assert_allclose(loss, case[f"out/ref/maskratio{ratio}/loss"], rtol=1e-5)
    mask = np.zeros((4, 16))
    np.put_along_axis(mask, np.asarray(drawn.masked), 1, 1)
    np.testing.assert_array_equal(mask, case[f"out/ref/maskratio{ratio}/mask"])


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("mode", MODES)
def test_predictions(folder, params, name, mode):
    """Each masked token's pixels, of its own bands, in whichever stream it went."""
    case = np.load(folder / f"{name}.npz")
    patches, mixings = batch(case, name)
    drawn = draw(case)
    draws = by_stream(drawn, patches)
    outputs = model(MODES[mode]).apply({"params": params}, patches, mixings, draws)
    streams = [case[f"out/{mode}/norm0/pred{i}"].reshape(-1, 16, 12, 256) for i in (1, 2)]
    first, seen = np.asarray(drawn.first), 0
    for stream, sensors in zip(outputs, STREAMS[name], strict=True):
        rows = slice(seen, seen + len(stream[0].pixels))
        seen = rows.stop
        masked = np.asarray(drawn.masked[rows])
        keep = np.take_along_axis(first[rows], masked, 1)
        one, two = (np.take_along_axis(s[rows], masked[:, :, None, None], 1) for s in streams)
        mirrored = MODES[mode] == "mirrored"
        sides = iter((0, 1) if mirrored else (0, 1, 1))
        for i, (side, part) in enumerate(zip(sides, stream, strict=True)):
            assert part.side == side
            where = {0: keep, 1: ~keep}[side]
            if mirrored:
                want = np.where(where[:, :, None, None], one, two)
                where = np.ones_like(keep)
            else:
                want, where = (two, np.ones_like(keep)) if i == 2 else (one, where)
            np.testing.assert_array_equal(np.asarray(part.weight) > 0, where)
            bands = len(matrix(sensors[side]))
            np.testing.assert_allclose(
                np.asarray(part.pixels)[where], want[where][:, :bands], rtol=1e-4, atol=2e-5
            )


@pytest.mark.parametrize("mode", MODES)
def test_gradients(folder, params, mode):
    case = np.load(folder / "pretrain_mixed.npz")
    inputs = batch(case, "pretrain_mixed")
    grads = jax.grad(lambda p: reconstruct(MODES[mode], p, *inputs, draw(case), False))(params)
    ours = released.write(grads, 4)
    for key, want in load_file(folder / f"pretrain_grads_{mode}_mixed.safetensors").items():
        scale = np.abs(want).max()
        np.testing.assert_allclose(ours[key], want, rtol=1e-3, atol=1e-4 * scale, err_msg=key)


@pytest.mark.parametrize("mode", MODES)
def test_six_steps_of_training(folder, params, mode):
    """AdamW as the trajectory's meta says: decay on what has more than one dimension there."""
    case, path = (
        np.load(folder / "pretrain_mixed.npz"),
        np.load(folder / f"pretrain_traj_{mode}.npz"),
    )
    inputs = batch(case, "pretrain_mixed")
    vectors = ("bias", "scale")
    decay = jax.tree_util.tree_map_with_path(lambda p, _: p[-1].key not in vectors, params)
    beta1, beta2 = path["meta/betas"]
    tx = optax.adamw(
        float(path["meta/lr"]),
        beta1,
        beta2,
        1e-8,
        weight_decay=float(path["meta/weight_decay"]),
        mask=decay,
    )

    @jax.jit
    def step(params, state, drawn):
        loss, grads = jax.value_and_grad(
            lambda p: reconstruct(MODES[mode], p, *inputs, drawn, False)
        )(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    params = jax.tree.map(jnp.asarray, params)
    state = tx.init(params)
    for i in range(6):
        params, state, loss = step(params, state, draw(path, step=i))
        np.testing.assert_allclose(loss, path["out/losses"][i], rtol=1e-5 * (i + 1))
    ours = released.write(params, 4)
    for key, want in load_file(folder / f"pretrain_traj_{mode}_final.safetensors").items():
        np.testing.assert_allclose(ours[key], want, rtol=1e-3, atol=2e-4, err_msg=key)


def features(weights, image, mixing):
    patches = views.patchify(jnp.asarray(image.transpose(0, 2, 3, 1)), 16)
    encoder = model().encoder
    return encoder.apply({"params": weights["encoder"]}, patches, mixing, (4, 4))


def downstream(folder, name):
    weights = released.read(load_file(folder / f"{name}.safetensors"))
    case = np.load(folder / f"{name}.npz")
    sensors = sorted({k.split("/")[1] for k in case if k.startswith("in/") and k.count("/") == 2})
    return weights, case, sensors


def test_features_of_the_pretrained_encoder(folder, params):
    case = np.load(folder / "features_pretrain_model.npz")
    for sensor in (*SENSORS, "LANDSAT8-LIKE"):
        normed, _ = features(params, case[f"in/{sensor}/img"], matrix(sensor))
        np.testing.assert_allclose(normed[:, 0], case[f"out/{sensor}/cls"], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(("name", "pooling"), [("vit_cls", "cls"), ("vit_gap", "mean")])
def test_pooled_features_and_logits(folder, name, pooling):
    weights, case, sensors = downstream(folder, name)
    for sensor in sensors:
        both = features(weights, case[f"in/{sensor}/img"], matrix(sensor))
        pooled = embedding.pool(weights, *both, pooling)
        logits = pooled @ weights["head"]["kernel"] + weights["head"]["bias"][None]
        np.testing.assert_allclose(pooled, case[f"out/{sensor}/features"], rtol=1e-4, atol=2e-5)
        np.testing.assert_allclose(logits, case[f"out/{sensor}/logits"], rtol=1e-4, atol=2e-5)


def test_token_map(folder):
    weights, case, sensors = downstream(folder, "vit_all")
    for sensor in sensors:
        _, raw = features(weights, case[f"in/{sensor}/img"], matrix(sensor))
        tokens = raw[:, 1:].reshape(-1, 4, 4, 64).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(tokens, case[f"out/{sensor}/features"], rtol=1e-4, atol=2e-5)


def test_two_sensors_concatenated(folder):
    weights, case = downstream(folder, "vit_mm")[:2]
    parts = [
        features(weights, case[f"in/{key}"], matrix(name))[0][:, 0]
        for key, name in (("s2", "SENTINEL2-L2A"), ("s1", "SENTINEL1-GRD"))
    ]
    for part, key in zip(parts, ("s2", "s1"), strict=True):
        np.testing.assert_allclose(part, case[f"out/feat_{key}"], rtol=1e-4, atol=2e-5)
    logits = jnp.concatenate(parts, 1) @ weights["head"]["kernel"] + weights["head"]["bias"][None]
    np.testing.assert_allclose(logits, case["out/logits"], rtol=1e-4, atol=2e-5)


@pytest.mark.slow
def test_agreement_as_users_compile(golden):
    """The other tests leave XLA's optimisations out."""
    chosen = "six_steps_of_training or pretrained_encoder"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", __file__, "-k", chosen],
        env={**os.environ, "SMARTIES_TESTS_OPTIMISED": "1", "SMARTIES_GOLDEN": str(golden)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout[-2000:]
