"""The one module that touches what JAX moves between releases."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest

from cnnlab.trace import jaxprs

X = jnp.ones((2, 3))


def equation(function: Callable, *operands: jax.Array) -> jaxprs.JaxprEqn:
    """The last equation of a function."""
    return jaxprs.opened(jax.make_jaxpr(function)(*operands or (X,))).eqns[-1]


@jax.custom_jvp
def with_jvp(x: jax.Array) -> jax.Array:
    return jnp.sin(x)


with_jvp.defjvp(lambda primals, tangents: (with_jvp(*primals), tangents[0]))


@jax.custom_vjp
def with_vjp(x: jax.Array) -> jax.Array:
    return jnp.sin(x)


with_vjp.defvjp(lambda x: (with_vjp(x), None), lambda _, g: (g,))


@pytest.mark.parametrize("call", [jax.jit(jnp.sin), with_jvp, with_vjp, jax.checkpoint(jnp.sin)])
def test_a_call_has_one_inner_jaxpr_on_its_own_operands(call: Callable):
    outer = equation(call)
    inner = jaxprs.inner(outer)
    assert inner is not None
    assert isinstance(inner, jaxprs.Jaxpr)
    assert len(inner.invars) == len(outer.invars) == 1
    assert [e.primitive.name for e in inner.eqns] == ["sin"]
    assert [jaxpr.eqns for jaxpr in jaxprs.nested(outer)] == [inner.eqns]


def test_closed_over_arrays_are_operands_of_a_checkpoint_too():
    outer = equation(lambda x: jax.checkpoint(lambda y: y + X)(x))
    inner = jaxprs.inner(outer)
    assert inner is not None
    assert len(inner.invars) == len(outer.invars) == 2


def test_an_operation_has_nothing_inside():
    plain = equation(jnp.sin)
    assert (jaxprs.inner(plain), jaxprs.scan(plain), jaxprs.branches(plain)) == (None, None, ())
    assert list(jaxprs.nested(plain)) == []
    assert jaxprs.labelled(plain) == ""


def test_a_reducer_is_nested_but_no_call():
    pool = equation(lambda x: jax.lax.reduce_window(x, 0.0, lambda a, b: a + 2 * b, (1, 2), (1, 1), "VALID"))
    assert jaxprs.inner(pool) is None
    assert len(list(jaxprs.nested(pool))) == 1


def test_the_operands_of_a_scan_are_told_apart():
    def scanned(weights: jax.Array, start: jax.Array, rows: jax.Array) -> tuple:
        def step(carry: tuple, row: tuple) -> tuple:
            return (carry[0] + weights.sum(), carry[1] * 2), row[0] + row[1]

        return jax.lax.scan(step, (start, start), (rows, rows))

    outer = equation(scanned, jnp.ones(4), jnp.ones(()), jnp.ones(5))
    scan = jaxprs.scan(outer)
    assert scan is not None
    assert (scan.constants, scan.carried, scan.length) == (1, 2, 5)
    assert [jaxprs.shape(v) for v in scan.body.invars] == [(4,), (), (), (), ()]
    assert len(scan.body.outvars) == 3
    assert jaxprs.inner(outer) is None


def test_a_cond_has_a_branch_a_choice_in_order():
    outer = equation(lambda x: jax.lax.switch(jnp.int32(x.sum()), [jnp.sin, jnp.cos, jnp.exp], x))
    assert [branch.eqns[0].primitive.name for branch in jaxprs.branches(outer)] == ["sin", "cos", "exp"]
    assert len(outer.invars) == 2


def test_a_label_passes_the_value_on_and_names_it():
    marked = equation(lambda x: jaxprs.label(jnp.sin(x), "the sine"))
    assert jaxprs.labelled(marked) == "the sine"
    assert jaxprs.shape(marked.outvars[0]) == (2, 3)
    assert (jaxprs.label(X, "anything") == X).all()


def test_integers_can_be_labelled():
    assert jaxprs.labelled(equation(lambda x: jaxprs.label(jnp.argmax(x), "which"))) == "which"


def test_scopes_are_those_within_the_own_jaxpr():
    def scoped(x: jax.Array) -> jax.Array:
        with jax.named_scope("a"), jax.named_scope("b.c"):
            return jax.jit(jnp.sin)(x)

    outer = equation(scoped)
    inner = jaxprs.inner(outer)
    assert inner is not None
    assert jaxprs.scopes(outer) == "a/b.c"
    assert jaxprs.scopes(inner.eqns[0]) == ""
    assert jaxprs.scopes(equation(jax.vmap(scoped))) == "vmap(a)/b.c"


def test_opened_jaxprs_have_the_operands_of_closed_ones():
    closed = jax.make_jaxpr(lambda x: x + X)(X)
    assert isinstance(closed, jaxprs.ClosedJaxpr)
    jaxpr = jaxprs.opened(closed)
    assert (len(jaxpr.invars), len(jaxpr.constvars), len(jaxpr.eqns)) == (1, 1, 1)
    assert jaxprs.opened(jaxpr) is jaxpr


def test_literals_and_variables_have_shapes():
    add = equation(lambda x: x + 1.0)
    assert [isinstance(operand, jaxprs.Literal) for operand in add.invars] == [False, True]
    assert [jaxprs.shape(operand) for operand in add.invars] == [(2, 3), ()]
    assert isinstance(add.outvars[0], jaxprs.Var)
