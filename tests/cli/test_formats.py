"""What `smarties export` writes, loaded again: the hub's folder, StableHLO, Orbax. Exact."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

import smarties
from smarties import loading
from smarties.interchange import sizes, weights
from smarties.models import positions
from smarties.training import checkpoint, state

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(100, 2000, (3, 32, 32, 12)).astype(np.uint16)
SENSOR = "sentinel2-l2a"


def equal(one, two):
    jax.tree.map(np.testing.assert_array_equal, one, two)


def test_a_folder_for_the_hub(run, command, tmp_path):
    folder = tmp_path / "model"
    command("export", run, "--output", folder, "--licence", "Apache-2.0")
    assert {f.name for f in folder.iterdir()} == {"model.safetensors", "config.json", "README.md"}
    one, two = loading.read(run), loading.read(folder)
    equal(one[0], two[0])
    assert two[1] == {**one[1], "licence": "Apache-2.0"} and two[1]["data"].startswith("sha256:")
    again = tmp_path / "again"
    command("export", folder, "--output", again)
    for file in folder.iterdir():
        assert file.read_bytes() == (again / file.name).read_bytes()


def test_the_card_says_what_goes_in(run, command, tmp_path):
    head = {"kernel": np.ones((32, 2), np.float32), "bias": np.ones(2, np.float32)}
    params, config = loading.read(run)
    config["classes"] = ["water", "forest"]
    weights.write(tmp_path / "tuned.safetensors", {**params, "head": head}, config)
    command("export", tmp_path / "tuned.safetensors", "--output", tmp_path / "model")
    _, front, text = (tmp_path / "model" / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "smarties"
    assert "| + | B02 | 492.7 nm" in text and "reflectance = 0.0001 x" in text
    for said in (config["data"], "0. water\n1. forest", "mixing rule `log`", "after step 5"):
        assert said in text
    loaded = smarties.load(tmp_path / "model")
    assert loaded.config["classes"] == ["water", "forest"]
    equal(loaded.params["head"], head)


def test_another_config_than_the_weights(run, command, mistake, tmp_path):
    command("export", run, "--output", tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    config = json.loads(file.read_text())
    wider = {**config["model"], "encoder": dict(width=64, depth=1, heads=4)}
    for changes, words in (
        ({"model": wider}, "cls_token is (1, 1, 32) and must be (1, 1, 64)"),
        ({"classes": ["a", "b"]}, "2 classes are named, but the weights have no head"),
    ):
        file.write_text(json.dumps(config | changes))
        assert words in mistake("info", tmp_path / "model")
    file.write_text("{")
    assert "config.json is not JSON" in mistake("info", tmp_path / "model")


def test_orbax_and_back(run, command, tmp_path):
    command("export", run, "--format", "orbax", "--output", tmp_path / "orbax")
    command("export", tmp_path / "orbax", "--output", tmp_path / "a.safetensors")
    command("export", run, "--output", tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    command("export", tmp_path / "a.safetensors", "--format", "orbax", "--output", tmp_path / "two")
    one, two = loading.read(tmp_path / "orbax"), loading.read(tmp_path / "two")
    equal(one[0], two[0])
    assert one[1] == two[1]


def test_orbax_of_another_width(run, command, mistake, tmp_path):
    command("export", run, "--format", "orbax", "--output", tmp_path / "orbax")
    file = tmp_path / "orbax" / "config.json"
    config = json.loads(file.read_text())
    config["model"]["encoder"]["width"] = 64
    file.write_text(json.dumps(config))
    assert "must be (1, 1, 64)" in mistake("info", tmp_path / "orbax")
    (tmp_path / "orbax" / "params" / "_METADATA").unlink()
    assert "cannot be read" in mistake("info", tmp_path / "orbax")


ALONE = """
import json, sys
sys.modules["smarties"] = sys.modules["flax"] = None
import numpy as np
images = np.load("images.npy")
{call}
np.save("features.npy", features)
np.save("one.npy", program.call(weights, images[:1]))
"""


@pytest.mark.parametrize("pooling", ["cls", "mean", "tokens"])
def test_a_program_without_this_package(run, command, tmp_path, pooling):
    pytest.importorskip("flatbuffers")
    folder, bands = tmp_path / "program", "B04,B8A,B02"
    result = command(
        "export", run, "--format", "stablehlo", "--output", folder, "--sensor", SENSOR,
        "--bands", bands, "--pooling", pooling, "--encoder_only",
    )  # fmt: skip
    assert result.code == 0, result.err
    described = json.loads((folder / "program.json").read_text())
    assert described["images"]["shape"] == ["b", 32, 32, 3]
    assert [band["name"] for band in described["images"]["bands"]] == bands.split(",")
    images = IMAGES[..., :3].astype(np.float32)
    images[0, :4], images[1, 5, 5] = np.nan, 0  # nothing there, and the sensor's nodata
    np.save(folder / "images.npy", images)
    call = "\n".join(described["call"])
    done = subprocess.run(
        [sys.executable, "-c", ALONE.format(call=call)],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    model = smarties.load(folder)
    if pooling == "tokens":
        want = model.tokens(images, sensor=SENSOR, bands=bands)
    else:
        want = model.embed(images, sensor=SENSOR, bands=bands, pooling=pooling)
    features = np.load(folder / "features.npy")
    np.testing.assert_allclose(features, want, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(np.load(folder / "one.npy"), want[:1], rtol=1e-4, atol=2e-5)
    assert np.abs(features - features[::-1]).max() > 0.01
    assert (folder / "model.stablehlo").stat().st_size < 1_000_000


def test_nothing_is_left_of_a_program_that_fails(run, mistake, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    monkeypatch.delitem(sys.modules, "jax._src.export.serialization", raising=False)
    line = mistake("export", run, "--format", "stablehlo", "--sensor", SENSOR,
                   "--output", tmp_path / "x")  # fmt: skip
    assert "pip install 'smarties[export]'" in line and not list(tmp_path.iterdir())


def test_both_files_of_the_release(golden, tmp_path):
    """Keys and sizes of the public B and L are known without a hint."""
    keys = json.loads((golden / "smarties" / "vit_b_keys.json").read_text())
    for entry, width in (
        ("smarties_vit_base_patch16 (pretrain)", 768),
        ("vit_large_patch16", 1024),
    ):
        tensors = _tables({k: np.zeros(shape, np.float32) for k, shape in keys[entry].items()})
        model = sizes.model(tensors, None, None)
        assert model["encoder"]["width"] == width and model["image_size"] == 224
        weights.check(tensors, weights.config_of(name="x", model=model, rule="released"))


def _tables(tensors):
    for key in ("pos_embed", "decoder_pos_embed"):
        if key in tensors:
            table = positions.sincos_2d((14, 14), tensors[key].shape[-1])
            tensors[key] = np.pad(table, ((1, 0), (0, 0)))[None]
    return tensors


def test_a_stopped_export_leaves_the_old(run, mistake, tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").write_text("mine")
    assert "exists already" in mistake("export", run, "--output", tmp_path / "model")

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("smarties.interchange.card.text", full)
    assert "no space left" in mistake("export", run, "--output", tmp_path / "new")
    assert [f.name for f in tmp_path.rglob("*")] == ["model", "mine"]


@pytest.mark.parametrize(("name", "pooling"), [("vit_cls", "cls"), ("vit_gap", "mean")])
def test_fine_tuned_models_of_the_release(golden, command, tmp_path, name, pooling):
    """Through import, a named head and the folder: the same bits, and the logits of the release."""
    source = golden / "smarties" / f"{name}.safetensors"
    classes = ",".join(f"class{i}" for i in range(10))
    made = tmp_path / "one.safetensors"
    command("import", source, "--output", made, "--heads", 4, "--classes", classes)
    command("export", made, "--output", tmp_path / "model")
    tensors, again = load_file(source), load_file(tmp_path / "model" / "model.safetensors")
    assert {k: v.tobytes() for k, v in tensors.items()} == {
        k: v.tobytes() for k, v in again.items()
    }
    model, case = smarties.load(tmp_path / "model"), np.load(source.with_suffix(".npz"))
    assert model.config["classes"] == classes.split(",")
    image = case["in/SENTINEL1-GRD/img"].transpose(0, 2, 3, 1)
    z = model.embed(image, sensor="sentinel1-grd", normalized=True, pooling=pooling)
    logits = z @ model.params["head"]["kernel"] + model.params["head"]["bias"][None]
    np.testing.assert_allclose(logits, case["out/SENTINEL1-GRD/logits"], rtol=1e-4, atol=2e-5)


def test_a_run_that_adapted_other_weights(run_config, run_params, command, tmp_path):
    """Its head, statistics and the rest come along, and what it says of itself."""
    model = {k: v for k, v in run_config["model"].items() if k != "decoder"}
    adaptation = dict(
        recipe=dict(name="classification", rule="linear", spectrum="smarties-v1"),
        model=model, classes=["water", "forest"],
    )  # fmt: skip
    drawn = iter(jax.random.split(jax.random.key(0), 8))
    params = {
        "encoder": run_params["encoder"],
        "head": {"kernel": jax.random.normal(next(drawn), (32, 2)), "bias": jnp.ones(2)},
        "stats": {"mean": jax.random.normal(next(drawn), (32,)), "variance": jnp.ones(32)},
        "extra": {"qkv": {"down": jax.random.normal(next(drawn), (1, 32, 4))}},
    }
    run = tmp_path / "run"
    run.mkdir()
    config = dict(name="tuned", task=dict(name="classification"), optimizer=dict(ema=0.0))
    (run / "config.json").write_text(json.dumps(config))
    saved = state.State(
        step=jnp.asarray(2, jnp.int32), skipped=jnp.asarray(0, jnp.int32), params=params,
        opt_state={}, ema=None,
    )  # fmt: skip
    with checkpoint.open(run / "checkpoints") as manager:
        checkpoint.save(manager, 2, saved, {"adaptation": adaptation, "data": {"seed": 1}})
    found, said = loading.read(run)
    equal(found, params)
    assert said["classes"] == ["water", "forest"] and said["adaptation"] == adaptation
    for output in ("a", "b.safetensors"):
        command("export", run, "--output", tmp_path / output)
        again, same = loading.read(tmp_path / output)
        equal(again, params)
        assert same == said
    command("export", tmp_path / "a", "--format", "orbax", "--output", tmp_path / "c")
    equal(loading.read(tmp_path / "c")[0], params)
