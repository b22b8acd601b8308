"""Slopes by differences in float64, which know nothing of automatic differentiation."""

from collections.abc import Callable

import numpy as np


def slopes(loss: Callable[[np.ndarray], np.ndarray], at: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """The gradient of the sum of a NumPy loss, by central differences."""
    at = at.astype(np.float64)
    found = np.zeros_like(at)
    for place in np.ndindex(*at.shape):
        high, low = at.copy(), at.copy()
        high[place] += step
        low[place] -= step
        found[place] = (loss(high).sum() - loss(low).sum()) / (2 * step)
    return found
