"""The table of all networks with their figures, as Markdown."""

from collections.abc import Iterable, Iterator

from cnnlab.layers.windows import show
from cnnlab.models import MODELS, PUBLISHED_CLASSES
from cnnlab.models.efficientnet import RESOLUTIONS
from cnnlab.receptive_field.report import Layer
from cnnlab.runs.network import Network, network
from cnnlab.spec.architectures import NAMES
from cnnlab.spec.load import parse

_DIGITS, _CIFAR, _IMAGENET = ((28, 28, 1), 10), ((32, 32, 3), 10), ((224, 224, 3), PUBLISHED_CLASSES)
# Input and classes of the papers, by class of the schema or by name; ImageNet's where nothing is said.
_PUBLISHED: dict[str, tuple[tuple[int, ...], int]] = {
    "Linear": _DIGITS,
    "logistic_regression": ((28, 28, 1), 2),
    "MLP": _DIGITS,
    "LeNet1989": ((16, 16, 1), 10),
    "LeNet5": ((32, 32, 1), 10),
    "NetworkInNetwork": _CIFAR,
    "ResNetCifar": _CIFAR,
    "UNet": ((572, 572, 1), 2),
    "ConvEncoder": ((32, 32, 1), 10),
    "ConvDecoder": ((64,), 10),
    "ConvAutoencoder": ((32, 32, 1), 10),
    **{name: ((side, side, 3), PUBLISHED_CLASSES) for name, side in RESOLUTIONS.items()},
}
_HEAD = """\
# Networks

What `model: {name: ...}` can be, with the paper's input and classes and every option at its default. Multiply-adds
count convolutions and matrix products, as fvcore does. The receptive field, in pixels, is that of the last layer with
a bounded one; behind a squeeze-excitation gate or a dense layer every position sees the whole input.

`cnnlab list models` shows the options, `cnnlab list models --figures` writes this table.

| name | input | classes | parameters | multiply-adds | receptive field | stride |
|---|---|---:|---:|---:|---:|---:|
"""


def published(name: str) -> tuple[tuple[int, ...], int]:
    """The input's shape and the number of classes that a network was published with."""
    return _PUBLISHED.get(name) or _PUBLISHED.get(NAMES[name].__name__, _IMAGENET)


def table(names: Iterable[str] = tuple(MODELS)) -> Iterator[str]:
    """The document line by line; tracing all networks takes some seconds."""
    yield _HEAD
    for name in names:
        yield row(name)


def row(name: str) -> str:
    """A network's line, traced at its published size."""
    shape, classes = published(name)
    found = network(parse(f"model: {{name: {name}}}", name), shape, classes)
    figures = found.summary()
    cells = [f"`{name}`", show(shape), f"{classes:,}", f"{figures['parameters']:,}", _count(figures["multiply_adds"])]
    return f"| {' | '.join([*cells, *_field(found)])} |\n"


def _field(found: Network) -> tuple[str, str]:
    report = found.fields()
    last: Layer | None = None if report is None else report.model
    if report is None or last is None:
        return "all", "-"
    document = last.to_json()
    size, stride = (_one(document[key]) for key in ("size", "stride"))
    maps = [layer for layer in report.layers if len(layer.output_shape) == len(report.input_shape)]
    if maps and maps[-1] is not last and maps[-1].is_global and maps[-1].output_shape[0] > 1:
        return f"{size}, then all", stride
    return size if report.exact else f"{size} (not exact)", stride


def _one(values: list[object]) -> str:
    """One value where both axes agree, a range where it alternates from unit to unit."""
    value = values[0]
    ends = [str(end) for end in (value if isinstance(value, list) else [value])]
    return ends[0] if len(set(ends)) == 1 else f"{ends[0]} to {ends[-1]}"


def _count(number: int) -> str:
    """`4.09 G`: three digits."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)
