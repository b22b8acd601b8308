"""Colours and tones against Pillow, hue against colorsys: to a level of 255, which Pillow rounds to."""

import colorsys

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from cnnlab.data.augment import example_keys, tone
from cnnlab.data.augment.colour import brightness, colour, contrast, hue, saturation
from cnnlab.spec.augment import Augmentation

LEVELS = np.random.default_rng(0).integers(0, 256, (4, 9, 11, 3), np.uint8)
LEVELS[1] //= 3  # a dark one
LEVELS[2] = 60 + LEVELS[2] // 8  # a flat one
LEVELS[3] = 77
X = jnp.asarray(LEVELS, jnp.float32) / 255


def as_pillow(found, operation, tolerance=1.01) -> None:
    """Each example, coloured and grey, is what Pillow's operation makes of it."""
    for i, pixels in enumerate(LEVELS):
        expected = np.asarray(operation(Image.fromarray(pixels)), np.float32)
        np.testing.assert_allclose(np.asarray(found[i]) * 255, expected, atol=tolerance)


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.9])
@pytest.mark.parametrize(
    ("ours", "pillows"),
    [
        (brightness, ImageEnhance.Brightness),
        (contrast, ImageEnhance.Contrast),
        (saturation, ImageEnhance.Color),
    ],
)
def test_enhancements(ours, pillows, factor):
    as_pillow(ours(X, jnp.full(4, factor)), lambda image: pillows(image).enhance(factor), 1.6)


def test_contrast_of_grey():
    found = contrast(X[..., :1], jnp.full(4, 1.7))
    for i in range(4):
        expected = ImageEnhance.Contrast(Image.fromarray(LEVELS[i, ..., 0])).enhance(1.7)
        np.testing.assert_allclose(np.asarray(found[i, ..., 0]) * 255, np.asarray(expected), atol=1.6)


@pytest.mark.parametrize("turn", [0.0, 0.1, -0.3, 0.5])
def test_hue(turn):
    found = np.asarray(hue(X, jnp.full(4, turn)))
    for place in np.ndindex(4, 3, 11):
        h, s, v = colorsys.rgb_to_hsv(*(float(value) / 255 for value in LEVELS[place]))
        np.testing.assert_allclose(found[place], colorsys.hsv_to_rgb((h + turn) % 1, s, v), atol=1e-5)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_posterize(bits):
    as_pillow(tone.posterize(X, jnp.full(4, bits)), lambda image: ImageOps.posterize(image, bits), 0.01)


@pytest.mark.parametrize("threshold", [0, 100, 256])
def test_solarize(threshold):
    found = tone.solarize(X, jnp.full(4, (threshold - 0.5) / 255))
    as_pillow(found, lambda image: ImageOps.solarize(image, threshold), 0.01)


def test_autocontrast():
    as_pillow(tone.autocontrast(X), ImageOps.autocontrast)


def test_equalize():
    as_pillow(tone.equalize(X), ImageOps.equalize, 0.01)


def test_equalize_spreads_a_large_image():
    pixels = (np.random.default_rng(1).random((64, 64, 3)) ** 3 * 200).astype(np.uint8)
    found = tone.equalize(jnp.asarray(pixels[None], jnp.float32) / 255)
    expected = np.asarray(ImageOps.equalize(Image.fromarray(pixels)), np.float32)
    np.testing.assert_allclose(np.asarray(found[0]) * 255, expected, atol=0.01)
    assert expected.max() == 255


def test_smooth():
    as_pillow(tone.smooth(X), lambda image: image.filter(ImageFilter.SMOOTH))


def test_strengths_are_drawn_for_each_example():
    x, keys = jnp.full((4000, 1, 1, 1), 0.4), example_keys(0, 0, jnp.arange(4000))
    found = np.asarray(colour(x, keys, Augmentation.model_validate({"brightness": 0.5})))[:, 0, 0, 0] / 0.4
    assert 0.5 - 1e-5 < found.min() < 0.51
    assert 1.49 < found.max() < 1.5 + 1e-5
    assert np.histogram(found, 4)[0].min() > 850
    some = Augmentation.model_validate({"brightness": {"strength": 0.5, "probability": 0.25}})
    changed = np.asarray(colour(x, keys, some))[:, 0, 0, 0] != np.float32(0.4)
    assert abs(changed.mean() - 0.25) < 0.04
    # More than 1 to the dark side would be the negative image.
    strong = colour(x, keys, Augmentation.model_validate({"brightness": 3}))
    assert float(strong.min()) >= 0
    assert float(strong.max()) == 1
