"""Eight fake CPU devices, warnings as errors, strict ranks; where data and references lie."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tests compile much and compute little: without XLA's optimisations they take half the time. Those
# that start themselves again as users compile set SMARTIES_TESTS_OPTIMISED.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8 " + (
    ""
    if "SMARTIES_TESTS_OPTIMISED" in os.environ
    else "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    + os.environ.get("XLA_FLAGS", "")
)

from pathlib import Path

import jax
import pytest
from absl import flags

jax.config.update("jax_numpy_rank_promotion", "raise")
flags.FLAGS.mark_as_parsed()

_SHARED = Path(__file__).parents[2] / "shared"


def _folder(variable: str, name: str) -> Path:
    folder = Path(os.environ.get(variable, _SHARED / name))
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here; set {variable} to run this test")
    return folder


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real imagery."""
    return _folder("SMARTIES_DATA", "data")


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of reference inputs and outputs of the released models."""
    return _folder("SMARTIES_GOLDEN", "golden")
