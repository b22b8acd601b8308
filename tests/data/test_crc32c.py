"""CRC-32C against the vectors of RFC 3720, appendix B.4, and against division bit by bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.data import crc32c as module
from cnnlab.data.crc32c import crc32c, masked

VECTORS = {
    bytes(32): 0x8A9136AA,
    b"\xff" * 32: 0x62A8AB43,
    bytes(range(32)): 0x46DD794E,
    bytes(range(31, -1, -1)): 0x113FDB5C,
    b"123456789": 0xE3069283,
    b"": 0,
}


def bit_by_bit(content):
    state = 0xFFFFFFFF
    for byte in content:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def test_the_vectors_of_the_standard():
    assert crc32c(list(VECTORS)).tolist() == list(VECTORS.values())
    assert crc32c([]).tolist() == []


@settings(max_examples=50, deadline=None)
@given(parts=st.lists(st.binary(max_size=300), max_size=6), batch=st.sampled_from([1, 500, 2**22]))
def test_any_bytes_in_any_batches(parts, batch):
    before = module.BATCH_BYTES
    module.BATCH_BYTES = batch
    try:
        assert crc32c(parts).tolist() == [bit_by_bit(part) for part in parts]
    finally:
        module.BATCH_BYTES = before


def test_masked_as_tfrecord_stores_them():
    sums = np.array([0, 0xE3069283, 0xFFFFFFFF], np.uint32)
    expected = [(((int(s) >> 15) | (int(s) << 17)) + 0xA282EAD8) & 0xFFFFFFFF for s in sums]
    assert masked(sums).tolist() == expected
