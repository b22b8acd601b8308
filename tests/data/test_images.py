"""One image at a time: every mode of Pillow, and damage."""

import io
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnlab.data.images import crop, decode, is_image
from cnnlab.errors import DataError

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (6, 4, 3), dtype=np.uint8)
GRAY = RANDOM.integers(0, 256, (6, 4), dtype=np.uint8)


def saved(folder, image, name="image.png", **options):
    image.save(folder / name, **options)
    return folder / name


def test_names_of_images():
    assert is_image("a.JPG")
    assert is_image("b.c.tiff")
    assert not is_image("notes.txt")
    assert not is_image("png")


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm"])
def test_colour(tmp_path, name):
    np.testing.assert_array_equal(decode(saved(tmp_path, Image.fromarray(COLOUR), name), 3), COLOUR)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.pgm", "a.gif"])
def test_gray(tmp_path, name):
    path = saved(tmp_path, Image.fromarray(GRAY), name)
    np.testing.assert_array_equal(decode(path, 1), GRAY[..., None])
    np.testing.assert_array_equal(decode(path, 3), np.repeat(GRAY[..., None], 3, -1))


def test_colour_to_luminance(tmp_path):
    found = decode(saved(tmp_path, Image.fromarray(COLOUR)), 1)[..., 0]
    np.testing.assert_allclose(found, COLOUR @ [0.299, 0.587, 0.114], atol=1)  # ITU-R BT.601


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path, name):
    values = np.array([[0, 128, 129, 257], [300, 32896, 65406, 65535]], np.uint16)
    found = decode(saved(tmp_path, Image.fromarray(values), name), 1)[..., 0]
    np.testing.assert_array_equal(found, np.round(values / 257))
    assert found.tolist() == [[0, 0, 1, 1], [1, 128, 254, 255]]


def test_more_than_sixteen_bits(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.array([[0, 70000]], np.int32)), "a.tif")
    with pytest.raises(DataError, match=r"a\.tif: its values go from 0 to 70000, and 16 bits end at 65535"):
        decode(path, 1)
    path = saved(tmp_path, Image.fromarray(np.array([[0.5, 1]], np.float32)), "b.tif")
    with pytest.raises(DataError, match=r"b\.tif: its values are floating-point numbers; store it with 8 or 16 bits"):
        decode(path, 1)


def test_black_and_white(tmp_path):
    found = decode(saved(tmp_path, Image.fromarray(GRAY > 99)), 1)[..., 0]
    np.testing.assert_array_equal(found, np.where(GRAY > 99, 255, 0))


def test_palette(tmp_path):
    image = Image.fromarray(COLOUR).quantize(24)
    np.testing.assert_array_equal(decode(saved(tmp_path, image), 3), np.asarray(image.convert("RGB")))


def test_transparency_is_laid_on_white(tmp_path):
    alpha = np.array([[0, 255, 51]], np.uint8)
    pixels = np.dstack([np.full((1, 3, 3), 100, np.uint8), alpha])
    found = decode(saved(tmp_path, Image.fromarray(pixels)), 3)
    assert found[0, :, 0].tolist() == [255, 100, 224]  # 255 - (255 - 100) * alpha / 255
    gray = np.dstack([np.full((1, 3), 100, np.uint8), alpha])
    assert decode(saved(tmp_path, Image.fromarray(gray)), 1).ravel().tolist() == [255, 100, 224]


def test_transparent_palette_colour(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    path = saved(tmp_path, image, transparency=0)
    assert decode(path, 3).tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_cmyk(tmp_path):
    path = saved(tmp_path, Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "a.tif")
    assert decode(path, 3)[0, 0].tolist() == [255, 0, 0]


FORMATS = {"PNG": {}, "BMP": {}, "GIF": {}, "TIFF": {}, "PPM": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 95}}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_and_mode_is_the_image_that_was_written(tmp_path, kind, mode):
    ramp = np.linspace(20, 230, 16 * 16).reshape(16, 16).astype(np.uint8)
    image = Image.fromarray(np.stack([ramp, ramp.T, 255 - ramp], -1))
    if mode == "I;16":
        written = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
        wanted = np.asarray(image.convert("L").convert("RGB"))
    else:
        written = image.convert(mode)
        wanted = np.asarray(written.convert("RGB"))
    try:
        path = saved(tmp_path, written, f"a.{kind}", **FORMATS[kind])
    except (OSError, ValueError):
        pytest.skip(f"{kind} has no {mode}")
    if mode == "I;16" and kind not in ("PNG", "TIFF", "PPM"):
        pytest.skip(f"{kind} holds 8 bits")
    found = decode(path, 3)
    assert (found.dtype, found.shape) == (np.uint8, (16, 16, 3))
    off = abs(found.astype(int) - wanted)
    rounded = kind == "JPEG" or (kind == "GIF" and mode not in ("1", "L", "P"))  # a palette of its own
    assert off.mean() <= (8 if rounded else 1)  # of YCbCr the last bit
    assert off.max() <= (90 if rounded else 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_as_exif_says(tmp_path, orientation):
    turned = {
        1: GRAY,
        2: GRAY[:, ::-1],
        3: GRAY[::-1, ::-1],
        4: GRAY[::-1],
        5: GRAY.T,
        6: np.rot90(GRAY, -1),
        7: GRAY[::-1, ::-1].T,
        8: np.rot90(GRAY),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.png", "a.tif"):
        found = decode(saved(tmp_path, Image.fromarray(GRAY), name, exif=exif), 1)
        np.testing.assert_array_equal(found[..., 0], turned)


def test_first_of_several_frames(tmp_path):
    frames = [Image.fromarray(np.full((2, 2), value, np.uint8)) for value in (10, 200)]
    path = saved(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert decode(path, 1).ravel().tolist() == [10] * 4


def test_size_is_height_and_width(tmp_path):
    found = decode(saved(tmp_path, Image.fromarray(COLOUR)), 3, (2, 7))
    assert found.shape == (2, 7, 3)
    np.testing.assert_array_equal(found, Image.fromarray(COLOUR).resize((7, 2), Image.Resampling.BILINEAR))


def test_bombs(tmp_path, monkeypatch):
    path = saved(tmp_path, Image.fromarray(COLOUR))
    for limit in (20, 10):  # Pillow warns of the first and raises at the second
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(DataError, match=rf"image\.png: more than {limit} pixels; make it smaller"):
            decode(path, 3)


def test_a_bomb_is_an_error_where_warnings_are_not(tmp_path, monkeypatch):
    path = saved(tmp_path, Image.fromarray(COLOUR))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match=r"more than 20 pixels"):
            decode(path, 3)


def test_unreadable(tmp_path):
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(DataError, match=r"text\.png: cannot read the image: it is no image that Pillow knows; repair"):
        decode(tmp_path / "text.png", 3)
    with pytest.raises(DataError, match=r"class/missing\.png: cannot read the image: .*No such file"):
        decode(tmp_path / "missing.png", 3, name="class/missing.png")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.gif", "a.webp", "a.tif", "a.ppm"])
def test_truncated(tmp_path, name):
    path = saved(tmp_path, Image.fromarray(RANDOM.integers(0, 256, (40, 40, 3), dtype=np.uint8)), name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"a\.{name[2:]}: cannot read the image: .*; repair or remove it"):
        decode(path, 3)


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, kind)
    return file.getvalue()


ENCODED = {kind: encoded(kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP")}


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(sorted(ENCODED)),
    flips=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 7)), min_size=1, max_size=5),
)
def test_damage_anywhere_is_a_data_error_or_an_image(tmp_path_factory, kind, flips):
    copy = bytearray(ENCODED[kind])
    for position, bit in flips:
        copy[position % len(copy)] ^= 1 << bit
    path = tmp_path_factory.mktemp("damaged") / "image"
    path.write_bytes(bytes(copy))
    try:
        found = decode(path, 3, (5, 5))
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert found.shape == (5, 5, 3)


# ---------------------------------------------------------------- crop


def bilinear(x):
    return np.maximum(1 - abs(x), 0)


def bicubic(x):
    """Keys 1981 with a = -1/2."""
    x = abs(x)
    inner, outer = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, inner, np.where(x < 2, outer, 0))


FILTERS = {"bilinear": (bilinear, 1), "bicubic": (bicubic, 2)}


def enlarged(pixels, axis, size, interpolation):
    """Weighted means along one axis, the filter widened where the image shrinks; levels are rounded and clipped."""
    weigh, support = FILTERS[interpolation]
    scale = pixels.shape[axis] / size
    widened = max(scale, 1)
    rows = []
    for i in range(size):
        centre = (i + 0.5) * scale
        first = int(max(centre - support * widened + 0.5, 0))
        last = int(min(centre + support * widened + 0.5, pixels.shape[axis]))
        weights = weigh((np.arange(first, last) + 0.5 - centre) / widened)
        taken = np.moveaxis(pixels, axis, -1)[..., first:last].astype(float)
        rows.append(np.clip(np.floor(taken @ (weights / weights.sum()) + 0.5), 0, 255))
    return np.moveaxis(np.array(rows), 0, axis)


def cropped(pixels, size, resize, interpolation):
    """Resize to the shorter side, black around what is too small, then the centre."""
    height, width = pixels.shape[:2]
    target = size if resize is None else tuple(resize * side // min(height, width) for side in (height, width))
    for axis in (1, 0):
        pixels = enlarged(pixels, axis, target[axis], interpolation)
    lacking = [max(wanted - have, 0) for wanted, have in zip(size, target, strict=True)]
    pixels = np.pad(pixels, [*((n // 2, n - n // 2) for n in lacking), (0, 0)])
    top, left = (round((have - wanted) / 2) for have, wanted in zip(pixels.shape[:2], size, strict=True))
    return pixels[top : top + size[0], left : left + size[1]]


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("image", "size", "resize"),
    [
        ((33, 47), (14, 14), 16),  # smaller, wide
        ((47, 33), (14, 14), 17),  # tall, the surplus odd
        ((31, 31), (15, 12), 19),
        ((9, 13), (20, 20), 21),  # larger
        ((20, 27), (20, 20), 20),  # the shorter side as it is
        ((11, 17), (16, 16), 11),  # one side too small, an odd lack of 5
        ((10, 12), (17, 15), 10),  # both, of 7 and of 3
        ((9, 9), (10, 12), 9),
        ((300, 7), (7, 7), 7),  # very tall
        ((21, 35), (8, 11), None),  # as a whole, out of shape
        ((5, 4), (5, 4), None),
    ],
)
def test_crop_against_the_definition(image, size, resize, channels, interpolation):
    pixels = np.random.default_rng(1).integers(0, 256, (*image, channels), dtype=np.uint8)
    found = crop(pixels, size, resize, interpolation)
    assert (found.dtype, found.shape) == (np.uint8, (*size, channels))
    wanted = cropped(pixels, size, resize, interpolation)
    assert abs(found - wanted).max() <= 1  # Pillow computes in fixed point
    assert (found == wanted).mean() > 0.95  # the ties


def test_what_a_crop_lacks_is_black():
    found = crop(np.full((4, 6, 3), 200, np.uint8), (9, 9), 4, "bilinear")[..., 0]
    wanted = np.zeros((9, 9))
    wanted[2:6, 1:7] = 200  # of a lack of 5 and of 3 the smaller half is before
    np.testing.assert_array_equal(found, wanted)


def test_of_an_odd_surplus_half_is_rounded_to_even():
    ramp = np.tile(np.arange(11, dtype=np.uint8), (11, 1))[..., None]
    assert crop(ramp, (10, 10), 11, "bicubic")[0, :, 0].tolist() == list(range(10))  # 0.5 to 0
    assert crop(ramp, (8, 8), 11, "bicubic")[0, :, 0].tolist() == list(range(2, 10))  # 1.5 to 2
    assert crop(ramp, (6, 6), 11, "bicubic")[0, :, 0].tolist() == list(range(2, 8))  # 2.5 to 2
