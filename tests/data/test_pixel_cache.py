"""Decoded images on disk: used where they are still true, made anew where not."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnlab.data import image_files
from cnnlab.data.geometry import Frame
from cnnlab.data.image_files import ImageFiles
from cnnlab.data.pixel_cache import cached
from cnnlab.errors import DataError

COUNT = 6


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(COUNT):
        write(tmp_path / "images", i)
    return tmp_path


def write(folder: Path, i: int, seed: int | None = None) -> None:
    pixels = np.random.default_rng(i if seed is None else seed).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"{i}.png")


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that are decoded, each time one is."""
    names: list[str] = []

    def decode(path, *arguments):
        names.append(path.name)
        return original(path, *arguments)

    original = image_files.decode
    monkeypatch.setattr(image_files, "decode", decode)
    return names


def images(folder: Path, names=None, size=(4, 5)) -> ImageFiles:
    names = [f"{i}.png" for i in range(COUNT)] if names is None else names
    return ImageFiles(folder / "images", names, 3, Frame(size), "full", "images")


def opened(folder: Path, *arguments):
    """The images from the cache, held against those from the files; the names in the cache's folder."""
    wanted = images(folder, *arguments)
    found, survey = cached(wanted, folder / "cache")
    truth = wanted.survey()
    assert survey.digests == truth.digests
    for mine, others in zip(survey[1:], truth[1:], strict=True):
        np.testing.assert_array_equal(mine, others)
    for i in range(len(wanted)):
        np.testing.assert_array_equal(found.read_again(i), wanted.read(i))
        assert found.read(i).dtype == np.uint8
    return sorted(path.name for path in (folder / "cache").iterdir())


def only_cached(folder: Path, decoded: list[str], *arguments) -> list[str]:
    """The names of the files that opening the cache decodes."""
    decoded.clear()
    cached(images(folder, *arguments), folder / "cache")
    return sorted(decoded)


def test_the_second_time_nothing_is_decoded(folder, decoded):
    assert only_cached(folder, decoded) == [f"{i}.png" for i in range(COUNT)]
    names = opened(folder)
    assert len(names) == 1
    assert names[0].endswith(".npy")
    assert only_cached(folder, decoded) == []
    assert only_cached(folder, decoded, ["4.png", "1.png"]) == []
    assert opened(folder, ["4.png", "1.png"]) == names
    table = np.load(folder / "cache" / names[0])
    np.testing.assert_array_equal(table["pixels"][2], images(folder).read(2))


def test_where_the_system_cannot_read_at_a_place_the_images_are_the_same(folder, monkeypatch):
    monkeypatch.delattr(os, "pread")
    opened(folder)
    opened(folder)


def test_what_changed_is_decoded(folder, decoded):
    opened(folder)
    write(folder / "images", 3, seed=77)
    os.utime(folder / "images/3.png", ns=(1, 1))
    assert only_cached(folder, decoded) == ["3.png"]
    os.utime(folder / "images/5.png", ns=(5, 5))
    assert only_cached(folder, decoded) == ["5.png"]
    opened(folder)
    write(folder / "images", COUNT)
    names = [f"{i}.png" for i in range(COUNT + 1)]
    assert only_cached(folder, decoded, names) == [f"{COUNT}.png"]
    assert len(opened(folder, names)) == 1


def test_another_size_is_another_file(folder, decoded):
    opened(folder)
    assert len(only_cached(folder, decoded, None, (5, 4))) == COUNT
    assert len(opened(folder, None, (5, 4))) == 2
    assert only_cached(folder, decoded) == []


def test_a_damaged_image_is_decoded(folder, decoded):
    (name,) = opened(folder)
    path = folder / "cache" / name
    content = bytearray(path.read_bytes())
    content[-4 * 5 * 3 - 10] ^= 1  # a pixel or a digest of the last but one
    path.write_bytes(content)
    assert len(only_cached(folder, decoded)) == 1
    assert opened(folder) == [name]
    assert only_cached(folder, decoded) == []


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:40], lambda b: b"", lambda b: b"x" + b[1:]])
def test_a_damaged_file_is_made_anew(folder, decoded, damage):
    (name,) = opened(folder)
    path = folder / "cache" / name
    path.write_bytes(damage(path.read_bytes()))
    assert len(only_cached(folder, decoded)) == COUNT
    assert opened(folder) == [name]


def test_an_open_cache_outlives_its_replacement(folder):
    found, _ = cached(images(folder), folder / "cache")
    before = [found.read_again(i) for i in range(COUNT)]
    for i in range(COUNT):
        write(folder / "images", i, seed=100 + i)
        os.utime(folder / f"images/{i}.png", ns=(2, 2))
    opened(folder)
    for i in range(COUNT):
        np.testing.assert_array_equal(found.read(i), before[i])


def test_an_image_that_cannot_be_read_leaves_nothing_behind(folder):
    (folder / "images/2.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"images/2\.png: cannot read the image"):
        cached(images(folder), folder / "cache")
    assert list((folder / "cache").iterdir()) == []


def test_a_folder_that_cannot_be_made(folder):
    (folder / "cache").write_text("a file")
    with pytest.raises(DataError, match=r"data\.cache: .*cache cannot be written: .*; name another folder, or leave"):
        cached(images(folder), folder / "cache")
