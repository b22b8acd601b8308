"""Sizes of memory, and which decoder a resolved spec means."""

import pytest
from pydantic import ValidationError

from cnnlab.spec.data import Digits, ImageFolder, decoder_of, with_own_decoder


def folder(**keys) -> ImageFolder:
    return ImageFolder(source="image_folder", path="images", **keys)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0B", 0), ("512MiB", 2**29), ("2GB", 2 * 10**9), ("1.5 KiB", 1536), ("3KB", 3000), ("1TiB", 2**40)],
)
def test_memory_is_a_number_and_a_unit(text, size):
    assert folder(memory=text).memory_bytes == size


@pytest.mark.parametrize("text", ["512", "512 mib", "-1GB", "GiB", "1e3MB", "", "1GiB\n", 512])
def test_memory_that_is_none(text):
    with pytest.raises(ValidationError, match="must be a number and a unit, such as 512MiB or 2GB"):
        folder(memory=text)


def test_by_default_a_quarter_of_a_gibibyte():
    assert folder().memory_bytes == 2**28


def test_the_decoder_of_a_run():
    assert decoder_of(folder(resize=8)) == "reduced"
    assert decoder_of(folder()) == "full"  # what is not resized is not reduced
    assert decoder_of(with_own_decoder(folder(resize=8))) == "full"  # from before there was the key
    assert decoder_of(with_own_decoder(folder(resize=8, decode="simplejpeg"))) == "simplejpeg"
    assert decoder_of(with_own_decoder(Digits(source="digits", resize=8))) == "full"
