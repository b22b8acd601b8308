"""Eight bits: every weight within half a scale, by loops; what is left as it is; files that are really smaller."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cnnlab.weights import files
from cnnlab.weights.files import Description
from cnnlab.weights.quantize import all_quantized, dequantized, quantized

KERNELS = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=5, max_side=4),
    elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
)


@settings(max_examples=60, deadline=None)
@given(KERNELS)
def test_every_weight_is_within_half_a_scale_of_its_channel(kernel):
    whole, scale = quantized(kernel)
    assert (whole.dtype, scale.dtype, whole.shape, scale.shape) == (
        np.int8,
        np.float32,
        kernel.shape,
        kernel.shape[-1:],
    )
    columns = kernel.reshape(-1, kernel.shape[-1]).astype(np.float64)
    steps = whole.reshape(-1, kernel.shape[-1]).astype(np.float64)
    for k in range(kernel.shape[-1]):
        largest = max(abs(w) for w in columns[:, k])
        assert scale[k] == pytest.approx(largest / 127, rel=1e-6)
        for w, q in zip(columns[:, k], steps[:, k], strict=True):
            assert abs(w - q * float(scale[k])) <= float(scale[k]) * 0.5 * (1 + 1e-4)
        if largest > 0:
            assert max(abs(steps[:, k])) == 127  # all of the range is used, and -128 never


def test_by_hand():
    whole, scale = quantized(np.array([[127.0, -1.0, 0.0], [-0.6, 0.25, 0.0]], np.float32))
    np.testing.assert_array_equal(scale, np.array([1, 1 / 127, 0], np.float32))
    np.testing.assert_array_equal(whole, [[127, -127, 0], [-1, 32, 0]])


def weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shapes = {"a.kernel": (3, 3, 8, 16), "a.bias": (16,), "norm.scale": (16,), "deep.kernel": (1, 1, 1, 16)}
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def test_only_kernels_are_quantised_and_only_where_that_saves():
    given = weights()
    stored = all_quantized(given)
    assert {name: value.dtype.name for name, value in stored.items()} == {
        "a.kernel": "int8",
        "a.kernel.scale": "float32",
        "a.bias": "float32",
        "norm.scale": "float32",
        "deep.kernel": "float32",
    }
    back = dequantized(stored)
    assert list(back) == list(given)
    for name in ("a.bias", "norm.scale", "deep.kernel"):
        assert back[name].tobytes() == given[name].tobytes()
    assert back["a.kernel"].dtype == np.float32
    np.testing.assert_array_equal(back["a.kernel"], stored["a.kernel"] * stored["a.kernel.scale"])
    assert 0 < abs(back["a.kernel"] - given["a.kernel"]).max() < 0.02


def test_a_file_holds_eight_bits_and_reads_as_float32(tmp_path: Path):
    stored = all_quantized(weights())
    small, large = tmp_path / "small.safetensors", tmp_path / "large.safetensors"
    description = Description({"layers": []}, "cnnlab")
    files.write(small, stored, description)
    files.write(large, weights(), description)
    assert small.stat().st_size < 0.5 * large.stat().st_size
    found, described = files.read(small)
    assert described == description
    assert {name: value.tobytes() for name, value in found.items()} == {
        name: value.tobytes() for name, value in dequantized(stored).items()
    }
