"""CSV with more to learn than one class: several labels, values, masks; and tables of numbers without images."""

import sys

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.dataset import load
from cnnlab.data.prepare import prepare
from cnnlab.errors import DataError
from cnnlab.spec.data import Csv

FILES = ["a.png", "b.png", "c.png"]
IDS = np.array([[0, 1, 2, 255], [2, 2, 1, 0], [0, 0, 1, 1]], np.uint8)


@pytest.fixture
def folder(tmp_path):
    for i, name in enumerate(FILES):
        Image.fromarray(np.full((3, 4), 10 * i, np.uint8)).save(tmp_path / name)
    return tmp_path


def read(folder, text, **keys):
    (folder / "table.csv").write_text(text)
    keys = {"images": "file", "channels": 1, **keys}
    return load(Csv(source="csv", path="table.csv", **keys), folder)


def numbers(folder, text, **keys):
    (folder / "table.csv").write_text(text)
    return load(Csv(source="csv", path="table.csv", **keys), folder)


def refused(make, folder, text, sentence, **keys):
    with pytest.raises(DataError) as error:
        make(folder, text, **keys)
    assert str(error.value) == sentence


# ---------------------------------------------------------------- labels of which any may hold


def test_several_columns_of_0_and_1(folder):
    data = read(folder, "file,cat,dog\na.png,1,0\nb.png,0.0,0\nc.png,TRUE,1.0\n", labels=["cat", "dog"])
    assert (data.classes, data.y.tolist(), list(data.targets)) == ((), [0, 0, 0], ["labels"])
    labels = data.targets["labels"]
    assert (labels.values.dtype, labels.values.tolist(), labels.names) == (np.uint8, [[1, 0], [0, 0], [1, 1]],
                                                                           ("cat", "dog"))  # fmt: skip


def test_labels_with_a_separator(folder):
    data = read(folder, "file,tags\na.png,sea| sky\nb.png,\nc.png,10|sky|\n", labels="tags", label_separator="|")
    labels = data.targets["labels"]
    assert labels.names == ("10", "sea", "sky")
    assert labels.values.tolist() == [[0, 1, 1], [0, 0, 0], [1, 0, 1]]


def test_neither_0_nor_1(folder):
    text = "file,cat,dog\na.png,1,0\nb.png,yes,0\nc.png,2,1\n"
    sentence = "table.csv: line 3: 'yes' in the column 'cat' is neither 0 nor 1; bad rows: 2 of 3"
    refused(read, folder, text, sentence, labels=["cat", "dog"])
    sentence = "table.csv: data.labels: no column 'dogs'; did you mean 'dog'?"
    refused(read, folder, text, sentence, labels=["cat", "dogs"])


# ---------------------------------------------------------------- numbers


def test_values_and_classes_at_once(folder):
    text = "file,kind,age,size\na.png,x,1.5,-2\nb.png,y,1e3,0\nc.png,x, 7 ,0.1\n"
    data = read(folder, text, labels="kind", values=["size", "age"])
    assert (data.classes, data.y.tolist()) == (("x", "y"), [0, 1, 0])
    values = data.targets["values"]
    assert (values.values.dtype, values.names) == (np.float32, ("size", "age"))
    np.testing.assert_array_equal(values.values, np.float32([[-2, 1.5], [0, 1000], [0.1, 7]]))


def test_values_alone_of_one_column(folder):
    data = read(folder, "file,age\na.png,1\nb.png,2\nc.png,3\n", values="age")
    assert data.targets["values"].values.tolist() == [[1], [2], [3]]
    assert (data.classes, data.targets["values"].names) == ((), ("age",))


@pytest.mark.parametrize(("cell", "problem"), [
    ("NaN", "the cell of the column 'age' is NaN"), ("", "the cell of the column 'age' is empty"),
    ("old", "'old' in the column 'age' is no finite number of 32 bits"),
    ("inf", "'inf' in the column 'age' is no finite number of 32 bits"),
    ("-1e39", "'-1e39' in the column 'age' is no finite number of 32 bits"),
    ("3,5", "3 cells, and the header has 2"),
])  # fmt: skip
def test_values_that_are_no_numbers(folder, cell, problem):
    text = f"file,age\na.png,1\nb.png,{cell}\nc.png,3\n"
    refused(read, folder, text, f"table.csv: line 3: {problem}; bad rows: 1 of 3", values="age")


def test_features_instead_of_images(folder):
    text = "kind,a,b\nx,1,2.5\ny,-3,4\nx,1,2.5\n"
    data = numbers(folder, text, features=["b", "a"], labels="kind")
    assert (data.x.dtype, data.x.tolist(), data.files) == (np.float32, [[2.5, 1], [4, -3], [2.5, 1]], None)
    assert (data.classes, data.y.tolist()) == (("x", "y"), [0, 1, 0])
    sentence = "table.csv: line 2: 'x' in the column 'kind' is no finite number of 32 bits; bad rows: 3 of 3"
    refused(numbers, folder, text, sentence, features=["kind"], values="a")


def test_tabular_data_through_prepare_with_splits_and_groups(tmp_path):
    rows = [f"{i % 7},{i},{i // 5},{('train', 'train', 'val', 'test')[i // 5 % 4]}" for i in range(200)]
    (tmp_path / "table.csv").write_text("\n".join(["a,value,who,part", *rows]))
    spec = Csv(source="csv", path="table.csv", features="a", values="value", split_column="part", group_column="who")
    prepared = prepare(spec, tmp_path, seed=0)
    assert prepared.counts == {"train": 100, "validation": 50, "test": 50}
    assert prepared.dataset.name(17) == "test example 2"


# ---------------------------------------------------------------- masks


def masks(folder, ids=IDS, mode="L", **keys):
    for i, name in enumerate(FILES):
        image = Image.fromarray(np.roll(ids, i, 0))
        if mode == "P":
            image = image.convert("P")
            image.putpalette([v for i in range(256) for v in (255 - i, i // 2, 7)])
            image.putdata(np.roll(ids, i, 0).ravel().tolist())
        elif mode == "1":
            image = Image.fromarray(np.roll(ids, i, 0) == 1)
        elif mode == "I;16":
            image = Image.fromarray(np.roll(ids, i, 0).astype(np.uint16))
        image.save(folder / f"mask_{name}")
    text = "file,mask\n" + "".join(f"{name},mask_{name}\n" for name in FILES)
    return read(folder, text, masks="mask", **keys).targets["mask"]


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_masks_hold_ids_as_stored(folder, mode):
    mask = masks(folder, mode=mode)
    assert (mask.values.dtype, mask.names) == (np.uint8, ("0", "1", "2"))
    np.testing.assert_array_equal(mask.values, [np.roll(IDS, i, 0) for i in range(3)])


def test_masks_of_one_bit_and_names(folder):
    mask = masks(folder, mode="1", mask_classes=["ground", "cell"])
    assert mask.names == ("ground", "cell")
    np.testing.assert_array_equal(mask.values[0], IDS == 1)


def test_masks_of_other_numbers(folder):
    mask = masks(folder, np.where(IDS == 1, 255, 0).astype(np.uint8), mask_values=[0, 255])
    assert mask.names == ("0", "255")
    np.testing.assert_array_equal(mask.values[0], IDS == 1)
    sentence = "./mask_a.png: holds the number 2, and the classes are 0, 1; data.mask_classes and data.mask_values say"
    with pytest.raises(DataError) as error:
        masks(folder, mask_values=[0, 1])
    assert str(error.value).startswith(sentence)


def test_masks_of_black_and_white_say_nothing_by_themselves(folder):
    with pytest.raises(DataError) as error:
        masks(folder, np.where(IDS == 1, 255, 0).astype(np.uint8))
    assert str(error.value) == (
        "table.csv: the masks hold nothing but 0 and 255, and 255 means that nothing is said there; "
        "data.mask_values: [0, 255] makes 255 the class 1"
    )


def test_masks_follow_a_resize_by_the_nearest_pixel(folder):
    mask = masks(folder, resize=(6, 2))
    expected = np.stack([np.roll(IDS, i, 0) for i in range(3)]).repeat(2, 1)[:, :, 1::2]
    np.testing.assert_array_equal(mask.values, expected)


def test_a_photograph_that_lies_on_its_side(folder):
    """Its pixels are stored 3 x 4 and shown 4 x 3, which is the mask's size."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(np.zeros((3, 4), np.uint8)).save(folder / name, exif=exif)
        Image.fromarray(np.eye(4, 3, dtype=np.uint8)).save(folder / f"{name}.png")
    text = "file,mask\na.jpg,a.jpg.png\nb.jpg,b.jpg.png\n"
    data = read(folder, text, masks="mask")
    assert (data.x.shape[1:3], data.targets["mask"].values.shape[1:]) == ((4, 3), (4, 3))


WRONG = {
    "size": (Image.fromarray(np.zeros((4, 3), np.uint8)),
             "the mask is 4 x 3 (height x width), and its image b.png is 3 x 4; a mask has a number for every pixel of "
             "its image"),
    "colours": (Image.new("RGB", (4, 3)),
                "its pixels are RGB, and a mask has one number a pixel; store class ids as grey or palette PNG"),
    "large": (Image.fromarray(np.full((3, 4), 300, np.uint16)),
              "holds the number 300, and class ids end at 254; store class ids as grey or palette PNG"),
    "no image": (b"mask", "cannot read the mask: it is no image that Pillow knows; repair or remove it"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_masks_are_named(folder, case):
    image, sentence = WRONG[case]
    good = Image.fromarray(IDS)
    for name in FILES:
        good.save(folder / f"mask_{name}")
    if isinstance(image, bytes):
        (folder / "mask_b.png").write_bytes(image)
    else:
        image.save(folder / "mask_b.png")
    text = "file,mask\n" + "".join(f"{name},mask_{name}\n" for name in FILES)
    refused(read, folder, text, f"./mask_b.png: {sentence}", masks="mask")


def test_a_mask_that_is_not_there(folder):
    sentence = "table.csv: line 2: no file 'mask.png'; bad rows: 1 of 1"
    refused(read, folder, "file,mask\na.png,mask.png\n", sentence, masks="mask")


def test_an_enormous_mask(folder, monkeypatch):
    Image.fromarray(IDS).save(folder / "mask.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12)
    data = read(folder, "file,mask\na.png,mask.png\nb.png,mask.png\n", masks="mask")
    assert data.targets["mask"].values.shape == (2, 3, 4)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "mask.png")
    refused(read, folder, "file,mask\na.png,mask.png\nb.png,mask.png\n",
            "./mask.png: more than 12 pixels; make it smaller", masks="mask")  # fmt: skip


# ---------------------------------------------------------------- Parquet


def test_parquet_has_the_same(folder):
    pyarrow = pytest.importorskip("pyarrow", reason="pip install pyarrow")
    table = pyarrow.table({"file": FILES, "cat": [True, False, True], "dog": [0, 1, 1], "age": [0.5, 1.5, 2.5]})
    pytest.importorskip("pyarrow.parquet").write_table(table, folder / "t.parquet")
    spec = Csv(source="csv", path="t.parquet", images="file", labels=["cat", "dog"], values="age", channels=1)
    data = load(spec, folder)
    assert data.targets["labels"].values.tolist() == [[1, 0], [0, 1], [1, 1]]
    assert data.targets["values"].values.tolist() == [[0.5], [1.5], [2.5]]


def test_no_pyarrow_is_needed_for_csv(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert len(read(folder, "file,age\na.png,1\nb.png,2\n", values="age").x) == 2
