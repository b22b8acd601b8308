"""All data sources that a spec may name, in the order in which `cnnlab list sources` shows them."""

from cnnlab.spec.coco import Coco
from cnnlab.spec.data import (
    Cifar10,
    Cifar100,
    Csv,
    DataSpec,
    Digits,
    Hdf5,
    Idx,
    ImageFolder,
    Npy,
    Npz,
    OxfordPet,
    Stl10,
)
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
from cnnlab.spec.records import ArrayRecord, HuggingFace, TFRecord

GENERATORS: tuple[type[Generator], ...] = (TwoMoons, Spirals, Gaussians, Sines, Shapes, Spheres, DigitScenes, Function)
SOURCES: tuple[type[DataSpec], ...] = (
    Digits,
    Idx,
    Cifar10,
    Cifar100,
    Stl10,
    OxfordPet,
    Npz,
    Npy,
    Hdf5,
    ImageFolder,
    Coco,
    Csv,
    TFRecord,
    ArrayRecord,
    HuggingFace,
    *GENERATORS,
)
