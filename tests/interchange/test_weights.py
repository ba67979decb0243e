"""Weights in and out: the keys of the release, round trips, one line for every file not right."""

import json
import shutil

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from smarties import errors
from smarties.interchange import weights

TINY = dict(
    image_size=32,
    patch=8,
    encoder=dict(width=32, depth=1, heads=4),
    decoder=dict(width=16, depth=1, heads=2),
)
BASE = dict(
    image_size=224,
    patch=16,
    encoder=dict(width=768, depth=12, heads=12),
    decoder=dict(width=512, depth=8, heads=16),
)


def config(model, **changes):
    return weights.config_of(name="tiny", model=model, rule="linear", **changes)


def drawn(made, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), weights.shapes(made))


def equal(one, two):
    jax.tree.map(np.testing.assert_array_equal, one, two)


@pytest.fixture
def file(tmp_path):
    made = config(TINY, step=7)
    weights.write(tmp_path / "tiny.safetensors", drawn(made), made)
    return tmp_path / "tiny.safetensors"


def test_round_trip(file):
    params, made = weights.read(file)
    assert made == config(TINY, step=7)
    equal(params, drawn(made))
    assert [p.name for p in file.parent.iterdir()] == ["tiny.safetensors"]


@pytest.mark.parametrize(
    ("model", "entry"),
    [
        (BASE, "smarties_vit_base_patch16 (pretrain)"),
        ({k: v for k, v in BASE.items() if k != "decoder"},
         "vit_base_patch16 (downstream, num_classes=0)"),
    ],
)  # fmt: skip
def test_keys_and_shapes_are_those_of_the_release(golden, tmp_path, model, entry):
    made = config(model)
    params = jax.tree.map(lambda x: np.zeros(x.shape, np.float32), weights.shapes(made))
    weights.write(tmp_path / "base.safetensors", params, made)
    ours = {k: list(v.shape) for k, v in load_file(tmp_path / "base.safetensors").items()}
    assert ours == json.loads((golden / "smarties" / "vit_b_keys.json").read_text())[entry]


@pytest.mark.parametrize("name", ["pretrain_model", "vit_cls", "vit_gap"])
def test_released_weights_come_back_unchanged(golden, tmp_path, name):
    source = golden / "smarties" / f"{name}.safetensors"
    params, made = weights.read(source, heads=4)
    weights.write(tmp_path / "again.safetensors", params, made)
    ours, theirs = load_file(tmp_path / "again.safetensors"), load_file(source)
    assert ours.keys() == theirs.keys()
    for key, want in theirs.items():
        np.testing.assert_allclose(ours[key], want, atol=1e-6, err_msg=key)


def test_sizes_are_told_by_shapes(golden):
    made = weights.read(golden / "smarties" / "pretrain_model.safetensors", 4, 4)[1]
    assert made["rule"] == "released" and made["model"] == dict(
        image_size=64,
        patch=16,
        encoder=dict(width=64, depth=2, heads=4),
        decoder=dict(width=32, depth=1, heads=4),
    )


def test_the_encoder_alone(file):
    params, made = weights.encoder_only(*weights.read(file))
    weights.write(file, params, made)
    again, made = weights.read(file)
    assert set(again) == {"encoder"} and "decoder" not in made["model"]
    equal(again["encoder"], drawn(config(TINY))["encoder"])


def foreign(change):
    """Returns a way to spoil a file that has no metadata."""

    def spoil(file):
        tensors = load_file(file)
        change(tensors)
        save_file(tensors, file)

    return spoil


def rewrite(**changes):
    """Returns a way to give a file other metadata than its own."""

    def spoil(file):
        params, made = weights.read(file)
        weights.write(file, params, {**made, **changes})

    return spoil


def cut(file):
    file.write_bytes(file.read_bytes()[:-100])


def wider(model):
    return {**model, "encoder": dict(width=64, depth=1, heads=4)}


MISTAKES = {
    "no such file": lambda file: file.unlink(),
    "truncated": cut,
    "or no safetensors file": lambda file: file.write_text("hello " * 100),
    "heads= (--heads)": foreign(lambda t: None),
    "'a.stranger' is no name": foreign(lambda t: t.update({"a.stranger": np.zeros(3)})),
    "'cls_token' is missing": foreign(lambda t: t.pop("cls_token")),
    "is of shape (32, 16), but a model of these sizes has it of shape (64, 16)": rewrite(
        model=wider(TINY)
    ),
    "of a newer smarties": rewrite(format=weights.FORMAT + 1),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_file_that_is_not_right_is_named_in_one_line(file, words):
    MISTAKES[words](file)
    with pytest.raises(errors.UserError) as caught:
        weights.read(file)
    assert words in str(caught.value) and str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "words"),
    [("norm.weight", "norm/scale' is missing"), ("blocks.0.mlp.fc2.bias", "fc2/bias' is missing")],
)
def test_a_missing_parameter_is_named(file, key, words):
    foreign(lambda t: t.pop(key))(file)
    with pytest.raises(errors.UserError, match=words):
        weights.read(file, heads=4, decoder_heads=2)


def test_other_position_tables_do_not_pass(file):
    foreign(lambda t: t.update(pos_embed=t["pos_embed"] + 0.1))(file)
    with pytest.raises(errors.UserError, match="pos_embed is not the sin-cos table"):
        weights.read(file, heads=4, decoder_heads=2)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".pkl"])
def test_pickles_are_refused_unread(file, suffix):
    with pytest.raises(errors.UserError, match="pickle.*safetensors.torch.save_file"):
        weights.read(shutil.copy(file, file.with_suffix(suffix)))


def test_a_failed_write_leaves_the_old_file(file, monkeypatch):
    before = file.read_bytes()

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(weights.files, "save_file", full)
    with pytest.raises(errors.UserError, match="no space left"):
        weights.write(file, drawn(config(TINY)), config(TINY))
    assert file.read_bytes() == before and len(list(file.parent.iterdir())) == 1
