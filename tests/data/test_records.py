"""Records of tf.train.Example: what protobuf writes is read, whatever is wrong is named by its record."""

import contextlib
import io
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnlab.data.dataset import load
from cnnlab.data.example import parse_example
from cnnlab.errors import DataError
from cnnlab.spec.records import ArrayRecord, TFRecord
from tests.data.records import example, tfrecord

PIXELS = [np.arange(i, i + 12, dtype=np.uint8).reshape(3, 4) for i in range(4)]


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def read(folder, path="data.tfrecord", **keys):
    return load(TFRecord(source="tfrecord", path=path, **{"channels": 1, **keys}), folder)


def write(folder, *examples, name="data.tfrecord"):
    (folder / name).write_bytes(tfrecord(*examples))
    return folder


def refused(folder, sentence, **keys):
    with pytest.raises(DataError) as error:
        read(folder, **keys)
    assert str(error.value) == sentence


# ---------------------------------------------------------------- what is read


def test_images_as_files_and_whole_labels(tmp_path):
    write(tmp_path, *(example(image=png(p), label=i % 3, other=[1.5, 2.5]) for i, p in enumerate(PIXELS)))
    data = read(tmp_path)
    np.testing.assert_array_equal(data.x[..., 0], PIXELS)
    assert (data.y.tolist(), data.classes, data.given, data.source) == ([0, 1, 2, 0], ("0", "1", "2"), {}, "tfrecord")
    assert read(tmp_path, resize=8).x.shape == (4, 8, 8, 1)


def test_raw_values_of_a_shape(tmp_path):
    write(tmp_path, *(example(**{"image/raw": p.tobytes()}, label="cat" if i else "dog") for i, p in enumerate(PIXELS)))
    data = read(tmp_path, image="image/raw", shape=(3, 4, 1))
    np.testing.assert_array_equal(data.x[..., 0], PIXELS)
    assert (data.x.dtype, data.classes, data.y.tolist()) == (np.uint8, ("cat", "dog"), [1, 0, 0, 0])
    values = np.arange(24, dtype="<f4").reshape(2, 12)
    write(tmp_path, *(example(image=v.tobytes(), label=i) for i, v in enumerate(values)))
    data = read(tmp_path, shape=(2, 6), dtype="float32")
    np.testing.assert_array_equal(data.x, values.reshape(2, 2, 6))


def test_numbers_as_vectors_and_values_to_predict(tmp_path):
    write(tmp_path, *(example(image=[0.5, i + 1.0, -3.0], label=i / 2) for i in range(4)))
    data = read(tmp_path)
    np.testing.assert_array_equal(data.x, [[0.5, i + 1, -3] for i in range(4)])
    assert (data.classes, data.targets["values"].names) == ((), ("label",))
    assert data.targets["values"].values.ravel().tolist() == [0, 0.5, 1, 1.5]
    write(tmp_path, *(example(image=[-1, 2**62, i, 5], label=i) for i in range(2)))
    np.testing.assert_array_equal(read(tmp_path, shape=(2, 2)).x, np.float32([[[-1, 2**62], [i, 5]] for i in range(2)]))


def test_a_folder_of_shards_with_splits_and_names(tmp_path):
    names = [
        "toy-train.tfrecord-00000-of-00002",
        "toy-train.tfrecord-00001-of-00002",
        "toy-test.tfrecord-00000-of-00001",
    ]
    for i, name in enumerate(names):
        write(tmp_path, example(image=png(PIXELS[i]), label=i % 2), name=name)
    (tmp_path / "label.labels.txt").write_text("cat\ndog\nelk\n")
    data = read(tmp_path, path=".")
    assert {name: part.tolist() for name, part in data.given.items()} == {"test": [0], "train": [1, 2]}
    assert (data.classes, data.y.tolist()) == (("cat", "dog", "elk"), [0, 0, 1])


@settings(max_examples=60, deadline=None)
@given(features=st.dictionaries(st.text(min_size=1, max_size=5), st.one_of(
    st.lists(st.binary(max_size=9), min_size=1, max_size=3),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=5)), max_size=3))  # fmt: skip
def test_any_example_is_read_as_protobuf_writes_it(features):
    found = parse_example(example(**features))
    assert {name: list(values) for name, values in found.items()} == features


@settings(max_examples=200, deadline=None)
@given(change=st.integers(0, 40), value=st.integers(0, 255), cut=st.integers(0, 40))
def test_a_damaged_example_is_a_value_error_or_harmless(change, value, cut):
    content = bytearray(example(image=[1, 2, 300], label="abc", x=[0.5])[: -cut or None])
    if change < len(content):
        content[change] = value
    with contextlib.suppress(ValueError):
        assert isinstance(parse_example(bytes(content)), dict)


# ---------------------------------------------------------------- what is refused


@pytest.fixture
def good(tmp_path):
    return write(tmp_path, *(example(image=png(p), label=i % 2) for i, p in enumerate(PIXELS)))


def test_damage_is_told_by_the_record(good):
    path, again = good / "data.tfrecord", "copy or write the file again"
    content = path.read_bytes()
    record = 16 + int.from_bytes(content[:8], "little")  # where record 1 begins
    for place, sentence in {
        record + 20: "the content of record 1 does not fit its checksum",
        record + 9: "the length of record 1 does not fit its checksum",
        record + 5: "the length of record 1 does not fit its checksum",
        1: "is no TFRecord file, or its first record is damaged",
    }.items():
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        refused(good, f"data.tfrecord: {sentence}; {again}")
    path.write_bytes(content[:-7])
    refused(good, f"data.tfrecord: ends inside of record 3; {again}")
    path.write_bytes(content + b"abc")
    refused(good, f"data.tfrecord: ends inside of record 4; {again}")
    path.write_bytes(b"")
    refused(good, "data.tfrecord: no record; there must be an example")
    path.write_bytes(b"no records, but a text that somebody wrote")
    refused(good, f"data.tfrecord: is no TFRecord file, or its first record is damaged; {again}")


WRONG = {
    "no feature": ([{"image": b"", "label": 0}], {"label": "labels"},
                   "record 0: no feature 'labels'; did you mean 'label'?"),
    "no Example": (b"\x0f\xff", {}, "record 0: is no tf.train.Example: the field 1 has the kind 7; write it again, or "
                   "use another source"),
    "no image": ([{"image": b"no picture", "label": 0}], {},
                 "record 0: cannot read the image: it is no image that Pillow knows; repair or remove it"),
    "sizes": ([{"image": png(PIXELS[0]), "label": 0}, {"image": png(PIXELS[0].T.copy()), "label": 1}], {},
              "record 1: is 4 x 3 (height x width), and data.tfrecord: record 0 is 3 x 4; add data.resize, to "
              "bring all to one size"),
    "bytes": ([{"image": b"12345", "label": 0}], {"shape": (2, 2)},
              "record 0: 'image' has 5 bytes, and 2 x 2 of uint8 are 4; data.shape and data.dtype say what they hold"),
    "numbers": ([{"image": [1, 2, 3], "label": 0}], {"shape": (2, 2)},
                "record 0: 'image' has 3 numbers, and data.shape is [2, 2]; data.shape is that of one example"),
    "lengths": ([{"image": [1, 2, 3], "label": 0}, {"image": [1, 2], "label": 0}], {},
                "record 1: 'image' has 2 numbers, and 3 in the first record; bring all to one shape"),
    "labels": ([{"image": [1], "label": [0, 1]}], {}, "record 0: 'label' has 2 values; one label for every example"),
    "negative": ([{"image": [1], "label": 0}, {"image": [1], "label": -1}], {},
                 "record 1: 'label' is -1, and labels go from 0 to 65535; labels out of range: 1"),
    "mixed": ([{"image": b"1", "label": 0}, {"image": [1], "label": 0}], {},
              "record 1: 'image' holds numbers, and bytes before"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_records_are_named(tmp_path, case):
    content, keys, sentence = WRONG[case]
    write(tmp_path, *([content] if isinstance(content, bytes) else [example(**one) for one in content]))
    refused(tmp_path, f"data.tfrecord: {sentence}", **keys)


def test_folders_without_records_or_training(tmp_path):
    refused(tmp_path, ".: no file with tfrecord in its name; name the file, or its folder", path=".")
    for split in ("test", "val"):
        write(tmp_path, example(image=[1], label=0), name=f"a-{split}.tfrecord")
    refused(tmp_path, ".: files of test and validation, and none of train; add train", path=".")


def test_too_much_is_told_before_it_is_read(good, monkeypatch):
    monkeypatch.setattr("cnnlab.data.memory.available_bytes", lambda: 1000)
    with pytest.raises(DataError, match=r"^data\.tfrecord: its records would take .*; use fewer or smaller files$"):
        read(good)


# ---------------------------------------------------------------- ArrayRecord


def test_array_record_holds_the_same(tmp_path):
    module = pytest.importorskip("array_record.python.array_record_module", reason="pip install 'cnnlab[records]'")
    writer = module.ArrayRecordWriter(str(tmp_path / "data.array_record"), "group_size:1")
    for i, pixels in enumerate(PIXELS):
        writer.write(example(image=png(pixels), label=i % 2))
    writer.close()
    spec = ArrayRecord(source="array_record", path="data.array_record", channels=1)
    data = load(spec, tmp_path)
    np.testing.assert_array_equal(data.x[..., 0], PIXELS)
    assert (data.y.tolist(), data.source) == ([0, 1, 0, 1], "array_record")
    content = (tmp_path / "data.array_record").read_bytes()
    for damaged in (content[: len(content) // 2], b"text", b""):
        (tmp_path / "data.array_record").write_bytes(damaged)
        with pytest.raises(DataError, match=r"^data\.array_record: "):
            load(spec, tmp_path)


def test_array_record_without_its_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "array_record", None)
    monkeypatch.setitem(sys.modules, "array_record.python.array_record_module", None)
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(DataError, match=r"array-record reads ArrayRecord, and it is not installed; pip install '"):
        load(ArrayRecord(source="array_record", path="a"), tmp_path)
