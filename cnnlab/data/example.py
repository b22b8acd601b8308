"""tf.train.Example out of its bytes: the few parts of Protocol Buffers' wire format that it uses.

Example {1: Features {1: map of text to Feature {1: bytes, 2: floats, 3: whole numbers, each {1: repeated}}}}.
"""

import struct
from collections.abc import Iterator

import numpy as np

Feature = list[bytes] | np.ndarray
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


def parse_example(content: bytes | memoryview) -> dict[str, Feature]:
    """The features by name: a list of bytes, or an array of float32 or int64. ValueError where it is none."""
    features: dict[str, Feature] = {}
    for number, _, value in _fields(memoryview(content), {1: LENGTH}):
        for _, _, entry in _fields(value, {1: LENGTH}) if number == 1 else ():
            name, feature = "", memoryview(b"")
            for part, _, inner in _fields(entry, {1: LENGTH, 2: LENGTH}):
                name, feature = (bytes(inner).decode(), feature) if part == 1 else (name, inner)
            features[name] = _feature(feature)
    return features


def _feature(content: memoryview) -> Feature:
    found: Feature = []
    for number, _, values in _fields(content, {1: LENGTH, 2: LENGTH, 3: LENGTH}):
        if number == 1:
            found = [bytes(value) for _, _, value in _fields(values, {1: LENGTH})]
        elif number == 2:
            parts = [np.frombuffer(value, "<f4") for _, kind, value in _fields(values, {}) if _is(kind, FIXED32)]
            found = np.concatenate([np.empty(0, np.float32), *parts])
        else:
            parts = [_whole(value) for _, kind, value in _fields(values, {}) if _is(kind, VARINT)]
            found = np.array([number for part in parts for number in part], np.int64)
    return found


def _is(kind: int, single: int) -> bool:
    """Whether numbers are of the kind that they must be, one by one or packed; ValueError where not."""
    if kind not in (single, LENGTH):
        raise ValueError(f"a number of the kind {kind}")
    return True


def _whole(value: memoryview) -> Iterator[int]:
    """The whole numbers of a field, packed or one by one."""
    at = 0
    while at < len(value):
        number, at = _varint(value, at)
        yield number - (1 << 64) if number >> 63 else number


def _fields(content: memoryview, kinds: dict[int, int]) -> Iterator[tuple[int, int, memoryview]]:
    """Number, kind and bytes of each field. `kinds`: of the numbers whose kind must be this one."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        number, kind = tag >> 3, tag & 7
        if kinds.get(number, kind) != kind or number == 0:
            raise ValueError(f"the field {number} has the kind {kind}")
        if kind == VARINT:
            end = _varint(content, at)[1]
        elif kind == LENGTH:
            length, at = _varint(content, at)
            end = at + length
        elif kind in (FIXED32, FIXED64):
            end = at + struct.calcsize("I" if kind == FIXED32 else "Q")
        else:
            raise ValueError(f"a field of the kind {kind}")
        if end > len(content):
            raise ValueError(f"a field ends {end - len(content):,} bytes behind its message")
        yield number, kind, content[at:end]
        at = end


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where it ends."""
    value = 0
    for i, byte in enumerate(content[at : at + 10]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value & (1 << 64) - 1, at + i + 1
    raise ValueError("a number without an end")
