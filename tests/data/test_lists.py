"""Files that name the examples of a split."""

import re

import numpy as np
import pytest

from cnnlab.data.dataset import Dataset
from cnnlab.data.lists import listed
from cnnlab.data.prepare import Prepared, splits_csv
from cnnlab.data.split import split
from cnnlab.errors import DataError, SpecError
from cnnlab.spec.split import Split

FILES = ("cat/1.png", "cat/2.png", "cat/ü 3.png", "dog/1.png", "dog/4.png", "dog/5.png")


@pytest.fixture
def write(tmp_path):
    def made(name, content):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return made


def dataset(files: tuple[str, ...] | None = FILES, **more) -> Dataset:
    y = np.array([0, 0, 0, 1, 1, 1], np.int32)
    return Dataset(np.arange(6, dtype=np.float32)[:, None], y, ("cat", "dog"), files, **more)


def found(splits):
    return {name: indices.tolist() for name, indices in splits.items()}


def test_names_last_parts_and_indices(write):
    train = write("train.txt", "\ufeffcat/1.png\r\n\r\n  dog/1.png \n2.png\n")
    test = write("test.txt", "5.png\n2\n4.png")
    assert found(listed(dataset(), {"train": train, "test": test})) == {"train": [0, 1, 3], "test": [2, 4, 5]}
    numbers = write("numbers", "5\n0\n3\n")
    assert found(listed(dataset(None), {"train": numbers})) == {"train": [0, 3, 5]}


def test_tables(write):
    bare = write("bare.csv", 'cat/1.png,what else\n"cat/ü 3.png",\n')
    assert found(listed(dataset(), {"train": bare})) == {"train": [0, 2]}
    headed = write("headed.csv", "label,file\ncat,2.png\ndog,5.png\n")
    assert found(listed(dataset(), {"train": headed})) == {"train": [1, 5]}


@pytest.mark.parametrize("files", [FILES, None])
def test_splits_csv_of_a_run_repeats_its_splits(write, files):
    data = dataset(files)
    splits = {"train": np.array([0, 2, 3]), "validation": np.array([1, 5]), "test": np.array([4])}
    path = write("splits.csv", splits_csv(Prepared(data, splits, np.zeros(1), np.ones(1))))
    again = split(data, Split(train=path, validation=path, test=path), 0)
    assert found(again) == found(splits)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "cat/1.png\ncat/9.png\ncat/8.png",
            r"a.txt:2: no example 'cat/9.png' in the data; 2 of 3 are not there; did you",
        ),
        ("cat/1.png\n6\n", r"a.txt:2: no example '6' in the data; 1 of 2 are not there; indices go from 0 to 5"),
        ("-1\n", r"a.txt:1: no example '-1' in the data"),
        ("1.png\n", r"a.txt:1: several files are called '1.png'; name it with its folder"),
        ("2.png\n\ncat/2.png", r"a.txt:3: 'cat/2.png' stands in .*a.txt:1 already; name each example once"),
        ("\n\n", r"a.txt: it names no example for train; a name or an index a line"),
        (b"\xff\xfe\x00", r"a.txt: data.split.train: cannot be read: 'utf-8' codec can't decode"),
    ],
)
def test_bad_lists(write, content, message):
    with pytest.raises(DataError, match=message):
        listed(dataset(), {"train": write("a.txt", content)})


def test_bad_files(write, tmp_path):
    with pytest.raises(DataError, match=r"gone.txt: data.split.test: cannot be read: No such file or directory"):
        listed(dataset(), {"test": str(tmp_path / "gone.txt")})
    with pytest.raises(DataError, match=r"a.csv:3: not as many cells as the header's 2; such rows: 1 of 2"):
        listed(dataset(), {"train": write("a.csv", "file,label\n2.png,cat\n5.png\n")})
    one, other = write("one.txt", "cat/1.png"), write("other.txt", "5.png\n0")
    with pytest.raises(DataError, match=r"other.txt:2: '0' stands in .*one.txt:1 already"):
        listed(dataset(), {"train": one, "test": other})


def test_what_is_left_over(write):
    train, test = write("train.txt", "0\n3"), write("test.txt", "1\n5")
    message = r"data\.split: 2 of 6 examples are in no split; give one split 'rest', or write unused: rest"
    with pytest.raises(SpecError, match=message):
        split(dataset(), Split(train=train, test=test), 0)
    assert found(split(dataset(), Split(train=train, test=test, unused="rest"), 0)) == {"train": [0, 3], "test": [1, 5]}
    rest = split(dataset(), Split(train="rest", test=test), 0)
    assert found(rest) == {"train": [0, 2, 3, 4], "test": [1, 5]}
    all_of_it = write("all.txt", "\n".join(map(str, range(6))))
    with pytest.raises(DataError, match=r"the test split is empty: rest of 6 examples"):
        split(dataset(), Split(train=all_of_it, test="rest"), 0)


def test_a_test_split_of_the_sources_own_stays(write):
    data = dataset(given={"train": np.array([0, 1, 3, 4]), "test": np.array([2, 5])})
    spec = Split(train="rest", validation=write("v.txt", "cat/1.png"))
    assert found(split(data, spec, 0)) == {"train": [1, 3, 4], "validation": [0], "test": [2, 5]}
    strange = Split(train="rest", validation=write("w.txt", "0\n5"))
    message = r"w.txt: validation names dog/5.png, which is in a split of the source's own; such examples: 1"
    with pytest.raises(DataError, match=message):
        split(data, strange, 0)
    path = write("t.txt", "0")
    with pytest.raises(SpecError, match=rf"test is {re.escape(path)}, and the source has 2 test examples of its own"):
        split(data, Split(train="rest", test=path), 0)
