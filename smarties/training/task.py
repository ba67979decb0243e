"""What the loop trains: the Task protocol."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from smarties.typing import Array, Key, Tree


@runtime_checkable
class Task(Protocol):
    """What is learnt: ties models, losses, metrics and a batch layout together.

    Optional members the loop looks for:
      gradients(params, batch, key) -> (grads, metrics): several objectives over parts of the
        parameters, in place of `loss`; its metrics hold "loss".
      evaluate(params, step, directory) -> {name: value}: numbers for the log; may leave arrays or
        pictures in `directory`.
      flops() -> float: floating-point operations of one training step, analytic.
      examples_per_epoch() -> int: for durations in epochs.
      metadata() -> dict, JSON-able: what a checkpoint carries beside the configuration (sensors in
        full, the order of labels).
      rate_factor(path) -> factor on the learning rate of the parameter at "a/b/c", or one for each
        of its stacked layers. A parameter whose factor is 0 throughout is frozen: it has no
        gradient and no moments.
      pretrained() -> parameters, or a part of them, as NumPy arrays: a new run starts from these in
        place of what `init` drew.
      unit: what a batch counts ("pairs"), for the progress bar.

    A top-level subtree "stats" of the parameters is skipped by the optimiser: `loss` returns its
    new value as metrics["stats"].
    """

    def init(self, key: Key) -> Tree:
        """Returns the parameters; shapes come from the configuration alone."""
        ...

    def loss(self, params: Tree, batch: Tree, key: Key) -> tuple[Array, Mapping[str, Any]]:
        """Returns (scalar, metrics); pure. Metrics are scalars, "stats" apart."""
        ...

    def batches(self, split: str, rank: int, world: int, start_step: int) -> Iterable[Tree]:
        """Returns this process's share of each global batch, from `start_step` on, as NumPy arrays.

        A batch may hold more than `batch_spec` names: only what it names goes to the device.
        Strings named "id" identify examples; those named "unreadable" say, in one line each, what
        could not be read, and are reported and counted.
        """
        ...

    def batch_spec(self) -> Tree:
        """Returns the global batch as `jax.ShapeDtypeStruct`s."""
        ...

    def data_identity(self) -> dict[str, Any]:
        """Returns what fixes the data order; a run resumes only with the same."""
        ...
