"""Reads the items of a HEIC or AVIF, and what the one that is shown takes to decode (ISO/IEC 23008-12)."""

from collections import defaultdict
from dataclasses import dataclass, field

from spark_steps.errors import UnusablePhotoError
from spark_steps.photos.bombs import BOMB
from spark_steps.photos.formats.boxes import Box, Entries, Reader, boxes_of
from spark_steps.photos.formats.coded_pictures import Coded, av1, hevc
from spark_steps.photos.formats.kinds import unsupported

# Tables that a file has once. Decoders differ in which one of several they take.
_ONCE = (b"pitm", b"iinf", b"iloc", b"iprp", b"iref", b"idat")
_TABLES_OF_FILMS = (b"moov", b"moof", b"mini")
_CODED, _GRID, _SAME = (b"hvc1", b"av01"), b"grid", b"iden"
# A grid of grids is deeper than any camera writes.
_DEEPEST = 4
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")


@dataclass
class Item:
    """An item of a file.

    Attributes:
        kind: Its four letters.
        extents: Beginning and end of each part of its bytes.
        properties: Its properties.
        parts: Numbers of the items that it is made of.
        alphas: Numbers of the items that are its transparency.
    """

    kind: bytes = b""
    extents: list[tuple[int, int]] = field(default_factory=list)
    properties: list[Box] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    alphas: list[int] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Its bytes."""
        return sum(end - start for start, end in self.extents)

    def property(self, kind: bytes) -> Box | None:
        """Returns its first property of a kind."""
        return next((box for box in self.properties if box.kind == kind), None)


@dataclass(frozen=True)
class Work:
    """What is decoded for an item.

    Attributes:
        pixels: Pixels, those of tiles and transparency too.
        largest: Pixels of the largest picture.
        length: Bytes that are read.
        codecs: Kinds of the coded items.
        is_plain: Whether all coded items are, as ``Coded`` has it.
    """

    pixels: int = 0
    largest: int = 0
    length: int = 0
    codecs: frozenset[bytes] = frozenset()
    is_plain: bool = True

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.pixels + other.pixels,
            max(self.largest, other.largest),
            self.length + other.length,
            self.codecs | other.codecs,
            self.is_plain and other.is_plain,
        )


class HeifItems:
    """The items of a file.

    Attributes:
        primary: The one that is shown.
        described: Bytes of metadata, counted once for each item that they describe.
        films: The boxes of films, and of other tables that the libraries read.
    """

    def __init__(self, data: bytes) -> None:
        """Reads the tables of a file.

        Args:
            data: The file's bytes.

        Raises:
            UnusablePhotoError: Its tables are too long, or it has no still picture.
            EOFError: It is cut off.
            ValueError: It is malformed.
        """
        self._data, self._entries = data, Entries()
        self._items: defaultdict[int, Item] = defaultdict(Item)
        self._works: dict[int, Work] = {}
        self._idat: Box | None = None
        self.described, self.films = 0, list[Box]()
        metas = self._read_outermost()
        if not metas:
            raise unsupported("a film or another file without a still picture")
        if len(metas) > 1:
            raise ValueError("it has two tables of items")
        self._primary_id = self._read_meta(metas[0])
        if self._primary_id not in self._items:
            raise ValueError("the picture that it shows is missing")
        self.primary = self._items[self._primary_id]

    def work(self) -> Work:
        """Returns what decoding the picture takes that is shown.

        Raises:
            UnusablePhotoError: It is of a kind that is not supported.
            ValueError: It is malformed.
        """
        return self._work(self._primary_id, 0)

    def _read_outermost(self) -> list[Box]:
        metas: list[Box] = []
        try:
            for box in boxes_of(Reader(self._data, 0, len(self._data)), self._entries):
                if box.kind == b"meta":
                    metas.append(box)
                elif box.kind in _TABLES_OF_FILMS:
                    self.films.append(box)
        except (EOFError, ValueError):
            # Phones append what is no box. Whether the picture itself is whole is looked at item by item.
            if not metas:
                raise
        return metas

    def _read_meta(self, meta: Box) -> int:
        reader = meta.reader(self._data)
        reader.number(4)
        found: dict[bytes, Box] = {}
        for box in boxes_of(reader, self._entries):
            if box.kind in _ONCE and box.kind in found:
                raise ValueError(f"it has two tables {box.kind!r}")
            found[box.kind] = box
        if b"pitm" not in found:
            raise unsupported("a film or another file without a still picture")
        self._idat = found.get(b"idat")
        for kind, read in ((b"iinf", self._read_kinds), (b"iloc", self._read_places), (b"iprp", self._read_properties)):
            if kind in found:
                read(found[kind].reader(self._data))
        if b"iref" in found:
            self._read_references(found[b"iref"].reader(self._data))
        primary = found[b"pitm"].reader(self._data)
        return primary.number(2 if _version(primary) == 0 else 4)

    def _read_kinds(self, reader: Reader) -> None:
        reader.number(2 if _version(reader) == 0 else 4)
        for box in boxes_of(reader, self._entries):
            entry = box.reader(self._data)
            version = _version(entry)
            if box.kind == b"infe" and version >= 2:
                item = self._items[entry.number(2 if version == 2 else 4)]
                entry.number(2)
                if item.kind:
                    raise ValueError("an item has two kinds")
                item.kind = entry.take(4)

    def _read_places(self, reader: Reader) -> None:
        version, sizes = _version(reader), reader.number(2)
        offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
        for _ in range(reader.number(2 if version < 2 else 4)):
            self._entries.count()
            item = self._items[reader.number(2 if version < 2 else 4)]
            method = reader.number(2) & 15 if version else 0
            reader.number(2)
            start = reader.number(base)
            if item.extents:
                raise ValueError("an item has two places")
            for _ in range(reader.number(2)):
                self._entries.count()
                reader.number(index if version else 0)
                item.extents.append(self._extent(method, start + reader.number(offset), reader.number(length)))

    def _extent(self, method: int, start: int, length: int) -> tuple[int, int]:
        if method > 1:
            raise unsupported("a HEIF whose items are parts of other items")
        around = (0, len(self._data)) if method == 0 else (self._idat.start, self._idat.end) if self._idat else (0, 0)
        first = around[0] + start
        end = first + length if length else around[1]
        if end > around[1] or first > end:
            raise EOFError("an item goes on beyond the end of the file")
        return first, end

    def _read_properties(self, reader: Reader) -> None:
        properties: list[Box] = []
        for box in boxes_of(reader, self._entries):
            content = box.reader(self._data)
            if box.kind == b"ipco":
                properties += boxes_of(content, self._entries)
            elif box.kind == b"ipma":
                self._read_associations(content, properties)

    def _read_associations(self, reader: Reader, properties: list[Box]) -> None:
        version, wide = _version(reader), self._data[reader.place - 1] & 1
        for _ in range(reader.number(4)):
            self._entries.count()
            item = self._items[reader.number(2 if version == 0 else 4)]
            for _ in range(reader.number(1)):
                self._entries.count()
                number = reader.number(2) & 0x7FFF if wide else reader.number(1) & 0x7F
                if number > len(properties):
                    raise ValueError("an item has a property that does not exist")
                # Zero is none.
                item.properties += properties[number - 1 : number] if number else []

    def _read_references(self, reader: Reader) -> None:
        size = 2 if _version(reader) == 0 else 4
        for box in boxes_of(reader, self._entries):
            entry = box.reader(self._data)
            number = entry.number(size)
            for _ in range(entry.number(2)):
                self._entries.count()
                other = entry.number(size)
                if box.kind == b"dimg":
                    self._items[number].parts.append(other)
                elif box.kind == b"auxl" and self._is_alpha(self._items[number]):
                    self._items[other].alphas.append(number)
                elif box.kind == b"cdsc":
                    self.described += self._items[number].length

    def _is_alpha(self, item: Item) -> bool:
        box = item.property(b"auxC")
        return box is not None and self._data[box.start + 4 : box.end].split(b"\0")[0] in _ALPHA

    def _work(self, number: int, depth: int) -> Work:
        if depth > _DEEPEST:
            raise ValueError("its pictures are made of one another")
        if number not in self._works:
            item = self._items[number]
            work = self._own_work(item)
            for other in (*(item.parts if item.kind in (_GRID, _SAME) else ()), *item.alphas):
                work += self._work(other, depth + 1)
            self._works[number] = work
        return self._works[number]

    def _own_work(self, item: Item) -> Work:
        if item.kind in _CODED:
            coded = self._coded(item)
            return Work(coded.pixels, coded.width * coded.height, item.length, frozenset({item.kind}), coded.is_plain)
        if item.kind == _GRID:
            layout = Reader(b"".join(self._streams(item)), 0, item.length)
            wide = layout.number(2) & 1
            layout.number(2)
            size = 4 if wide else 2
            pixels = layout.number(size) * layout.number(size)
            return Work(pixels, pixels, item.length)
        if item.kind == _SAME:
            return Work()
        name = item.kind.decode("latin-1") or "nothing"
        raise unsupported(f"a HEIF whose picture is stored as {name!r}")

    def _coded(self, item: Item) -> Coded:
        if item.kind == b"av01":
            return av1(self._streams(item), self._entries)
        configuration = item.property(b"hvcC")
        if configuration is None:
            raise ValueError("a picture has no configuration")
        content = self._data[configuration.start : configuration.end]
        return hevc(content, self._streams(item), self._entries)

    def _streams(self, item: Item) -> list[bytes]:
        if item.length > len(self._data):
            raise UnusablePhotoError(BOMB, "an item has more bytes than the file")
        return [self._data[start:end] for start, end in item.extents]


def _version(reader: Reader) -> int:
    """Returns the version of a full box, and goes past its flags."""
    version = reader.number(1)
    reader.number(3)
    return version
