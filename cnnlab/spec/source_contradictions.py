"""Keys of a data source that are right one by one and contradict each other."""

from collections.abc import Iterator

from cnnlab.spec.coco import Coco
from cnnlab.spec.data import Csv, DataSpec, ImageFolder, Npy
from cnnlab.spec.generators import DigitScenes, Function, Sines
from cnnlab.spec.images import ImageKeys
from cnnlab.spec.yaml import Path


def source_contradictions(data: DataSpec) -> Iterator[tuple[Path, str]]:
    """Each as the path of one of the keys, and a sentence that names both."""
    if isinstance(data, Npy):
        yield from _npy(data)
    if isinstance(data, Sines) and max(data.frequencies) >= data.length / 2:
        message = (
            f"{max(data.frequencies)} cycles in {data.length} values look like fewer: give fewer than half as many"
        )
        yield ("data", "frequencies"), message
    if isinstance(data, DigitScenes) and round(8 * data.scale[1]) > data.size:
        message = f"8 pixels {data.scale[1]:g} times are {round(8 * data.scale[1])}, more than data.size, {data.size}"
        yield ("data", "scale"), message
    if isinstance(data, Csv):
        yield from _csv(data)
    if isinstance(data, Csv | ImageFolder):
        yield from _masks(data)
    if isinstance(data, ImageFolder) and data.boxes is None and data.box_classes is not None:
        yield ("data", "box_classes"), "box_classes is for boxes, and data.boxes is not there"
    if isinstance(data, Coco):
        yield from _coco(data)
    if isinstance(data, Function):
        for key, name in (("frequency", "sine"), ("coefficients", "polynomial")):
            if getattr(data, key) != type(data).model_fields[key].default and data.function != name:
                yield ("data", key), f"{key} is for the {name}, and data.function is {data.function}"


def _npy(data: Npy) -> Iterator[tuple[Path, str]]:
    given = [key for key in data.path_keys if getattr(data, key) is not None]
    if given not in (["path"], ["x", "y"]):
        yield (
            ("data", "source"),
            f"npy takes path (a folder) or x and y (two files), not {' and '.join(given) or 'none'}",
        )


def _coco(data: Coco) -> Iterator[tuple[Path, str]]:
    given = [key for key in ("annotations", "train", "validation", "test") if getattr(data, key) is not None]
    if given != ["annotations"] and given[:1] != ["train"]:
        words = " and ".join(given) or "none"
        yield ("data", "source"), f"coco takes annotations (one JSON), or train and others beside it, not {words}"


def _csv(data: Csv) -> Iterator[tuple[Path, str]]:
    if (data.images is None) == (data.features is None):
        words = "neither" if data.images is None else "both"
        yield ("data", "source"), f"csv takes images (a column of files) or features (columns of numbers), not {words}"
    if data.labels is None and data.values is None and data.masks is None and data.boxes is None:
        yield ("data", "source"), "csv needs something to learn: labels, values, masks or boxes"
    if data.label_separator is not None and not isinstance(data.labels, str):
        yield ("data", "label_separator"), "it divides the cells of one column: labels must name that one"
    if data.features is not None:
        for key in ("masks", "boxes", "resize", "on_bad_file", *ImageKeys.model_fields):
            # A resolved spec has the defaults too.
            if getattr(data, key) != type(data).model_fields[key].default:
                yield ("data", key), f"{key} is for images, and data.features are numbers"
        labels = data.labels if isinstance(data.labels, tuple) else (data.labels,)
        for name in data.features:
            if name in (*(data.values or ()), *labels):
                yield ("data", "features"), f"the column '{name}' is to be learnt, and cannot be given too"


def _masks(data: Csv | ImageFolder) -> Iterator[tuple[Path, str]]:
    if data.masks is None:
        for key in ("mask_classes", "mask_values"):
            if getattr(data, key) is not None:
                yield ("data", key), f"{key} is for masks, and data.masks is not there"
    if data.mask_classes and data.mask_values and len(data.mask_classes) != len(data.mask_values):
        count = len(data.mask_classes)
        yield ("data", "mask_values"), f"{len(data.mask_values)} values for the {count} names of data.mask_classes"
