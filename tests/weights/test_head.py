"""The last layer with weights: found by the order of calls, passed by for features."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.errors import SpecError
from cnnlab.layers.conv import Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.models import build
from cnnlab.spec.load import parse
from cnnlab.train.state import named_leaves, split
from cnnlab.weights.head import head_of, heads_of, without_head

Shape = tuple[int, ...]
# A network, its input, its classes; its head, and the shape of its features.
NETWORKS = [
    ("{name: resnet18, width: 4}", (64, 64, 3), 5, "head", (32,)),
    ("{name: network_in_network}", (8, 8, 3), 5, "head", (2, 2, 192)),
    pytest.param("{name: googlenet}", (32, 32, 3), 5, "head", (1024,), marks=pytest.mark.slow),
    ("{name: unet, depth: 1, width: 4, padding: same}", (8, 8, 1), 5, "head", (8, 8, 4)),
    ("{name: lenet5}", (32, 32, 1), 5, "output", (84,)),
    ("{name: logistic_regression}", (4, 5, 1), 2, "head", (20,)),
    ("{name: conv_encoder, widths: [4, 6], code: 7}", (8, 8, 1), 5, "head", (7,)),
    ("{name: conv_autoencoder, widths: [4, 6], code: 7}", (8, 8, 1), 5, "decoder.output.conv", (4, 4, 4)),
    ("{layers: [flatten, dense: 7, relu, {dense: {features: classes, name: last}}, sigmoid]}",
     (3, 3, 1), 5, "last", (7,)),
    ("{layers: [conv: {features: 4, kernel: 3}, relu, conv: {features: 5, kernel: 1}, batch_norm, global_avg_pool]}",
     (6, 6, 1), 5, "conv_2", (6, 6, 4)),
    ("{layers: [repeat: {times: 2, layers: [conv: {features: 5, kernel: 3}, relu]}, global_avg_pool]}",
     (6, 6, 1), 5, "repeat_0.time1.conv_0", (6, 6, 5)),
]  # fmt: skip


def network(model: str, shape: Shape, classes: int | None, seed: int | None = None) -> nnx.Module:
    return build(parse(f"model: {model}", "test.yaml").model, shape, classes, init=Initializer(seed))


def layer(model: nnx.Module, path: str) -> nnx.Module:
    for part in path.split("."):
        model = getattr(model, part)
    return model


@pytest.mark.parametrize(("model", "shape", "classes", "head", "_features"), NETWORKS)
def test_the_head_is_the_last_layer_with_weights(model, shape, classes, head, _features):
    made = network(model, shape, classes)
    assert head_of(made, shape) == head
    assert heads_of(made, shape)[0] == head


@pytest.mark.parametrize(("auxiliary", "more"), [("true", ("aux1.head", "aux2.head")), ("false", ())])
def test_auxiliary_classifiers_have_heads_too(auxiliary, more):
    made = network(f"{{name: googlenet, auxiliary: {auxiliary}}}", (32, 32, 3), 5)
    assert head_of(made, (32, 32, 3)) == "head"
    assert heads_of(made, (32, 32, 3)) == ("head", *more)


def test_a_layer_that_is_only_named_head_is_none():
    inner = "{residual: {body: [{conv: {features: 1, kernel: 3, name: head}}]}}"
    made = network(f"{{layers: [{inner}, flatten, dense: classes]}}", (4, 4, 1), 5)
    assert heads_of(made, (4, 4, 1)) == ("dense_2",)


@pytest.mark.parametrize(("model", "shape", "classes", "head", "features"), NETWORKS)
def test_without_it_the_network_gives_what_the_head_is_given(model, shape, classes, head, features):
    """The head on these features, and whatever stands behind it, is the network."""
    seen = []

    class Spy(nnx.Module):
        def __init__(self, head: nnx.Module):
            self.inner = head

        def __call__(self, x, mode=None):
            seen.append(np.asarray(x))
            return self.inner(x)

    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, *shape), dtype=np.float32))
    whole = network(model, shape, classes, seed=1)
    *parents, name = head.split(".")
    holder = layer(whole, ".".join(parents)) if parents else whole
    setattr(holder, name, Spy(getattr(holder, name)))
    whole(x)
    found = without_head(network(model, shape, classes, seed=1), shape)(x)
    assert found.shape == (2, *features)
    np.testing.assert_array_equal(found, seen[0])


def test_what_stays_keeps_its_names():
    shape = (8, 8, 3)
    kept, whole = (network("{name: network_in_network}", shape, 5) for _ in range(2))
    _, params, _ = split(without_head(kept, shape))
    _, all_params, _ = split(whole)
    gone = {"head.kernel", "head.bias"}
    assert named_leaves(params).keys() == named_leaves(all_params).keys() - gone


def test_a_network_without_weights_has_no_head():
    made = network("{layers: [flatten]}", (2, 2, 1), None)
    with pytest.raises(SpecError) as error:
        head_of(made, (2, 2, 1))
    assert str(error.value) == "model: the network has no layer with weights"


def test_a_head_in_a_branch_has_no_features():
    made = network("{layers: [residual: {body: [conv: {features: 2, kernel: 3}]}, global_avg_pool]}", (4, 4, 2), 2)
    assert isinstance(layer(made, "residual_0"), nnx.Module)
    assert not isinstance(layer(made, head_of(made, (4, 4, 2))), Dense)
    with pytest.raises(SpecError) as error:
        without_head(made, (4, 4, 2))
    assert str(error.value) == (
        "model: the last layer with weights, residual_0.body.conv_0, stands in a branch, "
        "so that the network has no features"
    )
