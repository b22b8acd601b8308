"""`source: oxford_pet` (Parkhi, Vedaldi, Zisserman and Jawahar 2012): breeds or species, and outlines as masks."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from cnnlab.data.dataset import Dataset, Target, find
from cnnlab.data.geometry import Frame, frame_of
from cnnlab.data.images import DAMAGED, open_image
from cnnlab.data.load_images import load_images, workers_notes
from cnnlab.data.memory import processors
from cnnlab.data.progress import counted
from cnnlab.errors import DataError
from cnnlab.spec.data import UNKNOWN, OxfordPet

SPLITS = {"train": "trainval.txt", "test": "test.txt"}
SPECIES = ("cat", "dog")
AGAIN = "copy or download it again: cnnlab data fetch oxford-pet"
# A trimap says 1 of the pet, 2 of what is behind it, and 3 of the border, which the authors call "not classified".
PET, BEHIND, BORDER = 1, 2, 3


@dataclass(frozen=True)
class Entry:
    """A line of a list: `Abyssinian_100 1 1 1`, the image, its class from 1, its species from 1, its breed."""

    name: str
    label: int
    species: int


def load(data: OxfordPet, base: Path) -> Dataset:
    """uint8 [example, height, width, 3], trainval.txt before test.txt, and the target "mask".

    Classes are the 37 breeds by the authors' numbers, or cat and dog. The mask has 0 for the background, 1 for the
    pet, and for the border 255 (nothing is said) or, with `border: class`, 2; it is resized by the nearest pixel.
    The images have many sizes, so that `resize` is needed. Raises DataError.
    """
    root, where = find(data.path, base), data.path
    lists = {
        split: _entries(root / "annotations" / file, f"{where}/annotations/{file}") for split, file in SPLITS.items()
    }
    entries = [entry for part in lists.values() for entry in part]
    files = tuple(f"images/{entry.name}.jpg" for entry in entries)
    if data.labels == "species":
        classes, y = SPECIES, [entry.species - 1 for entry in entries]
    else:
        classes, y = _breeds(entries, where), [entry.label - 1 for entry in entries]
    frame = frame_of(data, 2)
    x = load_images(root, files, data, frame, where, base)
    trained = len(lists["train"])
    given = {"train": np.arange(trained), "test": np.arange(trained, len(entries))}
    masks = _masks(root, entries, frame or Frame(x.shape[1:3]), data.border == "class", where)
    mask = Target(masks, ("background", "pet", "border"))
    if data.border == "ignore":
        mask = Target(mask.values, mask.names[:2])
    y, notes = np.array(y, np.int32), workers_notes(data, x)
    return Dataset(x, y, classes, files, given, notes, data.source, targets={"mask": mask})


def _entries(path: Path, where: str) -> list[Entry]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=where, hint=AGAIN) from error
    entries = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, *numbers = line.split()
        if len(numbers) != 3 or not all(word.isdecimal() for word in numbers) or "/" in name or "\\" in name:
            message = f"line {number} is {line[:80]!r}, and 'name class species breed' is wanted"
            raise DataError(message, where=where, hint=AGAIN)
        entry = Entry(name, int(numbers[0]), int(numbers[1]))
        if entry.label < 1 or entry.species not in (1, 2):
            message = f"line {number} has the class {entry.label} and the species {entry.species}"
            raise DataError(message, where=where, hint="classes count from 1, and the species is 1 (cat) or 2 (dog)")
        entries.append(entry)
    if not entries:
        raise DataError("it names no image", where=where, hint=AGAIN)
    return entries


def _breeds(entries: list[Entry], where: str) -> tuple[str, ...]:
    """The breeds by their numbers: the part of the images' names before the last `_`."""
    names: dict[int, str] = {}
    for entry in entries:
        breed = entry.name.rpartition("_")[0] or entry.name
        if names.setdefault(entry.label, breed) != breed:
            message = f"the class {entry.label} is {names[entry.label]} and, of {entry.name}, {breed}"
            raise DataError(message, where=where, hint=AGAIN)
    if sorted(names) != list(range(1, len(names) + 1)):
        missing = next(i for i in range(1, len(names) + 1) if i not in names)
        raise DataError(f"no image has the class {missing}, and some have {max(names)}", where=where, hint=AGAIN)
    return tuple(names[i] for i in sorted(names))


def _masks(root: Path, entries: list[Entry], frame: Frame, border: bool, where: str) -> np.ndarray:
    """uint8 [example, height, width] in the images' frame."""
    classes = np.full(256, UNKNOWN, np.uint8)
    classes[BEHIND], classes[PET] = 0, 1
    if border:
        classes[BORDER] = 2
    masks = np.empty((len(entries), *frame.size), np.uint8)

    def read_into(i: int) -> None:
        masks[i] = _trimap(root, entries[i].name, frame, classes, where)

    with ThreadPoolExecutor(processors()) as pool:
        for _ in counted(pool.map(read_into, range(len(entries))), len(entries)):
            pass
    return masks


def _trimap(root: Path, name: str, frame: Frame, classes: np.ndarray, where: str) -> np.ndarray:
    """uint8 [height, width] of `classes` by 1, 2, 3, turned as its image is. Raises DataError."""
    file = f"annotations/trimaps/{name}.png"
    try:
        with (root / f"images/{name}.jpg").open("rb") as of_image, (root / file).open("rb") as of_trimap:
            image, opened = open_image(of_image), open_image(of_trimap)
            if opened.size != image.size:
                (width, height), (wide, high) = opened.size, image.size
                message = f"is {height} x {width} (height x width), and its image {high} x {wide}"
                raise DataError(message, where=f"{where}/{file}", hint=AGAIN)
            trimap = opened if opened.mode in ("L", "P") else opened.convert("L")
            trimap.getexif()[ExifTags.Base.Orientation] = image.getexif().get(ExifTags.Base.Orientation, 1)
            trimap = ImageOps.exif_transpose(trimap)
            placed = frame.placed((trimap.height, trimap.width))
            values = np.asarray(trimap.resize(placed.scaled[::-1], Image.Resampling.NEAREST))  # type: ignore[arg-type]
    except DAMAGED as error:
        raise DataError(f"cannot read the mask: {error}", where=f"{where}/{file}", hint=AGAIN) from error
    wrong = values[(values < PET) | (values > BORDER)]
    if len(wrong):
        hint = "1 is the pet, 2 the background, 3 the border"
        raise DataError(f"has the value {wrong[0]}", where=f"{where}/{file}", hint=hint)
    return placed.window(classes[values], fill=UNKNOWN)
