"""ResNet for CIFAR: He, Zhang, Ren and Sun, "Deep residual learning for image recognition" (2016), section 4.2.

6n + 2 layers for 32x32 pixels: a 3x3 convolution, then three stages of n basic blocks with 16, 32 and 64 channels on
maps of 32, 16 and 8, global average pool and a dense layer. Where the channels change, the shortcut has no weights
(`padding`, option A, the paper's) or projects (option B). `v2` is the pre-activation form, see resnet.py.

Parameters with ten classes: ResNet-20 269,722, -32 464,154, -44 658,586, -56 853,018, -110 1,727,962 (the paper's
table 6: 0.27, 0.46, 0.66, 0.85 and 1.7 million).
"""

from collections.abc import Callable
from functools import partial

from flax import nnx

from cnnlab.layers.compose import Sequential
from cnnlab.layers.initialize import Initializer
from cnnlab.models.resnet import resnet


def resnet_cifar(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    depth: int,
    variant: str = "v1",
    shortcut: str = "padding",
    width: int = 16,
    activation: str = "relu",
    normalization: str = "batch",
    dropout: float = 0.0,
    stochastic_depth: float = 0.0,
    init: Initializer,
) -> Sequential:
    """[batch, *space, channel] to [batch, classes], with `depth` = 6n + 2 layers that have weights.

    Raises ValueError for another depth, and ShapeError as `resnet` does.
    """
    if depth < 8 or depth % 6 != 2:
        raise ValueError(f"depth {depth} is not 6n + 2")
    return resnet(
        input_shape,
        classes,
        stages=((depth - 2) // 6,) * 3,
        block="basic",
        shortcut=shortcut,
        variant=variant,
        stem="small",
        width=width,
        activation=activation,
        normalization=normalization,
        dropout=dropout,
        stochastic_depth=stochastic_depth,
        init=init,
    )


NETWORKS: dict[str, Callable[..., nnx.Module]] = {
    f"resnet{depth}": partial(resnet_cifar, depth=depth) for depth in (20, 32, 44, 56, 110)
}
