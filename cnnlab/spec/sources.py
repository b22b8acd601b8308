"""All data sources that a spec may name, in the order in which `cnnlab list sources` shows them."""

from cnnlab.spec.data import Cifar10, Cifar100, Csv, DataSpec, Digits, Idx, ImageFolder, Npy, Npz
from cnnlab.spec.generators import (
    DigitScenes,
    Function,
    Gaussians,
    Generator,
    Shapes,
    Sines,
    Spheres,
    Spirals,
    TwoMoons,
)

GENERATORS: tuple[type[Generator], ...] = (TwoMoons, Spirals, Gaussians, Sines, Shapes, Spheres, DigitScenes, Function)
SOURCES: tuple[type[DataSpec], ...] = (Digits, Idx, Cifar10, Cifar100, Npz, Npy, ImageFolder, Csv, *GENERATORS)
