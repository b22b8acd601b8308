"""RandAugment (Cubuk et al. 2020): some operations out of 14, drawn for each example, all of one magnitude.

The operations and their ranges are the paper's, as torchvision has them; what moves pixels is interpolated linearly.
"""

import jax.numpy as jnp
from jax import Array

from cnnlab.data.augment import tone
from cnnlab.data.augment.affine import Affine, resampled
from cnnlab.data.augment.colour import blend, grey
from cnnlab.data.augment.sample import Sample, along, integers, uniform
from cnnlab.spec.augment import RandAugment

OPERATIONS = (
    "identity",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "brightness",
    "color",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
)
LARGEST = 30  # magnitude
SHEAR, TRANSLATE, DEGREES, ENHANCE, BITS = 0.3, 150 / 331, 30.0, 0.9, 4  # at the largest magnitude


def rand_augment(sample: Sample, keys: Array, entry: RandAugment) -> Sample:
    """Images with 1 or 3 channels, values from 0 to 1."""
    drawn = uniform(keys, entry.number, 2)
    for turn in range(entry.number):
        operation = integers(drawn[:, turn, 0], len(OPERATIONS))
        sign = jnp.where(drawn[:, turn, 1] < 0.5, 1.0, -1.0)
        sample = operate(sample, operation, sign, entry.magnitude / LARGEST)
    return sample


def operate(sample: Sample, operation: Array, sign: Array, strength: float) -> Sample:
    """Each example by its operation, a place in OPERATIONS, [batch]; sign: 1 or -1, [batch]; strength: 0 to 1."""
    sample = resampled(sample, _affine(operation, sign * strength, sample.spatial))
    return sample._replace(x=_toned(sample.x, operation, sign * strength, strength))


def _is(operation: Array, name: str) -> Array:
    return operation == OPERATIONS.index(name)


def _affine(operation: Array, amount: Array, spatial: tuple[int, ...]) -> Affine:
    """The map of each example: that to itself where the operation moves nothing."""
    height, width = spatial
    amounts = {name: jnp.where(_is(operation, name), amount, 0) for name in OPERATIONS}
    angle = jnp.deg2rad(DEGREES * amounts["rotate"])
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    rows = [cos, sin - SHEAR * amounts["shear_y"]], [-sin - SHEAR * amounts["shear_x"], cos]
    matrix = jnp.stack([jnp.stack(row, -1) for row in rows], -2)
    offset = [-TRANSLATE * height * amounts["translate_y"], -TRANSLATE * width * amounts["translate_x"]]
    return Affine(matrix, jnp.stack(offset, -1))


def _toned(x: Array, operation: Array, amount: Array, strength: float) -> Array:
    """Every operation on values is computed, and each example takes its own."""
    others = {
        "brightness": jnp.zeros_like(x),
        "color": jnp.broadcast_to(grey(x), x.shape),
        "contrast": jnp.broadcast_to(grey(x).mean((1, 2, 3), keepdims=True), x.shape),
        "sharpness": tone.smooth(x),
    }
    made = {name: blend(x, other, 1 + ENHANCE * amount) for name, other in others.items()}
    made["posterize"] = tone.posterize(x, jnp.full(len(x), 8 - round(BITS * strength)))
    made["solarize"] = tone.solarize(x, jnp.full(len(x), 1 - strength))
    made["autocontrast"], made["equalize"] = tone.autocontrast(x), tone.equalize(x)
    return jnp.select([along(_is(operation, name), x) for name in made], list(made.values()), x)
