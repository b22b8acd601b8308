"""Which layer is called when, and which equation belongs to which layer."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from cnnlab.errors import CnnlabError
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.trace.walk import Call, Traced, equations, trace


class Block(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.conv1 = nnx.Conv(3, 3, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return nnx.relu(self.drop(self.norm(self.conv1(x))))


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.stage1 = nnx.List([Block(rngs) for _ in range(2)])
        self.head = nnx.Linear(3, 5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for block in self.stage1:
            x = block(x)
        return self.head(x.mean((1, 2)))


class Twice(nnx.Module):
    """One convolution under two names, called twice."""

    def __init__(self, rngs: nnx.Rngs):
        self.conv = nnx.Conv(3, 3, (3, 3), rngs=rngs)
        self.same = self.conv

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.same(self.conv(x))


class Wrap(nnx.Module):
    """Calls a module in some way of JAX's or Flax's."""

    def __init__(self, inner: nnx.Module, way: Any):
        self.inner, self.way = inner, way

    def __call__(self, x: jax.Array) -> Any:
        return self.way(self.inner, x)


def abstract(kind: Any, *sizes: Any) -> Any:
    """A module made of shapes: nothing is initialised."""
    return nnx.eval_shape(lambda: kind(*sizes, rngs=nnx.Rngs(0)))


def paths(traced: Traced) -> list[str]:
    return [call.path for call in traced.calls]


def convolutions(traced: Traced) -> list[tuple[str, int, int]]:
    """Path, number of the call and repeats of every convolution."""
    return [
        (item.path, item.call.index, item.repeats)
        for item in equations(traced)
        if item.equation.primitive.name == "conv_general_dilated"
    ]


def test_calls_are_in_execution_order_with_paths_kinds_and_shapes():
    traced = trace(abstract(Net), (8, 6, 3))
    assert traced.calls[:6] == (
        Call(0, "", "Net", False, ((5,),)),
        Call(1, "stage1.0", "Block", False, ((8, 6, 3),)),
        Call(2, "stage1.0.conv1", "Conv", True, ((8, 6, 3),)),
        Call(3, "stage1.0.norm", "BatchNorm", True, ((8, 6, 3),)),
        Call(4, "stage1.0.drop", "Dropout", True, ((8, 6, 3),)),
        Call(5, "stage1.1", "Block", False, ((8, 6, 3),)),
    )
    assert traced.calls[-1] == Call(9, "head", "Linear", True, ((5,),))
    assert (traced.input_shape, traced.output_shape) == ((8, 6, 3), (5,))


def test_shapes_alone_give_the_same():
    shapes, arrays = abstract(Net), Net(nnx.Rngs(0))
    assert trace(shapes, (8, 6, 3)).calls == trace(arrays, (8, 6, 3)).calls
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(nnx.state(shapes)))


def test_every_equation_belongs_to_the_innermost_call():
    owners: dict[str, set[str]] = {}
    for item in equations(trace(abstract(Net), (8, 6, 3))):
        owners.setdefault(item.equation.primitive.name, set()).add(item.path)
    assert owners["conv_general_dilated"] == {"stage1.0.conv1", "stage1.1.conv1"}
    assert owners["rsqrt"] == {"stage1.0.norm", "stage1.1.norm"}
    assert owners["max"] == {"stage1.0", "stage1.1"}  # relu, two jaxprs deep
    assert owners["reduce_sum"] == {""}
    assert owners["dot_general"] == {"head"}


def test_a_module_called_twice_is_recorded_twice_under_its_first_path():
    traced = trace(abstract(Twice), (8, 8, 3))
    assert paths(traced) == ["", "conv", "conv"]
    assert convolutions(traced) == [("conv", 1, 1), ("conv", 2, 1)]


def test_it_is_evaluation_for_flax_layers():
    names = [item.equation.primitive.name for item in equations(trace(abstract(Block), (8, 8, 3)))]
    assert "reduce_sum" not in names  # no batch statistics
    assert not any("random" in name for name in names)  # no dropout


def test_it_is_evaluation_for_layers_that_take_a_mode():
    seen = []

    class Moded(nnx.Module):
        def __call__(self, x: jax.Array, mode: Mode = Mode(train=True)) -> jax.Array:  # noqa: B008
            seen.append(mode)
            return x

    trace(Moded(), (8, 3))
    assert seen == [EVALUATION]


def call_in_remat(inner: nnx.Module, x: jax.Array) -> jax.Array:
    return nnx.remat(lambda module, x: module(x))(inner, x)


def call_in_jit(inner: nnx.Module, x: jax.Array) -> jax.Array:
    return in_jit(inner, x)


@nnx.jit
def in_jit(inner: Any, x: jax.Array) -> jax.Array:
    return inner(x)


def call_in_vmap(inner: nnx.Module, x: jax.Array) -> jax.Array:
    return nnx.vmap(lambda module, x: module(x[None])[0], in_axes=(None, 0))(inner, x)


@pytest.mark.parametrize("way", [call_in_remat, call_in_jit, call_in_vmap])
def test_calls_of_copies_keep_their_paths(way: Any):
    model = Wrap(abstract(Block), way)
    for _ in range(2):  # the second trace finds JAX's caches filled
        traced = trace(model, (8, 8, 3))
        assert paths(traced) == ["", "inner", "inner.conv1", "inner.norm", "inner.drop"]
        assert convolutions(traced) == [("inner.conv1", 2, 1)]


def call_in_scan(inner: Any, x: jax.Array) -> jax.Array:
    graph, state = nnx.split(inner)
    return jax.lax.scan(lambda y, _: (nnx.merge(graph, state)(y), None), x, None, length=4)[0]


def test_a_scan_repeats_its_equations():
    traced = trace(Wrap(abstract(nnx.Conv, 3, 3, (3, 3)), call_in_scan), (8, 8, 3))
    assert paths(traced) == ["", "inner"]
    assert [(path, repeats) for path, _, repeats in convolutions(traced)] == [("inner", 4)]


def call_in_cond(inner: Any, x: jax.Array) -> jax.Array:
    graph, state = nnx.split(inner)
    return jax.lax.cond(x.sum() > 0, lambda y: nnx.merge(graph, state)(y), lambda y: y, x)


def call_in_while(inner: Any, x: jax.Array) -> jax.Array:
    graph, state = nnx.split(inner)
    return jax.lax.while_loop(lambda y: y.sum() < 9, lambda y: nnx.merge(graph, state)(y), x)


@pytest.mark.parametrize("way", [call_in_cond, call_in_while])
def test_branches_and_loops_are_walked_once(way: Any):
    traced = trace(Wrap(abstract(nnx.Conv, 3, 3, (3, 3)), way), (8, 8, 3))
    assert paths(traced) == ["", "inner"]
    assert [(path, repeats) for path, _, repeats in convolutions(traced)] == [("inner", 1)]


def test_a_body_that_jax_traces_twice_is_recorded_once():
    """A weakly typed carry makes JAX trace the body again."""

    class Weak(nnx.Module):
        def __init__(self, rngs: nnx.Rngs):
            self.dense = nnx.Linear(1, 1, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            graph, state = nnx.split(self.dense)

            def step(carry: jax.Array, _: None) -> tuple[jax.Array, None]:
                return nnx.merge(graph, state)(jnp.ones((1, 1)))[0, 0] + carry, None

            return x + jax.lax.scan(step, 1.0, None, length=2)[0]

    assert paths(trace(abstract(Weak), (4, 1))) == ["", "dense"]


def test_a_call_through_super_is_one_call():
    class Louder(Block):
        def __call__(self, x: jax.Array) -> jax.Array:
            return 2 * super().__call__(x)

    class Both(nnx.Module):
        def __init__(self, rngs: nnx.Rngs):
            self.plain, self.louder = Block(rngs), Louder(rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.louder(self.plain(x))

    traced = trace(abstract(Both), (8, 8, 3))
    assert [call.path for call in traced.calls if not call.leaf] == ["", "plain", "louder"]


def test_several_outputs_have_several_shapes():
    class Heads(nnx.Module):
        def __call__(self, x: jax.Array) -> dict[str, Any]:
            return {"map": x, "nothing": None, "sum": x.sum((1, 2)), "scalar": x.sum(), "which": x.argmax(-1)}

    traced = trace(Heads(), (8, 6, 3))
    assert traced.calls[0].output_shapes == ((8, 6, 3), (), (3,), (8, 6))
    assert traced.output_shape == (8, 6, 3)


def test_a_model_without_an_array_to_return_is_refused():
    class Silent(nnx.Module):
        def __call__(self, x: jax.Array) -> None:
            del x

    with pytest.raises(CnnlabError, match="the model Silent returns no array"):
        trace(Silent(), (8, 3))


def test_plain_functions_in_a_sequential_belong_to_it():
    model = nnx.Sequential(abstract(nnx.Linear, 3, 4), nnx.relu)
    traced = trace(model, (3,))
    assert paths(traced) == ["", "layers.0"]
    assert {item.path for item in equations(traced) if item.equation.primitive.name == "max"} == {""}


def test_scopes_of_the_users_own_do_no_harm():
    def scoped(inner: Any, x: jax.Array) -> jax.Array:
        with jax.named_scope("mine@7"):
            return inner(x) + 1

    traced = trace(Wrap(abstract(nnx.Linear, 3, 4), scoped), (3,))
    assert {item.path for item in equations(traced)} == {"", "inner"}


class Inherits(nnx.Linear):
    """Has no `__call__` of its own."""


def classes_as_they_are() -> list[Any]:
    return [vars(kind).get("__call__") for kind in (Net, Block, Twice, Inherits, nnx.Linear, nnx.Conv, nnx.List)]


def test_nothing_is_left_behind():
    before = classes_as_they_are()
    model = abstract(Net)
    model.head = abstract(Inherits, 3, 5)
    graph = nnx.graphdef(model)
    assert paths(trace(model, (8, 8, 3)))[-1] == "head"
    assert classes_as_they_are() == before
    assert nnx.graphdef(model) == graph  # neither marks nor evaluation mode
    assert not model.stage1[0].drop.deterministic


def test_nothing_is_left_behind_by_a_model_that_fails():
    before = classes_as_they_are()
    model = Wrap(abstract(Net), lambda inner, x: inner(x).reshape(7))
    with pytest.raises(TypeError, match="reshape"):
        trace(model, (8, 8, 3))
    assert classes_as_they_are() == before


def test_a_call_that_returns_no_array_keeps_its_equations():
    class Checks(nnx.Module):
        def __call__(self, x: jax.Array) -> None:
            jnp.sin(x)

    def checked(inner: Any, x: jax.Array) -> jax.Array:
        inner(x)
        return jnp.cos(x)

    traced = trace(Wrap(Checks(), checked), (8, 3))
    assert traced.calls[1] == Call(1, "inner", "Checks", True, ())
    assert traced.calls[1].output_shape == ()
    assert [(item.equation.primitive.name, item.path) for item in equations(traced)][:2] == [
        ("sin", "inner"),
        ("cos", ""),
    ]


def test_threads_may_trace_at_the_same_time():
    before = classes_as_they_are()
    model = abstract(Net)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: trace(model, (8, 8, 3)).calls, range(8)))
    assert all(calls == found[0] for calls in found)
    assert len(found[0]) == 10
    assert classes_as_they_are() == before


def test_other_models_run_as_usual_while_one_is_traced():
    bystander = Block(nnx.Rngs(0))
    bystander.eval()

    def meanwhile(inner: Any, x: jax.Array) -> jax.Array:
        bystander(jnp.zeros((1, 4, 4, 3)))
        return inner(x)

    assert paths(trace(Wrap(abstract(nnx.Conv, 3, 3, (3, 3)), meanwhile), (8, 8, 3))) == ["", "inner"]
