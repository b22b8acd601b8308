"""Low rank: the nearest matrix by eigenvectors, energies by loops, outputs beside those of the whole layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.errors import SpecError
from cnnlab.layers.conv import Conv, Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.low_rank import low_rank
from cnnlab.spec.load import parse
from cnnlab.trace.cost import cost, totals
from cnnlab.trace.walk import trace
from cnnlab.train.precision import forward, inference
from cnnlab.train.state import from_named, named_leaves, split
from cnnlab.weights.factorize import Decomposed, candidates, factorized
from cnnlab.weights.fork import network_for


def kernel(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def unfolded(value: np.ndarray) -> np.ndarray:
    return value.reshape(-1, value.shape[-1]).astype(np.float64)


@pytest.mark.parametrize("shape", [(3, 3, 4, 10), (5, 6, 7), (2, 3, 2, 2, 9), (30, 8), (4, 30), (1, 1, 6, 6)])
def test_the_product_is_the_nearest_matrix_of_that_rank(shape):
    """Eckart and Young: A projected onto the leading eigenvectors of A'A."""
    whole = kernel(*shape)
    matrix = unfolded(whole)
    values, vectors = np.linalg.eigh(matrix.T @ matrix)  # from small to large
    found = Decomposed(whole)
    assert found.largest == min(matrix.shape)
    for rank in range(1, found.largest + 1):
        basis, mix = found.truncated(rank)
        assert basis.shape == (*shape[:-1], rank)
        assert mix.shape == (*(1,) * (len(shape) - 2), rank, shape[-1])
        product = unfolded(basis) @ unfolded(mix)
        leading = vectors[:, -rank:]
        np.testing.assert_allclose(product, matrix @ leading @ leading.T, atol=1e-5)
        lost = values[:-rank].clip(0).sum()
        assert np.square(matrix - product).sum() == pytest.approx(lost, rel=1e-4, abs=1e-8)
        assert np.linalg.norm(basis) == pytest.approx(np.linalg.norm(mix), rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.floats(0.01, 1), st.integers(0, 9))
def test_ranks_by_energy_and_share(inputs, features, share, seed):
    matrix = np.random.default_rng(seed).standard_normal((inputs, features)).astype(np.float32)
    found = Decomposed(matrix)
    energies = sorted(np.linalg.eigvalsh(matrix.T.astype(np.float64) @ matrix).clip(0), reverse=True)
    rank = found.rank_of_energy(share)
    assert sum(energies[:rank]) >= share * sum(energies) * (1 - 1e-9)
    assert rank == 1 or sum(energies[: rank - 1]) < share * sum(energies) * (1 + 1e-9)
    part = found.rank_of_share(share)
    assert part - 1 < share * found.largest <= part
    for count in range(1, found.largest + 1):
        two = count * inputs + count * features
        assert found.saves(count) == (two < inputs * features)


def test_a_kernel_of_zeros_has_a_rank_too():
    found = Decomposed(np.zeros((3, 4), np.float32))
    assert (found.rank_of_energy(0.9), found.rank_of_share(0.1)) == (1, 1)
    assert not np.any(found.truncated(1)[0])


def filled(layer: nnx.Module, weights: dict[str, np.ndarray]) -> nnx.Module:
    graph, params, stats = split(layer)
    return nnx.merge(graph, from_named(weights, params), stats)


LAYERS = {
    "1-D": ((9,), {"kernel": 4, "stride": 2}),
    "2-D": ((7, 6), {"kernel": 3, "padding": "same", "dilation": 2}),
    "strided": ((7, 6), {"kernel": (3, 2), "stride": (2, 1), "padding": ((1, 0), (0, 1)), "bias": False}),
    "reflected": ((5, 5), {"kernel": 3, "padding": 1, "padding_mode": "reflect"}),
    "1x1": ((4, 4), {"kernel": 1}),
    "3-D": ((4, 5, 3), {"kernel": 2, "padding": "valid"}),
    "dense": ((), {}),
}


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_are_those_of_the_layer_with_the_nearest_kernel(name):
    space, settings = LAYERS[name]
    inside, features = 5, 7
    init = Initializer(1)
    layer = (
        Conv(inside, features, axes=len(space), init=init, **settings) if space else Dense(inside, features, init=init)
    )
    if layer.bias is not None:
        layer.bias[...] = np.arange(features, dtype=np.float32)
    whole = {key: np.asarray(value) for key, value in named_leaves(split(layer)[1]).items()}
    x = jnp.asarray(np.random.default_rng(2).standard_normal((2, *space, inside)), np.float32)
    decomposed = Decomposed(whole["kernel"])
    for rank in (1, 2, decomposed.largest):
        ours = factorized({f"a.{key}": value for key, value in whole.items()}, {"a": decomposed}, {"a": rank})
        two = filled(low_rank(layer, rank, init=init), {key.removeprefix("a."): value for key, value in ours.items()})
        basis, mix = decomposed.truncated(rank)
        nearest = (unfolded(basis) @ unfolded(mix)).reshape(whole["kernel"].shape).astype(np.float32)
        wanted = filled(layer, {**whole, "kernel": whole["kernel"] if rank == decomposed.largest else nearest})(x)
        np.testing.assert_allclose(two(x), wanted, atol=1e-5, rtol=1e-5)


MODEL = """
model:
  input: [8, 8, 4]
  layers:
    - conv: {name: plain, features: 8, kernel: 3}
    - batch_norm
    - relu
    - depthwise_conv: {name: deep, kernel: 3}
    - conv: {name: grouped, features: 8, kernel: 3, groups: 2}
    - separable_conv: {name: separable, features: 8, kernel: 3}
    - conv_transpose: {name: up, features: 8, kernel: 2, stride: 2}
    - residual: {name: skip, body: [conv: {name: inner, features: 8, kernel: 3}]}
    - flatten
    - dense: {name: hidden, features: 6}
    - dense: {name: head, features: 3}
"""


def network(ranks: str = "{}") -> nnx.Module:
    model = parse(MODEL + f"  ranks: {ranks}\n", "m.yaml").model
    return network_for(model, (8, 8, 4), 3, init=Initializer(0))


def test_groups_transposed_convolutions_and_the_head_stay_whole():
    assert candidates(network(), (8, 8, 4)) == ("plain", "separable.pointwise", "skip.body.inner", "hidden")


def test_a_spec_with_ranks_has_two_layers_for_each():
    ranks = "{plain: 2, skip.body.inner: 3, hidden: 4}"
    found = network(ranks)
    shapes = {name: tuple(value.shape) for name, value in named_leaves(split(found)[1]).items()}
    assert shapes["plain.basis.kernel"] == (3, 3, 4, 2)
    assert shapes["plain.mix.kernel"] == (1, 1, 2, 8)
    assert shapes["plain.mix.bias"] == (8,)
    assert shapes["skip.body.inner.basis.kernel"] == (3, 3, 8, 3)
    assert shapes["hidden.mix.kernel"] == (4, 6)
    assert not {"plain.kernel", "plain.basis.bias", "hidden.kernel"} & set(shapes)
    whole = totals(cost(trace(network(), (8, 8, 4)), network()))
    total = totals(cost(trace(found, (8, 8, 4)), found))
    kept, now = 9 * 4 * 8 + 9 * 8 * 8, 2 * (9 * 4 + 8) + 3 * (9 * 8 + 8)
    inputs = 16 * 16 * 8
    assert whole.parameters - total.parameters == kept - now + inputs * 6 - 4 * (inputs + 6)
    assert whole.multiply_adds - total.multiply_adds == (
        64 * (9 * 4 * 8 - 2 * (9 * 4 + 8)) + 256 * (9 * 8 * 8 - 3 * (9 * 8 + 8)) + inputs * 6 - 4 * (inputs + 6)
    )


@pytest.mark.parametrize(
    ("ranks", "sentence"),
    [
        ("{plian: 2}", "model.ranks.plian: is no convolution without groups and no dense layer of the network; "
         "did you mean 'plain'?"),
        ("{deep: 2}", "model.ranks.deep: is no convolution without groups and no dense layer of the network; "
         "there are head, hidden, plain, separable.pointwise, skip.body.inner"),
        ("{plain: 9}", "model.ranks.plain: 9, and its kernel has the rank 8 at most"),
        ("{plain: 0}", "m.yaml:16:18: model.ranks.plain: must be at least 1, not 0"),
    ],
)  # fmt: skip
def test_ranks_that_cannot_be(ranks, sentence):
    with pytest.raises(SpecError) as error:
        network(ranks)
    assert str(error.value) == sentence


def test_a_network_at_full_rank_says_the_same():
    """As `eval` passes through it, normalisation folded into the convolutions before it where kernels are in use."""
    whole, shape = network(), (8, 8, 4)
    _, params, stats = split(whole)
    weights = {name: np.asarray(value) for name, value in (named_leaves(params) | named_leaves(stats)).items()}
    random = np.random.default_rng(3)
    weights |= {
        f"batch_norm_1.{leaf}": random.uniform(0.5, 2, 8).astype(np.float32) for leaf in ("var", "mean", "scale")
    }
    decomposed = {path: Decomposed(weights[f"{path}.kernel"]) for path in candidates(whole, shape)}
    ranks = {path: found.largest for path, found in decomposed.items()}
    text = ", ".join(f"{path}: {rank}" for path, rank in ranks.items())
    x = jnp.asarray(random.standard_normal((3, *shape)), np.float32)

    def logits(model: nnx.Module, weights: dict[str, np.ndarray]) -> jax.Array:
        graph, params, stats = split(model)
        params, stats = from_named(weights, params), from_named(weights, stats)
        return jax.jit(lambda params, stats, x: forward(nnx.merge(graph, params, stats), x, "float32", inference()))(
            params, stats, x
        )

    two = logits(network(f"{{{text}}}"), factorized(weights, decomposed, ranks))
    wanted = logits(whole, weights)
    np.testing.assert_allclose(two, wanted, atol=1e-5 * float(abs(wanted).max()))
