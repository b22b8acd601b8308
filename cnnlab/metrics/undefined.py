"""What is not defined: NaN inside arrays, None (null in JSON) in every report, and never part of a mean."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64


def quotient(numerator: np.ndarray, denominator: np.ndarray) -> Float64[np.ndarray, "..."]:
    """numerator / denominator as float64, NaN where the denominator is 0."""
    divisor = np.where(denominator == 0, np.nan, denominator).astype(np.float64)
    return np.asarray(numerator / divisor)


def mean_of_defined(values: np.ndarray) -> Float64[np.ndarray, "..."]:
    """The mean over the last axis of what is no NaN; NaN where nothing is left."""
    defined = ~np.isnan(values)
    return quotient(np.where(defined, values, 0).sum(-1), defined.sum(-1))


def plain(value: float | np.ndarray) -> float | None:
    """A number for a report."""
    return None if np.isnan(value) else float(value)


def plain_by_name(names: Sequence[str], values: np.ndarray) -> dict[str, float | None]:
    """A number for each name."""
    return {name: plain(value) for name, value in zip(names, values, strict=True)}
