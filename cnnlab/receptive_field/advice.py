"""What a report means for the model, in sentences."""

from collections.abc import Sequence

from cnnlab.receptive_field.report import Layer, Report


def advice(report: Report) -> tuple[str, ...]:
    """A sentence where the field does not cover the image, and one where layers are unproductive."""
    return tuple(sentence for sentence in (_too_small(report), _unproductive(report)) if sentence)


def _too_small(report: Report) -> str:
    model, sizes = report.model, report.input_shape[:-1]
    if model is None or any(layer.is_global for layer in _before_the_head(report)):
        return ""
    if any(layer.operation == "flatten" for layer in report.layers):
        return ""  # a head that tells positions apart puts together what the last map's units see
    short = [axis.size[1] < size for axis, size in zip(model.axes, sizes, strict=True) if axis]
    if not any(short):
        return ""
    field = _by([axis and axis.size[1] for axis in model.axes])
    return f"the field of {field} px does not cover the image of {_by(sizes)} px"


def _unproductive(report: Report) -> str:
    found = [layer for layer in report.layers if "unproductive" in layer.flags]
    if not found:
        return ""
    first, last, count = found[0].path, found[-1].path, len(found)
    names = f"layer '{first}' is" if count == 1 else f"{count} layers, '{first}' to '{last}', are"
    size = "x".join(map(str, report.input_shape[:-1]))
    start = _by([span and span[0] for span in report.useful_inputs])
    return f"{names} unproductive at {size}: useful inputs start at {start} px"


def _before_the_head(report: Report) -> tuple[Layer, ...]:
    """The layers that have a map, behind which a model may look at all of it."""
    return tuple(layer for layer in report.layers if len(layer.output_shape) == len(report.input_shape))


def _by(sizes: Sequence[int | None]) -> str:
    """`224` where all axes have the same, else `224x112`."""
    known = [size for size in sizes if size is not None]
    return str(known[0]) if len(set(known)) == 1 else "x".join(map(str, known))
