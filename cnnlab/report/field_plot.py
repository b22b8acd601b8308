"""The boxes of a network's layers, out of its report of receptive fields, and the picture that `--plot` asks for."""

from collections.abc import Sequence

import numpy as np

from cnnlab.errors import CnnlabError
from cnnlab.receptive_field.effective import Change, EffectiveField
from cnnlab.receptive_field.report import Layer, Report
from cnnlab.report.field_boxes import Box, chosen
from cnnlab.report.field_change import change_picture
from cnnlab.report.field_picture import field_picture
from cnnlab.report.style import Kind


def plot(
    report: Report,
    kind: Kind,
    *,
    name: str,
    path: str | None = None,
    unit: Sequence[int] | None = None,
    image: np.ndarray | None = None,
    effective: EffectiveField | Change | None = None,
) -> bytes:
    """Nested boxes on the image, all around one place in it, or the change of an effective field over training.

    The place is what `unit` (else the centre one) of the layer at `path` (else the model's last) sees; with a path its
    layer is drawn alone. Raises CnnlabError where no layer has a bounded field.
    """
    title = f"receptive fields of {name}"
    if isinstance(effective, Change):
        return change_picture(effective, kind, title=f"effective {title}")
    layer = report.model if path is None else report.layer(path)
    if layer is None or layer.units is None or not all(layer.axes):
        raise CnnlabError("there is no bounded field to draw: each unit sees the whole input along some axis")
    place = layer.units.center if unit is None else tuple(unit)
    box = _box(layer, place)
    if box is None:
        raise CnnlabError(f"the unit {','.join(map(str, place))} of '{layer.path}' sees nothing of the input")
    boxes = [box] if path is not None else [box, *_around(report, box.center)]
    space = report.input_shape[:-1]
    return field_picture(chosen(boxes), space, kind, title=title, image=image, effective=effective)


def _around(report: Report, center: tuple[float, ...]) -> list[Box]:
    """The box of every layer, of the unit whose field lies nearest to a place in the image."""
    boxes = []
    for layer in report.layers:
        if layer.units is None or not all(layer.axes):
            continue
        unit = []
        for axis, size, at in zip(layer.axes, layer.units.sizes, center, strict=True):
            assert axis is not None
            assert size is not None
            nearest = round(float((at - axis.first_center) / axis.stride)) if axis.stride else 0
            unit.append(min(max(nearest, 0), size - 1))
        if box := _box(layer, unit):
            boxes.append(box)
    return boxes


def _box(layer: Layer, unit: Sequence[int]) -> Box | None:
    """The field of a unit, with its support where there are holes; None where it sees nothing."""
    assert layer.units is not None
    spans = layer.units.extended(unit)
    if any(span is None for span in spans):
        return None
    low, high = (tuple(span[end] for span in spans if span is not None) for end in (0, 1))
    if "gridding" not in layer.flags:
        return Box(layer.path, low, high)
    image = layer.units.support(unit)
    support = np.zeros([b - a + 1 for a, b in zip(low, high, strict=True)], bool)
    inside = [(max(a, 0), min(b + 1, n)) for a, b, n in zip(low, high, image.shape, strict=True)]
    there = tuple(slice(begin - a, end - a) for (begin, end), a in zip(inside, low, strict=True))
    support[there] = image[tuple(slice(begin, end) for begin, end in inside)]
    return Box(layer.path, low, high, support)
