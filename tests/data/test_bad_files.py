"""`on_bad_file: skip`: what is left out, what is said of it, and that no label changes."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.dataset import load
from cnnlab.data.prepare import describe, prepare, restore
from cnnlab.errors import DataError
from cnnlab.spec.data import Csv, ImageFolder

CLASSES = ("ape", "bee", "cow")


@pytest.fixture
def photos(tmp_path):
    """Eight images of each of three classes, all different; the first of ape and two of bee are no images."""
    for label, name in enumerate(CLASSES):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(8):
            Image.new("L", (4, 4), 80 * label + i).save(tmp_path / "photos" / name / f"{i}.png")
    (tmp_path / "photos/ape/0.png").write_bytes(b"")
    (tmp_path / "photos/bee/3.png").write_text("no image")
    (tmp_path / "photos/bee/5.png").unlink()
    (tmp_path / "photos/bee/5.png").symlink_to("5.png")
    return tmp_path


BAD = {
    "ape/0.png": "cannot read the image: the file is empty",
    "bee/3.png": "cannot read the image: it is no image that Pillow knows",
    "bee/5.png": f"cannot read the image: {os.strerror(40)}",
}


def folder(**keys) -> ImageFolder:
    return ImageFolder(source="image_folder", path="photos", channels=1, batch_size=4, **keys)


def test_an_error_by_default(photos):
    with pytest.raises(DataError, match=r"^photos/ape/0\.png: cannot read the image: the file is empty; repair or re"):
        load(folder(), photos)


def test_skipped_files_are_counted_and_listed_and_labels_stay(photos):
    data = load(folder(on_bad_file="skip"), photos)
    assert data.skipped == BAD
    assert data.notes == (
        "photos: 3 of 24 files are skipped, for example ape/0.png: cannot read the image: the file is empty",
    )
    assert data.classes == CLASSES
    assert data.files is not None
    assert len(data.files) == len(data.x) == len(data.digests) == 21
    for file, image, label in zip(data.files, data.x, data.y, strict=True):
        name, number = file.removesuffix(".png").split("/")
        assert CLASSES[label] == name
        assert set(image.ravel().tolist()) == {80 * CLASSES.index(name) + int(number)}


def test_nothing_to_skip(photos):
    for name in BAD:
        (photos / "photos" / name).unlink()
    data = load(folder(on_bad_file="skip"), photos)
    assert (data.skipped, data.notes, len(data.x)) == ({}, (), 21)
    assert data.digests == load(folder(), photos).digests


def test_a_class_that_loses_all_its_images(photos):
    for i in range(8):
        (photos / f"photos/cow/{i}.png").write_text("no image")
    sentence = (
        r"^photos: no image of the class 'cow' can be read; cow/0\.png: cannot read the image: "
        r"it is no image that Pillow knows; repair them, or remove the class$"
    )
    with pytest.raises(DataError, match=sentence):
        load(folder(on_bad_file="skip"), photos)
    data = load(folder(on_bad_file="skip", classes=("ape", "bee")), photos)
    assert (data.classes, len(data.x)) == (("ape", "bee"), 13)


def test_the_run_keeps_the_list_and_finds_the_same_data_again(photos):
    data = folder(on_bad_file="skip")
    prepared = prepare(data, photos, seed=0)
    description = describe(prepared)
    assert description["skipped"] == [{"file": file, "reason": reason} for file, reason in BAD.items()]
    assert description["notes"][0].startswith("photos: 3 of 24 files are skipped")
    assert restore(data, photos, prepared.splits, description).dataset.skipped == BAD
    Image.new("L", (4, 4), 7).save(photos / "photos/ape/0.png")
    with pytest.raises(DataError, match=r"the data changed since training: 22 examples"):
        restore(data, photos, prepared.splits, description)


def test_splits_of_the_sources_own_stay_what_they_are(tmp_path):
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for name in CLASSES:
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            for i in range(count):
                Image.new("L", (4, 4), 10 * i + 5).save(tmp_path / "photos" / split / name / f"{i}.png")
    for name in ("train/bee/0.png", "test/cow/1.png"):
        (tmp_path / "photos" / name).write_text("no image")
    data = load(folder(on_bad_file="skip"), tmp_path)
    assert data.files is not None
    for split, start in (("train", "train/"), ("validation", "val/"), ("test", "test/")):
        found = {data.files[i] for i in data.given[split]}
        assert found == {file for file in data.files if file.startswith(start)}
    assert {name: len(indices) for name, indices in data.given.items()} == {"train": 11, "validation": 6, "test": 5}


def test_rows_of_a_table_whose_files_are_bad_or_missing(photos):
    rows = [f"photos/{name}/{i}.png,{name},{i % 4}" for name in CLASSES for i in range(8)]
    (photos / "table.csv").write_text("\n".join(["file,kind,who", *rows, "photos/gone.png,bee,9"]))
    spec = Csv(source="csv", path="table.csv", images="file", labels="kind", group_column="who", channels=1)
    with pytest.raises(DataError, match=r"^table\.csv: line 15: no file 'photos/bee/5\.png'; bad rows: 2 of 25$"):
        load(spec, photos)
    data = load(spec.model_copy(update={"on_bad_file": "skip"}), photos)
    gone = {"photos/gone.png": "cannot read the image: No such file or directory"}
    assert data.skipped == {f"photos/{name}": reason for name, reason in BAD.items()} | gone
    assert data.files is not None
    assert data.groups is not None
    for file, label, group in zip(data.files, data.y, data.groups, strict=True):
        assert file.split("/")[1] == data.classes[label]
        assert group == str(int(Path(file).stem) % 4)
    np.testing.assert_array_equal(data.x[:, 0, 0, 0] // 80, data.y)
