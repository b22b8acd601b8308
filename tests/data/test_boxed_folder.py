"""Folders of images with label files in YOLO's form: the layouts that people have, the names, all that can be wrong."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnlab.data.check.inspect import inspect
from cnnlab.data.dataset import load
from cnnlab.data.prepare import prepare
from cnnlab.errors import DataError
from cnnlab.spec.data import ImageFolder
from cnnlab.spec.split import Split
from tests.data.boxed import NAMES, SCENES, holds_or_is_a_sentence, rows, write_images, write_yolo

SIZE, BOX = (10, 20), (2, 4, 8, 10, 1)
LINE = "1 0.35 0.5 0.3 0.6"  # the same in shares


def read(place: Path, path: str = "photos", boxes: str = "labels", **keys):
    return load(ImageFolder(source="image_folder", path=path, boxes=boxes, resize=8, **keys), place)


def fill(place: Path, images: str, labels: str) -> None:
    """One image with a box, at these places without their endings."""
    write_images(place, {f"{images}.png": (SIZE, [])})
    write_yolo(place, {f"{labels}.png": (SIZE, [BOX])})


@pytest.mark.parametrize(
    ("path", "boxes", "places"),
    [
        ("images", "labels", {"train": ("images/train/", "labels/train/"), "val": ("images/val/", "labels/val/")}),
        (".", ".", {"train": ("images/train/", "labels/train/"), "val": ("images/val/", "labels/val/")}),
        (".", "labels", {"train": ("images/train/", "labels/train/"), "test": ("images/test/", "labels/test/")}),
        (".", ".", {"train": ("train/images/", "train/labels/"), "valid": ("valid/images/", "valid/labels/")}),
        (
            ".",
            ".",
            {"train": ("images/train2017/", "labels/train2017/"), "val": ("images/val2017/", "labels/val2017/")},
        ),
        (".", ".", {"train": ("train/", "train/"), "valid": ("valid/", "valid/")}),
        (".", ".", {"": ("images/", "labels/")}),
        ("photos", "said", {"": ("photos/", "said/")}),
    ],
)
def test_layouts(tmp_path, path, boxes, places):
    for split, (images, labels) in places.items():
        for i in range(2):
            fill(tmp_path, f"{images}{split}{i}.x y", f"{labels}{split}{i}.x y")
    data = read(tmp_path, path, boxes, box_classes=("a", "b"))
    names = {"train": "train", "val": "validation", "valid": "validation", "test": "test"}
    assert {name: len(part) for name, part in data.given.items()} == {names[split]: 2 for split in places if split}
    expected = pytest.approx([1.6, 1.6, 6.4, 4, 1])
    assert [rows(one) for one in data.targets["boxes"].values] == [[expected]] * 2 * len(places)
    assert (data.classes, data.notes) == ((), ())


def test_folders_in_images_are_splits(tmp_path):
    for name in ("cat", "dog"):
        fill(tmp_path, f"images/{name}/1", f"labels/{name}/1")
    words = r"/images: images lie in it, or in train/, val/ and test/ there, and it has other folders; of folders that"
    with pytest.raises(DataError, match=f"{words} are classes, it is the path itself$"):
        read(tmp_path, ".")
    assert read(tmp_path, "images").classes == ("cat", "dog")


def test_class_folders_may_have_boxes_too(tmp_path):
    for name in ("cat/1", "cat/2", "dog/1"):
        fill(tmp_path, f"photos/{name}", f"labels/{name}")
    data = read(tmp_path)
    assert (data.classes, data.y.tolist()) == (("cat", "dog"), [0, 0, 1])
    assert data.targets["labels"].values.tolist() == [[0, 1]] * 3


def test_images_without_objects_are_counted(tmp_path):
    write_images(tmp_path / "photos", SCENES)
    write_yolo(tmp_path / "labels", SCENES)
    (tmp_path / "labels" / "b.txt").unlink()
    data = read(tmp_path)
    assert data.notes == ("labels: 1 of 4 images have no label file, and 1 an empty one: there are no objects in them",)
    assert [len(rows(one)) for one in data.targets["boxes"].values] == [2, 0, 0, 3]


def test_polygons_are_the_boxes_around_them(tmp_path):
    write_images(tmp_path / "photos", {"a.png": (SIZE, []), "b.png": (SIZE, [])})
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("0 0.1 0.2 0.5 0.1 0.3 0.9\r\n\n1 0 0 1 0 1 0.5 0 0.5\r\n")
    found = read(tmp_path).targets["boxes"]
    assert found.values[0].tolist() == [pytest.approx(row) for row in ([0.8, 0.8, 7.2, 4, 0], [0, 0, 4, 8, 1])]
    assert rows(found.values[1]) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("labels/classes.txt", "cat\ndog\n\n"),
        ("classes.txt", "cat\r\ndog\r\n"),
        ("data.yaml", "path: .\nnc: 2\nnames: [cat, dog]\n"),
        ("data.yaml", "train: images/train\nnames:\n  0: cat\n  1: dog\n"),
        ("photos/data.yaml", "names: [cat, dog]"),
    ],
)
def test_names_are_those_beside(tmp_path, file, text):
    for name in "ab":
        fill(tmp_path, f"photos/{name}", f"labels/{name}")
    (tmp_path / file).write_text(text)
    assert read(tmp_path).targets["boxes"].names == ("cat", "dog")
    assert read(tmp_path, box_classes=("x", "y")).targets["boxes"].names == ("x", "y")


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("data.yaml", "nc: 3\nnames: [cat, dog]\n", "data.yaml:1:5: nc is 3, and there are 2 names; take nc out, or "
                                                     "name all classes"),
        ("data.yaml", "names: {0: cat, 2: dog}\n", "data.yaml:1:8: names are not numbered 0, 1, 2, ...; names: "
                                                    "[cat, dog], or names: {0: cat, 1: dog}"),
        ("data.yaml", "train: x\n", "data.yaml:1:1: no names of classes; names: [cat, dog], or "
                                    "names: {0: cat, 1: dog}"),
        ("data.yaml", "names: [cat", "data.yaml:1:12: not YAML: while parsing a flow sequence, expected ',' or ']', "
                                     "but got '<stream end>'; see yaml.org/spec"),
        ("classes.txt", "cat\ncat\n", "classes.txt: names 'cat' twice; names tell classes apart"),
        ("classes.txt", "\n", "classes.txt: names no class; or give data.box_classes"),
    ],
)  # fmt: skip
def test_names_that_are_none(tmp_path, file, text, sentence):
    for name in "ab":
        fill(tmp_path, f"photos/{name}", f"labels/{name}")
    (tmp_path / file).write_text(text)
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert str(error.value) == f"{tmp_path}/{sentence}"


FORM = "; a line is 'class cx cy w h', or 'class x1 y1 x2 y2 x3 y3 ...' of a polygon"
CLASSES = "; classes go from 0 to 2: cat, dog, cow"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("1 0.5 0.5 0.1 0.1 0.9", f"6 numbers, '1 0.5 0.5 0.1 0.1 0.9'{FORM}"),
        ("1 0.5 0.5 0.1", f"4 numbers, '1 0.5 0.5 0.1'{FORM}"),
        ("1 " + "0.25 " * 17, f"18 numbers, '1 {'0.25 ' * 11}0.2...'{FORM}"),
        ("dog 0.5 0.5 0.1 0.1", f"'dog' is no number{FORM}"),
        ("1 0,5 0.5 0.1 0.1", f"'0,5' is no number{FORM}"),
        ("1 0.5 nan 0.1 0.1", "the box has a number that is NaN or infinite; numbers must be finite"),
        ("1 0.1 0.1 inf 0.1 0.2 0.2", "the box has a number that is NaN or infinite; numbers must be finite"),
        ("3 0.5 0.5 0.1 0.1", f"the class is 3, and there are 3{CLASSES}"),
        ("-1 0.5 0.5 0.1 0.1", f"the class is -1, and there are 3{CLASSES}"),
        ("0.5 0.5 0.5 0.1 0.1", f"the class is 0.5, and there are 3{CLASSES}"),
        ("1 0.5 0.5 0 0.1", "the box is 0 wide and 1 high; it must have an area"),
        ("1 0.5 0.5 0.1 -0.2", "the box is 2 wide and -2 high; it must have an area"),
        ("1 0.9 0.5 0.4 0.2", "the box goes from x 14 to 22 and y 4 to 6, and the image is 20 wide and 10 high; cut "
                              "it at the image's edge"),
        ("1 14 5 8 2", "the box goes from x 200 to 360 and y 40 to 60, and the image is 20 wide and 10 high; the "
                       "numbers are shares of the image's sides, from 0 to 1"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named(tmp_path, line, sentence):
    for name in "ab":
        fill(tmp_path, f"photos/{name}", f"labels/{name}")
    (tmp_path / "labels/b.txt").write_text(f"{LINE}\n\n{line}\n")
    with pytest.raises(DataError) as error:
        read(tmp_path, box_classes=NAMES)
    assert str(error.value) == f"labels/b.txt:3: {sentence}"
    (tmp_path / "photos/c.png").write_bytes((tmp_path / "photos/a.png").read_bytes())
    data = read(tmp_path, box_classes=NAMES, on_bad_file="skip")
    assert (data.files, data.targets["boxes"].values.shape) == (("a.png", "c.png"), (2, 1, 5))
    reason = f"labels/b.txt:3: {sentence.split(';')[0]}"
    assert data.skipped == {"b.png": reason}
    assert f"photos: 1 of 3 images are skipped, for example b.png: {reason}" in data.notes


def test_all_that_is_wrong_is_counted(tmp_path):
    for name in "ab":
        fill(tmp_path, f"photos/{name}", f"labels/{name}")
        (tmp_path / f"labels/{name}.txt").write_text("1 0.5 0.5 0 0.1\n1 0.5 0.5 0.1 0\n")
    with pytest.raises(DataError, match=r"the box is 0 wide and 1 high; it must have an area; annotations that are "
                                        r"wrong: 4$"):  # fmt: skip
        read(tmp_path)


def test_label_files_of_other_images(tmp_path):
    for split in ("train", "val"):
        for i in range(2):
            fill(tmp_path, f"images/{split}/{split}{i}", f"labels/{split}/{split}{i}")
    (tmp_path / "labels/val/val0.txt").rename(tmp_path / "labels/train/val0.txt")
    with pytest.raises(DataError) as error:
        read(tmp_path, "images")
    words = "labels/train/val0.txt: there is no image for this label file"
    words += ", and val/val0.png has its name"
    assert str(error.value) == f"{words}; are folders mixed up?"
    data = read(tmp_path, "images", on_bad_file="skip")
    assert data.notes[0] == "labels: 1 of 4 images have no label file, and 0 an empty one: there are no objects in them"
    assert data.notes[1] == f"images: annotations of no image: 1, for example {words}"
    fill(tmp_path, "elsewhere/test0", "labels/test/test0")
    with pytest.raises(
        DataError, match=r"labels/test/test0\.txt: there is no image .*; annotations that are wrong: 2$"
    ):
        read(tmp_path, "images")
    (tmp_path / "labels/test/test0.txt").unlink()
    (tmp_path / "labels/train/val0.txt").rename(tmp_path / "labels/train/other.txt")
    with pytest.raises(
        DataError, match=r"labels/train/other\.txt: there is no image for this label file; remove it, or"
    ):
        read(tmp_path, "images")
    (tmp_path / "labels").rename(tmp_path / "said")
    with pytest.raises(DataError, match=r"labels: no such file or folder"):
        read(tmp_path, "images")
    (tmp_path / "labels").mkdir()
    with pytest.raises(DataError) as error:
        read(tmp_path, "images")
    sentence = "none of the 4 images has a label file; that of train/train0.png would be train/train0.txt"
    assert str(error.value) == f"labels: {sentence}"


def test_two_images_of_a_name_and_two_label_files(tmp_path):
    for name in "ab":
        fill(tmp_path, f"photos/{name}", f"labels/{name}")
    Image.new("L", (20, 10)).save(tmp_path / "photos/b.bmp")
    with pytest.raises(DataError) as error:
        read(tmp_path)
    message = "it would be the label file of b.bmp and of b.png; rename one of the images"
    assert str(error.value) == f"labels/b.txt: {message}"
    (tmp_path / "photos/b.bmp").unlink()
    (tmp_path / "labels/b.xml").write_text("<annotation/>")
    with pytest.raises(DataError, match=r"b.txt and b.xml are both label files of one image; keep one of them$"):
        read(tmp_path)


def test_other_things_that_are_wrong(tmp_path):
    for name in "ab":
        fill(tmp_path, f"photos/{name}", f"labels/{name}")
    (tmp_path / "labels/a.txt").write_bytes(b"\xff\xfe1")
    with pytest.raises(DataError, match=r"^labels/a.txt: cannot be read: it is no text in UTF-8; repair it$"):
        read(tmp_path)
    for name in "ab":
        (tmp_path / f"labels/{name}.txt").write_text("\n")
    with pytest.raises(DataError, match=r"^photos: no image has an object; what is said of the images is empty$"):
        read(tmp_path)
    (tmp_path / "label").write_text("")
    with pytest.raises(DataError, match=r"^label: label is a file, and a folder of label files is wanted$"):
        read(tmp_path, boxes="label")
    fill(tmp_path, "photos/val/c", "labels/val/c")
    fill(tmp_path, "photos/valid/c", "labels/valid/c")
    fill(tmp_path, "photos/train/c", "labels/train/c")
    with pytest.raises(DataError, match=r"val/ and valid/ mean the same, and both are there; keep one$"):
        read(tmp_path)


def test_a_class_without_objects_in_a_split_is_noted(tmp_path):
    for split, label in (("train", 0), ("train", 1), ("test", 1)):
        write_images(tmp_path, {f"images/{split}/{label}.png": (SIZE, [])})
        write_yolo(tmp_path, {f"labels/{split}/{label}.png": (SIZE, [(*BOX[:4], label)])})
    spec = ImageFolder(source="image_folder", path=".", boxes=".", resize=8, box_classes=NAMES)
    spec = spec.model_copy(update={"split": Split(train="rest")})
    assert "1 classes of boxes have no object in test: cat" in prepare(spec, tmp_path, 0).notes


WORDS = st.sampled_from(["0", "1", "2", "-1", "0.5", "0.1", "1e999", "nan", "-0.0", "1e-300", "3e38", "x", "1_0", "٣"])
LINES = st.lists(WORDS, max_size=9).map(" ".join).map(str.encode) | st.binary(max_size=30)


@given(st.lists(LINES, max_size=5), st.lists(LINES, max_size=5))
@settings(max_examples=60, deadline=None)
def test_whatever_label_files_hold_is_read_or_a_sentence(first, second):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_images(folder / "photos", {"a.bmp": (SIZE, []), "b.bmp": (SIZE, [])})
        (folder / "labels").mkdir()
        for name, lines in (("a", first), ("b", second)):
            (folder / f"labels/{name}.txt").write_bytes(b"\n".join(lines))
        holds_or_is_a_sentence(lambda: read(folder), 8)


def test_masks_and_boxes_of_the_same_images(tmp_path):
    """What is wrong with a box is told, and the masks are looked at all the same."""
    for name in "abc":
        fill(tmp_path, f"photos/{name}", f"labels/{name}")
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(np.eye(10, 20, dtype=np.uint8)).save(tmp_path / f"masks/{name}.png")
    spec = ImageFolder(source="image_folder", path="photos", boxes="labels", masks="masks", resize=8)
    assert set(load(spec, tmp_path).targets) == {"boxes", "labels", "mask"}
    (tmp_path / "labels/b.txt").write_text("1 0.5 0.5 0 0.1\n")
    Image.new("L", (3, 4)).save(tmp_path / "masks/c.png")
    found = {(finding.kind, finding.file) for finding in inspect(spec, tmp_path, 0).findings}
    assert {("data", "masks/c.png"), ("box_empty", "b.png")} <= found
    assert ("conflicting_labels", "b.png") in found  # the images are identical, and the boxes are not
    (tmp_path / "masks/c.png").write_bytes((tmp_path / "masks/a.png").read_bytes())
    for bad, count in (("error", 3), ("skip", 2)):
        examples = inspect(spec.model_copy(update={"on_bad_file": bad}), tmp_path, 0).examples
        assert examples is not None
        assert {len(target.values) for target in examples.dataset.targets.values()} == {count}


def test_a_box_that_is_there_twice(tmp_path):
    for name in "ab":
        fill(tmp_path, f"photos/{name}", f"labels/{name}")
    (tmp_path / "labels/b.txt").write_text(f"{LINE}\n{LINE}\n0 0.5 0.5 0.1 0.1\n")
    spec = ImageFolder(source="image_folder", path="photos", boxes="labels", resize=8)
    (finding,) = [f for f in inspect(spec, tmp_path, 0).findings if f.kind == "box_twice"]
    assert (finding.file, finding.what, finding.severity) == ("b.png", "1 of its boxes", "warning")


def test_classes_go_by_one_class_an_example(tmp_path):
    for name in "ab":
        fill(tmp_path, f"photos/{name}", f"labels/{name}")
    sentence = "^photos: data.classes: the examples are not of one class each; leave data.classes out$"
    with pytest.raises(DataError, match=sentence):
        read(tmp_path, classes=("0", "1"))
