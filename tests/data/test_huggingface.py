"""Data sets of Hugging Face on disk: folders in the form of save_to_disk, written by pyarrow, and by `datasets`."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.dataset import load
from cnnlab.errors import DataError
from cnnlab.spec.records import HuggingFace

PIXELS = [np.full((3, 4), 10 * i, np.uint8) for i in range(5)]
FEATURES = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}


@pytest.fixture
def pyarrow():
    return pytest.importorskip("pyarrow", reason="pip install 'cnnlab[huggingface]'")


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def save(pyarrow, folder, labels, images=None, features=FEATURES, **state):
    """As `datasets` 2 to 5 save a data set: dataset_info.json, state.json and an Arrow stream."""
    folder.mkdir(parents=True, exist_ok=True)
    images = images or [{"bytes": png(PIXELS[i]), "path": None} for i in range(len(labels))]
    table = pyarrow.table({"image": images, "label": labels})
    with pyarrow.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink, pyarrow.ipc.new_stream(
        sink, table.schema) as writer:  # fmt: skip
        writer.write_table(table)
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    content = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": None, **state}
    (folder / "state.json").write_text(json.dumps(content))
    return folder


def read(folder, **keys):
    return load(HuggingFace(source="huggingface", path="data", **{"channels": 1, **keys}), folder)


def refused(folder, sentence, **keys):
    with pytest.raises(DataError) as error:
        read(folder, **keys)
    assert str(error.value) == sentence


def test_one_data_set_with_class_names(tmp_path, pyarrow):
    save(pyarrow, tmp_path / "data", [0, 1, 1, 0])
    data = read(tmp_path)
    np.testing.assert_array_equal(data.x[..., 0], PIXELS[:4])
    assert (data.y.tolist(), data.classes, data.given) == ([0, 1, 1, 0], ("cat", "dog"), {})
    assert read(tmp_path, resize=2).x.shape == (4, 2, 2, 1)


def test_splits_texts_and_files_beside(tmp_path, pyarrow):
    Image.fromarray(PIXELS[4]).save(tmp_path / "out.png")
    for split, labels in {"train": ["b", "a"], "validation": ["a"], "test": ["b"]}.items():
        images = [{"bytes": None, "path": str(tmp_path / "out.png")}] if split == "test" else None
        save(pyarrow, tmp_path / "data" / split, labels, images, {"image": {}, "label": {"dtype": "string"}})
    (tmp_path / "data" / "dataset_dict.json").write_text('{"splits": ["test", "train", "validation"]}')
    data = read(tmp_path)
    assert {name: part.tolist() for name, part in data.given.items()} == {
        "train": [0, 1],
        "validation": [2],
        "test": [3],
    }
    assert (data.classes, data.y.tolist()) == (("a", "b"), [1, 0, 0, 1])
    assert data.x[:, 0, 0, 0].tolist() == [0, 10, 0, 40]


def test_numbers_to_predict(tmp_path, pyarrow):
    save(pyarrow, tmp_path / "data", [0.5, 1.0, 2.0], features={"label": {"dtype": "float64"}})
    assert read(tmp_path).targets["values"].values.ravel().tolist() == [0.5, 1, 2]


SAVE = """
import sys
import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image

features = Features(image=Image(), label=ClassLabel(names=["cat", "dog"]))
images = list(np.load(sys.argv[1]))
whole = Dataset.from_dict({"image": images, "label": [0, 1, 0, 1, 1]}, features=features)
DatasetDict(train=whole.select([1, 3, 2]), test=whole.select([0])).save_to_disk(sys.argv[2])
"""


def test_what_datasets_itself_saves(tmp_path):
    pytest.importorskip("datasets", reason="pip install datasets")
    np.save(tmp_path / "images.npy", PIXELS)
    arguments = [str(tmp_path / "images.npy"), str(tmp_path / "data")]
    subprocess.run([sys.executable, "-W", "ignore", "-c", SAVE, *arguments], check=True, capture_output=True)
    data = read(tmp_path)
    np.testing.assert_array_equal(data.x[..., 0], [PIXELS[i] for i in (1, 3, 2, 0)])
    assert (data.y.tolist(), data.classes) == ([1, 1, 0, 0], ("cat", "dog"))
    assert data.given["test"].tolist() == [3]


def test_what_is_wrong_is_named(tmp_path, pyarrow):
    folder = save(pyarrow, tmp_path / "data", [0, 1, -1])
    refused(tmp_path, "data: row 2: 'label' is -1, and labels go from 0 to 1; labels out of range: 1; filter such "
            "rows out")  # fmt: skip
    refused(tmp_path, "data/data-00000-of-00001.arrow: data.label: no column 'labels'; did you mean 'label'?",
            label="labels")  # fmt: skip
    refused(tmp_path, "data: row 0: 'label' is a int, and no image; data.image names the column of images",
            image="label", label="image")  # fmt: skip
    save(pyarrow, folder, [0, 1, None])
    refused(tmp_path, "data: row 2: 'label' is empty; filter such rows out")
    save(pyarrow, folder, [[0], [1]])
    refused(tmp_path, "data: row 0: 'label' is a list; a class or a number is wanted")
    save(pyarrow, folder, [0, 1], [{"bytes": b"no picture", "path": "x"}] * 2)
    refused(tmp_path, "data: row 0: cannot read the image: it is no image that Pillow knows; repair or remove it")
    save(pyarrow, folder, [0, 1], _indices_data_files=[{"filename": "indices.arrow"}])
    refused(tmp_path, "data: is a selection of rows, which stand in another file; dataset.flatten_indices() before "
            "save_to_disk")  # fmt: skip


def test_damaged_folders(tmp_path, pyarrow):
    folder = save(pyarrow, tmp_path / "data", [0, 1])
    again = "save it again with save_to_disk"
    arrow = folder / "data-00000-of-00001.arrow"
    content = arrow.read_bytes()
    for damaged in (b"", b"text" * 10, content[: len(content) // 2]):
        arrow.write_bytes(damaged)
        with pytest.raises(DataError, match=rf"data: cannot be read: .*; {again}$"):
            read(tmp_path)
    for text in ("{", "[]", '{"_data_files": [3]}', '{"_data_files": [{"filename": "../../x"}]}'):
        (folder / "state.json").write_text(text)
        with pytest.raises(DataError, match=rf"data: cannot be read: .*; {again}$"):
            read(tmp_path)
    (folder / "state.json").unlink()
    refused(tmp_path, "data: no dataset_dict.json and no state.json, so it is nothing that save_to_disk wrote; data "
            "sets in Parquet are read by source: csv")  # fmt: skip
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "extra"]}')
    refused(tmp_path, "data: the splits are train, extra, and train, validation, test are known; rename them, or name "
            "the folder of one")  # fmt: skip


def test_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused(tmp_path, "data: pyarrow reads data sets of Hugging Face, and it is not installed; pip install "
            "'cnnlab[huggingface]'")  # fmt: skip
