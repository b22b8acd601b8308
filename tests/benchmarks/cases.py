"""The networks that are timed beside PyTorch: the same shapes, batch, loss and update on both sides."""

from typing import Any, NamedTuple


class Case(NamedTuple):
    """A network as a spec's `model`, and what goes in; speed_torch.py has its peer under the same name."""

    name: str
    model: dict[str, Any]
    batch: int
    shape: tuple[int, int, int]
    classes: int
    depthwise: bool = False


# Howard et al. 2017 (MobileNet): features and stride of the depthwise-separable convolutions behind the first one.
MOBILE = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)
UNET_WIDTHS = (32, 64, 128, 256)


def _conv_norm_relu(features: int, kernel: int = 3, **more: Any) -> list[Any]:
    conv = {"features": features, "kernel": kernel, "bias": False, "padding": kernel // 2, **more}
    return [{"conv": conv}, "batch_norm", "relu"]


def mobilenet() -> list[Any]:
    """A stack of depthwise and 1x1 convolutions, each normalised and activated."""
    layers, channels = _conv_norm_relu(32, stride=2), 32
    for features, stride in MOBILE:
        layers += _conv_norm_relu(channels, stride=stride, groups=channels) + _conv_norm_relu(features, 1)
        channels = features
    return [*layers, "global_avg_pool", {"dense": "classes"}]


def _level(widths: tuple[int, ...]) -> list[Any]:
    width, *deeper = widths
    both = _conv_norm_relu(width) + _conv_norm_relu(width)
    if not deeper:
        return both
    up = {"conv_transpose": {"features": width, "kernel": 2, "stride": 2}}
    return [*both, {"crop_concat": {"body": [{"max_pool": 2}, *_level(tuple(deeper)), up]}}, *both]


def unet() -> list[Any]:
    """Ronneberger et al. 2015, padded and normalised; the map's mean is classified, so that labels are alike."""
    return [*_level(UNET_WIDTHS), "global_avg_pool", {"dense": "classes"}]


CASES = (
    Case("MLP 784-512-512", {"name": "mlp", "hidden": [512, 512]}, 128, (28, 28, 1), 10),
    Case("LeNet-5", {"name": "lenet5"}, 128, (32, 32, 1), 10),
    Case("ResNet-18 CIFAR", {"name": "resnet18", "stem": "small"}, 64, (32, 32, 3), 10),
    Case("ResNet-50", {"name": "resnet50"}, 8, (224, 224, 3), 1000),
    Case("ResNeXt-50", {"name": "resnext50_32x4d"}, 8, (224, 224, 3), 1000),
    Case("EfficientNet-B0", {"name": "efficientnet_b0"}, 8, (224, 224, 3), 1000, True),
    Case("MobileNet 128", {"layers": mobilenet()}, 8, (128, 128, 3), 1000, True),
    Case("U-Net 128", {"layers": unet()}, 8, (128, 128, 3), 10),
)
