"""The receptive fields of a model's layers, as data and as the versioned JSON document."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

from cnnlab.errors import CnnlabError, did_you_mean
from cnnlab.receptive_field.axis import Span
from cnnlab.receptive_field.units import Units
from cnnlab.trace import jaxprs


@dataclass(frozen=True)
class Window:
    """What a convolution or pooling slides over the map, a number per spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]

    @classmethod
    def of(cls, equation: jaxprs.JaxprEqn) -> "Window":
        params = equation.params
        if equation.primitive.name == "conv_general_dilated":
            kernel, axes = jaxprs.shape(equation.invars[1]), params["dimension_numbers"].rhs_spec[2:]
            return cls(tuple(kernel[axis] for axis in axes), params["window_strides"], params["rhs_dilation"])
        inside = slice(1, -1)  # of batch, space, channel
        return cls(
            params["window_dimensions"][inside], params["window_strides"][inside], params["window_dilation"][inside]
        )


@dataclass(frozen=True)
class Extent:
    """The theoretical field along one axis of the input, of which padding counts as more.

    `size`: the smallest and the largest number of positions from the first to the last that a unit sees. `padding`:
    how far the first unit's field reaches out before the input and the last unit's behind it; negative where border
    positions are not seen. `narrowest`: the smallest size, along the narrowest path.
    """

    size: Span
    stride: Fraction
    padding: Span
    first_center: Fraction
    narrowest: int


@dataclass(frozen=True)
class Layer:
    """One call of a leaf layer. `axes` has an entry per spatial axis of the input, None where the layer's output
    has no place for that axis, or no bounded field: flagged "global" where it depends on the image, "constant"
    where it does not. Shapes exclude the batch.

    The other flags: "misaligned": the field is a union of paths from different layers whose centres differ, on this
    layer's way or before it, by up to `offset` input positions per axis; "gridding": the centre unit's field has
    holes; "unproductive": it widens a field that was already as large as the image (Richter et al. 2021, "(Input)
    size matters for CNN classifiers"); "saturated": every unit, the one in the corner too, sees the whole image.

    `seen` is the share of the image between the first and the last position that the centre unit sees, over all
    axes; `density` the share of that box that it does depend on. `before` is the smallest field of the layer's
    inputs, where the layer widens it.
    """

    path: str
    operation: str
    output_shape: tuple[int, ...]
    axes: tuple[Extent | None, ...]
    flags: tuple[str, ...]
    offset: tuple[Fraction, ...]
    seen: float
    density: float
    window: Window | None
    before: tuple[int | None, ...]
    units: Units | None = field(compare=False, repr=False)

    @property
    def is_global(self) -> bool:
        return "global" in self.flags

    @property
    def is_spatial(self) -> bool:
        """Whether a unit has a place and a bounded field along some axis."""
        return any(self.axes)

    def interval(self, unit: Sequence[int]) -> tuple[Span, ...] | None:
        """The first and the last input position per axis that a unit sees, clipped to the image; None where it sees
        nothing, or the map has no such unit."""
        return self.units.interval(unit) if self.units is not None and self.units.has(unit) else None

    def to_json(self, unit: Sequence[int] | None = None) -> dict[str, Any]:
        """The layer's entry in the document; only a misaligned one has `offset`, `unit` only where one is asked for
        (null where the map has no such unit, or it sees nothing)."""
        document = {
            "path": self.path,
            "operation": self.operation,
            "output_shape": list(self.output_shape),
            "size": self._per_axis(lambda axis: axis.size[0] if axis.size[0] == axis.size[1] else list(axis.size)),
            "stride": self._per_axis(lambda axis: str(axis.stride)),
            "padding": self._per_axis(lambda axis: list(axis.padding)),
            "first_center": self._per_axis(lambda axis: float(axis.first_center)),
            "narrowest": self._per_axis(lambda axis: axis.narrowest),
            "seen": self.seen,
            "density": self.density,
            "flags": list(self.flags),
            "global": self.is_global,
        }
        if "misaligned" in self.flags:
            document["offset"] = [str(o) for o in self.offset]
        if unit is not None:
            spans = self.interval(unit)
            document["unit"] = spans and [list(span) for span in spans]
        return document

    def _per_axis(self, value: Callable[[Extent], Any]) -> list[Any] | None:
        return [axis and value(axis) for axis in self.axes] if self.is_spatial else None


@dataclass(frozen=True)
class Report:
    """All layers in execution order. `treated_as_global` names the operations that have no exact rule: what
    comes after one is counted as seeing the whole image. `input_shape` excludes the batch."""

    input_shape: tuple[int, ...]
    treated_as_global: tuple[str, ...]
    layers: tuple[Layer, ...]

    @property
    def exact(self) -> bool:
        return not self.treated_as_global

    @cached_property
    def model(self) -> Layer | None:
        """The last layer that still has a spatial axis with a bounded field; None in a net that starts flat."""
        return next((layer for layer in reversed(self.layers) if layer.is_spatial), None)

    @cached_property
    def useful_inputs(self) -> tuple[Span | None, ...]:
        """Per axis the smallest image in which no layer is unproductive, and the largest that the model's field
        covers; None along an axis without a field."""
        if self.model is None:
            return (None,) * (len(self.input_shape) - 1)
        found: list[Span | None] = []
        for k, axis in enumerate(self.model.axes):
            before = [layer.before[k] or 0 for layer in self.layers]
            found.append(axis and (min(max(before, default=0) + 1, axis.size[1]), axis.size[1]))
        return tuple(found)

    @cached_property
    def unused(self) -> tuple[tuple[Span, ...], ...]:
        """Per axis, the ranges of input positions that no unit of the model's last map ever uses."""
        return self.model.units.unused() if self.model is not None and self.model.units is not None else ()

    def layer(self, path: str) -> Layer:
        """The last call of the layer at `path`. Raises CnnlabError for an unknown path."""
        known = {layer.path: layer for layer in self.layers}
        if path not in known:
            hint = did_you_mean(path, list(known)) or "the table without --layer names all"
            raise CnnlabError(f"no layer '{path}'", hint=hint)
        return known[path]

    def check_unit(self, unit: Sequence[int], path: str | None = None) -> None:
        """Raises CnnlabError where the map of the layer at `path`, or the model's, has no such unit."""
        axes = len(self.input_shape) - 1
        shown = ",".join(map(str, unit))
        if len(unit) != axes:
            plural = "number" if axes == 1 else "numbers"
            raise CnnlabError(
                f"--unit {shown} does not fit an input with {axes} spatial axes", hint=f"give {axes} {plural}"
            )
        layer = self.layer(path) if path is not None else self.model
        if layer is not None and layer.units is not None and not layer.units.has(unit):
            size = "x".join("all" if n is None else str(n) for n in layer.units.sizes)
            last = ",".join("0" if n is None else str(n - 1) for n in layer.units.sizes)
            message = f"--unit {shown} is outside the map of {size} of layer '{layer.path}'"
            raise CnnlabError(message, hint=f"units count from 0 to {last}; --layer names another map")

    def to_json(self, unit: Sequence[int] | None = None) -> dict[str, Any]:
        """The versioned document; `model` has the keys of a layer. `useful_inputs` and `unused` are per axis."""
        return {
            "version": 1,
            "input_shape": list(self.input_shape),
            "exact": self.exact,
            "treated_as_global": list(self.treated_as_global),
            "layers": [layer.to_json(unit) for layer in self.layers],
            "model": self.model and self.model.to_json(unit),
            "useful_inputs": [span and list(span) for span in self.useful_inputs],
            "unused": self.model and [[list(span) for span in spans] for spans in self.unused],
        }
