"""ResNet: He, Zhang, Ren and Sun, "Deep residual learning for image recognition" (2016), with basic blocks.

As in torchvision: the stride on a block's first 3x3, projection shortcuts (option B) where the shape changes,
explicit padding of 1 and 3. ResNet-18 has 11,689,512 parameters with 1,000 classes, ResNet-34 21,797,672.
"""

from flax import nnx
from jax import Array

from cnnlab.layers.activation import Relu
from cnnlab.layers.compose import Residual, Sequential
from cnnlab.layers.conv import Conv, Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.norm import BatchNorm
from cnnlab.layers.pool import GlobalAvgPool, MaxPool
from cnnlab.layers.windows import spatial_axes


def _conv(in_features: int, features: int, kernel: int, stride: int, axes: int, init: Initializer) -> Conv:
    return Conv(in_features, features, kernel, axes=axes, stride=stride, padding=kernel // 2, bias=False, init=init)


def basic_block(in_features: int, features: int, stride: int, axes: int, init: Initializer) -> Residual:
    """Two 3x3 convolutions and a shortcut (figure 5, left)."""
    body = {
        "conv1": _conv(in_features, features, 3, stride, axes, init),
        "norm1": BatchNorm(features),
        "relu": Relu(),
        "conv2": _conv(features, features, 3, 1, axes, init),
        "norm2": BatchNorm(features),
    }
    shortcut = None
    if stride != 1 or in_features != features:
        projection = _conv(in_features, features, 1, stride, axes, init)
        shortcut = Sequential({"conv": projection, "norm": BatchNorm(features)})
    return Residual(Sequential(body), shortcut, Relu())


class ResNet(nnx.Module):
    """[batch, *space, channel] to [batch, classes]: stem, stages that halve the map and double the channels, head.

    `stem="small"` is for images of 32 pixels and fewer: a 3x3 convolution of stride 1 and no pooling.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        classes: int,
        *,
        stages: tuple[int, ...],
        stem: str = "standard",
        width: int = 64,
        init: Initializer,
    ):
        axes, channels = spatial_axes((1, *input_shape)), input_shape[-1]
        kernel, stride = (7, 2) if stem == "standard" else (3, 1)
        layers: dict[str, nnx.Module] = {
            "conv": _conv(channels, width, kernel, stride, axes, init),
            "norm": BatchNorm(width),
            "relu": Relu(),
        }
        if stem == "standard":
            layers["pool"] = MaxPool(3, axes=axes, stride=2, padding=1)
        self.stem = Sequential(layers)
        self.stages = tuple(f"stage{i}" for i in range(1, len(stages) + 1))
        in_features = width
        for i, (name, depth) in enumerate(zip(self.stages, stages, strict=True)):
            features = width * 2**i
            blocks: dict[str, nnx.Module] = {}
            for j in range(depth):
                stride = 2 if i > 0 and j == 0 else 1
                blocks[f"block{j}"] = basic_block(in_features, features, stride, axes, init)
                in_features = features
            setattr(self, name, Sequential(blocks))
        self.pool = GlobalAvgPool()
        self.head = Dense(in_features, classes, init=init)

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Array:
        x = self.stem(x, mode.child(0))
        for i, name in enumerate(self.stages, start=1):
            x = getattr(self, name)(x, mode.child(i))
        return self.head(self.pool(x))
