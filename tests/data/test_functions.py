"""Values of functions: by their formulas, and that an example depends on its number alone."""

from math import erf, sqrt
from pathlib import Path

import numpy as np
import pytest

from cnnlab.data.dataset import load
from cnnlab.spec.generators import Function

FORMULAS = {
    "sine": lambda x: np.sin(np.pi * 4 * x / 2),
    "step": lambda x: (x >= 0) * 1.0,
    "absolute": lambda x: np.sqrt(x * x),
    "gaussian": lambda x: 1 / np.exp(x * x / 2),
    "runge": lambda x: 1 / (1 + (5 * x) ** 2),
    "polynomial": lambda x: 4 * x**3 - 3 * x,
}


def make(function, **keys):
    return load(Function(source="function", function=function, examples=400, **keys), Path("."))


@pytest.mark.parametrize("function", FORMULAS)
def test_values_by_their_formula(function):
    data = make(function, domain=(-3, 2))
    values = data.targets["values"]
    assert (data.x.shape, data.x.dtype, data.classes) == ((400, 1), np.float32, ())
    assert (values.values.shape, values.values.dtype, values.names) == ((400, 1), np.float32, ("y",))
    assert -3 <= data.x.min() < -2.9
    assert 1.9 < data.x.max() <= 2
    np.testing.assert_allclose(values.values, FORMULAS[function](data.x.astype(float)), atol=1e-6, rtol=1e-6)


def test_keys_of_sine_and_polynomial():
    data = make("sine", frequency=0.25)
    np.testing.assert_allclose(data.targets["values"].values, np.sin(np.pi / 2 * data.x), atol=1e-6)
    data = make("polynomial", coefficients=(1, 0, -2))
    np.testing.assert_allclose(data.targets["values"].values, 1 - 2 * data.x**2, atol=1e-6)


def test_noise_is_normal_and_of_the_values_alone():
    still, noisy = make("sine"), make("sine", noise=0.5)
    np.testing.assert_array_equal(still.x, noisy.x)
    drawn = (noisy.targets["values"].values - still.targets["values"].values) / 0.5
    assert abs(drawn.std() - 1) < 0.15
    assert abs((abs(drawn) < 1).mean() - erf(1 / sqrt(2))) < 0.08


def test_an_example_depends_on_the_seed_and_its_number_alone():
    data, more = make("sine", noise=0.1), load(Function(source="function", noise=0.1, examples=500), Path("."))
    assert more.digests[:400] == data.digests
    np.testing.assert_array_equal(more.targets["values"].values[:400], data.targets["values"].values)
    assert not set(make("sine", seed=1).digests) & set(data.digests)
