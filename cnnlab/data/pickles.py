"""Reading pickles of arrays and plain containers without ever running what a pickle asks for."""

import io
import pickle
import struct
from typing import Any

import numpy as np

from cnnlab.errors import DataError

TYPES = {"u1": np.uint8, "i8": np.int64, "i4": np.int32}
DAMAGED = (
    pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, ImportError,
    MemoryError, RecursionError, AssertionError, struct.error,
)  # fmt: skip


def load(content: bytes, where: str) -> Any:
    """What lies in a pickle of Python 2 or 3: dictionaries, lists, text, numbers, and arrays of uint8 or integers.

    Text of Python 2 comes as bytes. DataError for a damaged pickle, and for one that names anything but arrays.
    """
    try:
        return _arrays(_Reader(io.BytesIO(content), encoding="bytes", where=where).load())
    except DAMAGED as error:
        reason = str(error) or ("it ends too early" if isinstance(error, EOFError) else type(error).__name__)
        message = f"is a damaged pickle: {reason}"
        raise DataError(message, where=where, hint="copy or download the file again") from error


class _Type:
    """Stands for numpy.dtype: notes the name of the type."""

    def __init__(self, name: str | bytes, *_: object):
        self.name = name.decode() if isinstance(name, bytes) else name

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in (">", b">"):
            raise ValueError("an array of big-endian numbers")


class _Array:
    """Stands for numpy.ndarray: keeps what its state says, and no line of NumPy's own unpickling runs."""

    def __init__(self, *_: object):
        self.array = np.empty(0, np.uint8)

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Type, bool, bytes]) -> None:
        _, shape, kind, fortran, values = state
        if kind.name not in TYPES:
            raise ValueError(f"an array of the type {kind.name}")
        self.array = np.frombuffer(values, TYPES[kind.name]).reshape(shape, order="F" if fortran else "C")


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes in protocol 2."""
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """How Python 3 writes no bytes at all in protocol 2."""
    return b""


class _Sentinel:
    """Stands for numpy.ndarray where it is only named."""


ALLOWED = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    ("numpy", "ndarray"): _Sentinel,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
    **{(module, "bytes"): _no_bytes for module in ("__builtin__", "builtins")},
}


class _Reader(pickle._Unpickler):
    """Python's own unpickler in Python: the one in C takes gigabytes for a few bytes that ask for a large memo."""

    def __init__(self, file: io.BytesIO, *, encoding: str, where: str):
        super().__init__(file, encoding=encoding)
        self.where = where

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            message = f"the pickle asks for {module}.{name}, and data need nothing but arrays: it was not run"
            raise DataError(message, where=self.where, hint="do not trust the file; download it from its publisher")
        return ALLOWED[module, name]


def _arrays(value: Any) -> Any:
    """Dictionaries with text as keys and arrays in place of what stood for them."""
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, dict):
        return {key.decode() if isinstance(key, bytes) else key: _arrays(inner) for key, inner in value.items()}
    return value
