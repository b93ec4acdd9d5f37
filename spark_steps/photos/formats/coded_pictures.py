"""Reads how large the pictures in a coded stream of HEVC or AV1 are, and how many there are, without decoding any.

A decoder believes the stream, not the container around it: a stream of a few kilobytes may hold a thousand pictures of
100 megapixels, of which one is shown, in a file that says 10 x 10.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from spark_steps.photos.formats.boxes import Entries, Reader

_LAST_SLICE, _SEQUENCE_PARAMETERS = 31, 33
# chroma_format_idc: none is 0, 4:2:0 is 1, 4:4:4 is 3.
_QUARTER_OF_COLOURS, _ALL_COLOURS = 1, 3
_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
# The part of a header that tells the size is within these bytes, even with all optional fields.
_HEADER_BYTES = 512


@dataclass(frozen=True)
class Coded:
    """The pictures of a stream.

    Attributes:
        width: Width in pixels of the largest.
        height: Height in pixels of the largest.
        pictures: How many there are.
        is_plain: Whether all are of 8 bits and have no more colours than one for four pixels, which HEVC's say.
    """

    width: int
    height: int
    pictures: int
    is_plain: bool = False

    @property
    def pixels(self) -> int:
        """Pixels of all of them."""
        return self.width * self.height * self.pictures


class _Bits:
    """Reads bits, the highest of each byte first; beyond the end of the data they are zero."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def read(self, count: int) -> int:
        self._left -= count
        shifted = self._value >> self._left if self._left >= 0 else self._value << -self._left
        return shifted & ((1 << count) - 1)

    def exponential(self) -> int:
        """Returns a number in the Golomb code of both formats: as many bits as there are zeros before the first one."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 31:
                raise ValueError("a number of the picture's header has more than 32 bits")
        return (1 << zeros) - 1 + self.read(zeros)


def hevc(configuration: bytes, streams: Sequence[bytes], entries: Entries) -> Coded:
    """Returns the pictures of an HEVC item.

    Args:
        configuration: Content of its box hvcC.
        streams: Its bytes, in parts.
        entries: Counts the units of the streams.

    Raises:
        ValueError: It is malformed, or nothing tells a size.
    """
    size_bytes = (configuration[21] & 3) + 1 if len(configuration) > 22 else 0
    units = chain(_configured_units(configuration, entries), _hevc_units(b"".join(streams), size_bytes, entries))
    sizes, plain, pictures = [], True, 0
    for unit in units:
        kind = _hevc_type(unit)
        if kind == _SEQUENCE_PARAMETERS:
            size, is_plain = _hevc_size(unit)
            sizes.append(size)
            plain &= is_plain
        elif kind is not None and kind <= _LAST_SLICE:
            # The first bit of a slice tells whether a picture begins with it.
            pictures += unit[2] >> 7
    return _coded(sizes, pictures, is_plain=plain)


def _configured_units(configuration: bytes, entries: Entries) -> Iterator[bytes]:
    reader = Reader(configuration, 22, len(configuration))
    for _ in range(reader.number(1)):
        reader.number(1)
        for _ in range(reader.number(2)):
            entries.count()
            yield reader.take(reader.number(2))


def _hevc_units(stream: bytes, size_bytes: int, entries: Entries) -> Iterator[bytes]:
    reader = Reader(stream, 0, len(stream))
    while size_bytes and reader.place < reader.end:
        entries.count()
        yield reader.take(reader.number(size_bytes))


def _hevc_type(unit: bytes) -> int | None:
    # Units of further layers, such as another view, are not decoded.
    is_of_base = len(unit) > 2 and not (unit[0] & 1 or unit[1] >> 3)
    return unit[0] >> 1 & 0x3F if is_of_base else None


def _hevc_size(unit: bytes) -> tuple[tuple[int, int], bool]:
    """Returns width and height of a sequence parameter set, and whether it is plain, by H.265, 7.3.2.2."""
    # A three after two zeros is there only to keep a start code from appearing.
    bits = _Bits(unit[2:_HEADER_BYTES].replace(b"\0\0\3", b"\0\0"))
    bits.read(4)
    layers = bits.read(3)
    bits.read(1 + 96)
    told = [(bits.read(1), bits.read(1)) for _ in range(layers)]
    bits.read(2 * (8 - layers) if layers else 0)
    for profile, level in told:
        bits.read(88 * profile + 8 * level)
    bits.exponential()
    if (chroma := bits.exponential()) == _ALL_COLOURS:
        bits.read(1)
    size = bits.exponential(), bits.exponential()
    if bits.read(1):
        # What is cut off at the four sides.
        for _ in range(4):
            bits.exponential()
    deeper = bits.exponential() + bits.exponential()
    return size, chroma <= _QUARTER_OF_COLOURS and not deeper


def av1(streams: Sequence[bytes], entries: Entries) -> Coded:
    """Returns the pictures of an AV1 item, those that are not shown too.

    Args:
        streams: Its bytes, in parts.
        entries: Counts the units of the streams.

    Raises:
        ValueError: It is malformed, or nothing tells a size.
    """
    sizes, pictures = [], 0
    for kind, unit in _av1_units(b"".join(streams), entries):
        if kind == _SEQUENCE_HEADER:
            sizes.append(_av1_size(unit))
        elif kind in (_FRAME_HEADER, _FRAME):
            pictures += 1
    return _coded(sizes, pictures)


def _av1_units(stream: bytes, entries: Entries) -> Iterator[tuple[int, bytes]]:
    reader = Reader(stream, 0, len(stream))
    while reader.place < reader.end:
        entries.count()
        header = reader.number(1)
        if header & 4:
            reader.number(1)
        size = _variable_length(reader) if header & 2 else reader.end - reader.place
        yield header >> 3 & 15, reader.take(size)


def _variable_length(reader: Reader) -> int:
    value = 0
    for place in range(8):
        byte = reader.number(1)
        value |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            break
    return value


def _av1_size(unit: bytes) -> tuple[int, int]:
    """Returns the largest width and height of a sequence header, by AV1's specification, 5.5.1."""
    bits = _Bits(unit[:_HEADER_BYTES])
    bits.read(4)
    if bits.read(1):
        bits.read(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(width_bits) + 1, bits.read(height_bits) + 1


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.read(1):
        bits.read(64)
        if bits.read(1):
            bits.exponential()
        if bits.read(1):
            delay_bits = bits.read(5) + 1
            bits.read(42)
    displays = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) > 7:
            bits.read(1)
        if delay_bits and bits.read(1):
            bits.read(2 * delay_bits + 1)
        if displays and bits.read(1):
            bits.read(4)


def _coded(sizes: Sequence[tuple[int, int]], pictures: int, *, is_plain: bool = False) -> Coded:
    if not sizes or not pictures:
        raise ValueError("an item has no picture")
    # Streams with several sizes may use any for any of their pictures.
    return Coded(max(width for width, _ in sizes), max(height for _, height in sizes), pictures, is_plain)
