"""smarties export and import: a run to a file and back, and one line for every mistake."""

import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

import smarties
from smarties.interchange import weights

IMAGES = np.random.default_rng(0).integers(100, 2000, (2, 32, 32, 12)).astype(np.uint16)


def equal(one, two):
    jax.tree.map(np.testing.assert_array_equal, one, two)


def test_a_run_and_its_export_are_one_model(run, run_params, command, tmp_path):
    output = tmp_path / "weights.safetensors"
    assert "after step 5" in command("export", run, "--output", output).out
    one, two = smarties.load(run), smarties.load(output)
    average = jax.tree.map(lambda x: x * 2, run_params)  # what its evaluation would have used
    equal(one.params, average)
    equal(two.params, average)
    assert one.config == two.config and two.config["rule"] == "log" and two.config["step"] == 5
    np.testing.assert_array_equal(*(m.embed(IMAGES, sensor="sentinel2-l2a") for m in (one, two)))


def test_moving_average_step_and_encoder_alone(run, run_params, command, tmp_path):
    output = tmp_path / "weights.safetensors"
    assert "moving average after" in command("export", run, "--output", output, "--ema").out
    equal(weights.read(output)[0], jax.tree.map(lambda x: x * 2, run_params))
    assert "parameters after" in command("export", run, "--output", output, "--no-ema").out
    equal(weights.read(output)[0], run_params)
    command("export", run, "--output", output, "--step", 3)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(weights.read(output)[0]))
    command("export", run, "--output", output, "--encoder_only")
    assert not [k for k in load_file(output) if k.startswith(("decoder", "mask"))]
    z = smarties.load(output).embed(IMAGES, sensor="sentinel2-l2a", pooling="mean")
    want = smarties.load(run).embed(IMAGES, sensor="sentinel2-l2a", pooling="mean")
    np.testing.assert_array_equal(z, want)


def test_import_of_released_weights(golden, command, tmp_path):
    source = golden / "smarties" / "vit_cls.safetensors"
    result = command("import", source, "--output", tmp_path / "new", "--heads", 4)
    assert result.code == 0 and "width 64, depth 2, heads 4" in result.out
    loaded = smarties.load(tmp_path / "new" / "vit_cls.safetensors")
    case = np.load(golden / "smarties" / "vit_cls.npz")
    image = case["in/RGB/img"].transpose(0, 2, 3, 1)
    z = loaded.embed(image, sensor="rgb", normalized=True)
    np.testing.assert_allclose(z, case["out/RGB/features"], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "{run}"], "exists already: give another --output"),
        (["--output", "{tmp}/no/where.safetensors"], "cannot be written"),
        (["--output", "{tmp}/x.safetensors", "--format", "orbax"], "writes a folder"),
        (["--output", "{tmp}/x", "--format", "stablehlo"], "needs --sensor"),
        (["--output", "{tmp}/x", "--sensor", "rgb"], "needs --sensor, and nothing else"),
        (["--output", "{tmp}/w.safetensors", "--step", "4"], "it has [3, 5]"),
    ],
)
def test_export_mistakes(run, mistake, tmp_path, arguments, words):
    arguments = [a.format(tmp=tmp_path, run=run) for a in arguments]
    assert words in mistake("export", run, *arguments)
    assert not list(tmp_path.iterdir())


def _changed(run, to, **changes):
    shutil.copytree(run, to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps(config | changes))
    return to


def test_a_checkpoint_of_another_shape(run, run_config, mistake, tmp_path):
    model = {**run_config["model"], "encoder": dict(width=64, depth=1, heads=4)}
    other = _changed(run, tmp_path / "other", model=model)
    line = mistake("info", other)
    assert "of shape" in line and "expects" in line and str(other) in line


def test_directories_that_are_no_run(run, mistake, tmp_path):
    assert "no config.json" in mistake("info", tmp_path)
    (tmp_path / "config.json").write_text("{")
    assert "not of a run" in mistake("info", tmp_path)
    (tmp_path / "config.json").write_text((run / "config.json").read_text())
    assert "no checkpoint yet" in mistake("info", tmp_path)
    plain = _changed(run, tmp_path / "plain", optimizer={"ema": 0.0})
    assert "kept no moving average" in mistake(
        "export", plain, "--ema", "--output", tmp_path / "w.safetensors"
    )


def test_import_mistakes(golden, mistake, tmp_path, monkeypatch):
    source = golden / "smarties" / "vit_cls.safetensors"
    assert "--heads" in mistake("import", source, "--output", tmp_path)
    assert "did you mean 'linear'" in mistake(
        "import", source, "--output", tmp_path, "--heads", 4, "--rule", "linea"
    )
    copy = shutil.copy(source, tmp_path)
    assert "another --output" in mistake("import", copy, "--output", tmp_path, "--heads", 4)
    pickle = shutil.copy(source, tmp_path / "x.pth")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "is a pickle" in mistake("import", pickle, "--output", tmp_path)
    names = ",".join("abcdefghi")
    line = mistake("import", source, "--output", tmp_path, "--heads", 4, "--classes", names)
    assert "9 classes" in line and "10 outputs" in line
    assert {f.name for f in tmp_path.iterdir()} == {source.name, "x.pth"}


def test_import_smarties_is_light():
    code = "import sys, smarties; sys.exit('jax' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert set(smarties.__all__) >= {"load", "sensors", "UserError"}
    assert "rgb" in smarties.sensors() and smarties.__version__
    with pytest.raises(AttributeError, match="lod"):
        _ = smarties.lod
