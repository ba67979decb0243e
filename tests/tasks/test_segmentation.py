"""Segmentation on the planet: better than the majority class, any head, any part of the model."""

import jax
import numpy as np
import planet
import pytest

from smarties import errors


def make(**sections):
    task = {**dict(name="segmentation", labels="map"), **sections.pop("task", {})}
    return planet.make(task=task, **sections)


def majority(task):
    counts = sum(
        np.bincount(task.data.sets["test"][i]["labels"].ravel(), minlength=10) for i in range(64)
    )
    return counts.max() / counts.sum()


def test_land_cover_is_found_better_than_by_the_majority_class():
    task, config = make(task=dict(mode="finetune", crop_area=(0.5, 1.0)), steps=150)
    run, history, _ = planet.trained(task, config)
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    values = task.evaluate(planet.on_one(run.params), 0, None)
    assert values["test/accuracy"] > majority(task) + 0.05, (values, majority(task))
    low, high = (values[f"test/miou/{end}"] for end in ("low", "high"))
    assert low <= values["test/miou"] <= high


@pytest.mark.parametrize("head", ["conv", "upernet"])
def test_heads_learn(head):
    task, config = make(
        task=dict(mode="linear_probe", head=head, head_width=16),
        model=dict(encoder=dict(width=32, depth=4, heads=2)),
        steps=30,
    )
    run, history, start = planet.trained(task, config)
    assert np.mean([h["loss"] for h in history[-5:]]) < 0.95 * history[0]["loss"]
    jax.tree.map(np.testing.assert_array_equal, run.params["encoder"], start["encoder"])


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (dict(labels="single"), "task.labels of segmentation is map"),
        (dict(mixup=0.8), "task.mixup and task.cutmix are of classification"),
        (dict(head="upernet"), "sees four depths: the encoder has 2"),
        (dict(head="unet"), "unknown task.head"),
    ],
)
def test_what_a_user_can_mend(task, message):
    with pytest.raises(errors.UserError, match=message):
        make(task=task)


def test_pixels_that_no_sensor_sees_do_not_count():
    """Nonsense labels under the edge of the swath change neither loss nor metrics."""
    gaps = {**planet.PLANET, "gaps": 1.0}
    test = dict(source={**gaps, "count": 8})
    task, _ = make(data=dict(source={**gaps, "count": 128}), evaluate=dict(sets=dict(test=test)))
    params = task.init(jax.random.key(0))
    batch = next(iter(task.batches("train", 0, 1, 0)))
    unseen = ~batch["train"]["valid"][planet.S2]
    assert 0.1 < unseen.mean() < 0.9
    wrong = np.where(unseen, (batch["train"]["labels"] + 3) % 10, batch["train"]["labels"])
    other = {"train": {**batch["train"], "labels": wrong}}
    (loss, said), (same, also) = (task.loss(params, b, jax.random.key(1)) for b in (batch, other))
    assert float(loss) == float(same) and float(said["accuracy"]) == float(also["accuracy"])
    stream = task.data.sets["test"]
    for (_, truth), index in zip(
        task.predictions(params, stream, tuple(task.data.sensors)), range(len(stream)), strict=True
    ):
        valid = stream[index]["valid"][planet.S2]
        np.testing.assert_array_equal(truth, np.where(valid, stream[index]["labels"], 255))
