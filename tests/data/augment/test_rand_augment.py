"""RandAugment: each operation against Pillow, and which are drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage

from cnnlab.data.augment import Sample, example_keys
from cnnlab.data.augment.rand_augment import OPERATIONS, operate, rand_augment
from cnnlab.spec.augment import RandAugment

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 16, 3), np.uint8)
STRENGTH = 0.5
operated = jax.jit(operate, static_argnums=3)


def affine(row: tuple[float, ...], column: tuple[float, ...]):
    """Pillow's own, with where each pixel comes from: (a, b, c), a * x + b * y + c from the image's middle."""

    def operation(image: Image.Image) -> Image.Image:
        (a, b, c), (d, e, f) = column, row
        x, y = image.width / 2, image.height / 2
        data = (a, b, c + x - a * x - b * y, d, e, f + y - d * x - e * y)
        return image.transform(image.size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)

    return operation


def expected(name: str, sign: int):
    """Pillow's operation at half of the largest magnitude."""
    angle = np.deg2rad(15 * sign)
    factor = 1 + 0.45 * sign
    return {
        "identity": lambda image: image,
        "shear_x": affine((0, 1, 0), (1, -0.15 * sign, 0)),
        "shear_y": affine((-0.15 * sign, 1, 0), (1, 0, 0)),
        "translate_x": affine((0, 1, 0), (1, 0, -sign * 16 * 75 / 331)),
        "translate_y": affine((0, 1, -sign * 20 * 75 / 331), (1, 0, 0)),
        "rotate": affine((np.sin(angle), np.cos(angle), 0), (np.cos(angle), -np.sin(angle), 0)),
        "brightness": lambda image: ImageEnhance.Brightness(image).enhance(factor),
        "color": lambda image: ImageEnhance.Color(image).enhance(factor),
        "contrast": lambda image: ImageEnhance.Contrast(image).enhance(factor),
        "sharpness": lambda image: ImageEnhance.Sharpness(image).enhance(factor),
        "posterize": lambda image: ImageOps.posterize(image, 6),
        "solarize": lambda image: ImageOps.solarize(image, 128),
        "autocontrast": ImageOps.autocontrast,
        "equalize": ImageOps.equalize,
    }[name]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_pillows(name, sign):
    x = jnp.asarray(PIXELS[None] / np.float32(255))
    found = operated(Sample(x), jnp.array([OPERATIONS.index(name)]), jnp.array([float(sign)]), STRENGTH).x
    wanted = np.asarray(expected(name, sign)(Image.fromarray(PIXELS)), np.float32)
    # Pillow gives black where any part of a pixel is from outside, so that the border is left out where it moves.
    moves = name.startswith(("shear", "translate", "rotate"))
    inner = (wanted > 0).all(-1) if moves else np.ones(wanted.shape[:2], bool)
    if moves:
        inner = ndimage.binary_erosion(inner)
        assert inner.sum() > 100
    np.testing.assert_allclose(np.asarray(found[0])[inner] * 255, wanted[inner], atol=1.7)


def test_mask_and_boxes_go_along():
    boxes = jnp.array([[[5.0, 4, 10, 9, 1]]])
    mask = jnp.zeros((1, 20, 16), jnp.uint8).at[:, 5:10, 4:9].set(1)
    x = mask[..., None].astype(jnp.float32)
    place = jnp.array([OPERATIONS.index("translate_x")])
    found = operated(Sample(x, mask, boxes), place, jnp.ones(1), STRENGTH)
    np.testing.assert_allclose(found.boxes[0, 0], [5, 4 + 16 * 75 / 331, 10, 9 + 16 * 75 / 331, 1], atol=1e-4)
    assert (np.asarray(found.mask)[0, 7, 8:12] == 1).all()
    assert (np.asarray(found.mask)[0, :, :3] == 255).all()


def test_every_operation_is_drawn_alike_and_as_many_as_asked_for():
    """Of a single lit pixel's example only maps of space, and what changes values, leave traces."""
    keys = example_keys(0, 0, jnp.arange(300))
    x = jnp.broadcast_to(jnp.asarray(PIXELS[:8, :8] / np.float32(255)), (300, 8, 8, 3))
    augmented = jax.jit(rand_augment, static_argnums=2)
    changed = [
        (np.abs(np.asarray(augmented(Sample(x), keys, RandAugment(number=number)).x) - x) > 1e-6).any((1, 2, 3)).mean()
        for number in (1, 2)
    ]
    kept = 1 - changed[0]
    assert 1 / 14 - 0.05 < kept < 3 / 14 + 0.07, "the identity, and what leaves these pixels as they are"
    assert abs((1 - changed[1]) - kept**2) < 0.05
