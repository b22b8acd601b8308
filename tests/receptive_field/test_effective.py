"""The effective field: closed forms, the gradient written out by hand, and the random numbers that it follows from."""

import json
from functools import reduce
from math import sqrt

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.errors import CnnlabError
from cnnlab.layers.initialize import Initializer
from cnnlab.models import build
from cnnlab.receptive_field import effective
from cnnlab.receptive_field.effective import SHARES, Change, EffectiveField, effective_field
from cnnlab.spec.load import parse
from cnnlab.trace.walk import trace


def built(text: str, shape: tuple[int, ...], seed: int = 0) -> nnx.Module:
    return build(parse(f"model: {text}", "x", []).model, shape, None, init=Initializer(seed))


def stack(axes: int, n: int, features: int = 1, init: str = "{constant: 1.0}", between: str = "") -> str:
    conv = f"{{conv: {{features: {features}, kernel: 3, bias: false, init: {init}}}}}{between}"
    return f"{{layers: [{', '.join([conv] * n)}]}}"


def field_of(model: nnx.Module, shape: tuple[int, ...], **options) -> EffectiveField:
    return effective_field(trace(model, shape), [model], **options)


def trinomial(n: int) -> np.ndarray:
    """The shares of n convolutions of three ones."""
    return reduce(np.convolve, [np.full(3, 1 / 3)] * n)


@pytest.mark.parametrize(("axes", "n"), [(1, 1), (1, 10), (2, 1), (2, 5), (2, 9), (3, 3)])
def test_uniform_stacks_have_the_sigma_of_the_theory(axes, n):
    shape = (*(2 * n + 3 + k for k in range(axes)), 1)
    found = field_of(built(stack(axes, n), shape), shape, inputs=1)
    expected = np.ones(())
    for size in shape[:-1]:
        one = np.zeros(size)
        one[size // 2 - n : size // 2 + n + 1] = trinomial(n)
        expected = np.multiply.outer(expected, one)
    np.testing.assert_allclose(found.map, expected, atol=1e-7)
    assert found.gaussian.sigma == pytest.approx([sqrt(2 * n / 3)] * axes, rel=1e-5)
    assert found.center == tuple(size // 2 for size in shape[:-1]) == found.unit
    assert found.gaussian.mean == pytest.approx(found.center)
    assert found.gaussian.r_squared is not None
    assert found.gaussian.r_squared > (0.99 if n > 4 else 0.6)


def test_random_weights_come_near_the_theory():
    """The gradient's variance at a position is the uniform stack's share (Luo et al. 2016, section 2): over wide layers
    it is normal, so that its mean absolute value is in proportion to the square root."""
    n, shape = 4, (13, 13, 1)
    models = (built(stack(2, n, 24, "he_normal"), shape, seed) for seed in range(8))
    found = effective_field(trace(built(stack(2, n, 24), shape), shape), models, inputs=1)
    root = np.zeros((13, 13))
    root[2:11, 2:11] = np.sqrt(np.outer(trinomial(n), trinomial(n)))
    marginal = root.sum(0) / root.sum()
    sigma = sqrt(marginal @ (np.arange(13) - 6) ** 2)
    assert found.gaussian.sigma == pytest.approx((sigma, sigma), rel=0.05)
    assert found.models == 8


class Own(nnx.Module):
    """A module of a user's own, with a stride, a shortcut and a normalisation over space."""

    def __init__(self, rngs: nnx.Rngs):
        self.stem = nnx.Conv(2, 4, (3, 5), strides=(2, 1), rngs=rngs)
        self.body = nnx.Conv(4, 4, (3, 3), rngs=rngs)
        self.norm = nnx.LayerNorm(4, reduction_axes=(1, 2, 3), rngs=rngs)
        self.head = nnx.Linear(4, 3, rngs=rngs)

    def features(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.stem(x))
        return x + jnp.tanh(self.norm(self.body(x)))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(self.features(x).mean((1, 2)))


def by_hand(shape: tuple[int, ...], function, unit: tuple[int, ...], inputs: int, seed: int) -> np.ndarray:
    """The mean of |gradient| over inputs, one after the other."""
    total = np.zeros(shape[:-1])
    for index in range(inputs):
        x = np.random.default_rng((seed, index)).standard_normal(shape, np.float32)
        gradient = jax.grad(lambda x: function(x[None])[(0, *unit)].sum())(jnp.asarray(x))
        total += np.abs(np.asarray(gradient, np.float64)).sum(-1)
    return total / total.sum()


@pytest.mark.parametrize(
    ("layer", "function", "unit"),
    [
        ("stem", lambda m, x: m.stem(x), (0, 0)),
        ("body", lambda m, x: m.body(nnx.relu(m.stem(x))), (4, 3)),
        ("norm", lambda m, x: m.norm(m.body(nnx.relu(m.stem(x)))), None),
        (None, lambda m, x: m.norm(m.body(nnx.relu(m.stem(x)))), (1, 2)),
    ],
)
def test_it_is_the_gradient_written_out(layer, function, unit, monkeypatch):
    shape, model = (9, 7, 2), Own(nnx.Rngs(0))
    monkeypatch.setattr(effective, "_BATCH_BYTES", 4 * 4 * (2 * 5 * 7 * 4 + 5 * 7 * 4))  # a few inputs at once
    found = field_of(model, shape, layer=layer, unit=unit, inputs=6, seed=5)
    expected = by_hand(shape, lambda x: function(model, x), unit or (2, 3), 6, 5)
    np.testing.assert_allclose(found.map, expected, rtol=1e-4, atol=1e-8)
    assert (found.path, found.unit, found.inputs) == (layer or "norm", unit or (2, 3), 6)


def test_the_size_of_a_batch_changes_nothing(monkeypatch):
    shape, model = (9, 7, 2), Own(nnx.Rngs(0))
    whole = field_of(model, shape, inputs=5)
    monkeypatch.setattr(effective, "_BATCH_BYTES", 1)  # one at a time
    np.testing.assert_allclose(field_of(model, shape, inputs=5).map, whole.map, rtol=1e-5)


def test_all_follows_from_the_seed():
    shape, model = (9, 7, 2), Own(nnx.Rngs(0))
    one, again, other = (field_of(model, shape, inputs=2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.map, again.map)
    assert np.abs(one.map - other.map).max() > 1e-4


def test_each_model_has_inputs_of_its_own():
    shape, model = (9, 7, 2), Own(nnx.Rngs(0))
    twice = effective_field(trace(model, shape), [model, model], inputs=3)
    np.testing.assert_allclose(twice.map, field_of(model, shape, inputs=6).map, rtol=1e-5)
    assert (twice.inputs, twice.models) == (3, 2)


def test_a_block_is_a_layer_too_and_its_centre_that_of_its_field():
    text = "{layers: [conv: {features: 4, kernel: 3, stride: 2, padding: valid}, residual: {body: [conv: "
    text += "{features: 4, kernel: 3}, relu, conv: {features: 4, kernel: 3}], name: block}]}"
    shape = (31, 20, 3)
    model = built(text, shape)
    found = field_of(model, shape, layer="block", unit=(3, 5), inputs=2)
    assert found.center == (7, 11)  # 2 i + 1
    rows, columns = np.flatnonzero(found.map.sum(1)), np.flatnonzero(found.map.sum(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (2, 12, 6, 16)


def test_the_default_layer_is_the_last_with_a_place_on_the_image():
    squeezed = "{layers: [conv: {features: 4, kernel: 3}, squeeze_excite: {reduction: 2}, global_avg_pool, dense: 2]}"
    shape = (8, 8, 1)
    found = field_of(built(squeezed, shape), shape, inputs=2)
    assert found.path == "squeeze_excite_1"
    assert found.map.min() > 0, "the gate looks everywhere"
    assert found.center == (4, 4), "where the whole image is seen: the unit's place in proportion"
    residual = (
        "{layers: [conv: {features: 4, kernel: 3}, residual: {body: [conv: {features: 4, kernel: 3}], name: block}]}"
    )
    assert field_of(built(residual, (8, 8, 1)), (8, 8, 1), inputs=1).path == "block", "the sum, not what is added"
    activated = residual.replace("name: block", "activation: relu, name: block")
    assert field_of(built(activated, (8, 8, 1)), (8, 8, 1), inputs=1).path == "block.activation"
    assert field_of(built("{name: lenet5}", (28, 28, 1)), (28, 28, 1), inputs=1).path == "s4"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "stam"}, "the model has no layer 'stam'; did you mean 'stem'?"),
        ({"layer": "head"}, "'head' has no place on the image; name a layer whose output is still a map"),
        ({"unit": (5, 0)}, "the unit 5,0 is not in the map 5x7 of 'norm'; count from 0"),
        ({"unit": (0,)}, "the unit 0 is not in the map 5x7 of 'norm'; count from 0"),
    ],
)
def test_what_is_not_there_is_a_sentence(options, message):
    with pytest.raises(CnnlabError) as raised:
        field_of(Own(nnx.Rngs(0)), (9, 7, 2), inputs=1, **options)
    assert str(raised.value) == message


def test_a_model_without_a_map():
    model = built("{layers: [flatten, dense: 3]}", (4, 4, 1))
    with pytest.raises(CnnlabError, match="no layer of the model has a place on the image"):
        field_of(model, (4, 4, 1))


@pytest.mark.parametrize(("weight", "message"), [(0.0, "is 0 everywhere: its units are dead"), (np.nan, "not finite")])
def test_dead_gradients_are_a_sentence(weight, message):
    model = built(stack(2, 2, init=f"{{constant: {0.0}}}"), (6, 6, 1))
    nnx.update(model, jax.tree.map(lambda leaf: np.full_like(leaf, weight), nnx.state(model)))
    with pytest.raises(CnnlabError, match=rf"^the gradient of 'conv_1' at the unit 3,3 .*{message}"):
        field_of(model, (6, 6, 1), inputs=2)


def test_the_documents_are_plain():
    before, after = (field_of(built(stack(2, n), (25, 25, 1)), (25, 25, 1), inputs=1) for n in (2, 8))
    document = before.to_json()
    assert json.loads(json.dumps(document)) == document
    assert document["sigma"] == pytest.approx([sqrt(4 / 3)] * 2, rel=1e-5)
    assert [found["share"] for found in document["held"]] == list(SHARES)
    assert document["held"][-1]["box"] == [[10, 14], [10, 14]]
    assert (document["path"], document["unit"], document["center"]) == ("conv_1", [12, 12], [12.0, 12.0])
    change = Change(before, after)
    assert change.sigma_ratio == pytest.approx((2, 2), rel=1e-5)  # sqrt(8 / 2)
    assert change.pixels_ratio[2] == after.holding(0.5).pixels / before.holding(0.5).pixels > 2
    assert json.loads(json.dumps(change.to_json())) == change.to_json()
    point = field_of(built("{layers: [conv: {features: 1, kernel: 1}]}", (5, 5, 1)), (5, 5, 1), inputs=1)
    assert point.gaussian.sigma == (0, 0)
    assert Change(point, before).sigma_ratio == (None, None)
