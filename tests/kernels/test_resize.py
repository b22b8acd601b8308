"""Resizing by the kernel: the bits of Pillow's, on every processor, in every thread, of images of every size."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnlab.kernels import build, resize
from tests.kernels.conftest import printed

SIDE = st.integers(1, 60)
CASES = (
    ("RGB", (375, 500), (224, 224)), ("L", (375, 500), (224, 224)), ("RGB", (30, 41), (97, 63)), ("L", (3, 2), (50, 7)),
    ("RGB", (90, 2000), (5, 31)), ("L", (60, 700), (41, 1)), ("RGB", (1, 1), (3, 3)), ("RGB", (17, 300), (16, 7)),
)  # fmt: skip


@pytest.fixture
def kernel():
    found = resize._kernel()
    if found is None:
        pytest.skip("there is no kernel here")
    return found


def noise(mode: str, height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.frombytes(mode, (width, height), np.random.default_rng(seed).bytes(height * width * len(mode)))


def whole(image: Image.Image) -> resize.Box:
    return 0, 0, image.width, image.height


def digest() -> str:
    """Of what the kernel makes of some images: to be asked on other processors."""
    kernel, made = resize._kernel(), hashlib.sha256()
    assert kernel is not None
    for mode, before, after in CASES:
        image = noise(mode, *before)
        made.update(resize._by_kernel(kernel, image, after, whole(image)).tobytes())
    return made.hexdigest()


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["L", "RGB"]),
    st.tuples(SIDE, SIDE),
    st.tuples(SIDE, SIDE),
    st.lists(st.floats(0, 1), min_size=4, max_size=4) | st.none(),
    st.booleans(),
    st.integers(0, 99),
)
def test_every_size_and_part(mode, before, after, part, extreme, seed):
    kernel = resize._kernel()
    if kernel is None:
        pytest.skip("there is no kernel here")
    image = noise(mode, *before, seed)
    image = image.point(lambda level: 255 * (level > 127)) if extreme else image
    height, width = before
    left, right = sorted((part[0] * width, part[1] * width)) if part else (0, width)
    top, bottom = sorted((part[2] * height, part[3] * height)) if part else (0, height)
    box = left, top, right, bottom
    assume(resize.kernel_may(before, after, box))
    expected = np.asarray(image.resize(after[::-1], Image.Resampling.BILINEAR, box)).reshape(*after, len(mode))
    np.testing.assert_array_equal(resize._by_kernel(kernel, image, after, box), expected)
    in_array = np.frombuffer(image.tobytes("raw", "L" if mode == "L" else "RGBX"), np.uint8).reshape(*before, -1)
    np.testing.assert_array_equal(resize._by_kernel(kernel, in_array, after, box), expected)
    np.testing.assert_array_equal(resize.plain(in_array, after, box), expected)


@pytest.mark.parametrize(
    ("mode", "before", "after"),
    [
        ("RGB", (2200, 2100), (224, 300)),  # more than Pillow keeps in one piece of memory
        ("L", (2, 60_000), (1, 2)),  # weights so small that their roundings add up
        ("RGB", (40, 40_000), (3, 1)),
        ("RGB", (30, 20), (1500, 1600)),
    ],
)
def test_large_images(kernel, mode, before, after):
    image = noise(mode, *before)
    box = whole(image)
    assert resize.kernel_may(before, after, box)
    np.testing.assert_array_equal(resize.resized(image, after), resize.plain(image, after, box))
    white = Image.new(mode, image.size, "white")
    assert (resize.resized(white, after) == 255).all()


def test_images_that_are_mapped_from_memory_of_others(kernel):
    pixels = np.random.default_rng(0).integers(0, 256, (31, 45), np.uint8)
    image = Image.fromarray(pixels)
    expected = resize.plain(image.copy(), (9, 8), whole(image))
    np.testing.assert_array_equal(resize.resized(image, (9, 8)), expected)
    np.testing.assert_array_equal(resize.resized(pixels[..., None], (9, 8)), expected)


@pytest.mark.parametrize("most", ["AVX512_CORE", "AVX2", "SSE41"])
def test_every_processor_makes_the_same_bits(kernel, most):
    by_pillow = hashlib.sha256()
    for mode, before, after in CASES:
        image = noise(mode, *before)
        by_pillow.update(resize.plain(image, after, whole(image)).tobytes())
    script = "from tests.kernels.test_resize import digest; print(digest())"
    assert printed(script, ONEDNN_MAX_CPU_ISA=most).strip() == by_pillow.hexdigest()


def test_threads_share_nothing(kernel):
    images = [noise("RGB", 100 + i, 150 + i, i) for i in range(4)]
    alone = [resize.plain(image, (80, 70), whole(image)) for image in images]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda i: resize.resized(images[i % 4], (80, 70)), range(200)))
    assert all(np.array_equal(made, alone[i % 4]) for i, made in enumerate(found))


@pytest.mark.parametrize("box", [(-1, 0, 4, 4), (0, 0, 6, 4), (3, 0, 2, 4), (0, 0, 5, 4.5)])
def test_parts_that_are_none_are_errors_of_pillow(box):
    with pytest.raises(ValueError, match="box"):
        resize.resized(noise("RGB", 4, 5), (2, 2), box)


def test_what_is_tall_and_loses_its_height_is_left_to_pillow():
    assert resize.kernel_may((100, 100), (50, 75), (0, 0, 100, 100))
    assert not resize.kernel_may((101, 100), (50, 75), (0, 0, 100, 101))
    assert not resize.kernel_may((10, 10), (9, 20), (0, 0, 10, 10))


def test_it_is_turned_off_with_the_other_kernels(monkeypatch):
    monkeypatch.setenv("CNNLAB_KERNELS", "off")
    assert resize._kernel.__wrapped__() is None


def test_without_a_compiler_pillow_resizes(monkeypatch):
    def unavailable(name: str):
        raise build.Unavailable("there is no C++ compiler")

    monkeypatch.setattr(build, "load_alone", unavailable)
    assert resize._kernel.__wrapped__() is None


def test_a_pillow_that_makes_other_bits_is_believed(kernel, monkeypatch):
    plain = resize.plain
    monkeypatch.setattr(resize, "plain", lambda *given: plain(*given) ^ (given[1] == (3, 2)))
    assert resize._kernel.__wrapped__() is None


def test_no_jax_is_needed(kernel):
    script = "import sys; from cnnlab.data import images; from cnnlab.kernels import resize\n"
    assert printed(script + "print(resize._kernel() is not None, 'jax' in sys.modules)") == "True False\n"
