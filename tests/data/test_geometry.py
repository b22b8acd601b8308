"""Frames against torchvision's arithmetic written out with Pillow, and masks and boxes against the images' pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cnnlab.data.crop import centre
from cnnlab.data.dataset import Target, load
from cnnlab.data.geometry import Frame, frame_of, framed
from cnnlab.data.images import crop, decode
from cnnlab.data.targets import resize_targets
from cnnlab.errors import SpecError
from cnnlab.spec.data import Digits, ImageFolder
from cnnlab.spec.resize import KeepAspect

sides = st.integers(1, 600)


def resize_and_centre_crop(image: Image.Image, short: int, size: int) -> Image.Image:
    """torchvision.transforms.Resize(short) and CenterCrop(size), for images that are large enough."""
    width, height = image.size
    if width <= height:
        image = image.resize((short, int(short * height / width)), Image.Resampling.BILINEAR)
    else:
        image = image.resize((int(short * width / height), short), Image.Resampling.BILINEAR)
    width, height = image.size
    top, left = round((height - size) / 2.0), round((width - size) / 2.0)
    return image.crop((left, top, left + size, top + size))


@given(sides, sides, st.integers(1, 300), st.data())
def test_the_centre_of_the_middle_is_that_of_the_whole(height, width, side, data):
    """Whatever the surplus: the crop of what is kept lies where CenterCrop cuts it out of all of it."""
    size = data.draw(st.integers(1, side))
    placed = Frame((side, side), "shorter", (size, size)).placed((height, width))
    assert min(placed.scaled) == side
    for scaled, start in zip(placed.scaled, placed.start, strict=True):
        assert 0 <= start <= scaled - side
        assert start + round((side - size) / 2) == round((scaled - size) / 2)


@given(sides, sides, st.integers(1, 300))
def test_the_longer_side_fits_and_the_rest_is_put_around_evenly(height, width, side):
    placed = Frame((side, side), "longer").placed((height, width))
    assert max(placed.scaled) == side
    assert not placed.cuts
    for whole, scaled, start in zip((height, width), placed.scaled, placed.start, strict=True):
        assert scaled == max(1, int(side * whole / max(height, width)))
        assert 0 <= (side - scaled) + 2 * start <= 1


@pytest.mark.parametrize(("height", "width"), [(50, 71), (93, 40), (41, 41), (30, 47)])
@pytest.mark.parametrize(("side", "size"), [(33, 26), (32, 32), (40, 31)])
def test_shorter_and_crop_are_torchvisions(tmp_path, height, width, side, size):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    wanted = np.asarray(resize_and_centre_crop(Image.fromarray(pixels), side, size))
    found = decode(tmp_path / "a.png", 3, Frame((side, side), "shorter", (size, size)))
    np.testing.assert_array_equal(centre(found[None], (size, size))[0], wanted)
    np.testing.assert_array_equal(crop(pixels, (size, size), side, "bilinear"), wanted)  # as weights keep it


def test_longer_is_pillows_with_black_around(tmp_path):
    pixels = np.random.default_rng(0).integers(1, 256, (21, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = decode(tmp_path / "a.png", 3, Frame((32, 32), "longer"))
    small = np.asarray(Image.fromarray(pixels).resize((32, 13), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(found[9:22], small)
    assert found[:9].max() == found[22:].max() == 0
    np.testing.assert_array_equal(crop(pixels, (32, 32), None, "bilinear", 32), found)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("fit", ["shorter", "longer"])
def test_a_turned_jpeg_is_placed_as_it_is_seen(tmp_path, orientation, fit):
    """Decoded at a part of its size; a smooth picture, whose frame tells where it lies."""
    ramp = np.linspace(40, 250, 400)[:, None] * np.ones(240)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(ramp.astype(np.uint8)).save(tmp_path / "a.jpg", quality=95, exif=exif)
    frame = Frame((48, 48), fit)
    reduced, full = (decode(tmp_path / "a.jpg", 1, frame, decoder=how).astype(int) for how in ("reduced", "full"))
    assert reduced.shape == (48, 48, 1)
    assert abs(reduced - full).max() <= 3
    dark = (reduced[..., 0] < 20).all(0 if orientation == 1 else 1)
    assert dark.sum() == (0 if fit == "shorter" else 48 - 28)


@pytest.mark.parametrize("fit", ["stretch", "shorter", "longer"])
@pytest.mark.parametrize("spatial", [(40, 60), (60, 40), (36, 60, 48), (40,)])
def test_masks_and_boxes_lie_on_their_object(fit, spatial):
    """One bright block in the middle third of each axis: its pixels, its mask and its box stay together."""
    low, high = [n // 3 for n in spatial], [2 * n // 3 for n in spatial]
    block = tuple(slice(*ends) for ends in zip(low, high, strict=True))
    x, mask = np.zeros((2, *spatial, 1), np.float32), np.zeros((2, *spatial), np.uint8)
    x[1][block], mask[1][block] = 1, 1
    boxes = np.array([[[-1.0] * (2 * len(spatial) + 1)], [[*low, *high, 0]]], np.float32)
    frame = Frame((24,) * len(spatial), fit)
    small = framed(x, frame)
    targets = {"mask": Target(mask, ("none", "block")), "boxes": Target(boxes, ("block",))}
    found = {kind: new.values for kind, new in resize_targets(targets, spatial, frame.placed(spatial)).items()}
    assert small.shape == (2, *frame.size, 1)
    seen = np.argwhere(small[1, ..., 0] > 0.5)
    there = np.argwhere(found["mask"][1] == 1)
    ends = found["boxes"][1, 0, :-1].reshape(2, -1)
    assert found["boxes"][0].tolist() == [[-1.0] * (2 * len(spatial) + 1)]
    for places in (seen, there):
        np.testing.assert_allclose(places.min(0), ends[0], atol=1)
        np.testing.assert_allclose(places.max(0) + 1, ends[1], atol=1)
    around = (found["mask"] == 255).all(0)
    placed = frame.placed(spatial)
    assert (~around).sum() == np.prod([min(n, 24) for n in placed.scaled])
    assert (small[:, around] == 0).all()


def test_a_box_that_is_cut_off_is_gone():
    """Of 24 x 48 the middle 24 are kept: a box at the left edge goes, one over the cut keeps what is inside."""
    boxes = np.array([[[0, 0, 24, 6, 0], [4, 8, 8, 20, 1]]], np.float32)
    placed = Frame((24, 24), "shorter").placed((24, 48))
    found = resize_targets({"boxes": Target(boxes, ("a", "b"))}, (24, 48), placed)["boxes"].values
    assert found.tolist() == [[[-1] * 5, [4, 0, 8, 8, 1]]]


def test_a_folder_of_many_sizes_with_masks(tmp_path):
    """Images of 20 x 30, 30 x 20 and 24 x 24 whose left half is class 1; its border stays where the picture's is."""
    for i, (height, width) in enumerate([(20, 30), (30, 20), (24, 24)]):
        ids = np.zeros((height, width), np.uint8)
        ids[:, : width // 2] = 1
        for folder, values in (("photos", 200 * ids), ("masks", ids)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(values).save(tmp_path / folder / f"{i}.png")
    for aspect in (KeepAspect(shorter=16), KeepAspect(longer=16)):
        spec = ImageFolder(source="image_folder", path="photos", masks="masks", channels=1, resize=aspect)
        data = load(spec, tmp_path)
        mask = data.targets["mask"].values
        assert data.x.shape == (3, 16, 16, 1)
        assert mask[:, 8, 4].tolist() == [1, 1, 1]
        assert mask[:, 8, 11].tolist() == [0, 0, 0]
        np.testing.assert_array_equal(data.x[..., 0][mask == 1] > 100, True)
        assert (mask == 255).sum((1, 2)).tolist() == ([0, 0, 0] if aspect.shorter else [96, 96, 0])
    assert data.x[0, :3].max() == 0


def test_of_arrays_and_of_what_has_no_axes():
    data = Digits(source="digits", resize=KeepAspect(shorter=16), crop=12)
    assert frame_of(data, 2) == Frame((16, 16), "shorter", (12, 12))
    assert frame_of(Digits(source="digits", resize=(4, 6)), 2) == Frame((4, 6))
    assert frame_of(Digits(source="digits"), 2) is None
    with pytest.raises(SpecError, match=r"data\.resize is 16, and the examples are vectors.*leave data\.resize out"):
        frame_of(data, 0)
