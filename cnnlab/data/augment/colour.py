"""Brightness, contrast, saturation and hue of pixels from 0 to 1, by a factor for each example, as Pillow has them."""

import jax.numpy as jnp
from jax import Array

from cnnlab.data.augment.sample import along, between, uniform
from cnnlab.spec.augment import Augmentation, Enhance

LUMINANCE = (0.299, 0.587, 0.114)  # of red, green, blue: ITU-R 601, Pillow's "L"
WORDS = ("brightness", "contrast", "saturation", "hue")


def colour(x: Array, keys: Array, entry: Augmentation) -> Array:
    """One of the four, with a strength that is drawn, for the share of examples that its probability says."""
    if entry.hue is not None:
        amount, decides = uniform(keys, 2).T
        turns = between(amount, -entry.hue.turn, entry.hue.turn)
        return hue(x, jnp.where(decides < entry.hue.probability, turns, 0))
    if entry.brightness is not None:
        return brightness(x, _factors(keys, entry.brightness))
    if entry.contrast is not None:
        return contrast(x, _factors(keys, entry.contrast))
    assert entry.saturation is not None
    return saturation(x, _factors(keys, entry.saturation))


def _factors(keys: Array, entry: Enhance) -> Array:
    """[batch]: 1 leaves an example as it is."""
    amount, decides = uniform(keys, 2).T
    factors = between(amount, max(0, 1 - entry.strength), 1 + entry.strength)
    return jnp.where(decides < entry.probability, factors, 1)


def blend(x: Array, other: Array, factors: Array) -> Array:
    """From `other` (0) to x (1) and beyond, kept within 0 and 1."""
    factors = along(factors, x)
    return ((1 - factors) * other + factors * x).clip(0, 1)


def grey(x: Array) -> Array:
    """The luminance of colours, else the channels' mean: [batch, *spatial, 1]."""
    if x.shape[-1] != len(LUMINANCE):
        return x.mean(-1, keepdims=True)
    red, green, blue = (weight * x[..., i : i + 1] for i, weight in enumerate(LUMINANCE))
    return red + green + blue


def brightness(x: Array, factors: Array) -> Array:
    """0 is black."""
    return blend(x, jnp.zeros((), x.dtype), factors)


def contrast(x: Array, factors: Array) -> Array:
    """0 is the image's mean grey everywhere."""
    return blend(x, grey(x).mean(range(1, x.ndim), keepdims=True), factors)


def saturation(x: Array, factors: Array) -> Array:
    """0 is the image in grey."""
    return blend(x, grey(x), factors)


def hue(x: Array, turns: Array) -> Array:
    """Colours [batch, *spatial, 3] turned round the circle, 1 once round; value and saturation stay (HSV)."""
    high, low = x.max(-1, keepdims=True), x.min(-1, keepdims=True)
    spread = high - low
    red, green, blue = jnp.split(x, 3, -1)
    safe = jnp.where(spread > 0, spread, 1)
    sixth = jnp.where(
        high == red,
        (green - blue) / safe,
        jnp.where(high == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    place = (jnp.array([5.0, 3.0, 1.0]) + sixth + 6 * along(turns, x)) % 6
    return high - spread * jnp.clip(jnp.minimum(place, 4 - place), 0, 1)
