"""A layer's output by its path: the same numbers as calling the layers by hand, under jit and vmap too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.errors import CnnlabError
from cnnlab.layers.initialize import Initializer
from cnnlab.models import build
from cnnlab.spec.load import parse
from cnnlab.trace.output import output
from cnnlab.trace.walk import trace

TABLE = np.linspace(0.5, 1.5, 3, dtype=np.float32)  # becomes a constant of the jaxpr


class Block(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.conv = nnx.Conv(3, 3, (3, 3), rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return nnx.relu(self.conv(x * jnp.asarray(TABLE)))


class Net(nnx.Module):
    """A block in each of jit, remat and a plain call, one of them called twice; two outputs; dropout and statistics."""

    def __init__(self, rngs: nnx.Rngs):
        self.jitted, self.again, self.plain = Block(rngs), Block(rngs), Block(rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = nnx.jit(lambda block, x: block(x))(self.jitted, x)
        x = nnx.remat(lambda block, x: block(x))(self.again, x)
        x = self.drop(self.norm(self.plain(self.plain(x))))
        return x, x.mean()


def by_hand(net: Net, x: jax.Array) -> dict[str, jax.Array]:
    found = {"jitted.conv": net.jitted.conv(x * TABLE), "jitted": net.jitted(x)}
    found |= {"again.conv": net.again.conv(found["jitted"] * TABLE), "again": net.again(found["jitted"])}
    once = net.plain(found["again"])
    found |= {"plain once": once, "plain": net.plain(once), "plain.conv": net.plain.conv(once * TABLE)}
    return found | {"norm": net.norm(found["plain"]), "drop": net.norm(found["plain"])}


@pytest.fixture
def net() -> Net:
    made = Net(nnx.Rngs(0))
    made.eval()  # for the calls by hand
    return made


def test_every_layer_s_output_is_what_calling_it_gives(net):
    x = np.random.default_rng(0).standard_normal((1, 6, 5, 3), np.float32)
    traced, state = trace(net, (6, 5, 3)), jax.tree.leaves(nnx.state(net))
    expected = by_hand(net, x)
    calls = {call.path: call for call in traced.calls if call.path}  # the last call of each
    assert {*calls} == {*expected} - {"plain once"}
    for path, call in calls.items():
        found = jax.jit(lambda x, state, call=call: output(traced, call, x, state))(x, state)
        np.testing.assert_allclose(found, expected[path], rtol=1e-5, atol=1e-6, err_msg=path)
    first = next(call for call in traced.calls if call.path == "plain")
    np.testing.assert_allclose(output(traced, first, jnp.asarray(x), state), expected["plain once"], rtol=1e-5)


def test_it_may_be_mapped_and_differentiated(net):
    x = np.random.default_rng(1).standard_normal((4, 6, 5, 3), np.float32)
    traced, state = trace(net, (6, 5, 3)), jax.tree.leaves(nnx.state(net))
    (call,) = (call for call in traced.calls if call.path == "again")
    mapped = jax.vmap(jax.grad(lambda x: output(traced, call, x[None], state).sum()))(x)
    direct = jax.grad(lambda x: by_hand(net, x)["again"].sum())(jnp.asarray(x))
    np.testing.assert_allclose(mapped, direct, rtol=1e-5, atol=1e-6)


def test_other_weights_of_the_same_structure():
    """The trace is of shapes alone; which weights go in is the caller's choice."""
    spec = parse("model: {name: lenet5}", "x", []).model
    traced = trace(build(spec, (28, 28, 1), 10, init=Initializer()), (28, 28, 1))
    last = next(call for call in traced.calls if not call.path)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 28, 28, 1), np.float32))
    for seed in (1, 2):
        model = build(spec, (28, 28, 1), 10, init=Initializer(seed))
        found = output(traced, last, x, jax.tree.leaves(nnx.state(model)))
        np.testing.assert_allclose(found, model(x), rtol=1e-4, atol=1e-5)


class Looped(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.inside, self.after = nnx.Conv(2, 2, (3,), rngs=rngs), nnx.Conv(2, 2, (3,), rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.scan(lambda x, module: module(x), in_axes=(nnx.Carry, None), out_axes=nnx.Carry, length=3)(
            x, self.inside
        )
        return self.after(x)


def test_a_layer_inside_a_loop_has_no_output_of_its_own():
    net = Looped(nnx.Rngs(0))
    traced, state = trace(net, (9, 2)), jax.tree.leaves(nnx.state(net))
    calls = {call.path: call for call in traced.calls}
    x = jnp.ones((1, 9, 2))
    np.testing.assert_allclose(output(traced, calls["after"], x, state), net(x), rtol=1e-5)
    message = "'inside' is called inside a loop or a condition of the model, and its output cannot be read"
    with pytest.raises(CnnlabError, match=message):
        output(traced, calls["inside"], x, state)
