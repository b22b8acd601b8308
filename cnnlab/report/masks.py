"""Masks of files as people and programs read them: pictures of class ids, and the share of each class."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnnlab.errors import DataError
from cnnlab.files import write_atomically
from cnnlab.layers.windows import show
from cnnlab.metrics.predictions import csv_text
from cnnlab.report import answers
from cnnlab.report.overlays import class_colours
from cnnlab.runs.maps import Mapped
from cnnlab.runs.prediction import Answers

SHARES = "shares.csv"


def check_folder(folder: Path, files: Sequence[Path]) -> None:
    """Raises DataError where masks of these files cannot lie in one folder."""
    if folder.suffix or (folder.exists() and not folder.is_dir()):
        message = f"'{folder.suffix}' is no format of answers" if folder.suffix else "is a file"
        raise DataError(message, where=str(folder), hint="name a folder for masks, or an .npz file")
    seen: dict[str, Path] = {}
    for file in files:
        other = seen.setdefault(file.stem, file)
        if other is not file:
            message = f"{other} and {file} would both be {folder / file.stem}.png"
            raise DataError(message, where="-o", hint="predict them into folders of their own")


def written(found: Iterable[Mapped], classes: Sequence[str], folder: Path, *, overlays: bool) -> list[dict[str, Any]]:
    """The rows of the masks, each written to `<folder>/<name>.png`, of arrays with several `<name>-<index>.png`; with
    `overlays` over its example in `<folder>/overlays` too. Raises DataError."""
    made = []
    for each in found:
        if each.mask.ndim != 2:
            message = f"a mask of {show(each.mask.shape)} is no picture"
            raise DataError(message, where=each.file, hint="-o answers.npz writes probabilities")
        name = Path(each.file).stem + (f"-{each.index}" if each.examples > 1 else "") + ".png"
        _write(folder / name, mask_png(each.mask, len(classes)))
        if overlays:
            _write(folder / "overlays" / name, overlay_png(each.picture, each.mask, len(classes)))
        made.append(row(each, classes, folder / name))
    return made


def write_shares(folder: Path, text: str) -> None:
    """The rows as CSV, beside their masks. Raises DataError."""
    _write(folder / SHARES, text.encode())


def row(found: Mapped, classes: Sequence[str], mask: Path | None = None) -> dict[str, Any]:
    """What is said of one example."""
    told = {"file": found.file, "index": found.index} | ({} if mask is None else {"mask": str(mask)})
    shares = dict(zip(classes, found.shares.tolist(), strict=True))
    return {**told, "size": list(found.mask.shape), "tiles": found.tiles, "shares": shares}


def rows_csv(rows: Sequence[dict[str, Any]], classes: Sequence[str]) -> str:
    """The rows as CSV: file, index, mask where it is written, and a column with the share of each class."""
    return csv_text(_table(rows, classes))


def beside(rows: Sequence[dict[str, Any]], classes: Sequence[str], head: str, others: Answers | None) -> str:
    """The same of the masks of one head, with its name before its columns, and what the other heads say."""
    first, *cells = _table(rows, classes)
    table = [[*first[:2], *(f"{head} {column}" for column in first[2:])], *cells]
    if others is not None:
        table = [[*own, *more[2:]] for own, more in zip(table, answers.table(others, None), strict=True)]
    return csv_text(table)


def beside_document(rows: Sequence[dict[str, Any]], head: str, others: Answers | None) -> list[dict[str, Any]]:
    """The rows by the heads' names, as `answers.document` has them."""
    keys = ("file", "index")
    made = [
        {key: row[key] for key in keys} | {head: {key: value for key, value in row.items() if key not in keys}}
        for row in rows
    ]
    if others is None:
        return made
    return [own | more for own, more in zip(made, answers.document(others, None), strict=True)]


def _table(rows: Sequence[dict[str, Any]], classes: Sequence[str]) -> list[list[Any]]:
    columns = [key for key in ("file", "index", "mask") if key in (rows[0] if rows else ())]
    cells = [[*(row[key] for key in columns), *(row["shares"][name] for name in classes)] for row in rows]
    return [[*columns, *classes], *cells]


def mask_png(mask: np.ndarray, classes: int) -> bytes:
    """Class ids [height, width] as a palette PNG: the first class black, the others in the colours of all pictures."""
    image = Image.fromarray(mask)
    image.putpalette(_palette(classes).tobytes())
    return _png(image)


def overlay_png(picture: np.ndarray, mask: np.ndarray, classes: int) -> bytes:
    """The example [height, width, channel] under its mask's colours; the first class is left clear."""
    grey = picture if picture.dtype == np.uint8 else _bytes(picture)
    pixels = np.repeat(grey[..., :1], 3, -1) if grey.shape[-1] != 3 else grey
    colours = class_colours(classes)[mask].astype(np.float32)
    mixed = pixels * (1 - colours[..., 3:]) + 255 * colours[..., :3] * colours[..., 3:]
    return _png(Image.fromarray(np.round(mixed).astype(np.uint8)))


def _palette(classes: int) -> np.ndarray:
    """uint8 [id, 3]; ids that no class has are grey."""
    palette = np.full((256, 3), 128, np.uint8)
    palette[:classes] = np.round(255 * class_colours(classes)[:, :3])
    palette[0] = 0
    return palette


def _bytes(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return np.round(255 * (values - low) / max(high - low, 1e-12)).astype(np.uint8)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        message = f"cannot be written: {error.strerror}"
        raise DataError(message, where=str(path), hint="name another folder") from error
