"""What pixels go through before a network that was trained elsewhere: it belongs to the weights."""

from dataclasses import dataclass

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """Pixels from 0 to 1: resized, cropped to `size`, minus `mean`, over `std` (per channel).

    `resize` is the length of the shorter side before the central crop, or the size of the whole, where a run's data was
    brought to that; None: the image is resized to `size`. `longer`, instead of `resize`: the length of the longer side,
    and what lacks to `size` is black.
    Where the weights were trained on other values than `pixels`, mean and deviation are those of the values as they
    were, and no image can be fed in.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, ...]
    resize: int | tuple[int, ...] | None = None
    interpolation: str = "bilinear"
    pixels: bool = True
    longer: int | None = None


# Crop and resize of torchvision's weights (IMAGENET1K_V1) where they are not 224 and 256.
_EFFICIENTNET = {
    "b0": (224, 256), "b1": (240, 256), "b2": (288, 288), "b3": (300, 320),
    "b4": (380, 384), "b5": (456, 456), "b6": (528, 528), "b7": (600, 600),
}  # fmt: skip


def published(name: str) -> Preprocessing:
    """What torchvision does before its first ImageNet weights of a network, or timm where only that has some."""
    family, _, member = name.partition("_")
    if family == "efficientnet" and member:
        crop, resize = _EFFICIENTNET[member]
        return Preprocessing(IMAGENET_MEAN, IMAGENET_STD, (crop, crop), resize, "bicubic")
    if family == "googlenet":  # its weights come from TensorFlow: pixels from -1 to 1
        return Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (224, 224), 256)
    if name.startswith("se"):  # of these most take the central 0.875 of the image, two 0.95
        resize = 235 if name in ("seresnet50", "seresnext101_32x8d") else 256
        return Preprocessing(IMAGENET_MEAN, IMAGENET_STD, (224, 224), resize, "bicubic")
    resize = 232 if name == "resnext101_64x4d" else 256
    return Preprocessing(IMAGENET_MEAN, IMAGENET_STD, (224, 224), resize)
