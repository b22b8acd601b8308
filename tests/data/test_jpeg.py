"""JPEG decoded at a part of its size: what of the image is lost, and what is not."""

import io
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

from cnnlab.data.images import decode
from cnnlab.data.orientation import upright
from cnnlab.errors import DataError
from cnnlab.kernels import resize

DECODERS = ["reduced", "simplejpeg"]


def photograph(height: int, width: int) -> np.ndarray:
    """Smooth colours and some noise."""
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(30, 226, (7, 9, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), float)
    return (smooth + random.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8)


def saved(folder, pixels, name="a.jpg", orientation=1, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(folder / name, quality=95, exif=exif, **options)
    return folder / name


def skip_without(decoder: str) -> None:
    if decoder == "simplejpeg":
        pytest.importorskip("simplejpeg")


def test_reduced_is_what_pillow_makes_of_a_draft(tmp_path):
    path = saved(tmp_path, photograph(203, 301))
    with Image.open(path) as image:
        _, box = image.draft("RGB", (60, 40))
        assert image.size == (76, 51)  # a quarter, rounded up
        wanted = np.asarray(image.resize((60, 40), Image.Resampling.BILINEAR, box))
    np.testing.assert_array_equal(decode(path, 3, (40, 60), decoder="reduced"), wanted)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("orientation", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("size", [(40, 60), (23, 17)])
def test_near_the_whole_decoded(tmp_path, decoder, channels, orientation, size):
    """Within 2 of 255 levels on average, 12 anywhere; a shift by a single pixel of the original is over that."""
    skip_without(decoder)
    path = saved(tmp_path, photograph(203, 301), orientation=orientation)
    full = decode(path, channels, size).astype(int)
    found = decode(path, channels, size, decoder=decoder)
    assert (found.dtype, found.shape) == (np.uint8, (*size, channels))
    assert abs(found - full).mean() < 2
    assert abs(found - full).max() <= 12


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("size", [(203, 301), (300, 310), (180, 280)])
def test_where_no_part_is_enough_the_pixels_are_the_same(tmp_path, decoder, size):
    """libjpeg-turbo is behind both."""
    skip_without(decoder)
    path = saved(tmp_path, photograph(203, 301))
    np.testing.assert_array_equal(decode(path, 3, size, decoder=decoder), decode(path, 3, size))


@pytest.mark.parametrize("size", [(102, 151), (101, 150), (40, 60), (20, 37), (9, 9), (150, 20)])
@pytest.mark.parametrize("channels", [1, 3])
def test_both_take_the_same_part(tmp_path, size, channels):
    skip_without("simplejpeg")
    path = saved(tmp_path, photograph(203, 301), orientation=8)
    found = decode(path, channels, size, decoder="simplejpeg")
    np.testing.assert_array_equal(found, decode(path, channels, size, decoder="reduced"))


@pytest.mark.parametrize("decoder", ["full", *DECODERS])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_kernel_changes_no_bit(tmp_path, monkeypatch, decoder, channels):
    skip_without(decoder)
    path = saved(tmp_path, photograph(203, 301), orientation=6)
    sizes = [(40, 60), (160, 130), (20, 150), (301, 203), (400, 410)]
    found = [decode(path, channels, size, decoder=decoder) for size in sizes]
    monkeypatch.setattr(resize, "_kernel", lambda: None)
    for size, pixels in zip(sizes, found, strict=True):
        np.testing.assert_array_equal(decode(path, channels, size, decoder=decoder), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_is_what_pillow_transposes(orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(upright(pixels, orientation), ImageOps.exif_transpose(image))


@pytest.mark.parametrize("decoder", DECODERS)
def test_without_resizing_the_pixels_are_the_same(tmp_path, decoder):
    skip_without(decoder)
    path = saved(tmp_path, photograph(33, 47), orientation=6)
    np.testing.assert_array_equal(decode(path, 3, decoder=decoder), decode(path, 3))


@pytest.mark.parametrize("decoder", DECODERS)
def test_gray_and_cmyk(tmp_path, decoder):
    skip_without(decoder)
    gray = saved(tmp_path, photograph(203, 301)[..., 0], "gray.jpg")
    Image.fromarray(photograph(203, 301)).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    for path in (gray, tmp_path / "cmyk.jpg"):
        for channels in (1, 3):
            found = decode(path, channels, (40, 60), decoder=decoder).astype(int)
            assert abs(found - decode(path, channels, (40, 60))).mean() < 2


@pytest.mark.parametrize("decoder", DECODERS)
def test_other_formats_are_decoded_in_full(tmp_path, decoder):
    skip_without(decoder)
    Image.fromarray(photograph(99, 80)).save(tmp_path / "a.png")
    found = decode(tmp_path / "a.png", 3, (10, 10), decoder=decoder)
    np.testing.assert_array_equal(found, decode(tmp_path / "a.png", 3, (10, 10)))


@pytest.mark.parametrize("decoder", DECODERS)
def test_damage_is_told(tmp_path, decoder):
    skip_without(decoder)
    path = saved(tmp_path, photograph(203, 301))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"a\.jpg: cannot read the image: .*; repair or remove it"):
        decode(path, 3, (40, 60), decoder=decoder)


def test_simplejpeg_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    path = saved(tmp_path, photograph(20, 30))
    message = r"data\.decode: simplejpeg is not installed; pip install 'cnnlab\[fast-images\]', or leave data\.decode"
    with pytest.raises(DataError, match=message):
        decode(path, 3, (10, 10), decoder="simplejpeg")


def test_threads_share_nothing(tmp_path):
    """Eight threads on three images find what one finds."""
    from concurrent.futures import ThreadPoolExecutor

    paths = [saved(tmp_path, photograph(100 + i, 150), f"{i}.jpg", orientation=i + 5) for i in range(3)]
    alone = [decode(path, 3, (30, 30), decoder="reduced") for path in paths]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda i: decode(paths[i % 3], 3, (30, 30), decoder="reduced"), range(60)))
    assert all((image == alone[i % 3]).all() for i, image in enumerate(found))


def test_progressive(tmp_path):
    path = saved(tmp_path, photograph(203, 301), progressive=True)
    with io.BytesIO(path.read_bytes()) as file, Image.open(file) as image:
        assert image.info["progressive"]
    found = decode(path, 3, (40, 60), decoder="reduced").astype(int)
    assert abs(found - decode(path, 3, (40, 60))).mean() < 2
