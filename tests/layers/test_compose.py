"""Layers of layers: order, names, sums, joins, and a key for each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import Array

from cnnlab.layers import compose
from cnnlab.layers.activation import Gelu, Relu, Swish, Tanh
from cnnlab.layers.compose import Branches, CropConcat, Residual, Sequential
from cnnlab.layers.conv import Conv, Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.norm import BatchNorm
from cnnlab.layers.pool import GlobalAvgPool
from cnnlab.layers.regularize import Dropout
from cnnlab.layers.windows import ShapeError

TRAIN = Mode(train=True, key=jax.random.key(0))
X = jnp.arange(12.0).reshape(2, 3, 2) - 5


class Times(nnx.Module):
    def __init__(self, factor: float):
        self.factor = factor

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        return x * self.factor


class Plus(nnx.Module):
    def __init__(self, term: float):
        self.term = term

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        return x + self.term


class Heard(nnx.Module):
    """Notes the key that it is given."""

    def __init__(self):
        self.keys = nnx.data([])
        self.trains = nnx.data([])

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        self.trains.append(mode.train)
        self.keys.append(tuple(np.asarray(jax.random.key_data(mode.key)).tolist()))
        return x


def test_a_sequence_runs_in_the_order_in_which_it_is_given():
    np.testing.assert_array_equal(Sequential({"b": Plus(1), "a": Times(3)})(X), (X + 1) * 3)
    np.testing.assert_array_equal(Sequential({"a": Times(3), "b": Plus(1)})(X), X * 3 + 1)
    np.testing.assert_array_equal(Sequential({})(X), X)


def test_twelve_layers_keep_their_order():
    layers = {f"layer{i}": layer for i in range(6) for layer in [Times(2)]}
    layers |= {f"plus{i}": Plus(i) for i in range(6)}
    mixed = {name: layers[name] for i in range(6) for name in (f"plus{i}", f"layer{i}")}
    expected = X
    for i in range(6):
        expected = (expected + i) * 2
    graph, state = nnx.split(Sequential(mixed))
    np.testing.assert_array_equal(nnx.merge(graph, state)(X), expected)


def test_names_are_the_paths_of_the_weights():
    init = Initializer(0)
    body = Sequential({"conv": Conv(2, 2, 3, axes=1, bias=False, init=init), "norm": BatchNorm(2)})
    model = Sequential({"block": Residual(body), "side": Branches({"left": Dense(2, 1, init=init), "right": Relu()})})
    paths = {".".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.state(model, nnx.Param))}
    assert paths == {
        "block.body.conv.kernel",
        "block.body.norm.scale",
        "block.body.norm.bias",
        "side.left.kernel",
        "side.left.bias",
    }


def test_a_residual_adds_body_and_shortcut_then_activates():
    np.testing.assert_array_equal(Residual(Times(3))(X), 4 * X)
    np.testing.assert_array_equal(Residual(Times(3), Plus(1))(X), 4 * X + 1)
    np.testing.assert_array_equal(Residual(Times(3), Plus(1), Relu())(X), np.maximum(4 * X + 1, 0))


def test_a_residual_of_two_shapes_is_refused_with_the_way_out():
    body = Conv(2, 4, 3, axes=1, stride=2, init=Initializer(0))
    with pytest.raises(ShapeError) as caught:
        Residual(body)(X)
    assert str(caught.value) == (
        "the body gives 2x4 and the shortcut 3x2; give the shortcut a conv with the body's features and stride"
    )


def test_branches_are_joined_over_channels_in_order_or_added():
    parts = {"z": Times(2), "a": Plus(1), "m": Times(0)}
    np.testing.assert_array_equal(Branches(parts)(X), np.concatenate([2 * X, X + 1, 0 * X], axis=-1))
    np.testing.assert_array_equal(Branches(parts, "add")(X), 3 * X + 1)


def test_branches_join_other_counts_of_channels_and_add_none():
    init = Initializer(0)
    parts = {"one": Conv(2, 1, 1, axes=1, init=init), "three": Conv(2, 3, 1, axes=1, init=init)}
    assert Branches(parts)(X).shape == (2, 3, 4)
    with pytest.raises(ShapeError, match=r"^the branches give maps that do not fit together: 3x1, 3x3$"):
        Branches(parts, "add")(X)


def test_branches_of_other_sizes_are_refused():
    init = Initializer(0)
    parts = {"all": Relu(), "half": Conv(2, 2, 1, axes=1, stride=2, init=init)}
    for join in ("concat", "add"):
        with pytest.raises(ShapeError, match=r"^the branches give maps that do not fit together: 3x2, 2x2$"):
            Branches(parts, join)(X)


class Cut(nnx.Module):
    """Twice what lies between `before` and `after` positions from the border."""

    def __init__(self, *around: tuple[int, int]):
        self.around = around

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        inside = [slice(low, n - high) for n, (low, high) in zip(x.shape[1:-1], self.around, strict=True)]
        return 2 * x[(slice(None), *inside)]


@pytest.mark.parametrize(
    ("space", "cut"),  # of an odd surplus the larger half is cut behind
    [((7,), [(2, 2)]), ((7,), [(1, 2)]), ((5, 6), [(0, 0), (0, 1)]), ((5, 6, 4), [(1, 1), (2, 3), (0, 0)])],
)
def test_crop_and_concatenate_cuts_at_the_centre(space, cut):
    x = np.random.default_rng(0).standard_normal((2, *space, 3), dtype=np.float32)
    y = np.asarray(CropConcat(Cut(*cut))(jnp.asarray(x)))
    sizes = [n - low - high for n, (low, high) in zip(space, cut, strict=True)]
    assert y.shape == (2, *sizes, 6)
    for place in np.ndindex(*sizes):
        source = tuple(i + low for i, (low, _) in zip(place, cut, strict=True))
        np.testing.assert_array_equal(y[(slice(None), *place, slice(0, 3))], x[(slice(None), *source)])
        np.testing.assert_array_equal(y[(slice(None), *place, slice(3, 6))], 2 * x[(slice(None), *source)])


def test_crop_and_concatenate_joins_other_counts_of_channels_and_vectors():
    init = Initializer(0)
    assert CropConcat(Conv(2, 5, 3, axes=1, padding="valid", init=init))(X).shape == (2, 1, 7)
    flat = X.reshape(2, 6)
    np.testing.assert_array_equal(CropConcat(Times(2))(flat), np.concatenate([flat, 2 * flat], 1))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (Conv(2, 4, 1, axes=1, padding=2, init=Initializer(0)), "the body gives 7x4, and 3x2 cannot be cropped to it"),
        (GlobalAvgPool(), "the body gives 2, and 3x2 cannot be cropped to it"),
    ],
)
def test_a_body_that_grows_the_map_is_refused(body, sentence):
    with pytest.raises(ShapeError, match=f"^{sentence}$"):
        CropConcat(body)(X)


def test_every_part_is_given_the_mode_and_a_key_of_its_own():
    heard = [Heard() for _ in range(8)]
    inner = Residual(heard[2], heard[3], heard[4])
    side = Branches({"left": heard[5], "right": heard[6]}, "add")
    Sequential({"a": heard[0], "b": heard[1], "c": inner, "d": side, "e": CropConcat(heard[7])})(X, TRAIN)
    keys = [key for module in heard for key in module.keys]
    assert len(keys) == len(set(keys)) == 8
    assert all(train for module in heard for train in module.trains)


def test_two_dropouts_in_a_row_draw_differently():
    ones = jnp.ones((1, 1000))
    both = np.asarray(Sequential({"a": Dropout(0.5), "b": Dropout(0.5)})(ones, TRAIN))
    assert set(np.unique(both)) == {0, 4}
    assert (both == 4).mean() == pytest.approx(0.25, abs=0.08)  # one mask twice would leave a half


def normalising(act: nnx.Module | None, *, inner: bool = False) -> Sequential:
    init = Initializer(0)
    end = {"conv2": Conv(4, 2, 1, axes=1, init=init), "norm2": BatchNorm(2)}
    return Sequential(
        {
            "conv1": Conv(2, 4, 3, axes=1, padding=1, init=init),
            "norm1": BatchNorm(4),
            "act1": act,
            **({"end": Sequential(end)} if inner else end),
        }
    )


FUSED = {
    "relu": (lambda: Residual(normalising(Relu()), None, Relu()), 2),
    "swish": (lambda: Residual(normalising(Swish()), normalising(Gelu()), Swish()), 4),
    "no activation": (lambda: Residual(normalising(None, inner=True)), 2),
    "an activation behind a sequence": (lambda: Sequential({"a": normalising(Gelu(), inner=True), "b": Relu()}), 2),
    "a norm alone": (lambda: Residual(BatchNorm(2), None, Relu()), 1),
    "a norm and a residual's activation that it does not know": (lambda: Residual(BatchNorm(2), None, Gelu()), 1),
    "an activation that only convolutions know": (lambda: Residual(normalising(Tanh()), None, Tanh()), 2),
}


@pytest.mark.parametrize(("make", "norms"), FUSED.values(), ids=FUSED)
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_what_a_norm_does_at_once_is_what_the_layers_do_one_by_one(make, norms, train, frozen, monkeypatch):
    def run() -> tuple[Array, ...]:
        model = make()
        batch_norms = [m for _, m in nnx.iter_graph(model) if isinstance(m, BatchNorm)]
        assert len(batch_norms) == norms
        for norm in batch_norms:
            norm.frozen = frozen
        graph, params, rest = nnx.split(model, nnx.Param, ...)
        params, rest = (jax.tree.map(jnp.asarray, nnx.to_pure_dict(s)) for s in (params, rest))

        def loss(params: dict, x: Array) -> tuple[Array, tuple[Array, nnx.State]]:
            model = nnx.merge(graph, params, rest)
            y = model(x, Mode(train))
            return jnp.sin(y).sum(), (y, nnx.state(model, nnx.BatchStat))

        return jax.tree.leaves(jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(params, X))

    at_once = run()
    monkeypatch.setattr(compose, "_joined", lambda layer, activation, mode: None)
    for found, expected in zip(at_once, run(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_activations_behind_a_norm_are_its_own_in_training_alone(monkeypatch):
    called = []
    monkeypatch.setattr(Relu, "__call__", lambda self, x, mode: called.append(mode.train) or x)
    model = Residual(normalising(Relu()), None, Relu())
    for mode in (TRAIN, EVALUATION):
        model(X, mode)
    assert called == [False, False]


def test_a_residual_of_two_shapes_is_refused_in_training_too():
    with pytest.raises(ShapeError, match=r"^the body gives 3x2 and the shortcut 3x4"):
        Residual(BatchNorm(2), Conv(2, 4, 1, axes=1, init=Initializer(0)), Relu())(X, TRAIN)
