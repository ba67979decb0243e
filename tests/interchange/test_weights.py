"""Weights in and out: the keys of the release, round trips, one line for every file not right."""

import json
import shutil
import sys

import jax
import numpy as np
import pytest
from safetensors import safe_open
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
        assert ours[key].tobytes() == want.tobytes(), key


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
    "cls_token missing, which tell its sizes": foreign(lambda t: t.pop("cls_token")),
    "cls_token is (1, 1, 32) and must be (1, 1, 64)": rewrite(model=wider(TINY)),
    "of a newer smarties": rewrite(format=weights.FORMAT + 1),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_file_that_is_not_right_is_named_in_one_line(file, words):
    MISTAKES[words](file)
    with pytest.raises(errors.UserError) as caught:
        weights.read(file)
    assert words in str(caught.value) and str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_wrong_keys_are_listed(file):
    def change(tensors):
        for key in ("norm.weight", "blocks.0.mlp.fc2.bias", "decoder_preds.3.weight"):
            tensors.pop(key)
        tensors |= {"a.stranger": np.zeros(3), "blocks.0.attn.rope": np.zeros(3)}
        tensors["decoder_preds.0.bias"] = np.zeros(65, np.float32)

    foreign(change)(file)
    with pytest.raises(errors.UserError) as caught:
        weights.read(file, heads=4, decoder_heads=2)
    missing, strange, others = str(caught.value).removeprefix(f"{file}: ").split("; ")
    assert missing.startswith("3 keys are missing: ")
    assert set(missing.partition(": ")[2].split(", ")) == {
        "norm.weight", "blocks.0.mlp.fc2.bias", "decoder_preds.3.weight"
    }  # fmt: skip
    assert strange.startswith("2 keys are of no such SMARTIES model: ")
    assert "a.stranger" in strange and "blocks.0.attn.rope" in strange
    assert others.endswith("decoder_preds.0.bias is (65,) and must be (64,)")


def test_heads_of_other_tasks_come_back_unchanged(file):
    params, made = weights.read(file)
    rng = np.random.default_rng(1)
    params |= {
        "head": {"kernel": rng.normal(size=(32, 3)), "bias": rng.normal(size=3)},
        "stats": {"mean": rng.normal(size=32), "variance": rng.normal(size=32)},
        "extra": {"count": np.int64(7), "half": rng.normal(size=3).astype(np.float16)},
        "upernet": {"fuse": {"kernel": rng.normal(size=(3, 3, 32, 8))}},
    }
    params = jax.tree.map(lambda x: x.astype(np.float32) if x.dtype == np.float64 else x, params)
    made["classes"] = ["water", "forest", "town"]
    weights.write(file, params, made)
    again, said = weights.read(file)
    equal(again, params)
    jax.tree.map(lambda x, y: np.testing.assert_equal(x.dtype, y.dtype), again, params)
    assert said == made and load_file(file)["head.1.weight"].shape == (3, 32)
    tensors = load_file(file)
    with safe_open(file, "numpy") as opened:
        metadata = opened.metadata()
    tensors.pop("upernet/fuse/kernel")
    save_file(tensors, file, metadata)
    with pytest.raises(errors.UserError, match="1 key is missing: upernet/fuse/kernel"):
        weights.read(file)


def test_a_linear_probe_in_the_names_of_the_release(file):
    def change(tensors):
        tensors |= {f"head.0.running_{k}": np.ones(32, np.float32) for k in ("mean", "var")}
        tensors |= {"head.0.num_batches_tracked": np.asarray(9)}
        tensors |= {"head.1.weight": np.ones((3, 32), np.float32), "head.1.bias": np.ones(3)}

    foreign(change)(file)
    params, _ = weights.read(file, heads=4, decoder_heads=2)
    assert params["head"]["kernel"].shape == (32, 3) and set(params["stats"]) == {
        "mean", "variance"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["water", "forest"], "2 classes are named (water, forest), but the head has 3 outputs"),
        (["water", "town", "town"], "class 'town' is named twice"),
    ],
)
def test_classes_and_head_must_agree(file, names, words):
    params, made = weights.read(file)
    head = {"kernel": np.ones((32, 3), np.float32), "bias": np.ones(3, np.float32)}
    with pytest.raises(errors.UserError, match="but the weights have no head"):
        weights.write(file, params, {**made, "classes": names})
    with pytest.raises(errors.UserError) as caught:
        weights.write(file, {**params, "head": head}, {**made, "classes": names})
    assert words in str(caught.value)
    equal(weights.read(file)[0], params)
    weights.write(file, {**params, "head": head}, made)
    with pytest.raises(errors.UserError) as caught:
        weights.read(file, config={**made, "classes": names})
    assert words in str(caught.value)


def test_other_position_tables_do_not_pass(file):
    foreign(lambda t: t.update(pos_embed=t["pos_embed"] + 0.1))(file)
    with pytest.raises(errors.UserError, match="pos_embed is not the sin-cos table"):
        weights.read(file, heads=4, decoder_heads=2)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".pkl"])
def test_pickles_are_refused_unread(file, suffix, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(errors.UserError, match=r"pickle.*smarties\[torch\]"):
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
