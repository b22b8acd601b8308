"""Wrong labels on purpose, in training alone: which, and what they become, follows from (seed, example)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random

from cnnlab.data.augment.sample import example_keys, integers, uniform
from cnnlab.spec.label_noise import LabelNoise

_STREAM = np.uint32(2**32 - 2)  # augmentation splits the keys of examples, which never gets so far


def noisy(noise: LabelNoise, y: Array, classes: int, seed: int, epoch: Array | int, index: Array) -> Array:
    """Labels y int32 [batch] of the examples at `index` [batch] in the dataset, some replaced; others in every epoch
    where they are drawn so."""
    keys = example_keys(seed, epoch if noise.drawn == "every_epoch" else 0, index)
    drawn = uniform(jax.vmap(random.fold_in, (0, None))(keys, _STREAM), 2)
    return jnp.where(drawn[:, 0] < noise.share, integers(drawn[:, 1], classes), y)


def described(
    noise: LabelNoise, y: np.ndarray, classes: int, seed: int, index: np.ndarray
) -> tuple[dict[str, Any], str]:
    """What data.json says of the noise in the training labels y [example] at `index`, and a sentence for the user."""
    wrong = int((np.asarray(noisy(noise, jnp.asarray(y), classes, seed, 0, jnp.asarray(index))) != y).sum())
    known, about = noise.model_dump(), f"label noise: {wrong:,} of the {len(y):,} training labels are wrong"
    if noise.drawn == "once":
        return {**known, "wrong": wrong}, about
    return {**known, "wrong_in_first_epoch": wrong}, f"{about} in the first epoch, others in each that follows"
