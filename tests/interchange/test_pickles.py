"""PyTorch's files: weights only, and nothing that a pickle could run."""

import sys
import types

import numpy as np
import pytest

from smarties import errors
from smarties.interchange import pickles


class Tensor:
    def __init__(self, value):
        self.value = np.asarray(value)

    def float(self):
        return Tensor(self.value.astype(np.float32))

    contiguous = float

    def numpy(self):
        return self.value


@pytest.fixture
def content(monkeypatch, tmp_path):
    """Sets what a stand-in for torch finds in a file, and returns the file."""

    def put(value):
        def load(path, *, map_location, weights_only):
            assert weights_only is True
            if isinstance(value, Exception):
                raise value
            return value

        monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(load=load, Tensor=Tensor))
        return tmp_path / "x.pth"

    return put


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"model": state, "epoch": 3, "optimizer": {}},
        lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}},
    ],
)
def test_state_dicts_as_scripts_save_them(content, wrap):
    state = {"norm.weight": Tensor([1.0, 2.0]), "head.bias": Tensor([3.0])}
    tensors = pickles.read(content(wrap(state)))
    assert tensors.keys() == state.keys() and tensors["norm.weight"].dtype == np.float32
    np.testing.assert_array_equal(tensors["norm.weight"], [1, 2])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (RuntimeError("Unsupported global\nmore"), "cannot be read as weights alone (Unsupported"),
        ([1, 2], "holds no state dict"),
        ({"epoch": 3, "norm.weight": Tensor([1.0])}, "'epoch' is no tensor"),
    ],
)
def test_what_holds_more(content, value, words):
    with pytest.raises(errors.UserError) as caught:
        pickles.read(content(value))
    assert words in str(caught.value) and "\n" not in str(caught.value)


class Harmful:
    """Runs a command when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (open, (str(self.file), "w"))


def test_pytorch_itself(tmp_path):
    torch = pytest.importorskip("torch")
    state = {"norm.weight": torch.arange(3.0).half(), "n": torch.tensor(7)}
    torch.save({"model": state, "epoch": 3}, tmp_path / "x.pth")
    tensors = pickles.read(tmp_path / "x.pth")
    np.testing.assert_array_equal(tensors["norm.weight"], [0, 1, 2])
    torch.save({"model": Harmful(tmp_path / "harm")}, tmp_path / "y.pth")
    with pytest.raises(errors.UserError, match="cannot be read as weights alone"):
        pickles.read(tmp_path / "y.pth")
    assert not (tmp_path / "harm").exists()
