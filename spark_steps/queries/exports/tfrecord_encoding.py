"""Records of TFRecord files with a ``tf.train.Example`` each, made without TensorFlow.

TensorFlow is installed, but its import takes seconds and some hundred megabytes, and each number would pass through
Python. A record is a length, bytes, and a checksum of each
(https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details); an example is a map of few
fields (``tensorflow/core/example/example.proto``). Neither has changed since TensorFlow 1. The checksum is CRC-32C,
which no package that is installed computes; here numpy does, of all records of a batch at once.
"""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

# Castagnoli's polynomial, its bits in reverse.
_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_ONES = 0xFFFFFFFF
# Fields of the messages Feature and Example, and of an entry of a map.
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_KEY, _VALUE = 1, 2
# Wire type of a message, of bytes and of packed numbers: a length comes first.
_LENGTH_DELIMITED = 2


def text_feature(text: str) -> bytes:
    """Returns a ``tf.train.Feature`` with one text, as UTF-8."""
    return _field(_BYTES_LIST, _field(1, text.encode()))


def float_feature(numbers: NDArray[np.float32]) -> bytes:
    """Returns a ``tf.train.Feature`` with float32 numbers, of shape (N,)."""
    return _field(_FLOAT_LIST, _field(1, numbers.astype("<f4", copy=False).tobytes()))


def integer_feature(number: int) -> bytes:
    """Returns a ``tf.train.Feature`` with one whole number, not negative."""
    return _field(_INT64_LIST, _field(1, _varint(number)))


def example(features: Mapping[str, bytes]) -> bytes:
    """Returns a ``tf.train.Example``, serialised.

    Args:
        features: The features by name, each as the functions above return it.
    """
    entries = (_field(1, _field(_KEY, name.encode()) + _field(_VALUE, one)) for name, one in features.items())
    return _field(1, b"".join(entries))


def framed(examples: Sequence[bytes]) -> bytes:
    """Returns examples as the records of a TFRecord file.

    Args:
        examples: At least one; each has at least 4 bytes, as every example with a feature has.
    """
    lengths = [len(one).to_bytes(8, "little") for one in examples]
    heads, tails = _masked(crc32c(lengths)), _masked(crc32c(examples))
    return b"".join(part for record in zip(lengths, heads, examples, tails, strict=True) for part in record)


def crc32c(parts: Sequence[bytes]) -> NDArray[np.uint32]:
    """Returns the CRC-32C of each of several byte strings, of shape (N,).

    The strings become the rows of a matrix, and each step takes four bytes of every row. They are aligned at their
    ends: zeros before a string do not change a checksum that begins with zero. That the checksum begins with ones
    instead is the same as to invert a string's first four bytes.

    Args:
        parts: At least one; each has at least 4 bytes.
    """
    lengths = np.array([len(part) for part in parts])
    width = -(-int(lengths.max()) // 4) * 4
    padded = np.frombuffer(b"".join(part.rjust(width, b"\0") for part in parts), np.uint8).reshape(len(parts), width)
    matrix = padded.copy()
    for place in range(4):
        matrix[np.arange(len(parts)), width - lengths + place] ^= 0xFF
    tables = _tables()
    state = np.zeros(len(parts), np.uint32)
    for column in np.ascontiguousarray(matrix.view("<u4").T):
        state ^= column
        state = (
            tables[3][state & 0xFF]
            ^ tables[2][state >> 8 & 0xFF]
            ^ tables[1][state >> 16 & 0xFF]
            ^ tables[0][state >> 24]
        )
    return state ^ np.uint32(_ONES)


@cache
def _tables() -> NDArray[np.uint32]:
    """Returns the checksum of each byte that 0, 1, 2 or 3 zero bytes follow, of shape (4, 256)."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1)
    tables = [table]
    for _ in range(3):
        tables.append(table[tables[-1] & 0xFF] ^ tables[-1] >> 8)
    return np.stack(tables)


def _masked(checksums: NDArray[np.uint32]) -> list[bytes]:
    """Returns the checksums as a record has them: rotated by 15 bits and shifted, so that files may hold records."""
    masked = (checksums >> 15 | checksums << 17) + np.uint32(_MASK_DELTA)
    return [int(one).to_bytes(4, "little") for one in masked]


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | _LENGTH_DELIMITED]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Returns a number in groups of 7 bits, the lowest first; all but the last have the highest bit set."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
