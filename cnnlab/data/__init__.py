"""Where examples come from, how they are split, and how they come in batches. One source, one file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cnnlab.data import (
    cifar,
    coco,
    digit_scenes,
    digits,
    functions,
    generators,
    hdf5,
    huggingface,
    idx,
    image_folder,
    npy,
    npz,
    oxford_pet,
    records,
    stl10,
    table,
)
from cnnlab.data.dataset import Dataset

SOURCES: Mapping[str, Callable[[Any, Path], Dataset]] = {
    "digits": digits.load,
    "idx": idx.load,
    "cifar10": cifar.cifar10,
    "cifar100": cifar.cifar100,
    "stl10": stl10.load,
    "oxford_pet": oxford_pet.load,
    "npz": npz.load,
    "npy": npy.load,
    "hdf5": hdf5.load,
    "image_folder": image_folder.load,
    "coco": coco.load,
    "csv": table.load,
    "tfrecord": records.load,
    "array_record": records.load,
    "huggingface": huggingface.load,
    "two_moons": generators.two_moons,
    "spirals": generators.spirals,
    "gaussians": generators.gaussians,
    "sines": generators.sines,
    "shapes": generators.shapes,
    "spheres": generators.spheres,
    "digit_scenes": digit_scenes.load,
    "function": functions.load,
}
