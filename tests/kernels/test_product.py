"""Products of two matrices by oneDNN: which are taken, and what they are in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnlab.kernels.product import LEAST_EXAMPLES, LEAST_WORK

pytestmark = pytest.mark.usefixtures("in_use")
TARGET = "custom_call @cnnlab_product"


def product(result=None, **options):
    """x^T dy; a new function each time: JAX keeps what it has lowered."""
    across = (((0,), (0,)), ((), ()))
    return jax.jit(lambda x, dy: jax.lax.dot_general(x, dy, across, preferred_element_type=result, **options))


def matrices(sizes, dtype="float32"):
    """x and dy: of (examples, features in, features out)."""
    examples, *features = sizes
    random = np.random.default_rng(0)
    return tuple(jnp.asarray(random.normal(size=(examples, n)), dtype) for n in features)


def error(found, x, dy):
    """The distance from the product in double precision, in units of its norm."""
    x, dy = (np.asarray(a.astype(jnp.float32), np.float64) for a in (x, dy))
    true = x.T @ dy
    return np.linalg.norm(np.asarray(found.astype(jnp.float32), np.float64) - true) / np.linalg.norm(true)


@given(
    sizes=st.tuples(*(st.integers(30, 150),) * 3),
    types=st.sampled_from([("float32", None), ("bfloat16", None), ("bfloat16", "float32")]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_products_are_those_of_double_precision(sizes, types):
    operands = matrices(sizes, types[0])
    found = product(types[1])(*operands)
    assert found.dtype == (types[1] or types[0])
    assert error(found, *operands) < (2**-8 if found.dtype == jnp.bfloat16 else 1e-6)


@pytest.mark.parametrize("sizes", [(128, 784, 512), (128, 512, 10), (32, 2000, 100), (2000, 1, 100)])
@pytest.mark.parametrize("types", [("float32", None), ("bfloat16", "float32")])
def test_worthwhile_ones_are_taken_and_give_the_same_bits_every_time(sizes, types):
    operands = matrices(sizes, types[0])
    run = product(types[1])
    lowered = run.lower(*operands).as_text()
    assert TARGET in lowered
    found = run(*operands)
    assert error(found, *operands) < 1e-6
    assert all(np.asarray(run(*operands)).tobytes() == np.asarray(found).tobytes() for _ in range(5))


def test_gradients_of_a_dense_layer_are_no_further_from_double_precision_than_xlas():
    from cnnlab.kernels import lowering

    x, dy = matrices((128, 300, 200))
    kernel = jnp.ones((300, 200), jnp.float32)

    def gradients():
        return jax.jit(lambda x, kernel, dy: jax.vjp(lambda *a: a[0] @ a[1], x, kernel)[1](dy))

    lowered = gradients().lower(x, kernel, dy)
    assert lowered.as_text().count(TARGET) == 1
    # The two turns of the kernel's gradient are gone.
    assert " transpose(" not in str(lowered.compile().as_text())
    found = lowered.compile()(x, kernel, dy)
    with lowering.switched(False):
        xla = gradients()(x, kernel, dy)
    assert error(found[1], x, dy) <= max(2 * error(xla[1], x, dy), 3e-7)


def taken(shapes, dtype=jnp.float32, **options):
    return TARGET in product(**options).lower(*(jnp.ones(shape, dtype) for shape in shapes)).as_text()


def test_others_are_xlas():
    assert taken([(100, 90), (100, 90)])
    assert not taken([(100, 99), (100, LEAST_WORK // 10_000)])
    assert not taken([(LEAST_EXAMPLES - 1, 300), (LEAST_EXAMPLES - 1, 300)])
    assert taken([(LEAST_EXAMPLES - 1, 300), (LEAST_EXAMPLES - 1, 300)], jnp.bfloat16)
    assert not taken([(100, 9, 10), (100, 90)])
    assert not taken([(10_000,), (10_000, 90)])
    assert not taken([(100, 90), (100, 90)], jnp.float16)
    assert not taken([(100, 90), (100, 90)], precision=jax.lax.DotAlgorithmPreset.F32_F32_F32)
    ones = jnp.ones((100, 90))
    assert TARGET not in jax.jit(lambda a, b: a @ b).lower(ones, ones.T).as_text()
    exported = jax.export.export(product())(ones, ones)
    assert TARGET not in exported.mlir_module()
