"""Where examples come from, how they are split, and how they come in batches. One source, one file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cnnlab.data import digits, image_folder, npz
from cnnlab.data.dataset import Dataset

SOURCES: Mapping[str, Callable[[Any, Path], Dataset]] = {
    "digits": digits.load,
    "npz": npz.load,
    "image_folder": image_folder.load,
}
