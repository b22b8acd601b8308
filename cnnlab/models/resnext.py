"""ResNeXt: Xie, Girshick, Dollar, Tu and He, "Aggregated residual transformations for deep neural networks" (2017).

ResNet's bottlenecks with a 3x3 in groups, form (c) of figure 3; `32x4d` is 32 groups of 4 channels in the first stage.
As torchvision has them, the stride on the 3x3. Parameters with 1,000 classes: ResNeXt-50 (32x4d) 25,028,904,
ResNeXt-101 (32x8d) 88,791,336, (64x4d) 83,455,272.
"""

from collections.abc import Callable
from functools import partial

from flax import nnx

from cnnlab.models.resnet import TORCH_NAMES, resnet

_50 = partial(resnet, stages=(3, 4, 6, 3), block="bottleneck")
_101 = partial(resnet, stages=(3, 4, 23, 3), block="bottleneck")

NETWORKS: dict[str, Callable[..., nnx.Module]] = {
    "resnext50_32x4d": partial(_50, groups=32, width_per_group=4),
    "resnext101_32x8d": partial(_101, groups=32, width_per_group=8),
    "resnext101_64x4d": partial(_101, groups=64, width_per_group=4),
}

__all__ = ["NETWORKS", "TORCH_NAMES"]
