"""TFRecord files: a length, its checksum, the record, its checksum, again and again.

tensorflow/core/lib/io/record_writer.h: uint64 length, uint32 masked CRC-32C of these 8 bytes, the record, uint32 masked
CRC-32C of the record, all little-endian.
"""

import struct
from pathlib import Path

import numpy as np

from cnnlab.data.crc32c import crc32c, masked
from cnnlab.errors import DataError

HINT = "copy or write the file again"


def read_records(path: Path, where: str) -> list[memoryview]:
    """The records of a file, each held against its checksums. Raises DataError, which names the first bad one."""
    content = memoryview(path.read_bytes())
    records: list[memoryview] = []
    heads: list[memoryview] = []
    stored: list[tuple[int, int]] = []
    at = 0
    while at + 12 <= len(content):
        length, head_sum = struct.unpack_from("<QI", content, at)
        heads.append(content[at : at + 8])
        end = at + 12 + length
        if end + 4 > len(content):
            stored.append((head_sum, 0))
            break
        records.append(content[at + 12 : end])
        stored.append((head_sum, struct.unpack_from("<I", content, end)[0]))
        at = end + 4
    sums = np.array(stored, np.uint32).reshape(-1, 2)
    for what, parts, column in (("length", heads, 0), ("content", records, 1)):
        wrong = np.flatnonzero(masked(crc32c(parts)) != sums[: len(parts), column])
        if len(wrong):
            message = f"the {what} of record {wrong[0]} does not fit its checksum"
            if what == "length" and wrong[0] == 0:
                message = "is no TFRecord file, or its first record is damaged"
            raise DataError(message, where=where, hint=HINT)
    if at != len(content):
        raise DataError(f"ends inside of record {len(records)}", where=where, hint=HINT)
    return records
