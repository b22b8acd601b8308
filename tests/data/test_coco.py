"""COCO's JSON: one file or one for each split, where its images are, all that can be wrong."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.data.dataset import load
from cnnlab.errors import DataError
from cnnlab.spec.coco import Coco
from tests.data.boxed import NAMES, SCENES, coco, holds_or_is_a_sentence, rows, write_coco, write_images


def read(place: Path, **keys):
    keys = {"path": "photos", "resize": 8, "annotations": None if "train" in keys else "all.json", **keys}
    return load(Coco(source="coco", **keys), place)


def test_one_file_for_all(tmp_path):
    write_images(tmp_path / "photos", SCENES)
    write_coco(tmp_path / "all.json", SCENES)
    data = read(tmp_path)
    assert (data.files, data.given, data.classes) == (tuple(SCENES), {}, ())
    assert data.targets["boxes"].names == NAMES  # by their ids, whatever their order in the file
    assert rows(data.targets["boxes"].values[1]) == [[0, 0, 8, 8, 1]]
    assert data.notes == ("photos: of 1 of 4 images there is no annotation: there are no objects in them",)


def parted() -> tuple[dict, dict]:
    """Two and two of the scenes."""
    names = list(SCENES)
    return {name: SCENES[name] for name in names[:2]}, {name: SCENES[name] for name in names[2:]}


@pytest.mark.parametrize(
    ("folders", "files"),
    [
        (("", ""), ("one.json", "two.json")),
        (("train2017", "val2017"), ("annotations/instances_train2017.json", "annotations/instances_val2017.json")),
        (("train", "valid"), ("photos/train/_annotations.coco.json", "photos/valid/_annotations.coco.json")),
        (("one", "two"), ("photos/one/said.json", "photos/two/said.json")),
        (("images", "images"), ("one.json", "two.json")),
    ],
)
def test_splits_and_where_their_images_are(tmp_path, folders, files):
    for part, folder, file in zip(parted(), folders, files, strict=True):
        write_images(tmp_path / "photos" / folder, part)
        write_coco(tmp_path / file, part)
    data = read(tmp_path, train=files[0], validation=files[1])
    assert {name: part.tolist() for name, part in data.given.items()} == {"train": [0, 1], "validation": [2, 3]}
    placed = zip(parted(), folders, strict=True)
    expected = [f"{folder}/{name}".removeprefix("/") for part, folder in placed for name in part]
    assert data.files == tuple(expected)
    assert [len(rows(one)) for one in data.targets["boxes"].values] == [2, 1, 0, 3]


def test_crowds_are_left_out_and_counted(tmp_path):
    write_images(tmp_path / "photos", SCENES)
    content = coco(SCENES)
    content["annotations"][2] |= {"iscrowd": 1, "segmentation": {"counts": [1, 2], "size": [20, 20]}}
    (tmp_path / "all.json").write_text(json.dumps(content))
    data = read(tmp_path)
    assert [len(rows(one)) for one in data.targets["boxes"].values] == [2, 0, 0, 3]
    assert "photos: 1 annotations of crowds (iscrowd) are left out" in data.notes


def _set(key: str, place: int, **values) -> Callable[[dict], object]:
    return lambda content: content[key][place].update(values)


CASES = [
    (_set("annotations", 1, bbox=[30, 4, 12, 5]),
     "annotations[1]: the box goes from x 30 to 42 and y 4 to 9, and the image is 40 wide and 30 high; cut it at the "
     "image's edge", "a.png"),
    (_set("annotations", 0, bbox=[3, 4, 0, 5]),
     "annotations[0]: the box is 0 wide and 5 high; it must have an area", "a.png"),
    (_set("annotations", 0, bbox=[3, float("nan"), 1, 5]),
     "annotations[0]: the box has a number that is NaN or infinite; numbers must be finite", "a.png"),
    (_set("annotations", 0, bbox=[3, 4, 5]),
     "annotations[0]: bbox is [3, 4, 5]; it is [x, y, width, height] in pixels", "a.png"),
    (_set("annotations", 0, bbox=["3", 4, 5, 6]),
     "annotations[0]: bbox is ['3', 4, 5, 6]; it is [x, y, width, height] in pixels", "a.png"),
    (lambda content: content["annotations"][0].pop("bbox"),
     "annotations[0]: bbox is None; it is [x, y, width, height] in pixels", "a.png"),
    (_set("annotations", 2, category_id=2),
     "annotations[2]: there is no category with the id 2; there are 1, 4, 7", "b.png"),
    (_set("annotations", 2, image_id=5),
     "annotations[2]: there is no image with the id 5; image_id is the id of one of images", ""),
    (_set("annotations", 2, image_id="100"),
     "annotations[2]: there is no image with the id '100'; image_id is the id of one of images", ""),
    (_set("images", 1, file_name="other.png"), "images[1]: there is no file other.png; it would be in PHOTOS", "b.png"),
    (_set("images", 1, id=100), "images[1]: the id 100 is there twice; ids tell images apart", "a.png b.png"),
    (_set("images", 2, file_name="a.png"),
     "images[2]: a.png stands in all.json: images[0] too; an image is in one split, and once", "a.png c.png"),
    (_set("images", 1, id="1"),
     "images[1]: id is '1' and file_name 'b.png'; an image has a whole number and a file", "b.png"),
    (_set("images", 0, height=40, width=30),
     "images[0]: the annotation says that a.png is 40 x 30 (height x width), and it is 30 x 40; boxes lie in the "
     "image turned as its EXIF data say", "a.png"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence", "file"), CASES)
def test_a_wrong_entry_is_named(tmp_path, change, sentence, file):
    write_images(tmp_path / "photos", SCENES)
    content = coco(SCENES)
    change(content)
    (tmp_path / "all.json").write_text(json.dumps(content))
    with pytest.raises(DataError) as error:
        read(tmp_path)
    wanted = f"all.json: {sentence}".replace("PHOTOS", f"{tmp_path}/photos")
    found = str(error.value).split("; annotations that are wrong: ")[0]  # an image without its id: its boxes too
    assert found == wanted
    kept = [name for name in SCENES if name not in file]
    assert list(read(tmp_path, on_bad_file="skip").files or ()) == kept


STRANGE = st.sampled_from([None, True, -1, 0, 10**400, 1e999, float("nan"), "", "a.png", "\ud800", "a\0b", [], {}, [1]])
PLACES = st.tuples(
    st.sampled_from(["images", "annotations", "categories"]),
    st.integers(0, 2),
    st.sampled_from(["id", "file_name", "width", "height", "name", "image_id", "category_id", "bbox", "iscrowd"]),
)


@given(st.lists(st.tuples(PLACES, STRANGE | st.lists(STRANGE, min_size=4, max_size=4)), min_size=1, max_size=3))
@settings(max_examples=80, deadline=None)
def test_whatever_entries_hold_is_read_or_a_sentence(changes):
    content = coco(SCENES)
    for (key, place, name), value in changes:
        content[key][place][name] = value
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder) / "photos", SCENES)
        (Path(folder) / "all.json").write_text(json.dumps(content))
        holds_or_is_a_sentence(lambda: read(Path(folder)), 8)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"images": [', "all.json:1:13: no JSON: Expecting value; copy or write it again"),
        ("[]", "all.json: no mapping with images, annotations and categories; COCO's object detection has images, "
               "annotations and categories"),
        ('{"images": [], "categories": []}', "all.json: no list 'annotations'; COCO's object detection has images, "
                                             "annotations and categories"),
        ('{"images": [3], "annotations": [], "categories": []}', "all.json: images[0] is no mapping; COCO's object "
                                                                 "detection has images, annotations and categories"),
        ('{"images": [], "annotations": [], "categories": []}', "all.json: no categories; they name the classes"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}',
         "all.json: names no image that is there"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
         "all.json: categories[1]: the id 1 is there twice; ids tell categories apart"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}',
         "all.json: two categories are called 'a'; names tell classes apart"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}',
         "all.json: categories[0]: id is 1 and name None; a category has a whole number and a name"),
    ],
)  # fmt: skip
def test_files_that_are_none(tmp_path, text, sentence):
    (tmp_path / "photos").mkdir()
    (tmp_path / "all.json").write_text(text)
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert str(error.value) == sentence


def test_splits_that_contradict_each_other(tmp_path):
    write_images(tmp_path / "photos", SCENES)
    one, two = map(coco, parted())
    two["categories"][0]["name"] = "horse"
    (tmp_path / "one.json").write_text(json.dumps(one))
    (tmp_path / "two.json").write_text(json.dumps(two))
    with pytest.raises(DataError) as error:
        read(tmp_path, train="one.json", test="two.json")
    sentence = (
        "two.json: categories[0]: the category 7 is 'horse', and 'cow' in one.json; splits share their categories"
    )
    assert str(error.value) == sentence
    (tmp_path / "two.json").write_text(json.dumps(coco(SCENES)))
    with pytest.raises(DataError) as error:
        read(tmp_path, train="one.json", test="two.json")
    sentence = "two.json: images[0]: a.png stands in one.json: images[0] too; an image is in one split, and once"
    assert str(error.value).startswith(sentence)
