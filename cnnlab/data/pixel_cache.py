"""Decoded images on disk, so that the next run need not decode them."""

import hashlib
import json
import os
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from cnnlab.data import jpeg
from cnnlab.data.fingerprint import content_digest
from cnnlab.data.image_files import ImageFiles
from cnnlab.data.survey import Survey, survey
from cnnlab.errors import DataError
from cnnlab.files import replacing

_seeking = threading.Lock()


class CachedImages:
    """One .npy file: a record for each image, of its key (file and stamp), the SHA-256 of its pixels, and the pixels.

    It is read piece by piece and not mapped: mapped pages would count as this process's memory. Once opened it stays
    as it is, whatever another process writes under the same name. Indices are those of `choose`, at first the file's.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int]):
        """Raises OSError or ValueError where there is no such file, or it is not one of images of this shape."""
        self.shape = shape
        self._record = _record(shape)
        self._file = path.open("rb", buffering=0)
        weakref.finalize(self, self._file.close)
        try:
            version = np.lib.format.read_magic(self._file)
            found, _, dtype = np.lib.format.read_array_header_2_0(self._file)
            self._start = self._file.tell()
            size = self._start + found[0] * self._record.itemsize
            if version != (2, 0) or dtype != self._record or os.fstat(self._file.fileno()).st_size != size:
                raise ValueError("not the file that was written")
            self._places = list(range(found[0]))
            self.keys = [self._part(i, "key") for i in self._places]
        except BaseException:
            self._file.close()
            raise

    def __getstate__(self) -> dict[str, Any]:
        """For a process that this one has started: it gets the file itself, whatever has its name by then."""
        from multiprocessing.reduction import DupFd  # which Windows lacks

        return {**vars(self), "keys": [], "_file": DupFd(self._file.fileno())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._file = open(state["_file"].detach(), "rb", buffering=0)  # noqa: SIM115  (closed with this)
        weakref.finalize(self, self._file.close)

    def choose(self, places: list[int]) -> None:
        """From here on, image i is the file's record places[i]."""
        self._places = places

    def read(self, i: int) -> np.ndarray:
        """uint8 [height, width, channel]; ValueError where the pixels are not those that were written."""
        image = self.read_again(i)
        if content_digest(image) != self._part(i, "digest"):
            raise ValueError("damaged")
        return image

    def read_again(self, i: int) -> np.ndarray:
        """As `read`, of what was found whole before."""
        return np.frombuffer(self._part(i, "pixels"), np.uint8).reshape(self.shape)

    def survey(self) -> Survey:
        """One look at every image. ValueError where one is damaged."""
        return survey(self.read, len(self._places))

    def _part(self, i: int, name: str) -> bytes:
        dtype, offset = self._record.fields[name][:2]  # type: ignore[index]
        start = self._start + self._places[i] * self._record.itemsize + offset
        if hasattr(os, "pread"):  # leaves alone the one place in the file that threads and processes have between them
            return os.pread(self._file.fileno(), dtype.itemsize, start)
        with _seeking:
            self._file.seek(start)
            return self._file.read(dtype.itemsize)


def cached(images: ImageFiles, folder: Path) -> tuple[CachedImages, Survey]:
    """The images from their file in `folder`, and what a look at them tells; what is not there yet, was changed since
    or is damaged is decoded, and the file written anew. Raises DataError."""
    path = folder / f"{_name(images)}.npy"
    keys = _keys(images)
    try:
        old = CachedImages(path, images.shape)
    except (OSError, ValueError):
        old = None
    places = {} if old is None else {key: i for i, key in enumerate(old.keys)}
    if old is not None and all(key in places for key in keys):
        old.choose([places[key] for key in keys])
        try:
            return old, old.survey()
        except ValueError:
            old.choose(list(range(len(places))))

    def read(i: int) -> np.ndarray:
        if old is not None and keys[i] in places:
            try:
                return old.read(places[keys[i]])
            except ValueError:
                pass
        return images.read(i)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            header = {"descr": np.lib.format.dtype_to_descr(_record(images.shape)), "fortran_order": False}
            np.lib.format.write_array_header_2_0(file, {**header, "shape": (len(keys),)})
            left = iter(keys)
            found = survey(read, len(keys), lambda digest, image: file.write(next(left) + digest + image.tobytes()))
            file.flush()
            return CachedImages(Path(file.name), images.shape), found
    except OSError as error:
        hint = "name another folder, or leave it out"
        raise DataError(f"{folder} cannot be written: {error.strerror}", where="data.cache", hint=hint) from error


def _record(shape: tuple[int, int, int]) -> np.dtype:
    return np.dtype([("key", "V32"), ("digest", "V32"), ("pixels", "u1", shape)])


def _name(images: ImageFiles) -> str:
    """A name for the folder of images and what is made of them, which depends on who decodes."""
    decoders = [PIL.__version__]
    decoders += [jpeg.simplejpeg().__version__, *jpeg.PARTS] if images.decoder == "simplejpeg" else []
    frame = images.frame
    size = frame and (frame.size if frame.fit == "stretch" else [frame.size, frame.fit, frame.crop])
    facts = [str(images.root), images.channels, size, images.decoder, *decoders]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:20]


def _keys(images: ImageFiles) -> list[bytes]:
    """SHA-256 of each file's name, size and time of change."""
    facts = zip(images.files, images.stamps.tolist(), strict=True)
    return [hashlib.sha256(json.dumps([name, *stamp]).encode()).digest() for name, stamp in facts]
