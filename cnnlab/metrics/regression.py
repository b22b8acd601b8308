"""Figures of predicted numbers: errors per target in its own units, and their means over targets, in float64."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped

from cnnlab.errors import DataError
from cnnlab.metrics.undefined import mean_of_defined, plain, quotient

FIGURES = ("mse", "rmse", "mae", "r2", "max_error")


def regression_report(
    truth: Shaped[np.ndarray, "example target"], predicted: Shaped[np.ndarray, "example target"], names: Sequence[str]
) -> dict[str, Any]:
    """`FIGURES`, and a row of them for each target under "per_target".

    mse, rmse, mae and r2 are means over targets, max_error the largest of all. r2 = 1 - sum e^2 / sum (y - mean)^2 is
    None where a target is constant, which is then in "undefined" and in no mean. Raises DataError without examples.
    """
    if len(truth) == 0:
        raise DataError("there is no example", hint="there is nothing to measure")
    y = truth.astype(np.float64)
    error = predicted.astype(np.float64) - y
    squared, absolute = error**2, np.abs(error)
    constant = (y == y[:1]).all(0)  # else the mean's rounding makes a spread
    spread = np.where(constant, 0, ((y - y.mean(0)) ** 2).sum(0))
    figures = {
        "mse": squared.mean(0),
        "rmse": np.sqrt(squared.mean(0)),
        "mae": absolute.mean(0),
        "r2": 1 - quotient(squared.sum(0), spread),
        "max_error": absolute.max(0),
    }
    rows = [{"target": name, **{key: plain(figures[key][k]) for key in FIGURES}} for k, name in enumerate(names)]
    return {
        **{key: plain(mean_of_defined(figures[key])) for key in FIGURES[:-1]},
        "max_error": float(absolute.max()),
        "per_target": rows,
        "undefined": [f"r2 of {name}" for name, flat in zip(names, constant, strict=True) if flat],
    }
