"""A folder of images with a folder of masks beside it: flat, with splits, with class folders."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.dataset import load
from cnnlab.errors import DataError
from cnnlab.spec.data import ImageFolder

SPEC = ImageFolder(source="image_folder", path="photos", masks="masks", channels=1)


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((3, 4), value, np.uint8)).save(path)


def fill(folder, names):
    """Image i is 10 i all over, its mask i."""
    for i, name in enumerate(names):
        write(folder / "photos" / f"{name}.bmp", 10 * i)
        write(folder / "masks" / f"{name}.png", i)
    return folder


def read(folder, **keys):
    return load(SPEC.model_copy(update=keys), folder)


def refused(folder, sentence):
    with pytest.raises(DataError) as error:
        read(folder)
    assert str(error.value) == sentence


def test_images_without_class_folders(tmp_path):
    data = read(fill(tmp_path, ["a", "b c", "ü"]), resize=(6, 8))
    assert (data.classes, data.y.tolist(), data.files, data.given) == ((), [0, 0, 0], ("a.bmp", "b c.bmp", "ü.bmp"), {})
    mask = data.targets["mask"]
    assert (mask.values.shape, mask.names) == ((3, 6, 8), ("0", "1", "2"))
    assert mask.values.max((1, 2)).tolist() == mask.values.min((1, 2)).tolist() == [0, 1, 2]
    assert data.x[:, 0, 0, 0].tolist() == [0, 10, 20]


def test_splits_without_class_folders(tmp_path):
    data = read(fill(tmp_path, ["train/a", "train/b", "val/a", "test/c"]))
    assert {name: part.tolist() for name, part in data.given.items()} == {
        "train": [0, 1],
        "validation": [2],
        "test": [3],
    }
    assert data.targets["mask"].values[:, 0, 0].tolist() == [0, 1, 2, 3]


def test_class_folders_and_masks(tmp_path):
    data = read(fill(tmp_path, ["cat/1", "cat/2", "dog/1"]), mask_classes=("x", "y", "z"))
    assert (data.classes, data.y.tolist()) == (("cat", "dog"), [0, 0, 1])
    assert data.targets["mask"].values[:, 0, 0].tolist() == [0, 1, 2]
    assert data.targets["mask"].names == ("x", "y", "z")


def test_what_is_wrong_is_named(tmp_path):
    folder = fill(tmp_path, ["a", "b"])
    write(folder / "masks" / "b.bmp", 0)
    refused(folder, "masks: b.bmp and b.png are both masks of b.bmp; one is wanted, such as b.png")
    (folder / "masks" / "b.bmp").unlink()
    (folder / "masks" / "a.png").unlink()
    refused(folder, "masks: no mask of a.bmp; one is wanted, such as a.png")
    write(folder / "masks" / "a.png", 0)
    Image.fromarray(np.zeros((4, 3), np.uint8)).save(folder / "masks" / "a.png")
    refused(folder, "masks/a.png: the mask is 4 x 3 (height x width), and its image a.bmp is 3 x 4; a mask has a "
            "number for every pixel of its image")  # fmt: skip
    for path in (folder / "photos").iterdir():
        path.unlink()
    refused(folder, f"photos: no images in {folder / 'photos'}; images go to <name>.jpg, or <class>/<name>.jpg")


def test_the_folder_of_masks_is_not_there(tmp_path):
    folder = fill(tmp_path, ["a", "b"])
    (folder / "masks").rename(folder / "mask")
    with pytest.raises(DataError, match=r"masks: no such file or folder; did you mean 'mask'\?$"):
        read(folder)
    (folder / "masks").write_text("")
    refused(folder, "masks: masks is a file, and a folder of masks is wanted")
