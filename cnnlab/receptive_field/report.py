"""The receptive fields of a model's layers, as data and as the versioned JSON document."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from cnnlab.receptive_field.windows import Extent


@dataclass(frozen=True)
class Layer:
    """One call of a leaf layer. `axes` has an entry per spatial axis of the input, None where the layer's output
    has no place for that axis: flagged "global" where it depends on all of it, "constant" where on nothing.

    "misaligned": the field is a union of paths from different layers whose centres differ, on this layer's way
    or before it, by up to `offset` input positions per axis. Shapes exclude the batch.
    """

    path: str
    operation: str
    output_shape: tuple[int, ...]
    axes: tuple[Extent | None, ...]
    flags: tuple[str, ...]
    offset: tuple[Fraction, ...]

    @property
    def is_global(self) -> bool:
        return "global" in self.flags

    @property
    def is_spatial(self) -> bool:
        """Whether a unit has a place and a bounded field along some axis."""
        return any(self.axes)

    def to_json(self) -> dict[str, Any]:
        """The layer's entry in the document; only a misaligned one has `offset`."""
        document = {
            "path": self.path,
            "operation": self.operation,
            "output_shape": list(self.output_shape),
            "size": self._per_axis(lambda axis: axis.size[0] if axis.size[0] == axis.size[1] else list(axis.size)),
            "stride": self._per_axis(lambda axis: str(axis.stride)),
            "padding": self._per_axis(lambda axis: list(axis.padding)),
            "first_center": self._per_axis(lambda axis: float(axis.first_center)),
            "flags": list(self.flags),
            "global": self.is_global,
        }
        return document | ({"offset": [str(o) for o in self.offset]} if "misaligned" in self.flags else {})

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

    @property
    def model(self) -> Layer | None:
        """The last layer that still has a spatial axis with a bounded field; None in a net that starts flat."""
        return next((layer for layer in reversed(self.layers) if layer.is_spatial), None)

    def to_json(self) -> dict[str, Any]:
        """The versioned document; `model` has the keys of a layer."""
        return {
            "version": 1,
            "input_shape": list(self.input_shape),
            "exact": self.exact,
            "treated_as_global": list(self.treated_as_global),
            "layers": [layer.to_json() for layer in self.layers],
            "model": self.model and self.model.to_json(),
        }
