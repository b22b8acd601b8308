"""Augmentation on the accelerator: pure functions of one batch and a key for each of its examples.

A room of its own: `augment` goes through a spec's entries, `mix` mixes examples of a batch, `centre_crop` is what
evaluation sees. What comes in from outside is 0, black; of masks 255.
"""

from cnnlab.data.augment.check import check_augmentations, check_mixtures
from cnnlab.data.augment.crop import centre_crop
from cnnlab.data.augment.mix import Mixture, mix
from cnnlab.data.augment.sample import Sample, example_keys, scale
from cnnlab.data.augment.sequence import augment

__all__ = [
    "Mixture",
    "Sample",
    "augment",
    "centre_crop",
    "check_augmentations",
    "check_mixtures",
    "example_keys",
    "mix",
    "scale",
]
