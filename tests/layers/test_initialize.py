"""The first weights: what they depend on, and how every rule spreads them."""

import numpy as np
import pytest

from cnnlab.layers.conv import Conv, Dense
from cnnlab.layers.initialize import RULES, Initializer

# Fan-in and fan-out of kernels [*window, in_features, features].
SHAPES = {
    (3, 3, 16, 64): (3 * 3 * 16, 3 * 3 * 64),
    (5, 8, 200): (5 * 8, 5 * 200),
    (2, 3, 4, 5, 100): (2 * 3 * 4 * 5, 2 * 3 * 4 * 100),
    (120, 84): (120, 84),
}
VARIANCES = {
    "xavier": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
}


def test_a_draw_follows_from_the_seed_and_its_number_alone():
    one, other = Initializer(3), Initializer(3)
    first = one.kernel((4, 5))
    other.kernel((100, 2), "lecun_uniform")
    np.testing.assert_array_equal(one.kernel((3, 3, 2, 6)), other.kernel((3, 3, 2, 6)))
    np.testing.assert_array_equal(Initializer(3).kernel((4, 5)), first)


def test_draws_and_seeds_differ():
    init = Initializer(3)
    draws = [init.kernel((6, 7)) for _ in range(4)] + [Initializer(seed).kernel((6, 7)) for seed in (0, 1, 2**32 - 1)]
    assert len({draw.tobytes() for draw in draws}) == 7


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", VARIANCES)
def test_normal_weights_have_the_papers_variance(name, shape):
    variance = VARIANCES[name](*SHAPES[shape])
    weights = Initializer(0, f"{name}_normal").kernel(shape)
    assert (weights.dtype, weights.shape) == (np.float32, shape)
    # Of n normal numbers the mean deviates by sqrt(v / n), the variance by v sqrt(2 / n).
    assert weights.mean(dtype=np.float64) == pytest.approx(0, abs=5 * np.sqrt(variance / weights.size))
    assert weights.var(dtype=np.float64) == pytest.approx(variance, rel=5 * np.sqrt(2 / weights.size))
    assert np.abs(weights).max() > 3 * np.sqrt(variance)  # nothing is cut off


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", VARIANCES)
def test_uniform_weights_have_the_papers_bound_and_variance(name, shape):
    variance = VARIANCES[name](*SHAPES[shape])
    weights = Initializer(0, f"{name}_uniform").kernel(shape)
    assert (weights.dtype, weights.shape) == (np.float32, shape)
    bound = np.sqrt(3 * variance)  # Xavier: sqrt(6 / (fan_in + fan_out)), Glorot and Bengio's equation 16
    assert 0.998 * bound < weights.max() <= np.float32(bound)
    assert -0.998 * bound > weights.min() >= -np.float32(bound)
    assert weights.mean(dtype=np.float64) == pytest.approx(0, abs=5 * np.sqrt(variance / weights.size))
    # The fourth moment of a uniform number is 9/5 of its squared variance.
    assert weights.var(dtype=np.float64) == pytest.approx(variance, rel=5 * np.sqrt(0.8 / weights.size))


@pytest.mark.parametrize("shape", [(3, 3, 4, 10), (2, 5, 10), (6, 9), (1, 1, 7, 7), (3, 2, 40), (1, 1, 5, 17)])
def test_orthogonal_weights_have_orthonormal_columns_or_rows(shape):
    weights = Initializer(0, "orthogonal").kernel(shape)
    assert (weights.dtype, weights.shape) == (np.float32, shape)
    matrix = weights.reshape(-1, shape[-1]).astype(np.float64)
    rows, columns = matrix.shape
    product = matrix.T @ matrix if rows >= columns else matrix @ matrix.T
    np.testing.assert_allclose(product, np.eye(min(rows, columns)), atol=1e-6)


def test_orthogonal_weights_favour_no_direction():
    init = Initializer(0, "orthogonal")
    traces = [np.trace(init.kernel((2, 2))) for _ in range(2000)]
    # Of a uniform orthogonal matrix of two rows the trace has mean 0 and variance 1; QR alone would give no such.
    assert np.mean(traces) == pytest.approx(0, abs=5 / np.sqrt(2000))
    assert np.var(traces) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("value", [0.25, 0.0, -3.0])
def test_a_number_is_every_weight(value):
    weights = Initializer(0, value).kernel((2, 3, 4))
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, np.full((2, 3, 4), value))


def test_a_rule_goes_before_the_layers_own():
    shape = (9, 11)
    by_default, by_rule = Initializer(0).kernel(shape, "orthogonal"), Initializer(0, "orthogonal").kernel(shape)
    np.testing.assert_array_equal(by_default, by_rule)
    np.testing.assert_array_equal(Initializer(0, 0.5).kernel(shape, "orthogonal"), np.full(shape, 0.5))


def test_using_a_rule_goes_on_with_the_same_draws():
    plain, mixed = Initializer(3), Initializer(3)
    expected = [plain.kernel((4, 5)) for _ in range(4)]
    np.testing.assert_array_equal(mixed.kernel((4, 5)), expected[0])
    assert (mixed.using("orthogonal").kernel((4, 5)) != expected[1]).any()
    np.testing.assert_array_equal(mixed.using(2.0).kernel((4, 5)), np.full((4, 5), 2))
    np.testing.assert_array_equal(mixed.kernel((4, 5)), expected[3])  # the constant was a draw too
    assert mixed.using(None) is mixed
    assert (mixed.using("he_normal").rule, mixed.rule) == ("he_normal", None)


@pytest.mark.parametrize(("layer", "expected"), [("conv", 2 / (9 * 16)), ("dense", 1 / 300)])
def test_convolutions_start_for_rectifiers_and_dense_layers_do_not(layer, expected):
    init = Initializer(0)
    made = Conv(16, 64, 3, axes=2, init=init) if layer == "conv" else Dense(300, 100, init=init)
    weights = np.asarray(made.kernel[...])
    assert weights.var() == pytest.approx(expected, rel=5 * np.sqrt(2 / weights.size))
    assert not np.asarray(made.bias[...]).any()


@pytest.mark.parametrize("rule", ["he", "glorot_normal", "he_norma", "zeros"])
@pytest.mark.parametrize("seed", [0, None])
def test_a_rule_that_there_is_not_is_refused(rule, seed):
    with pytest.raises(KeyError, match=f"^'{rule}'$"):
        Initializer(seed, rule).kernel((3, 4))
    assert rule not in RULES


@pytest.mark.parametrize("rule", [None, *RULES, 0.5])
def test_without_a_seed_arrays_have_shape_and_no_memory(rule):
    init = Initializer(rule=rule)
    for shape in ((3, 3, 512, 512), (25088, 4096), (7, 9)):
        draw = init.kernel(shape)
        assert (draw.dtype, draw.shape) == (np.float32, shape)
        assert set(draw.strides) == {0}
