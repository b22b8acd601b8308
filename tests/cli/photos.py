"""A folder of images of two classes, told apart by their colour."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_photos(folder: Path, size: tuple[int, int], suffix: str) -> None:
    """Sixty images of `size` (height, width) in folder/photos/red and folder/photos/blue."""
    random = np.random.default_rng(0)
    for i in range(60):
        path = folder / "photos" / ("red", "blue")[i % 2] / f"{i}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 120, (*size, 3), dtype=np.uint8)
        pixels[..., 2 * (i % 2)] += 100
        Image.fromarray(pixels).save(path)
