"""Kernels in eight bits: symmetric whole numbers with a scale for each output channel.

Jacob et al. 2018, section 2.1 with the zero point at 0; a scale a channel: Krishnamoorthi 2018, sections 2.2 and 3.1.
Only the stored weights are of eight bits; the network computes with them as float32, so that its figures are what the
rounding of weights costs, and no more.
"""

from collections.abc import Mapping
from math import prod

import numpy as np

SCALE = ".scale"  # behind the name of a quantised tensor
LARGEST = 127  # -128 is left out, so that a weight and its negative are equally near


def quantized(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A finite kernel [..., features] as int8 and the scales [features]: kernel is about int8 * scale.

    The largest weight of each channel is 127; every other one is off by half a scale at most.
    """
    scale = (np.abs(kernel).max(axis=tuple(range(kernel.ndim - 1))) / np.float32(LARGEST)).astype(np.float32)
    steps = kernel / np.where(scale > 0, scale, np.float32(1))  # a channel of zeros stays one
    return np.clip(np.rint(steps), -LARGEST, LARGEST).astype(np.int8), scale


def all_quantized(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors to store: kernels as int8 with their scales; biases, normalisation and statistics as they are.

    A kernel of one weight a channel would take more with its scale, and stays too.
    """
    stored: dict[str, np.ndarray] = {}
    for name, value in weights.items():
        if name.rpartition(".")[2] == "kernel" and prod(value.shape[:-1]) > 1:
            stored[name], stored[name + SCALE] = quantized(np.asarray(value))
        else:
            stored[name] = np.asarray(value)
    return stored


def dequantized(stored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors as float32, from what `all_quantized` gives; without scales they are as they were."""
    scales = {name + SCALE for name, value in stored.items() if value.dtype == np.int8 and name + SCALE in stored}
    return {
        name: value * stored[name + SCALE] if name + SCALE in scales else value
        for name, value in stored.items()
        if name not in scales
    }
