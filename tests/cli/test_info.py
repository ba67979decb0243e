"""smarties info says what a run or a file holds."""

import json

import jax


def test_a_run(run, run_params, command):
    out = command("info", run).out
    count = sum(leaf.size for leaf in jax.tree.leaves(run_params))
    for part in ("tiny, after step 5", "width 32, depth 1, heads 4", f"all         {count:,} param",
                 "32 pixels, patches of 8", "smarties-v1, 17 ranges; rule log",
                 "sentinel2-l2a: B01, B02", "(reflectance = 0.0001 x)"):  # fmt: skip
        assert part in out, part


def test_json(run, command):
    told = json.loads(command("info", run, "--json").out)
    assert told["step"] == 5 and told["rule"] == "log" and told["parameters"] > 0
    assert len(told["sensors"]["sentinel2-l2a"]["bands"]) == 12


def test_a_released_file(golden, command):
    out = command("info", golden / "smarties" / "pretrain_model.safetensors", "--heads", 4).out
    assert "rule released" in out and "not said in the file" in out


def test_what_is_not_there(mistake, tmp_path):
    assert "no such file or run" in mistake("info", tmp_path / "nothing.safetensors")
