"""A look at every image file: what it is, and what is wrong with it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from cnnlab.data.check.findings import Finding
from cnnlab.data.check.measures import Measures, measure
from cnnlab.data.geometry import Frame
from cnnlab.data.images import decode, open_image
from cnnlab.data.memory import processors
from cnnlab.data.orientation import upright_size
from cnnlab.data.progress import counted
from cnnlab.errors import DataError
from cnnlab.spec.images import Decode

NEARLY_ALL = 0.9


class Header(NamedTuple):
    """Height and width as a person sees them, Pillow's names of the mode and of the format."""

    size: tuple[int, ...]
    mode: str
    format: str


@dataclass(frozen=True)
class Looked:
    """A file that can be read, or the kind of finding that it is and why."""

    header: Header | None = None
    measures: Measures | None = None
    kind: str = ""
    what: str = ""


def look_at_all(
    root: Path, files: Sequence[str], channels: int, frame: Frame | None, decoder: Decode = "full"
) -> list[Looked]:
    """Each file, decoded as training does it; files start at `root`. Memory holds an image a thread."""

    def look(file: str) -> Looked:
        try:
            image = decode(root / file, channels, frame, decoder=decoder)
            with (root / file).open("rb") as opened:
                header = _header(open_image(opened))
        except DataError as error:
            return Looked(kind=_kind(root / file, error), what=error.message)
        return Looked(header, measure(image[None]))

    with ThreadPoolExecutor(processors()) as pool:
        return list(counted(pool.map(look, files), len(files)))


def _header(image: Image.Image) -> Header:
    # PNG may have its EXIF data last: to ask for them decodes it all.
    size = image.size[::-1] if image.format == "PNG" else upright_size(image)
    return Header(size, image.mode, image.format or "")


def _kind(path: Path, error: DataError) -> str:
    cause = error.__cause__
    if cause is None:
        return "mode"
    if isinstance(cause, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "enormous"
    if isinstance(cause, UnidentifiedImageError) and not path.stat().st_size:
        return "empty"
    return "truncated" if "truncated" in str(cause).lower() else "unreadable"


def strange_headers(files: Sequence[str], headers: Sequence[Header], resized: bool) -> Iterator[Finding]:
    """Images of another size than most, where nothing resizes them; of another mode than nearly all."""
    if not headers:
        return
    (size, _), *_ = Counter(header.size for header in headers).most_common(1)
    (mode, count), *_ = Counter(header.mode for header in headers).most_common(1)
    usual = count >= NEARLY_ALL * len(headers)
    for file, header in zip(files, headers, strict=True):
        if header.size != size and not resized:
            sizes = [f"{height} x {width}" for height, width in (header.size, size)]
            yield Finding("size", file, what=f"is {sizes[0]} (height x width), and most are {sizes[1]}")
        if header.mode != mode and usual:
            yield Finding("other_mode", file, what=f"is {header.mode}, and {count / len(headers):.0%} are {mode}")
