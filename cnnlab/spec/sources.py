"""All data sources that a spec may name, in the order in which `cnnlab list sources` shows them."""

from cnnlab.spec.data import Cifar10, Cifar100, Csv, DataSpec, Digits, Idx, ImageFolder, Npy, Npz
from cnnlab.spec.generators import DigitScenes, Gaussians, Generator, Shapes, Sines, Spheres, Spirals, TwoMoons

GENERATORS: tuple[type[Generator], ...] = (TwoMoons, Spirals, Gaussians, Sines, Shapes, Spheres, DigitScenes)
SOURCES: tuple[type[DataSpec], ...] = (Digits, Idx, Cifar10, Cifar100, Npz, Npy, ImageFolder, Csv, *GENERATORS)
