"""Trees of images: what becomes a class, a split, a note or an error."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.data import image_folder
from cnnlab.errors import DataError, SpecError
from cnnlab.spec.schema import ImageFolder


def write(root, files, size=(4, 3)):
    """Images (width, height) whose gray value is their place in the list."""
    for value, name in enumerate(files):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size, value).save(path)


def read(root, **keys):
    return image_folder.load(ImageFolder(source="image_folder", path=root.name, **keys), root.parent)


def refused(root, message, **keys):
    with pytest.raises(DataError, match=message):
        read(root, **keys)


def test_one_pool(tmp_path):
    write(tmp_path, ["dog/b.png", "cat/z.PNG", "dog/a.png", "cat/.hidden.png", ".git/c.png"])
    data = read(tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.files == ("cat/z.PNG", "dog/a.png", "dog/b.png")
    assert data.x[:, 0, 0, 0].tolist() == [1, 2, 0]
    assert data.x.shape == (3, 3, 4, 3)
    assert data.x.dtype == np.uint8
    assert data.y.tolist() == [0, 1, 1]
    assert (data.given, data.notes, data.source) == ({}, (), "image_folder")


def test_channels(tmp_path):
    write(tmp_path, ["a/1.png", "b/1.png"])
    assert read(tmp_path, channels=1).x.shape == (2, 3, 4, 1)


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_splits_above_the_classes(tmp_path, validation):
    write(tmp_path, ["test/dog/1.png", "train/cat/1.png", "train/dog/1.png", f"{validation}/cat/1.png"])
    data = read(tmp_path)
    assert data.files == ("train/cat/1.png", "train/dog/1.png", f"{validation}/cat/1.png", "test/dog/1.png")
    assert data.y.tolist() == [0, 1, 0, 1]
    assert {name: indices.tolist() for name, indices in data.given.items()} == {
        "train": [0, 1],
        "validation": [2],
        "test": [3],
    }


def test_only_train_above_the_classes(tmp_path):
    write(tmp_path, ["train/cat/1.png", "train/dog/1.png"])
    assert {name: indices.tolist() for name, indices in read(tmp_path).given.items()} == {"train": [0, 1]}


def test_a_class_may_be_called_train(tmp_path):
    write(tmp_path, ["train/1.png", "car/1.png", "test/1.png"])
    data = read(tmp_path)
    assert data.classes == ("car", "test", "train")
    assert data.given == {}


def test_other_files_are_noted(tmp_path):
    write(tmp_path, ["a/1.png", "b/1.png"])
    (tmp_path / "a/notes.txt").touch()
    (tmp_path / "readme.md").touch()
    (tmp_path / "b/.DS_Store").touch()
    note = f"{tmp_path.name}: 2 files are no images and are not used, for example readme.md"
    assert read(tmp_path).notes == (note,)


def test_resized_by_pillow(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    (tmp_path / "a").mkdir()
    Image.fromarray(pixels).save(tmp_path / "a/1.png")
    write(tmp_path, ["b/1.png"])
    data = read(tmp_path, resize=(5, 6))
    np.testing.assert_array_equal(data.x[0], Image.fromarray(pixels).resize((6, 5), Image.Resampling.BILINEAR))
    assert read(tmp_path, resize=5).x.shape == (2, 5, 5, 3)


def test_many_files_in_order(tmp_path):
    write(tmp_path, [f"{kind}/{i:03}.png" for kind in "ab" for i in range(60)])
    assert read(tmp_path).x[:, 0, 0, 0].tolist() == list(range(120))


def test_missing_folder(tmp_path):
    write(tmp_path, ["flowers/a/1.png"])
    refused(tmp_path / "flower", r"flower: no such file or folder; did you mean 'flowers'\?")


def test_a_file_for_a_folder(tmp_path):
    write(tmp_path, ["a.png"])
    refused(tmp_path / "a.png", r"a\.png is a file, and a folder of class folders is wanted")


def test_no_class_folders(tmp_path):
    refused(tmp_path, r"no class folders in .*; images go to <class>/<name>\.jpg")


def test_images_in_no_class_folder(tmp_path):
    write(tmp_path, ["a/1.png", "b/1.png", "2.png", "1.png"])
    refused(tmp_path, r"images in no class folder: 2, for example 1\.png; images go to")


def test_images_beside_the_splits(tmp_path):
    write(tmp_path, ["train/a/1.png", "train/b/1.png", "1.png"])
    refused(tmp_path, r"images in no class folder: 1, for example 1\.png")
    (tmp_path / "1.png").rename(tmp_path / "train/1.png")
    refused(tmp_path, r"images in no class folder: 1, for example train/1\.png")


def test_empty_class_folder(tmp_path):
    write(tmp_path, ["a/1.png"])
    (tmp_path / "b").mkdir()
    (tmp_path / "b/notes.txt").touch()
    refused(tmp_path, r"the class folder b/ has no image in it; add images, or remove the folder")


def test_folders_inside_a_class(tmp_path):
    write(tmp_path, ["a/1.png", "b/more/1.png"])
    refused(tmp_path, r"b/more/ is a folder inside the class 'b'; images lie in the class folder itself")


@pytest.mark.parametrize(("folder", "split"), [("val", "validation"), ("test", "test")])
def test_class_that_only_a_later_split_has(tmp_path, folder, split):
    write(tmp_path, ["train/cat/1.png", "train/dog/1.png", f"{folder}/cats/1.png"])
    message = rf"the class 'cats' is in {split}, and has no folder in train \(cat, dog\); did you mean 'cat'\?"
    refused(tmp_path, message)
    write(tmp_path, [f"{folder}/aardvark/1.png"])
    refused(tmp_path, r"the class 'aardvark' is in .*; what was never trained cannot be recognised")


def test_splits_without_train(tmp_path):
    write(tmp_path, ["val/cat/1.png", "test/cat/1.png"])
    refused(tmp_path, r"test/, val/ without train/; add train/")


def test_strange_folder_beside_train(tmp_path):
    write(tmp_path, ["train/cat/1.png", "train/dog/1.png", "tests/cat/1.png"])
    refused(tmp_path, r"the folder tests/ lies beside train/, and is neither val/ nor test/; did you mean 'test'\?")


def test_both_names_of_validation(tmp_path):
    write(tmp_path, ["train/cat/1.png", "val/cat/1.png", "validation/cat/1.png"])
    refused(tmp_path, r"val/ and validation/ mean the same, and both are there; keep one")


def test_sizes_that_differ(tmp_path):
    write(tmp_path, ["a/1.png"])
    write(tmp_path, ["b/1.png"], size=(5, 3))
    refused(tmp_path, r"a/1\.png is 3 x 4 \(height x width\), and b/1\.png is 3 x 5; add data\.resize")
    assert read(tmp_path, resize=4).x.shape == (2, 4, 4, 3)


def test_unreadable_image_is_named(tmp_path):
    write(tmp_path, [f"{kind}/{i}.png" for kind in "ab" for i in range(9)])
    for name in ("a/7.png", "b/2.png"):
        (tmp_path / name).write_text("no image")
    refused(tmp_path, rf"{tmp_path.name}/a/7\.png: cannot read the image: it is no image that Pillow knows")


def test_larger_than_memory(tmp_path, monkeypatch):
    write(tmp_path, ["a/1.png", "b/1.png"])
    monkeypatch.setattr("cnnlab.data.memory.available_bytes", lambda: 150)
    assert read(tmp_path, resize=4).x.nbytes == 96
    refused(tmp_path, r"2 images of 8 x 8 would take 0\.0 GiB, .*; choose a smaller data\.resize", resize=8)


def test_resize_with_three_numbers(tmp_path):
    write(tmp_path, ["a/1.png", "b/1.png"])
    with pytest.raises(SpecError, match=r"data\.resize has 3 numbers"):
        read(tmp_path, resize=(4, 4, 4))
