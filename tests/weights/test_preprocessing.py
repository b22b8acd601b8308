"""What each published network's pixels go through: torchvision's and timm's figures, written out."""

import math

import numpy as np
import pytest

from cnnlab.models import TORCH_NAMES
from cnnlab.weights.preprocessing import Preprocessing, published

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Names whose crop is not 224 of 256, bilinear: crop, resize, interpolation.
OTHERS = {
    "resnext101_64x4d": (224, 232, "bilinear"),
    "efficientnet_b0": (224, 256, "bicubic"),
    "efficientnet_b1": (240, 256, "bicubic"),
    "efficientnet_b2": (288, 288, "bicubic"),
    "efficientnet_b3": (300, 320, "bicubic"),
    "efficientnet_b4": (380, 384, "bicubic"),
    "efficientnet_b5": (456, 456, "bicubic"),
    "efficientnet_b6": (528, 528, "bicubic"),
    "efficientnet_b7": (600, 600, "bicubic"),
    **{f"seresnet{depth}": (224, 256, "bicubic") for depth in (18, 34, 101, 152)},
    **{f"seresnext{name}_32x4d": (224, 256, "bicubic") for name in (50, 101)},
    # timm's crop share of 0.95: floor(224 / 0.95)
    **{name: (224, math.floor(224 / 0.95), "bicubic") for name in ("seresnet50", "seresnext101_32x8d")},
}


@pytest.mark.parametrize("name", sorted(TORCH_NAMES))
def test_published(name):
    crop, resize, interpolation = OTHERS.get(name, (224, 256, "bilinear"))
    mean, std = ((0.5,) * 3,) * 2 if name == "googlenet" else (MEAN, STD)
    assert published(name) == Preprocessing(mean, std, (crop, crop), resize, interpolation, pixels=True)


def test_googlenets_pixels_are_those_of_transform_input():
    """torchvision normalises for ImageNet, and its network with weights takes that back: to -1 ... 1."""
    before, pixels = published("googlenet"), np.random.default_rng(0).random((5, 3))
    normalised = (pixels - MEAN) / STD
    for channel, (mean, std) in enumerate(zip(MEAN, STD, strict=True)):
        theirs = normalised[:, channel] * (std / 0.5) + (mean - 0.5) / 0.5
        ours = (pixels[:, channel] - before.mean[channel]) / before.std[channel]
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
