"""Which convolutions the kernels take, and that JAX's own rule has all others, with the right result."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.kernels import build

pytestmark = pytest.mark.usefixtures("in_use")
TARGET = "cnnlab_convolution"
NHWC = ("NHWC", "HWIO", "NHWC")


def convolution(*, dimensions=NHWC, stride=(1, 1), padding="SAME", groups=1, **options):
    """A new function each time: JAX keeps what it has lowered."""

    def run(x, w):
        return jax.lax.conv_general_dilated(
            x, w, stride, padding, dimension_numbers=dimensions, feature_group_count=groups, **options
        )

    return run


def arrays(*shapes, dtype=jnp.float32):
    random = np.random.default_rng(0)
    return tuple(jnp.asarray(random.integers(-4, 5, shape), dtype) for shape in shapes)


def calls(function, *arguments) -> int:
    return jax.jit(function).lower(*arguments).as_text().count(f"custom_call @{TARGET}")


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (3, 3)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_convolution_and_both_gradients_are_taken(stride, groups):
    x, w = arrays((2, 9, 8, 4), (3, 3, 4 // groups, 8))
    function = convolution(stride=stride, groups=groups)
    assert calls(function, x, w) == 1
    assert calls(jax.grad(lambda x, w: (function(x, w) ** 2).sum(), argnums=(0, 1)), x, w) == 3


OTHERS = {
    "whole numbers": (convolution(), arrays((2, 9, 8, 4), (3, 3, 4, 8), dtype=jnp.int32)),
    "float16": (convolution(), arrays((2, 9, 8, 4), (3, 3, 4, 8), dtype=jnp.float16)),
    "channels first": (convolution(dimensions=("NCHW", "OIHW", "NCHW")), arrays((2, 4, 9, 8), (8, 4, 3, 3))),
    "no examples": (convolution(), arrays((0, 9, 8, 4), (3, 3, 4, 8))),
    "no spatial axis": (
        lambda x, w: jax.lax.conv_general_dilated(x, w, (), [], dimension_numbers=("NC", "IO", "NC")),
        arrays((2, 4), (4, 8)),
    ),
    "four spatial axes": (
        lambda x, w: jax.lax.conv_general_dilated(
            x, w, (1,) * 4, "VALID", dimension_numbers=("NABDEC", "ABDEIO", "NABDEC")
        ),
        arrays((2, 3, 3, 3, 3, 4), (2, 2, 2, 2, 4, 8)),
    ),
    "cropped": (convolution(padding=[(-1, -1), (0, 0)]), arrays((2, 9, 8, 4), (3, 3, 4, 8))),
    "dilated and strided": (
        convolution(stride=(2, 2), lhs_dilation=(2, 2), padding=[(1, 1)] * 2),
        arrays((2, 9, 8, 4), (3, 3, 4, 8)),
    ),
}


@pytest.mark.parametrize(("function", "arguments"), OTHERS.values(), ids=OTHERS)
def test_whatever_else_there_is_stays_with_xla(function, arguments):
    from cnnlab.kernels import lowering

    assert calls(function, *arguments) == 0
    found = jax.jit(lambda *a: function(*a))(*arguments)
    with lowering.switched(False):
        xla = jax.jit(lambda *a: function(*a))(*arguments)
    np.testing.assert_array_equal(found, xla)


def test_complex_numbers_are_three_convolutions_of_reals():
    from cnnlab.kernels import lowering

    x, w = (a * (1 + 2j) for a in arrays((2, 9, 8, 4), (3, 3, 4, 8)))
    assert calls(convolution(), x, w) == 3
    found = jax.jit(convolution())(x, w)
    with lowering.switched(False):
        np.testing.assert_array_equal(found, jax.jit(convolution())(x, w))


def test_what_is_exported_stays_with_xla():
    from jax import export

    x, w = arrays((2, 9, 8, 4), (3, 3, 4, 8))
    assert TARGET not in export.export(jax.jit(convolution()))(x, w).mlir_module()
    batch = jax.ShapeDtypeStruct(export.symbolic_shape("n, 9, 8, 4"), jnp.float32)
    exported = export.export(jax.jit(convolution()))(batch, w)
    assert TARGET not in exported.mlir_module()
    np.testing.assert_array_equal(exported.call(x, w), convolution()(x, w))


def test_switched_off_it_is_xlas_own():
    from cnnlab.kernels import lowering

    x, w = arrays((2, 9, 8, 4), (3, 3, 4, 8))
    with lowering.switched(False):
        assert calls(convolution(), x, w) == 0
    assert calls(convolution(), x, w) == 1


def test_equations_are_what_they_were():
    x, w = arrays((2, 9, 8, 4), (3, 3, 4, 8))
    assert [e.primitive.name for e in jax.make_jaxpr(convolution())(x, w).eqns] == ["conv_general_dilated"]


def test_a_jax_that_was_not_tried_is_refused(monkeypatch):
    from cnnlab.kernels import lowering

    monkeypatch.setattr(jax, "__version_info__", (0, 14, 0))
    monkeypatch.setattr(jax, "__version__", "0.14.0")
    with pytest.raises(build.Unavailable, match=r"^they have not been tried with jax 0\.14\.0$"):
        lowering.install(build.load())


def test_a_jax_with_its_rules_elsewhere_is_refused(monkeypatch):
    from jax._src.interpreters import mlir

    from cnnlab.kernels import lowering

    monkeypatch.delattr(mlir, "_platform_specific_lowerings")
    with pytest.raises(build.Unavailable, match="keeps its rules for the CPU where they cannot be found"):
        lowering.install(build.load())


DEVICES = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from cnnlab import kernels
status = kernels.enable()
assert status.in_use, status
mesh = jax.make_mesh((2,), ("n",), axis_types=(AxisType.Auto,))
def f(x, w):
    return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
x = jnp.arange(4 * 8 * 8 * 4, dtype=jnp.float32).reshape(4, 8, 8, 4) % 7
w = jnp.arange(3 * 3 * 4 * 8, dtype=jnp.float32).reshape(3, 3, 4, 8) % 5
whole = jax.jit(f)(x, w)
cut = jax.device_put(x, NamedSharding(mesh, P("n")))
same = jax.device_put(w, NamedSharding(mesh, P()))
sharded = jax.jit(lambda x, w: f(x, w)).lower(cut, same)
print(sharded.as_text().count("cnnlab_convolution"), bool((sharded.compile()(cut, same) == whole).all()))
specs = {"in_specs": (P("n"), P()), "out_specs": P("n")}
mapped = jax.jit(jax.shard_map(lambda x, w: f(x, w), mesh=mesh, **specs)).lower(cut, same)
print(mapped.as_text().count("@cnnlab_convolution"), bool((mapped.compile()(cut, same) == whole).all()))
"""


def test_over_several_devices_only_a_shard_map_has_it():
    import os

    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    ended = subprocess.run(
        [sys.executable, "-c", DEVICES], capture_output=True, text=True, env=environment, check=False
    )
    assert (ended.stdout.splitlines(), ended.returncode) == (["0 True", "1 True"], 0), ended.stderr
