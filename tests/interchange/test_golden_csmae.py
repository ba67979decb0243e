"""Agreement with the released CSMAE code: features, predictions, losses and gradients."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from smarties import errors
from smarties.data import views
from smarties.interchange import weights
from smarties.losses import latent
from smarties.models import build, masking
from smarties.tasks import csmae

NAMES = ("sentinel1-grd", "sentinel2-l2a")
RECONSTRUCT = {"disjoint": "source_masked", "identical": "target_masked"}
CASES = (
    ("random", "disjoint", 0), ("random", "disjoint", 1), ("random", "identical", 0),
    ("random", "identical", 1), ("identical", "disjoint", 0), ("identical", "disjoint", 1),
)  # fmt: skip
WHOLE = ("cecd_token", "sesd_avg")  # those of which every case is run
MODELS = ("cecd_avg", "cesd_avg", "secd_avg", "sesd_avg", "cecd_token", "sesd_token")


@pytest.fixture(scope="module")
def folder(golden):
    return golden / "csmae"


@functools.cache
def read(folder, name):
    """Returns (module, parameters, metadata, cases)."""
    params, config = weights.read(folder / f"{name}.safetensors", heads=4, decoder_heads=4)
    return build.described(config), params, config, np.load(folder / f"{name[:4]}.npz")


def images(case):
    both = case["in/imgs"].transpose(0, 2, 3, 1)
    return both[..., 10:], both[..., :10]


def recipe(masked, scored, standardised=0, **changes):
    return csmae.Recipe(
        masking=masked, scored=RECONSTRUCT[scored], standardise_targets=bool(standardised),
        **{"placement": "released", **changes},
    )  # fmt: skip


@functools.partial(jax.jit, static_argnums=(0, 1))
def outcome(module, recipe, params, both, noises):
    patches = tuple(views.patchify(x, 15) for x in both)
    masks = masking.pair(recipe.masking, *noises, recipe.mask_ratio)
    outputs = module.apply({"params": params}, NAMES, patches, (None, None), masks, recipe.jobs())
    seen = tuple(jnp.ones((*x.shape[:2], 1, 225)) for x in patches)
    found = csmae.terms(recipe, recipe.jobs(), outputs, patches, seen, masks)
    return {str(k): v.mean() for k, v in found.items()}, outputs, masks


def inputs(case):
    noises = tuple(jnp.asarray(case[f"in/noise_{n}"]) for n in ("first", "second"))
    return tuple(map(jnp.asarray, images(case))), noises


@functools.partial(jax.jit, static_argnums=0)
def features(encoder, params, image):
    patches = views.patchify(image, 15)
    normed, _ = encoder.apply({"params": params}, patches, None, (4, 4))
    return encoder.apply({"params": params}, normed, method="pool")


@pytest.mark.parametrize("name", MODELS)
def test_features(folder, name):
    module, params, _, case = read(folder, name)
    for key, sensor, image in zip(("s1", "s2"), NAMES, images(case), strict=True):
        got = features(module.encoder.clone(sensor=sensor), params["encoder"], image)
        want = case[f"out/{name[5:]}/eval/feats_{key}"]
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "masked", "scored", "standardised"),
    [(name, *case) for name in MODELS for case in (CASES if name in WHOLE else CASES[:4:2])],
)
def test_losses_and_predictions(folder, name, masked, scored, standardised):
    module, params, _, case = read(folder, name)
    chosen = recipe(masked, scored, standardised)
    prefix = f"out/{name[5:]}/train/mask_{masked}/rec_{scored}/normpix{standardised}"
    found, (features, pixels), masks = outcome(module, chosen, params, *inputs(case))
    total = 0.0
    for i, source in enumerate(("s1", "s2")):
        for j, target in enumerate(("s1", "s2")):
            want = case[f"{prefix}/train_reconstruction_loss_{target}_from_{source}"]
            np.testing.assert_allclose(found[f"({i}, {j})"], want.item(), rtol=1e-4)
            total += found[f"({i}, {j})"]
    np.testing.assert_allclose(found["mim"], case[f"{prefix}/train_mim_loss"], rtol=1e-4)
    np.testing.assert_allclose(total + found["mim"], case[f"{prefix}/total_loss"].item(), rtol=1e-4)
    if standardised:
        return
    for key, side in (("s1", 0), ("s2", 1)):
        want = case[f"{prefix}/feats_{key}"]
        np.testing.assert_allclose(features[side], want, rtol=1e-4, atol=2e-5)
        hidden = np.zeros((4, 16))
        np.put_along_axis(hidden, np.asarray(masks[side].masked), 1, 1)
        np.testing.assert_array_equal(hidden, case[f"{prefix}/mask_{key}"])
    for temperature in (0.5, 0.07):
        got = latent.mutual_information(*features, temperature).mean()
        want = case[f"{prefix}/mim_loss_func_t{temperature}"]
        np.testing.assert_allclose(got, want, rtol=1e-4)
    np.testing.assert_allclose(  # the function alone has the opposite sign there
        -latent.discrepancy(*features).mean(), case[f"{prefix}/mde_loss_func"], rtol=1e-4
    )
    for job, predicted in zip(chosen.jobs(), pixels, strict=True):
        key = f"{prefix}/pred_s{job.target + 1}_from_s{job.source + 1}"
        if key in case:
            at = np.asarray(masks[job.scored[0]].masked)[:, :, None, None]
            want = case[key].reshape(4, 16, 225, -1).swapaxes(2, 3)
            want = np.take_along_axis(want, at, 1)
            np.testing.assert_allclose(predicted, want, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(
    "name",
    [
        "cecd_avg",
        "sesd_avg",
        *(pytest.param(n, marks=pytest.mark.long) for n in ("cesd_avg", "secd_avg")),
    ],
)
def test_gradients(folder, name):
    module, params, config, case = read(folder, name)
    chosen = recipe("random", "disjoint")
    both, noises = inputs(case)
    grads = jax.grad(lambda p: sum(outcome(module, chosen, p, both, noises)[0].values()))(
        jax.tree.map(jnp.asarray, params)
    )
    ours = weights.renamed(jax.device_get(grads), config)
    for key, want in load_file(folder / f"{name}_grads.safetensors").items():
        scale = np.abs(want).max()
        np.testing.assert_allclose(ours[key], want, rtol=1e-3, atol=1e-4 * scale, err_msg=key)


@pytest.mark.parametrize("name", MODELS)
def test_released_files_come_back_bit_for_bit(folder, tmp_path, name):
    _, params, config, _ = read(folder, name)
    weights.write(tmp_path / "again.safetensors", params, config)
    theirs, again = (
        load_file(f) for f in (folder / f"{name}.safetensors", tmp_path / "again.safetensors")
    )
    assert theirs.keys() == again.keys()
    for key, want in theirs.items():
        if "pos_embed" in key:
            np.testing.assert_allclose(again[key], want, atol=1e-6)
        else:
            np.testing.assert_array_equal(again[key], want)
    params_, config_ = weights.read(tmp_path / "again.safetensors")
    jax.tree.map(np.testing.assert_array_equal, params, params_)
    assert json.loads(json.dumps(config)) == config_


def test_depths_are_those_of_the_keys_and_not_of_the_name(folder):
    """The authors' cecd and cesd have all blocks specific and none shared."""
    sizes = {name: read(folder, name)[2]["model"]["encoder"] for name in MODELS}
    for name, size in sizes.items():
        depths = (3, 0) if name[0] == "c" else (2, 1)
        assert (size["specific"], size["shared"]) == depths, name


def test_placement_matters_where_positions_differ(folder):
    """With random masks the released code puts tokens elsewhere; where it cannot run we do."""
    module, params, _, case = read(folder, "sesd_avg")
    arguments = params, *inputs(case)
    theirs, ours = (
        outcome(module, recipe("random", "identical", placement=p), *arguments)[1][1]
        for p in ("released", "paper")
    )
    apart = [np.abs(a - b).max() for a, b in zip(theirs, ours, strict=True)]
    assert max(apart[:2]) < 1e-5 and min(apart[2:]) > 1e-2
    one, two = (
        outcome(module, recipe("identical", scored, placement="paper"), *arguments)[0]
        for scored in ("disjoint", "identical")
    )
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), one, two)


@pytest.mark.parametrize(
    ("masked", "scored"),
    [("disjoint", "source_masked"), ("disjoint", "target_masked"), ("identical", "source_visible")],
)
def test_what_fails_in_the_released_code_runs_here(folder, masked, scored):
    with pytest.raises(errors.UserError, match="use placement paper"):
        csmae.Recipe(masking=masked, scored=scored, placement="released")
    module, params, _, case = read(folder, "sesd_avg")
    chosen = csmae.Recipe(masking=masked, scored=scored, mde=True)
    found = outcome(module, chosen, params, *inputs(case))[0]
    assert len(found) == 6 and all(np.isfinite(v) for v in found.values())
