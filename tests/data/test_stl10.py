"""STL-10's binary files: columns, planes, labels from 1, and a sentence for what is damaged."""

import numpy as np
import pytest

from cnnlab.data.dataset import load
from cnnlab.errors import DataError
from cnnlab.spec.data import Stl10

random = np.random.default_rng(0)
NAMES = ["airplane", "bird", "car"]
TRAIN = (random.integers(0, 256, (4, 96, 96, 3), np.uint8), np.array([0, 1, 2, 0]))
TEST = (random.integers(0, 256, (2, 96, 96, 3), np.uint8), np.array([2, 1]))
SPEC = Stl10(source="stl10", path="stl")


def planes(images: np.ndarray) -> bytes:
    """As the authors say: "column-major order, one channel at a time"."""
    return b"".join(image[:, :, channel].tobytes(order="F") for image in images for channel in range(3))


def stl10(train=TRAIN, test=TEST, names=NAMES) -> dict[str, bytes]:
    files = {}
    for split, (x, y) in (("train", train), ("test", test)):
        files |= {f"{split}_X.bin": planes(x), f"{split}_y.bin": bytes((y + 1).tolist())}
    return {**files, "class_names.txt": "\n".join([*names, ""]).encode(), "unlabeled_X.bin": b"not looked at"}


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("inner", ["stl", "stl/stl10_binary"])
def test_both_splits_are_read(tmp_path, inner):
    write(tmp_path / inner, stl10())
    data = load(SPEC, tmp_path)
    assert (data.x.dtype, data.y.dtype, data.classes, data.source) == (np.uint8, np.int32, tuple(NAMES), "stl10")
    np.testing.assert_array_equal(data.x, np.concatenate([TRAIN[0], TEST[0]]))
    assert data.y.tolist() == [0, 1, 2, 0, 2, 1]
    assert {name: part.tolist() for name, part in data.given.items()} == {"train": [0, 1, 2, 3], "test": [4, 5]}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"test_X.bin": None}, "stl: test_X.bin is missing; copy or download it again: cnnlab data fetch stl10"),
        ({"test_X.bin": None, "train_y.bin": None}, "stl: train_y.bin is missing, and 1 more files"),
        ({"class_names.txt": None}, "class_names.txt is missing"),
        ({"train_X.bin": planes(TRAIN[0])[:-1]}, "train_X.bin: 110,591 bytes, and every image takes 27,648"),
        ({"train_X.bin": b""}, "train_X.bin: 0 bytes, and every image takes 27,648"),
        ({"train_y.bin": b"\1\2"}, "train_X.bin: 4 images, and 2 labels in train_y.bin"),
        ({"test_y.bin": b"\1\4"}, "test_y.bin: image 1 has the label 4, and class_names.txt names 3 classes"),
        ({"test_y.bin": b"\1\0"}, "test_y.bin: image 1 has the label 0"),
    ],
)
def test_what_is_damaged_is_told(tmp_path, files, message):
    all_files = {**stl10(), **files}
    write(tmp_path / "stl", {name: content for name, content in all_files.items() if content is not None})
    with pytest.raises(DataError) as raised:
        load(SPEC, tmp_path)
    assert message in str(raised.value)


def test_an_archive_is_no_folder(tmp_path):
    (tmp_path / "stl").write_bytes(b"archive")
    with pytest.raises(DataError, match="stl is a file, and the folder of STL-10's files is wanted"):
        load(SPEC, tmp_path)
