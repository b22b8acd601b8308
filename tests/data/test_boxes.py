"""Boxes out of files: what is written is what is read, in the frame that the images are brought to."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnlab.data.dataset import load
from cnnlab.data.stored import StoredImages
from cnnlab.errors import DataError
from cnnlab.spec.coco import Coco
from cnnlab.spec.data import ImageFolder
from cnnlab.spec.resize import KeepAspect
from tests.data.boxed import NAMES, SCENES, rows, write_coco, write_images, write_voc, write_yolo


@st.composite
def boxes(draw, size: tuple[int, int], *, whole: bool):
    edges = []
    for side in size:
        number = st.integers(0, side) if whole else st.floats(0, side)
        edges.append(draw(st.tuples(number, number).map(sorted).filter(lambda ends: ends[1] - ends[0] > 0.05)))
    (y0, y1), (x0, x1) = edges
    return y0, x0, y1, x1, draw(st.integers(0, 2))


@st.composite
def scenes(draw, *, whole: bool):
    sizes = draw(st.lists(st.tuples(st.integers(2, 900), st.integers(2, 900)), min_size=2, max_size=3))
    made = {}
    for i, size in enumerate(sizes):
        made[f"{i}.bmp"] = (size, draw(st.lists(boxes(size, whole=whole), min_size=i == 0, max_size=4)))
    return made


@pytest.mark.parametrize("form", ["yolo", "coco", "voc"])
def test_what_is_written_is_what_is_read(form):
    @given(scenes(whole=form == "voc"), st.tuples(st.integers(2, 300), st.integers(2, 300)))
    @settings(max_examples=12, deadline=None)
    def round_trip(made, resize):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            for name, ((height, width), _) in made.items():  # of one bit, 900 x 900 pixels are 0.1 MB
                (folder / "photos").mkdir(exist_ok=True)
                Image.new("1", (width, height)).save(folder / "photos" / name)
            if form == "coco":
                write_coco(folder / "all.json", made)
                spec = Coco(source="coco", path="photos", annotations="all.json", resize=resize)
            else:
                (write_yolo if form == "yolo" else write_voc)(folder / "labels", made)
                spec = ImageFolder(
                    source="image_folder", path="photos", boxes="labels", box_classes=NAMES, resize=resize
                )
            data = load(spec, folder)
        found = data.targets["boxes"]
        assert (found.names, data.files) == (NAMES, tuple(made))
        for i, (size, wanted) in enumerate(made.values()):
            factors = np.array([*np.divide(resize, size), *np.divide(resize, size), 1])
            expected = np.array([np.array(box) * factors for box in wanted]).reshape(-1, 5)
            np.testing.assert_allclose(np.array(rows(found.values[i])).reshape(-1, 5), expected, rtol=1e-6, atol=1e-4)
            present = {label for *_, label in wanted}
            assert data.targets["labels"].values[i].tolist() == [k in present for k in range(3)]

    round_trip()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_boxes_lie_in_the_upright_image(tmp_path, orientation, suffix):
    """A bright rectangle in the image as a person sees it, whichever way the file has it."""
    upright = np.zeros((48, 80), np.uint8)
    upright[8:24, 16:56] = 255
    stored = np.asarray(_stored(Image.fromarray(upright), orientation))
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        Image.fromarray(stored).save(tmp_path / "photos" / f"{name}{suffix}", exif=exif)
    write_yolo(tmp_path / "labels", {name: ((48, 80), [(8, 16, 24, 56, 0)]) for name in ("a.x", "b.x")})
    write_coco(tmp_path / "all.json", {f"a{suffix}": ((48, 80), [(8, 16, 24, 56, 0)]), f"b{suffix}": ((48, 80), [])})
    for resize in (None, (96, 40), KeepAspect(shorter=32), KeepAspect(longer=40)):
        keys = {"path": "photos", "channels": 1, "resize": resize}
        folder = load(ImageFolder(source="image_folder", boxes="labels", box_classes=("x",), **keys), tmp_path)
        for data in (folder, load(Coco(source="coco", annotations="all.json", **keys), tmp_path)):
            lit = data.x[0, ..., 0] > 127
            lows, highs = zip(*((np.flatnonzero(lit.any(1 - axis))[[0, -1]]) for axis in (0, 1)), strict=True)
            y0, x0, y1, x1, _ = data.targets["boxes"].values[0, 0]
            np.testing.assert_allclose([y0, x0], lows, atol=1)
            np.testing.assert_allclose([y1, x1], np.array(highs) + 1, atol=1)


def _stored(upright: Image.Image, orientation: int) -> Image.Image:
    """What the file has, of which EXIF's orientation makes the upright image (its inverse)."""
    turns = Image.Transpose
    undone = {2: turns.FLIP_LEFT_RIGHT, 3: turns.ROTATE_180, 4: turns.FLIP_TOP_BOTTOM, 5: turns.TRANSPOSE,
              6: turns.ROTATE_90, 7: turns.TRANSVERSE, 8: turns.ROTATE_270}  # fmt: skip
    return upright.transpose(undone[orientation]) if orientation > 1 else upright


def folder_of(place: Path, made=SCENES, **keys):
    write_images(place / "photos", made)
    write_yolo(place / "labels", made)
    keys = {"resize": 12, "box_classes": NAMES, **keys}
    return load(ImageFolder(source="image_folder", path="photos", boxes="labels", **keys), place)


def test_images_that_stay_in_files_have_the_same_boxes(tmp_path):
    whole, stored = (folder_of(tmp_path, memory=memory) for memory in ("1MiB", "1KiB"))
    assert (isinstance(whole.x, np.ndarray), isinstance(stored.x, StoredImages)) == (True, True)
    for kind in ("boxes", "labels"):
        np.testing.assert_array_equal(whole.targets[kind].values, stored.targets[kind].values)
    assert whole.targets["boxes"].values.shape == (4, 3, 5)
    assert whole.digests == stored.digests


def test_what_the_frame_cuts_off_is_no_object(tmp_path):
    """Of 40 columns the middle 30 are kept; a box of which less than a quarter is seen is none."""
    made = {**SCENES, "a.png": ((30, 40), [(2, 4, 12, 24, 0), (10, 0, 30, 6, 2)])}
    data = folder_of(tmp_path, made, resize=KeepAspect(shorter=30))
    assert rows(data.targets["boxes"].values[0]) == [[2, 0, 12, 19, 0]]
    assert data.targets["labels"].values[0].tolist() == [1, 0, 0]


def test_memory_is_asked_for_before_it_is_taken(tmp_path, monkeypatch):
    from cnnlab.data import memory

    monkeypatch.setattr(memory, "available_bytes", lambda: 200)
    with pytest.raises(DataError, match=r"^photos: up to 3 boxes of each of 4 images would take .* GiB are available; "
                                        r"d.png has the most; leave such images out$"):  # fmt: skip
        folder_of(tmp_path)


def test_up_to_a_pixel_outside_is_rounding(tmp_path):
    write_images(tmp_path / "photos", SCENES)
    write_yolo(tmp_path / "labels", {**SCENES, "a.png": ((30, 40), [(-0.9, -1, 30.9, 41, 0)])})
    data = load(ImageFolder(source="image_folder", path="photos", boxes="labels", resize=(30, 40)), tmp_path)
    assert rows(data.targets["boxes"].values[0]) == [[0, 0, 30, 40, 0]]
    assert data.targets["boxes"].names == ("0", "1")
