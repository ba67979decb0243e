"""Whether tensors, sizes and classes belong together: one line that lists all that do not."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from smarties.errors import UserError

Shapes = Mapping[str, tuple[int, ...]]

_SHOWN = 8


def check_keys(found: Shapes, want: Shapes, optional: Iterable[str] = ()) -> None:
    """Returns when names and shapes agree.

    Args:
      found: of a file.
      want: of a model of these sizes.
      optional: names that may be in either alone.

    Raises:
      UserError: keys are missing, belong to no such model, or have another shape; it lists them.
    """
    optional = set(optional)
    missing = [key for key in want if key not in found and key not in optional]
    strange = [key for key in found if key not in want and key not in optional]
    others = [key for key in want if key in found and tuple(found[key]) != tuple(want[key])]
    wrong = []
    if missing:
        wrong.append(f"{_keys(missing)} missing: {listed(missing)}")
    if strange:
        wrong.append(f"{_keys(strange)} of no such SMARTIES model: {listed(strange)}")
    if others:
        shapes = [f"{k} is {tuple(found[k])} and must be {tuple(want[k])}" for k in others]
        wrong.append(f"{_keys(others)} of another size than the model: {listed(shapes)}")
    if wrong:
        raise UserError("; ".join(wrong))


def check_classes(classes: Sequence[str] | None, params: Mapping[str, Any]) -> None:
    """Returns when there is a name for each output of the head, or no list of names.

    Raises:
      UserError: names without a head, another number of names, or a name that appears twice.
    """
    if not classes:
        return
    if "head" not in params:
        raise UserError(f"{len(classes)} classes are named, but the weights have no head")
    twice = sorted({name for name in classes if list(classes).count(name) > 1})
    if twice:
        raise UserError(f"class {twice[0]!r} is named twice: every output needs its own name")
    head = params["head"]
    bias = head.get("scores", head).get("bias")  # of the layer that gives the scores
    if bias is not None and bias.shape[-1] != len(classes):
        raise UserError(
            f"{len(classes)} classes are named ({listed(list(classes))}), but the head has "
            f"{bias.shape[-1]} outputs: name each, in the order of the outputs"
        )


def listed(names: Sequence[str]) -> str:
    """Returns the first names with commas, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _keys(names: Sequence[str]) -> str:
    return "1 key is" if len(names) == 1 else f"{len(names)} keys are"
