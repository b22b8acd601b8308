"""Confidence intervals of any figure by the percentile bootstrap (Efron and Tibshirani 1993, section 13.3).

A resample draws as many examples as there are, with replacement. It is kept as how often each example was drawn, so
that a figure which is made of sums over examples is made of weighted sums, for many resamples at once.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

RESAMPLES = 1000
LEVEL = 0.95
_WEIGHTS = 2**20  # that are held at a time: 8 MiB

Statistic = Callable[[Float64[np.ndarray, "example resample"]], Mapping[str, np.ndarray]]
"""Weights, how often each example is in each resample, to figures by name: [resample] or [resample, ...]."""


class Interval(NamedTuple):
    """From the low to the high percentile of the resamples where the figure is defined; None where it is in none.

    `undefined` is the number of the others: a class that was not drawn has no recall.
    """

    low: float | None
    high: float | None
    undefined: int


def intervals(
    statistic: Statistic, examples: int, *, seed: int, resamples: int = RESAMPLES, level: float = LEVEL
) -> dict[str, Any]:
    """An `Interval` for each figure [resample] of the statistic, a list of them for [resample, ...].

    The same seed gives the same intervals. Memory does not grow with the resamples.
    """
    random = np.random.default_rng(seed)
    parts: list[Mapping[str, np.ndarray]] = []
    at_once = max(1, _WEIGHTS // max(examples, 1))
    for start in range(0, resamples, at_once):
        parts.append(statistic(_weights(random, examples, min(at_once, resamples - start))))
    return {name: _interval(np.concatenate([part[name] for part in parts]), level) for name in parts[0]}


def together(*statistics: Statistic) -> Statistic:
    """All figures of several statistics, from the same resamples."""
    return lambda weights: {name: values for each in statistics for name, values in each(weights).items()}


def _weights(random: np.random.Generator, examples: int, resamples: int) -> Float64[np.ndarray, "example resample"]:
    drawn = random.integers(0, examples, (resamples, examples))
    cells = drawn * resamples + np.arange(resamples)[:, None]
    return np.bincount(cells.ravel(), minlength=examples * resamples).reshape(examples, resamples).astype(np.float64)


def _interval(values: np.ndarray, level: float) -> Any:
    if values.ndim > 1:
        return [_interval(values[:, k], level) for k in range(values.shape[1])]
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        return Interval(None, None, len(values))
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), len(values) - len(defined))
