"""SE-ResNet and SE-ResNeXt: Hu, Shen and Sun, "Squeeze-and-excitation networks" (2018).

ResNet's blocks with a gate behind the body's last normalisation, before the sum (figure 3). As timm has them: a
gate's hidden units are the channels over `reduction`, rounded to a multiple of 8 and at least 8; both its layers have
a bias. Parameters with 1,000 classes: SE-ResNet-18 11,779,624, -34 21,960,416, -50 28,088,024, -101 49,326,872,
-152 66,821,848; SE-ResNeXt-50 (32x4d) 27,559,896, -101 (32x4d) 48,955,416, (32x8d) 93,569,048.
"""

from collections.abc import Callable
from functools import partial

from flax import nnx

from cnnlab.models.resnet import TORCH_NAMES as _RESNET_NAMES
from cnnlab.models.resnet import resnet

_senet = partial(resnet, reduction=16)

NETWORKS: dict[str, Callable[..., nnx.Module]] = {
    "seresnet18": partial(_senet, stages=(2, 2, 2, 2), block="basic"),
    "seresnet34": partial(_senet, stages=(3, 4, 6, 3), block="basic"),
    "seresnet50": partial(_senet, stages=(3, 4, 6, 3), block="bottleneck"),
    "seresnet101": partial(_senet, stages=(3, 4, 23, 3), block="bottleneck"),
    "seresnet152": partial(_senet, stages=(3, 8, 36, 3), block="bottleneck"),
    "seresnext50_32x4d": partial(_senet, stages=(3, 4, 6, 3), block="bottleneck", groups=32, width_per_group=4),
    "seresnext101_32x4d": partial(_senet, stages=(3, 4, 23, 3), block="bottleneck", groups=32, width_per_group=4),
    "seresnext101_32x8d": partial(_senet, stages=(3, 4, 23, 3), block="bottleneck", groups=32, width_per_group=8),
}

TORCH_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "timm": (
        *_RESNET_NAMES["torchvision"],
        (r"stage(\d)\.block(\d+)\.body\.gate\.reduce", r"layer\1.\2.se.fc1"),
        (r"stage(\d)\.block(\d+)\.body\.gate\.expand", r"layer\1.\2.se.fc2"),
    )
}
