"""Reads the boxes of ISO files (ISO/IEC 14496-12), the container of HEIC and AVIF, within a limit of entries."""

from collections.abc import Iterator
from dataclasses import dataclass

from spark_steps.errors import UnusablePhotoError
from spark_steps.photos.bombs import BOMB

# A photo of 200 megapixels in tiles of 512 x 512 has about 8,000: 768 tiles with a place, a type, a size and a
# reference each. libavif looks each item up in a list, so a million of them would take it hours.
MOST_ENTRIES = 16_384


class Entries:
    """Counts the entries of all tables of a file."""

    def __init__(self) -> None:
        self._left = MOST_ENTRIES

    def count(self) -> None:
        """Counts one more entry.

        Raises:
            UnusablePhotoError: There are too many.
        """
        self._left -= 1
        if self._left < 0:
            raise UnusablePhotoError(BOMB, f"its tables have more than {MOST_ENTRIES} entries")


@dataclass
class Reader:
    """Reads numbers one after the other.

    Attributes:
        data: The file's bytes.
        place: Where the next number begins.
        end: Where the box ends.
    """

    data: bytes
    place: int
    end: int

    def number(self, size: int) -> int:
        """Returns the next number of so many bytes, zero for none.

        Raises:
            ValueError: The box ends before.
        """
        return int.from_bytes(self.take(size), "big")

    def take(self, size: int) -> bytes:
        """Returns the next bytes.

        Raises:
            ValueError: The box ends before.
        """
        start, self.place = self.place, self.place + size
        if self.place > self.end:
            raise ValueError("a box ends too early")
        return self.data[start : self.place]


@dataclass(frozen=True)
class Box:
    """A box.

    Attributes:
        kind: Its four letters.
        start: Where its content begins.
        end: Where it ends.
        header: Where its header begins.
    """

    kind: bytes
    start: int
    end: int
    header: int

    def reader(self, data: bytes) -> Reader:
        """Returns a reader of its content."""
        return Reader(data, self.start, self.end)


def boxes_of(reader: Reader, entries: Entries) -> Iterator[Box]:
    """Yields the boxes from a reader's place to its end.

    Args:
        reader: The reader.
        entries: Counts them.

    Raises:
        EOFError: A box ends beyond the file.
        ValueError: A box ends beyond the one around it, or before its header.
    """
    while reader.place < reader.end:
        entries.count()
        header = reader.place
        size, kind = reader.number(4), reader.take(4)
        if size == 1:
            size = reader.number(8)
        end = header + size if size else reader.end
        if end > len(reader.data):
            raise EOFError("a box goes on beyond the end of the file")
        if not reader.place <= end <= reader.end:
            raise ValueError(f"the box {kind!r} has no possible length")
        yield Box(kind, reader.place, end, header)
        reader.place = end
