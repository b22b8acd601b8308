"""A folder of JPEGs for data.py: digits, enlarged and coloured, with noise, in files as large as photographs' are."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from cnnlab.data.digits import load
from cnnlab.spec.schema import Digits

WIDTH, HEIGHT, QUALITY = 500, 375, 90
DIFFERENT = 200  # images; further files are copies with another comment, since drawing takes longer than decoding


def write(folder: Path, count: int) -> None:
    """`count` files folder/<digit>/<number>.jpg."""
    digits = load(Digits(source="digits"), Path())
    encoded = folder / "encoded"
    encoded.mkdir(parents=True)
    for i in range(min(count, DIFFERENT)):
        _image(digits.x[i, ..., 0], i).save(encoded / f"{i}.jpg", quality=QUALITY)
    for i in range(count):
        content = (encoded / f"{i % DIFFERENT}.jpg").read_bytes()
        comment = f"{i:08d}".encode()
        path = folder / "images" / digits.classes[digits.y[i % DIFFERENT]] / f"{i:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        # A comment segment behind the first marker: marker, length, text.
        path.write_bytes(content[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + content[2:])


def write_small(folder: Path, count: int) -> None:
    """`count` PNGs of 32 x 32 folder/images/<digit>/<number>.png, each another."""
    digits = load(Digits(source="digits"), Path())
    random = np.random.default_rng(0)
    for i in range(count):
        label = digits.classes[digits.y[i % len(digits.y)]]
        path = folder / "images" / label / f"{i:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = (255 * digits.x[i % len(digits.x), ..., 0]).astype(np.uint8).repeat(4, 0).repeat(4, 1)
        noise = random.integers(0, 8, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels[..., None] // 2 + noise).save(path)


def _image(digit: np.ndarray, number: int) -> Image.Image:
    """The digit in a colour before another one, with fine texture and noise."""
    random = np.random.default_rng(number)
    large = Image.fromarray((255 * digit).astype(np.uint8)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    share = np.asarray(large, np.float32)[..., None] / 255
    colours = random.uniform(40, 215, (2, 3)).astype(np.float32)
    texture = random.normal(0, 25, (HEIGHT // 4, WIDTH // 4, 3)).astype(np.float32).repeat(4, 0).repeat(4, 1)
    noise = random.normal(0, 6, (HEIGHT, WIDTH, 3)).astype(np.float32)
    pixels = share * colours[0] + (1 - share) * colours[1] + noise
    pixels[: texture.shape[0], : texture.shape[1]] += texture
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
