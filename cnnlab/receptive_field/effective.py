"""The effective receptive field: how much each input position matters to a unit, by the gradient.

Luo, Li, Urtasun and Zemel, "Understanding the effective receptive field in deep convolutional neural networks" (2016):
the gradient that is 1 at one unit and 0 at all others, taken back to the input, and its absolute value averaged over
random inputs, and over random weights where there are no trained ones. Everything random follows from (seed, index).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import numpy as np
from flax import nnx

from cnnlab.errors import CnnlabError, did_you_mean
from cnnlab.receptive_field.concentration import Gaussian, Held, gaussian, held
from cnnlab.receptive_field.fields import fields
from cnnlab.trace.cost import cost, totals
from cnnlab.trace.output import output
from cnnlab.trace.walk import Call, Traced, equations, output_of

SHARES = (0.2, 0.3, 0.5, 0.95, 0.99)
_BATCH_BYTES = 2**29  # of activations in a batch; with their gradients it is about twice that


@dataclass(frozen=True, eq=False)
class EffectiveField:
    """The effective field of one unit of a layer: `map` [*space] float64, each position's share of the gradient.

    `unit` is its place in the layer's map, `center` that of its theoretical field in the image. `inputs` random inputs
    went through each of `models` networks. `held` is what holds 20, 30, 50, 95 and 99 % of the gradient, `gaussian` has
    the map's own mean and deviation.
    """

    path: str
    unit: tuple[int, ...]
    center: tuple[float, ...]
    map: np.ndarray
    inputs: int
    models: int
    seed: int
    held: tuple[Held, ...]
    gaussian: Gaussian

    def holding(self, share: float) -> Held:
        """What holds one of `SHARES`."""
        return next(found for found in self.held if found.share == share)

    def to_json(self) -> dict[str, Any]:
        """The document, without the map."""
        return {
            "path": self.path,
            "unit": list(self.unit),
            "center": list(self.center),
            "inputs": self.inputs,
            "models": self.models,
            "seed": self.seed,
            **self.gaussian.to_json(),
            "held": [found.to_json() for found in self.held],
        }


@dataclass(frozen=True, eq=False)
class Change:
    """The effective field of the same unit before and after training, on the same inputs."""

    initial: EffectiveField
    trained: EffectiveField

    @property
    def sigma_ratio(self) -> tuple[float | None, ...]:
        """How many times as wide the field has become, per axis; None where it was one position."""
        pairs = zip(self.initial.gaussian.sigma, self.trained.gaussian.sigma, strict=True)
        return tuple(after / before if before else None for before, after in pairs)

    @property
    def pixels_ratio(self) -> tuple[float, ...]:
        """How many times as many positions hold each of `SHARES`."""
        pairs = zip(self.initial.held, self.trained.held, strict=True)
        return tuple(after.pixels / before.pixels for before, after in pairs)

    def to_json(self) -> dict[str, Any]:
        return {
            "initial": self.initial.to_json(),
            "trained": self.trained.to_json(),
            "sigma_ratio": list(self.sigma_ratio),
            "pixels_ratio": list(self.pixels_ratio),
        }


def effective_field(
    traced: Traced,
    models: Iterable[nnx.Module],
    *,
    layer: str | None = None,
    unit: tuple[int, ...] | None = None,
    inputs: int = 32,
    seed: int = 0,
) -> EffectiveField:
    """The effective field of a unit, averaged over `inputs` standard normal inputs for each of `models`.

    The models have the traced one's structure, in evaluation mode, in float32. `layer` is the path of a layer, or of a
    block of them, whose map has the input's axes (its last call, where it is called more than once); by default the
    one that returns last. The unit is by default the centre one, n // 2 of n, and stands for all its channels: their
    sum has the gradient 1. Raises CnnlabError for a layer or unit that is not there, and for a gradient of 0 or NaN.
    """
    call = _call(traced, layer)
    unit = _unit(call, unit)
    total, count = _total(traced, call, unit, models, inputs, seed)
    where = f"the gradient of '{call.path}' at the unit {','.join(map(str, unit))}"
    if not np.isfinite(total).all():
        raise CnnlabError(f"{where} is not finite", hint="the weights have diverged, or the initialisation explodes")
    if not total.any():
        raise CnnlabError(f"{where} is 0 everywhere: its units are dead", hint="name another layer or unit")
    shares, center = total / total.sum(), _center(traced, call, unit)
    found = tuple(held(shares, center, share) for share in SHARES)
    return EffectiveField(call.path, unit, center, shares, inputs, count, seed, found, gaussian(shares))


def _total(
    traced: Traced, call: Call, unit: tuple[int, ...], models: Iterable[nnx.Module], inputs: int, seed: int
) -> tuple[np.ndarray, int]:
    """The sum of the absolute gradients [*space] float64 over all inputs of all models, and how many models it was."""
    total, count, gradients, size = np.zeros(traced.input_shape[:-1]), 0, _gradients(traced, call, unit), 0
    for count, model in enumerate(models, start=1):
        size = size or max(1, min(inputs, _BATCH_BYTES // totals(cost(traced, model)).activation_bytes))
        state = jax.tree.leaves(nnx.state(model))
        for start in range(0, inputs, size):
            rows = range(start, min(start + size, inputs))
            x = np.zeros((size, *traced.input_shape), np.float32)  # the last batch is padded, not compiled anew
            for row in rows:
                drawn = np.random.default_rng((seed, (count - 1) * inputs + row))
                x[row - start] = drawn.standard_normal(traced.input_shape, np.float32)
            total += np.asarray(gradients(x, state), np.float64)[: len(rows)].sum(0)
    return total, count


def _gradients(traced: Traced, call: Call, unit: tuple[int, ...]) -> Any:
    """Compiled: x [batch, *input_shape] and a model's leaves to the absolute gradients [batch, *space]."""

    def of_unit(x: jax.Array, state: list[Any]) -> jax.Array:
        return output(traced, call, x[None], state)[(0, *unit)].sum()

    gradient = jax.vmap(jax.grad(of_unit), in_axes=(0, None))
    return jax.jit(lambda x, state: abs(gradient(x, state)).sum(-1))


def _call(traced: Traced, layer: str | None) -> Call:
    """The last call of a layer with a place on the image. Raises CnnlabError where there is none."""
    placed = [call for call in traced.calls if call.path and len(call.output_shape) == len(traced.input_shape) > 1]
    if layer is None:
        if not placed:
            raise CnnlabError("no layer of the model has a place on the image, so there is no effective field")
        # A map of one position is the end of a pooling or a gate, unless there is nothing else.
        return _last(traced, [call for call in placed if prod(call.output_shape[:-1]) > 1] or placed)
    paths = [call.path for call in traced.calls if call.path]
    if layer not in paths:
        near = did_you_mean(layer, list(dict.fromkeys(paths)))
        raise CnnlabError(f"the model has no layer '{layer}'", hint=near or "'cnnlab summary' lists the layers")
    found = [call for call in placed if call.path == layer]
    if not found:
        raise CnnlabError(f"'{layer}' has no place on the image", hint="name a layer whose output is still a map")
    return found[-1]


def _last(traced: Traced, calls: list[Call]) -> Call:
    """The one that returns last; of a block that returns what a layer in it did, that layer."""
    wanted, last, value = {call.index: call for call in calls}, calls[-1], None
    for item in equations(traced):
        mark = output_of(item.equation)
        if mark and mark[1] == 0 and mark[0] in wanted:
            if item.equation.invars[0] is not value:
                last = wanted[mark[0]]
            value = item.equation.outvars[0]
    return last


def _unit(call: Call, unit: tuple[int, ...] | None) -> tuple[int, ...]:
    space = call.output_shape[:-1]
    if unit is None:
        return tuple(n // 2 for n in space)
    if len(unit) != len(space) or not all(0 <= place < n for place, n in zip(unit, space, strict=True)):
        shown, size = ",".join(map(str, unit)), "x".join(map(str, space))
        raise CnnlabError(f"the unit {shown} is not in the map {size} of '{call.path}'", hint="count from 0")
    return unit


def _center(traced: Traced, call: Call, unit: tuple[int, ...]) -> tuple[float, ...]:
    """The centre of a unit's theoretical field; on an axis where that is the whole image, its proportional place."""
    rows = [row for row in fields(traced).layers if f"{row.path}.".startswith(f"{call.path}.")]
    found = next((row.units for row in reversed(rows) if row.output_shape == call.output_shape), None)
    spans = (None,) * len(unit) if found is None else found.extended(unit)
    center = []
    for place, span, n, m in zip(unit, spans, traced.input_shape[:-1], call.output_shape[:-1], strict=True):
        center.append(sum(span) / 2 if span else round(2 * (place + 0.5) * n / m) / 2 - 0.5)
    return tuple(center)
