"""Classification: what is trained, that it learns, and what it refuses."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import planet
import pytest
from ml_collections import config_dict

from smarties import errors, tasks
from smarties.losses import classification as losses
from smarties.tasks import classification
from smarties.training import trees

PROBE = dict(task=dict(mode="linear_probe"), steps=120, optimizer=dict(learning_rate=1e-2))


def micro(task, run):
    return task.evaluate(planet.on_one(run.params), 0, None)["test/micro_ap"]


def test_a_linear_probe_beats_shuffled_labels_and_moves_only_the_head():
    task, config = planet.make(**PROBE)
    run, _, start = planet.trained(task, config)
    assert not any("encoder" in path for path in trees.leaves(run.opt_state))
    jax.tree.map(np.testing.assert_array_equal, run.params["encoder"], start["encoder"])
    assert (run.params["stats"]["mean"] != 0).any()
    found = micro(task, run)
    control, config = planet.make(**PROBE)
    planet.shuffle(control)
    shuffled = micro(control, planet.trained(control, config)[0])
    assert found > shuffled + 0.1, (found, shuffled)


def test_fine_tuning_lowers_the_loss_below_that_of_the_frozen_encoder():
    losses = {}
    for mode in ("linear_probe", "finetune"):
        task, config = planet.make(task=dict(mode=mode), steps=100)
        _, history, _ = planet.trained(task, config)
        losses[mode] = np.mean([step["loss"] for step in history[-8:]])
        assert losses[mode] < 0.95 * history[0]["loss"]
    assert losses["finetune"] < 0.97 * losses["linear_probe"], losses


def test_eight_devices_compute_the_step_of_one():
    found = []
    for devices in (1, 8):
        task, config = planet.make(
            task=dict(mode="finetune", mixup=0.8, cutmix=1.0, drop_path=0.2), steps=2
        )
        run, history, _ = planet.trained(task, config, devices)
        found.append((planet.on_one(run.params), history[-1]["loss"]))
    (one, loss), (eight, other) = found
    np.testing.assert_allclose(loss, other, rtol=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-3), one, eight)


def test_the_folded_head_is_the_normalised_one():
    rng = np.random.default_rng(0)
    x = rng.normal(3, 5, (64, 6)).astype(np.float32)
    stats = {"mean": jnp.zeros(6), "variance": jnp.ones(6)}
    for _ in range(400):  # the running statistics become those of the batch
        normed, stats = classification.normalised(jnp.asarray(x), stats)
    np.testing.assert_allclose(normed.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(stats["variance"], x.var(0, ddof=1), rtol=1e-4)
    head = {"kernel": rng.normal(size=(6, 3)), "bias": np.arange(3.0)}
    plain = classification.folded({"head": head, "stats": stats})
    direct = (x - stats["mean"][None]) / np.sqrt(stats["variance"] + 1e-6)[None]
    np.testing.assert_allclose(
        x @ plain["kernel"] + plain["bias"][None],
        direct @ head["kernel"] + head["bias"][None], rtol=1e-3, atol=1e-3,
    )  # fmt: skip


def test_rates_of_layers():
    task, _ = planet.make(task=dict(mode="finetune", layer_decay=0.5))
    blocks = "encoder/transformer/blocks/fc1/kernel"
    assert task.rate_factor(blocks) == (0.25, 0.5)
    assert task.rate_factor("encoder/projection/kernel") == 0.125
    assert task.rate_factor("head/kernel") == task.rate_factor("encoder/transformer/norm/scale")
    task, config = planet.make(task=dict(mode="partial", train_blocks=1), steps=2)
    assert task.rate_factor(blocks) == (0.0, 1.0)
    assert task.rate_factor("encoder/cls_token") == 0
    run, _, start = planet.trained(task, config)
    start = start["encoder"]["transformer"]["blocks"]
    now = run.params["encoder"]["transformer"]["blocks"]
    moved = jax.tree.map(lambda a, b: (a != b).reshape(2, -1).any(1), planet.on_one(now), start)
    assert not any(leaf[0] for leaf in jax.tree.leaves(moved))
    assert moved["fc2"]["kernel"][1]


def test_lora_starts_as_the_model_and_trains_only_adapters():
    task, config = planet.make(task=dict(mode="lora", lora_rank=4), steps=4)
    run, _, start = planet.trained(task, config)
    jax.tree.map(np.testing.assert_array_equal, task.adapted(start), start["encoder"])
    params = planet.on_one(run.params)
    jax.tree.map(np.testing.assert_array_equal, params["encoder"], start["encoder"])
    merged = task.adapted(params)["transformer"]["blocks"]["attn"]["qkv"]["kernel"]
    change = merged - start["encoder"]["transformer"]["blocks"]["attn"]["qkv"]["kernel"]
    assert [np.linalg.matrix_rank(np.asarray(c), tol=1e-6) for c in change] == [4, 4]


def test_a_run_starts_from_pretrained_weights_of_its_sizes():
    other, _ = planet.make()
    model = types.SimpleNamespace(
        params=other.init(jax.random.key(7)),
        config={"model": other.model, "rule": "log", "spectrum": "smarties-v1"},
    )
    config = planet.config(task=dict(weights="some.safetensors"), steps=0)
    task = tasks.make(config, load=lambda path: model)
    assert task.recipe.rule == "log"
    config.steps = 1
    config.optimizer.learning_rate = 1e-9
    run, _, _ = planet.trained(task, config)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
        planet.on_one(run.params["encoder"]), planet.on_one(model.params["encoder"]),
    )  # fmt: skip
    config.model.encoder.width = 64
    with pytest.raises(errors.UserError, match=r"model.encoder is .*some.safetensors has"):
        tasks.make(config, load=lambda path: model)


def test_losses_of_samples():
    logits = jnp.asarray([[2.0, -1.0, 0.5]])
    target = jnp.asarray([[0.0, 1.0, 0.0]])
    whole = -jax.nn.log_softmax(logits)
    np.testing.assert_allclose(losses.soft(logits, target), whole[:, 1], rtol=1e-6)
    smooth = 0.7 * whole[:, 1] + 0.3 * whole.mean(1)
    np.testing.assert_allclose(losses.soft(logits, target, 0.3), smooth, rtol=1e-6)
    binary = np.log1p(np.exp([2.0, 1.0, 0.5])).mean()
    np.testing.assert_allclose(losses.binary(logits, target), binary, rtol=1e-6)
    maps = jnp.asarray([[[1, 255], [255, 255]], [[255, 255], [255, 255]]])
    scores = jnp.broadcast_to(logits.reshape(1, 1, 1, 3), (2, 2, 2, 3))
    value, count = losses.pixels(scores, maps, 255)
    np.testing.assert_allclose(value, [whole[0, 1], 0], rtol=1e-6)
    assert count.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (dict(data=dict(classes=("a", "b"))), "labels are uint8 .10,., but there are 2 classes"),
        (dict(data=dict(bands={planet.S2: ("B03", "B77")})), "unknown band .* 'B77'"),
        (dict(data=dict(sensors=("sentinel2-l1c",))), "unknown sensor of a source"),
        (dict(data=dict(sensors=())), "data.sensors is empty"),
        (dict(data=dict(classes=())), "data.classes is empty"),
        (dict(data=dict(share=2.0)), "data.share 2.0"),
        (dict(data=dict(source={**planet.PLANET, "count": 3})), "no training example of class"),
        (dict(data=dict(split="train")), "unknown split"),
        (dict(task=dict(mode="probe")), "unknown task.mode"),
        (dict(task=dict(mode="partial")), "train_blocks is 0"),
        (dict(task=dict(labels="map")), "task.labels of classification"),
        (dict(task=dict(fusion="mixup_concat")), "mixes two sensors"),
        (dict(task=dict(smoothing=0.1)), "unknown configuration key 'task.smoothing'"),
        (dict(evaluate=dict(missing=(planet.S1,))), "evaluate.missing"),
        (dict(evaluate=dict(missing=(planet.S2,))), "names the only sensor"),
    ],
)  # fmt: skip
def test_what_a_user_can_mend(sections, message):
    with pytest.raises(errors.UserError, match=message):
        planet.make(**sections)


def test_the_configuration_stands_without_data():
    config = config_dict.ConfigDict(planet.config(task=dict(weights="nowhere")).to_dict())
    config.data.source = dict(kind="records", directory="nowhere")
    task = tasks.make(config, data=False)
    assert set(jax.eval_shape(task.init, jax.random.key(0))) == {"encoder", "head", "stats"}
