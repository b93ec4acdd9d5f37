"""The bytes of a TFRecord file; that TensorFlow reads them is tested in tests/store/test_exports_read_by_others.py."""

import numpy as np
import pytest

from spark_steps.queries.exports.tfrecord_encoding import (
    crc32c,
    example,
    float_feature,
    framed,
    integer_feature,
    text_feature,
)

# The vectors of RFC 3720, B.4, and the check value of the catalogue of CRCs.
VECTORS = {
    bytes(32): 0x8A9136AA,
    b"\xff" * 32: 0x62A8AB43,
    bytes(range(32)): 0x46DD794E,
    bytes(reversed(range(32))): 0x113FDB5C,
    b"123456789": 0xE3069283,
}


def test_checksums_are_those_of_the_standard_one_at_a_time_and_all_at_once() -> None:
    for part, checksum in VECTORS.items():
        assert crc32c([part]).tolist() == [checksum]
    assert crc32c(list(VECTORS)).tolist() == list(VECTORS.values())


@pytest.mark.parametrize("length", range(4, 40))
def test_a_checksum_does_not_depend_on_the_other_parts_of_a_batch(length: int) -> None:
    part = np.random.default_rng(length).bytes(length)
    assert crc32c([part, bytes(97)])[0] == crc32c([b"other", part])[1] == crc32c([part])[0]


def test_a_record_is_its_length_its_bytes_and_a_masked_checksum_of_each() -> None:
    assert framed([b"123456789"]) == bytes.fromhex("0900000000000000") + _masked(bytes([9, *bytes(7)])) + (
        b"123456789" + _masked(b"123456789")
    )


def _masked(part: bytes) -> bytes:
    checksum = int(crc32c([part])[0])
    rotated = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return ((rotated + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def test_lengths_and_whole_numbers_beyond_127_take_several_bytes() -> None:
    assert integer_feature(0) == bytes.fromhex("1a 03 0a 01 00")
    assert integer_feature(300) == bytes.fromhex("1a 04 0a 02 ac 02")
    assert text_feature("é" * 100)[:6] == bytes.fromhex("0a cb 01 0a c8 01")
    assert float_feature(np.array([1.0], np.float32)) == bytes.fromhex("12 06 0a 04 00 00 80 3f")
    assert example({"a": integer_feature(1)}) == bytes.fromhex("0a 0c 0a 0a 0a 01 61 12 05 1a 03 0a 01 01")
