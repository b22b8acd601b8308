"""`source: function`: values of a function of one variable, to be learnt from examples.

As in data/generators.py each example follows from (seed, its number) alone.
"""

from math import pi
from pathlib import Path

import numpy as np

from cnnlab.data.dataset import Dataset, Target
from cnnlab.spec.generators import Function


def load(data: Function, base: Path) -> Dataset:
    """x: float32 [example, 1], even over the domain; target "values": float32 [example, 1], f(x) with noise."""
    drawn = [np.random.Generator(np.random.Philox(key=[data.seed, stream])) for stream in (0, 100)]
    low, high = data.domain
    x = (low + (high - low) * drawn[0].random(data.examples)).astype(np.float32)
    y = value(data, x.astype(np.float64)) + data.noise * drawn[1].normal(size=data.examples)
    targets = {"values": Target(y.astype(np.float32)[:, None], ("y",))}
    return Dataset(x[:, None], np.zeros(data.examples, np.int32), (), source=data.source, targets=targets)


def value(data: Function, x: np.ndarray) -> np.ndarray:
    """f(x), of the shape of x."""
    match data.function:
        case "sine":
            return np.sin(2 * pi * data.frequency * x)
        case "step":
            return np.where(x < 0, 0.0, 1.0)
        case "absolute":
            return np.abs(x)
        case "gaussian":
            return np.exp(-(x**2) / 2)
        case "runge":
            return 1 / (1 + 25 * x**2)
        case "polynomial":
            return np.polynomial.polynomial.polyval(x, data.coefficients)
