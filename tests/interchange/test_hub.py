"""hf:owner/name: the cache first, the network only when asked, one line for what is not there."""

import os
import socket
import subprocess
import sys
import types

import jax
import numpy as np
import pytest

import smarties
from smarties import errors
from smarties.interchange import hub, weights

TINY = dict(image_size=32, patch=8, encoder=dict(width=32, depth=1, heads=4))


@pytest.fixture
def exported(tmp_path):
    config = weights.config_of(name="tiny", model=TINY, rule="linear")
    params = weights.shapes(config)
    params = jax.tree.map(lambda x: np.ones(x.shape, np.float32), params)
    hub.write(tmp_path / "model", params, config)
    return tmp_path / "model"


@pytest.fixture
def asked(monkeypatch, exported):
    """What a stand-in for huggingface_hub was asked for; it has owner/name at revision v1."""
    calls = []

    def snapshot_download(repo_id, *, revision, local_files_only, allow_patterns):
        calls.append((repo_id, revision, local_files_only))
        if (repo_id, revision) != ("owner/name", "v1"):
            raise FileNotFoundError("no such snapshot\nand a second line")
        return str(exported)

    module = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return calls


def test_names_and_revisions(asked):
    loaded = smarties.load("hf:owner/name@v1")
    assert loaded.config["name"] == "tiny" and asked == [("owner/name", "v1", True)]
    smarties.load("hf:owner/name@v1", download=True)
    assert asked[-1] == ("owner/name", "v1", False)


@pytest.mark.parametrize(("download", "words"), [(False, "--download"), (True, "the network")])
def test_what_is_not_there(asked, download, words):
    with pytest.raises(errors.UserError) as caught:
        smarties.load("hf:owner/name", download=download)
    assert words in str(caught.value) and "no such snapshot" in str(caught.value)
    assert "\n" not in str(caught.value) and asked == [("owner/name", None, not download)]


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(errors.UserError, match=r"smarties\[hub\]"):
        smarties.load("hf:owner/name")


def test_a_folder_of_several_files(exported):
    (exported / "model.safetensors").rename(exported / "a.safetensors")
    assert smarties.load(exported).config["name"] == "tiny"
    (exported / "b.safetensors").write_bytes(b"")
    with pytest.raises(errors.UserError, match="2 safetensors files: a.safetensors, b.safetens"):
        smarties.load(exported)


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], ["--download"]])
def test_the_library_itself_offline(exported, flags):
    """A cache as huggingface_hub keeps it, and an address where nobody listens."""
    pytest.importorskip("huggingface_hub")
    cache = exported.parent / "cache"
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = cache / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots").mkdir()
    exported.rename(repository / "snapshots" / commit)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    found, missing, wrong = (
        _info(name, cache, nobody, *flags) for name in ("hf:owner/name", "hf:a/b@v2", "hf:a/b/c/d")
    )
    assert found.returncode == 0 and found.stdout.startswith("tiny"), found.stderr
    for one in (missing, wrong):
        assert one.returncode == 2 and one.stderr.splitlines()[-1].startswith("error: hf:a/b")


def _info(name, cache, endpoint, *flags):
    return subprocess.run(
        [sys.executable, "-m", "smarties.cli.main", "info", name, *flags],
        env={**os.environ, "HF_HUB_CACHE": str(cache), "HF_ENDPOINT": endpoint},
        capture_output=True, text=True,
    )  # fmt: skip
