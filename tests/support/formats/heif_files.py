"""HEIC and AVIF files: those that encoders write, and those that are put together item by item."""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pillow_heif
from PIL import Image

from spark_steps.photos.formats.heif_items import HeifItems

pillow_heif.register_heif_opener()
HIDDEN = 1


def box(kind: bytes, *content: bytes) -> bytes:
    """Returns a box."""
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, *content: bytes, version: int = 0, flags: int = 0) -> bytes:
    """Returns a box with a version and flags."""
    return box(kind, bytes([version]) + flags.to_bytes(3, "big"), *content)


@dataclass(frozen=True)
class Part:
    """An item of a file.

    Attributes:
        kind: Its four letters.
        data: Its bytes.
        properties: The boxes of its properties.
        flags: HIDDEN or zero.
        extents: How often its place is named.
    """

    kind: bytes
    data: bytes
    properties: Sequence[bytes] = ()
    flags: int = 0
    extents: int = 1


def size_of(width: int, height: int) -> bytes:
    """Returns the property that tells a size."""
    return full_box(b"ispe", struct.pack(">II", width, height))


def colours(primaries: int, transfer: int) -> bytes:
    """Returns the property that names colours by numbers."""
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, 6, 0x80))


def reference(kind: bytes, of: int, to: Sequence[int]) -> bytes:
    """Returns a reference of an item to others, by their numbers from 1."""
    return box(kind, struct.pack(">HH", of, len(to)), *(struct.pack(">H", other) for other in to))


def grid(rows: int, columns: int, width: int, height: int) -> bytes:
    """Returns the bytes of an item that is a grid."""
    return struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, width, height)


def heif(
    parts: Sequence[Part],
    references: Sequence[bytes] = (),
    brands: tuple[bytes, ...] = (b"heic", b"mif1", b"heic", b"avif"),
    primary: int = 1,
    more: bytes = b"",
) -> bytes:
    """Returns a file of items.

    Args:
        parts: The items; their numbers begin with 1.
        references: Of items to others.
        brands: The major brand, and the compatible ones.
        primary: The number of the item that is shown.
        more: Boxes that follow the tables.
    """
    front = box(b"ftyp", brands[0] + bytes(4), *brands[1:])
    properties = [one for part in parts for one in part.properties]
    count, associations, next_property = struct.pack(">H", len(parts)), b"", 1
    for number, part in enumerate(parts, 1):
        owned = range(next_property, next_property + len(part.properties))
        next_property = owned.stop
        associations += struct.pack(">HB", number, len(owned)) + b"".join(struct.pack(">H", one) for one in owned)

    def tables(start: int) -> bytes:
        kinds, places = b"", b""
        for number, part in enumerate(parts, 1):
            content = struct.pack(">HH4sx", number, 0, part.kind)
            kinds += full_box(b"infe", content, version=2, flags=part.flags)
            places += (
                struct.pack(">HHH", number, 0, part.extents) + struct.pack(">II", start, len(part.data)) * part.extents
            )
            start += len(part.data)
        return full_box(
            b"meta",
            full_box(b"hdlr", bytes(4) + b"pict" + bytes(13)),
            full_box(b"pitm", struct.pack(">H", primary)),
            full_box(b"iinf", count, kinds),
            full_box(b"iref", *references) if references else b"",
            box(
                b"iprp",
                box(b"ipco", *properties),
                full_box(b"ipma", struct.pack(">I", len(parts)), associations, flags=1),
            ),
            full_box(b"iloc", struct.pack(">H", 0x4400), count, places),
        )

    before = len(front) + len(tables(0)) + len(more) + 8
    return front + tables(before) + more + box(b"mdat", *(part.data for part in parts))


def heic(image: Image.Image, **options: Any) -> bytes:
    """Returns a HEIC as pillow-heif writes it."""
    buffer = io.BytesIO()
    if isinstance(exif := options.get("exif"), Image.Exif):
        # The orientation of an Exif that is no bytes is not written.
        options["exif"] = exif.tobytes()
    image.save(buffer, "HEIF", **options)
    return buffer.getvalue()


def avif(image: Image.Image, **options: Any) -> bytes:
    """Returns an AVIF as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, "AVIF", **{"speed": 10, **options})
    return buffer.getvalue()


def part_of(data: bytes, *more: bytes) -> Part:
    """Returns the item that a file shows, with the properties that tell how it is coded and how large it is.

    Args:
        data: A file of one coded picture.
        more: Further properties.
    """
    item = HeifItems(data).primary
    kept = [data[one.header : one.end] for one in item.properties if one.kind in (b"hvcC", b"av1C", b"ispe", b"pixi")]
    return Part(item.kind, b"".join(data[start:end] for start, end in item.extents), [*kept, *more])
