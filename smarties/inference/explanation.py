"""Shapley values as `shap.Explanation`, which shap's own plots take; needs the extra `explain`."""

from typing import Any

import numpy as np

from smarties.inference import shapley


def explanation(found: shapley.Values, data: np.ndarray | None = None, outputs=None) -> Any:
    """Returns the `shap.Explanation` of values [d], [d, places] or [d, places, outputs].

    As shap has it, places come first: [d], [places, d] or [places, d, outputs].

    Args:
      found: the values; their standard errors become `error_std`.
      data: [places, d] or [d], the value of each player (a predictor) there, where it has one.
      outputs: names of the last axis.
    """
    import shap

    def turned(values: np.ndarray) -> np.ndarray:
        return values if values.ndim == 1 else np.moveaxis(values, 0, 1)

    return shap.Explanation(
        values=turned(found.values),
        base_values=found.empty if found.empty.ndim else float(found.empty),
        data=data,
        error_std=None if found.errors is None else turned(found.errors),
        feature_names=list(found.names),
        output_names=None if outputs is None else list(outputs),
    )
