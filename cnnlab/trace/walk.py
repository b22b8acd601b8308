"""Trace a model from shapes alone, and walk its equations with the layer that each belongs to.

Flax NNX writes no module path into a jaxpr. While tracing, the `__call__` of every class in the model is
wrapped: it runs in a `jax.named_scope` with the path and number of the call, and labels what it returns. The
number tells two calls of one module apart; the label marks a layer's output even where the layer adds no
equation of its own (dropout in evaluation).
"""

import functools
import inspect
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from cnnlab.errors import CnnlabError
from cnnlab.layers.mode import EVALUATION
from cnnlab.trace import jaxprs

Shape = tuple[int, ...]

_SITE = "_cnnlab_call_site"
_LABEL = "cnnlab call"
_patching = threading.RLock()  # two threads at once would restore each other's wrappers


@dataclass(frozen=True)
class Call:
    """One call of a module: `index` numbers the calls as they begin, the model's own is 0 with path "".

    `kind` is the class's name. A `leaf` has no modules inside. `output_shapes` (of every array returned)
    exclude the batch.
    """

    index: int
    path: str
    kind: str
    leaf: bool
    output_shapes: tuple[Shape, ...]

    @property
    def output_shape(self) -> Shape:
        """The first output's, or nothing where no array is returned."""
        return self.output_shapes[0] if self.output_shapes else ()


@dataclass(frozen=True)
class Traced:
    """A model in evaluation mode as a jaxpr, for a batch of one float32 input; its first operand is the input.

    `calls` are in execution order. Shapes exclude the batch; `output_shape` is the first output's.
    """

    jaxpr: jaxprs.ClosedJaxpr
    calls: tuple[Call, ...]
    input_shape: Shape
    output_shape: Shape


@dataclass(frozen=True)
class Equation:
    """One primitive operation: the call that it belongs to, and how often a surrounding scan repeats it."""

    equation: jaxprs.JaxprEqn
    call: Call
    repeats: int

    @property
    def path(self) -> str:
        return self.call.path


class _Recorder:
    """Notes the calls of one trace: path, class and whether it is a leaf."""

    def __init__(self):
        self.begun: list[tuple[str, str, bool]] = []
        self.active: list[nnx.Module] = []

    @contextmanager
    def call(self, module: nnx.Module, path: str) -> Iterator[int]:
        index = len(self.begun)
        self.begun.append((path, type(module).__name__, not _has_submodules(module)))
        self.active.append(module)
        try:
            with jax.named_scope(f"{path}@call{index}"):
                yield index
        finally:
            self.active.pop()


class _Site:
    """Where a module sits in the model being traced. A static attribute, so it survives nnx.remat and the like,
    which call a copy; compared by identity, so that no cache mistakes one trace for another."""

    def __init__(self, recorder: _Recorder, path: str):
        self.recorder, self.path = recorder, path


def trace(model: nnx.Module, input_shape: Shape) -> Traced:
    """Trace `model` on one input of `input_shape` (spatial axes and channel, without the batch).

    The model's leaves may be arrays or `jax.ShapeDtypeStruct` (from `nnx.eval_shape`); nothing is computed and
    the model is left as it was. `mode=EVALUATION` is passed if its `__call__` takes a mode.
    """
    graph, state = nnx.split(model)
    takes_mode = "mode" in inspect.signature(type(model).__call__).parameters
    recorder = _Recorder()

    def forward(x: jax.Array, state: Any) -> Any:
        copy = nnx.merge(graph, state)
        copy.eval()  # the switch of Flax's own BatchNorm and Dropout
        modules = [(path, module) for path, module in nnx.iter_modules(copy) if _own_call(type(module))]
        for path, module in modules:
            setattr(module, _SITE, _Site(recorder, ".".join(map(str, path))))
        with _recorded({type(module) for _, module in modules}):
            return copy(x, mode=EVALUATION) if takes_mode else copy(x)

    shapes = jax.eval_shape(lambda state: state, state)
    jaxpr = jax.make_jaxpr(forward)(jax.ShapeDtypeStruct((1, *input_shape), jnp.float32), shapes)
    calls = _calls(jaxpr, recorder)
    if not calls[0].output_shapes:
        raise CnnlabError(f"the model {type(model).__name__} returns no array")
    return Traced(jaxpr, calls, tuple(input_shape), calls[0].output_shape)


def equations(traced: Traced) -> Iterator[Equation]:
    """Every equation in execution order, from nested jaxprs too (a call's own equation before its inside).

    Of a cond all branches count, of a while loop one turn.
    """
    calls = {call.index: call for call in traced.calls}
    for equation, index, repeats in _walk(jaxprs.opened(traced.jaxpr), 0, 1):
        yield Equation(equation, calls[index], repeats)


def call_of(equation: jaxprs.JaxprEqn, outer: int) -> int:
    """The number of the innermost call around an equation; `outer` where its own jaxpr names none."""
    found = re.findall(r"@call(\d+)(?=[/)]|$)", jaxprs.scopes(equation))
    return int(found[-1]) if found else outer


def output_of(equation: jaxprs.JaxprEqn) -> tuple[int, int] | None:
    """(number of the call, number of the output) if the equation marks a call's output."""
    name = jaxprs.labelled(equation)
    if not name.startswith(_LABEL):
        return None
    call, output = name.removeprefix(_LABEL).split()
    return int(call), int(output)


def _walk(jaxpr: jaxprs.Jaxpr, outer: int, repeats: int) -> Iterator[tuple[jaxprs.JaxprEqn, int, int]]:
    for equation in jaxpr.eqns:
        call = call_of(equation, outer)
        yield equation, call, repeats
        scan = jaxprs.scan(equation)
        for body in jaxprs.nested(equation):
            yield from _walk(body, call, repeats * scan.length if scan else repeats)


def _calls(jaxpr: jaxprs.ClosedJaxpr, recorder: _Recorder) -> tuple[Call, ...]:
    """The calls that made it into the jaxpr: JAX may trace a body twice and throw one away."""
    outputs: dict[int, dict[int, Shape]] = {0: {}}
    for equation, call, _ in _walk(jaxprs.opened(jaxpr), 0, 1):
        shapes = outputs.setdefault(call, {})
        if mark := output_of(equation):
            shapes[mark[1]] = jaxprs.shape(equation.outvars[0])[1:]
    return tuple(Call(index, *recorder.begun[index], tuple(outputs[index].values())) for index in sorted(outputs))


@contextmanager
def _recorded(classes: set[type]) -> Iterator[None]:
    """Wrap the classes' `__call__`; afterwards every class is as it was."""
    with _patching:
        before = {kind: vars(kind).get("__call__") for kind in classes}
        for kind in classes:
            kind.__call__ = _recording(kind.__call__)
        try:
            yield
        finally:
            for kind, own in before.items():
                if own is None:  # it was inherited
                    del kind.__call__
                else:
                    kind.__call__ = own


def _recording(original: Callable) -> Callable:
    @functools.wraps(original)
    def recording(self: nnx.Module, *args: Any, **kwargs: Any) -> Any:
        site: _Site | None = vars(self).get(_SITE)
        if site is None or (site.recorder.active and site.recorder.active[-1] is self):  # super().__call__()
            return original(self, *args, **kwargs)
        with site.recorder.call(self, site.path) as index:
            leaves, tree = jax.tree.flatten(original(self, *args, **kwargs))
            marked = [
                jaxprs.label(leaf, f"{_LABEL} {index} {number}") if isinstance(leaf, jax.Array) else leaf
                for number, leaf in enumerate(leaves)
            ]
            return jax.tree.unflatten(tree, marked)

    return recording


def _has_submodules(module: nnx.Module) -> bool:
    return any(
        isinstance(child, nnx.Module) and (_own_call(type(child)) or _has_submodules(child))
        for _, child in nnx.iter_children(module)
    )


def _own_call(kind: type) -> bool:
    """Whether instances can be called; plain `callable(kind)` would find the metaclass's call."""
    return any("__call__" in vars(base) for base in kind.__mro__)
