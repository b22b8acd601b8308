"""CRC-32C (Castagnoli), the checksum of TFRecord files (RFC 3720, appendix B.4), of many records at once.

A checksum is linear over GF(2): the one of A and B behind one another is that of A, led through as many zero bytes
as B has, plus that of B. So those of all pairs of neighbours are joined at a time, by NumPy, to the end.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np

POLYNOMIAL = 0x82F63B78  # reflected
BATCH_BYTES = 2**22


def crc32c(parts: Sequence[bytes | memoryview]) -> np.ndarray:
    """uint32 [part]."""
    lengths = np.array([len(part) for part in parts], np.int64)
    found = np.zeros(len(parts), np.uint32)
    start = 0
    while start < len(parts):
        end, levels = start, 0
        while end < len(parts):
            wider = max(levels, int(max(lengths[end] - 1, 0)).bit_length())
            if end > start and (end + 1 - start) << wider > BATCH_BYTES:
                break
            end, levels = end + 1, wider
        found[start:end] = _of_batch(parts[start:end], lengths[start:end], levels)
        start = end
    return found ^ np.uint32(0xFFFFFFFF)


def masked(checksums: np.ndarray) -> np.ndarray:
    """As TFRecord stores them: turned by 15 bits, and a constant added."""
    return (checksums >> 15 | checksums << 17) + np.uint32(0xA282EAD8)


def _of_batch(parts: Sequence[bytes | memoryview], lengths: np.ndarray, levels: int) -> np.ndarray:
    values = np.zeros((len(parts), 1 << levels), np.uint8)  # zeros in front change nothing
    for row, part, length in zip(values, parts, lengths.tolist(), strict=True):
        row[len(row) - length :] = np.frombuffer(part, np.uint8)
    states = _table()[values]
    for level in range(levels):
        states = _through(_zeros(level), states[:, 0::2]) ^ states[:, 1::2]
    return states[:, 0] ^ _start(lengths)


def _start(lengths: np.ndarray) -> np.ndarray:
    """What the initial state of ones has become behind so many bytes."""
    state = np.full(len(lengths), 0xFFFFFFFF, np.uint32)
    for level in range(int(lengths.max(initial=0)).bit_length()):
        state = np.where(lengths >> level & 1, _through(_zeros(level), state), state)
    return state


@cache
def _table() -> np.ndarray:
    """uint32 [256]: a state of that byte after one zero byte, which is the checksum of that byte."""
    state = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        state = np.where(state & 1, state >> 1 ^ np.uint32(POLYNOMIAL), state >> 1)
    return state


@cache
def _zeros(level: int) -> np.ndarray:
    """uint32 [4, 256]: what each byte of a state becomes through 2**level zero bytes."""
    bytes_of_state = np.arange(256, dtype=np.uint32) << (8 * np.arange(4, dtype=np.uint32))[:, None]
    if level == 0:
        return _table()[bytes_of_state & 255] ^ bytes_of_state >> 8
    half = _zeros(level - 1)
    return _through(half, _through(half, bytes_of_state))


def _through(zeros: np.ndarray, state: np.ndarray) -> np.ndarray:
    parts = (zeros[i][state >> np.uint32(8 * i) & np.uint32(255)] for i in range(4))
    first, second, third, fourth = parts
    return first ^ second ^ third ^ fourth
