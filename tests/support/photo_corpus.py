"""Photos that try the reader, made as they are asked for: those a camera might write, and those an enemy would."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.support.formats.heif_files import Part, avif, grid, heic, heif, part_of, reference, size_of

MEBIBYTE = 1 << 20
# What settings have where nobody sets it.
MAX_PIXELS = 120_000_000
_NUMBERS = {"u": 1, "i": 2, "f": 3}
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")


def picture(width: int = 120, height: int = 90) -> Image.Image:
    """Returns a photo with a gradient in each colour."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=2).astype(np.uint8))


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    """Returns an image in a file format."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    """Returns a chunk of a PNG with its length and checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, extra: bytes = b"", bits: int = 8) -> bytes:
    """Returns a black grey PNG, a thousandth of its size decoded, with chunks before its pixels."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width * bits + 7) // 8)
    data = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def tiff(entries: list[tuple[int, int, int, int]], after: bytes) -> bytes:
    """Returns a little-endian TIFF of one directory: entries of tag, type, count and value, and what comes after."""
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + struct.pack("<I", 0) + after


def tiff_of_a_large_tile(side: int) -> bytes:
    """Returns a TIFF of 10 x 10 pixels in one tile of ``side`` pixels a side, deflated."""
    tile = zlib.compress(bytes(side * side), 9)
    after = 8 + 2 + 12 * 10 + 4
    rows = ((256, 10), (257, 10), (258, 8), (259, 8), (262, 1), (277, 1), (322, side), (323, side), (324, after))
    return tiff([*((tag, 4, 1, value) for tag, value in rows), (325, 4, 1, len(tile))], tile)


def tiff_of(
    samples: NDArray[Any],
    photometric: int,
    *,
    order: Literal["<", ">"] = "<",
    deflated: bool = False,
    planes: bool = False,
    predictor: int = 1,
    rows: int = 16,
    big: bool = False,
    **tags: int,
) -> bytes:
    """Returns a TIFF.

    Args:
        samples: Of shape (height, width, samples of a pixel).
        photometric: 0 white is zero, 1 grey, 2 RGB, 5 CMYK.
        order: Of the bytes: "<" or ">".
        deflated: Whether to compress.
        planes: Whether each sample has a plane of its own.
        predictor: 2 for whole numbers, 3 for floating point; needs ``deflated``.
        rows: Of a strip.
        big: Whether to write a BigTIFF.
        tags: Further ones of one short number, named by "tag" and their number, as ``tag274=6``.
    """
    height, width, count = samples.shape
    parts = np.split(samples, count, axis=2) if planes else [samples]
    strips = [
        _strip(part[start : start + rows], order, predictor) for part in parts for start in range(0, height, rows)
    ]
    strips = [zlib.compress(strip) if deflated else strip for strip in strips]
    header = 16 if big else 8
    offsets = (header + np.cumsum([0, *map(len, strips)])).tolist()
    bits, kind = samples.dtype.itemsize * 8, _NUMBERS[samples.dtype.kind]
    entries: dict[int, tuple[int, list[int]]] = {
        **{256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * count), 259: (3, [8 if deflated else 1])},
        **{262: (3, [photometric]), 273: (4, offsets[:-1]), 277: (3, [count]), 278: (4, [rows])},
        **{279: (4, [len(strip) for strip in strips]), 284: (3, [2 if planes else 1]), 317: (3, [predictor])},
        339: (3, [kind] * count),
        **{int(name.removeprefix("tag")): (3, [value]) for name, value in tags.items()},
    }
    return _tiff_file(order, big, b"".join(strips), entries)


def _strip(samples: NDArray[Any], order: Literal["<", ">"], predictor: int) -> bytes:
    if predictor == 2:
        size = samples.dtype.itemsize
        numbers = np.ascontiguousarray(samples).view(f"u{size}")
        samples = np.diff(numbers, axis=1, prepend=np.zeros_like(numbers[:, :1]))
    if predictor == 3:
        height, _, count = samples.shape
        by_byte = np.ascontiguousarray(samples.astype(samples.dtype.newbyteorder(">"))).view(np.uint8)
        by_byte = by_byte.reshape(height, -1, samples.dtype.itemsize).swapaxes(1, 2).reshape(height, -1, count)
        return np.diff(by_byte, axis=1, prepend=np.zeros_like(by_byte[:, :1])).tobytes()
    return samples.astype(samples.dtype.newbyteorder(order)).tobytes()


def _tiff_file(order: Literal["<", ">"], big: bool, pixels: bytes, entries: dict[int, tuple[int, list[int]]]) -> bytes:
    word, inline = ("Q", 8) if big else ("I", 4)
    version = struct.pack(f"{order}HHH", 43, 8, 0) if big else struct.pack(f"{order}H", 42)
    start = (16 if big else 8) + len(pixels)
    head = (b"II" if order == "<" else b"MM") + version + struct.pack(order + word, start)
    values_at = start + (8 if big else 2) + (12 + 2 * (inline - 4)) * len(entries) + inline
    directory, values = struct.pack(order + ("Q" if big else "H"), len(entries)), b""
    for tag, (kind, numbers) in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers)
        if len(packed) > inline:
            place = struct.pack(order + word, values_at + len(values))
            values += packed
        else:
            place = packed.ljust(inline, b"\0")
        directory += struct.pack(f"{order}HH{word}", tag, kind, len(numbers)) + place
    return head + pixels + directory + bytes(inline) + values


def jpeg_with(segments: bytes) -> bytes:
    """Returns a JPEG with segments before its own."""
    plain = encoded(picture(), "JPEG")
    return plain[:2] + segments + plain[2:]


def jpeg_of_scans(scans: int, side: int = 400, **options: object) -> bytes:
    """Returns a progressive JPEG whose last scan, of some ten bytes, comes so many times more."""
    plain = encoded(Image.new("L", (side, side)), "JPEG", progressive=True, **options)
    last = plain[plain.rfind(b"\xff\xda") : -2]
    return plain[:-2] + last * scans + b"\xff\xd9"


def oriented(orientation: int) -> bytes:
    """Returns a JPEG with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(picture(), "JPEG", exif=exif)


def _repeated(part: Part, times: int) -> Part:
    return Part(part.kind, part.data * times, part.properties)


# What decodes, by what is special about it.
GOOD: dict[str, Callable[[], bytes]] = {
    "cmyk jpeg": lambda: encoded(picture().convert("CMYK"), "JPEG"),
    "progressive jpeg": lambda: encoded(picture(900, 700), "JPEG", progressive=True),
    "jpeg of more scans than encoders write": lambda: jpeg_of_scans(200),
    "jpeg in which something like scans is metadata": lambda: jpeg_with(b"\xff\xef\x10\x00" + b"\xff\xda" * 2047),
    "rotated jpeg": lambda: oriented(6),
    "jpeg of no known orientation": lambda: oriented(99),
    "jpeg with a profile that is none": lambda: encoded(picture(), "JPEG", icc_profile=b"no profile" * 20_000),
    "png with a grey profile": lambda: encoded(picture(), "PNG", icc_profile=b"GRAY" * 40),
    "palette": lambda: encoded(picture().convert("P"), "PNG"),
    "palette with transparency": lambda: encoded(picture().convert("P"), "PNG", transparency=3),
    "grey with transparency": lambda: encoded(picture().convert("L"), "PNG", transparency=3),
    "16-bit grey": lambda: encoded(Image.fromarray(np.full((30, 40), 40_000, np.uint16)), "PNG"),
    "32-bit grey": lambda: encoded(Image.fromarray(np.full((30, 40), 70_000, np.int32)), "TIFF"),
    "float grey with what is no number": lambda: encoded(
        Image.fromarray(np.array([[np.nan, np.inf], [-np.inf, 3e38]], np.float32)), "TIFF"
    ),
    "animated gif": lambda: encoded(picture(), "GIF", save_all=True, append_images=[picture(), picture()]),
    "animated webp": lambda: encoded(picture(), "WEBP", save_all=True, append_images=[picture()]),
    "animated png": lambda: encoded(picture(), "PNG", save_all=True, append_images=[picture()]),
    "pages": lambda: encoded(picture(), "TIFF", save_all=True, append_images=[picture()]),
    "one pixel": lambda: encoded(picture(1, 1), "PNG"),
    "a row of pixels": lambda: encoded(picture(3000, 1), "JPEG"),
    "a column of pixels": lambda: png(1, 65_535),
    "text": lambda: png(9, 9, png_chunk(b"tEXt", b"k\0" + b"t" * 900_000)),
    "heic": lambda: heic(picture()),
    "heic in tiles": lambda: heic(picture(300, 200), tile_size=64),
    "heic of several pictures": lambda: heic(picture(), save_all=True, append_images=[picture(40, 30)]),
    "avif": lambda: avif(picture()),
    "animated avif": lambda: avif(picture(), save_all=True, append_images=[picture()]),
    "much ahead of the image": lambda: jpeg_with((b"\xff\xe5\xff\xff" + bytes(0xFFFD)) * 100),
}
# What is refused, with the beginning of the reason.
BAD: dict[str, tuple[str, Callable[[], bytes]]] = {
    "no bytes": ("not an image", lambda: b""),
    "a letter": ("not an image", lambda: b"Dear all,"),
    "half a jpeg": ("truncated", lambda: encoded(picture(900, 700), "JPEG")[:4000]),
    "a jpeg of no height": (
        "not an image",
        lambda: encoded(picture(), "JPEG").replace(b"\0\x5a\0\x78", b"\0\0\0\x78", 1),
    ),
    "a png of no width": ("not an image", lambda: png(0, 5)),
    "text that unpacks to more than Pillow takes": (
        "damaged",
        lambda: png(9, 9, png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2 * MEBIBYTE)))),
    ),
    "pixels above the limit": ("decompression bomb", lambda: png(20_000, 6_001)),
    "a row of 100 million": ("decompression bomb", lambda: png(100_000_000, 1)),
    "a column of 100,000": ("decompression bomb", lambda: png(1, 100_000)),
    "transparent pixels above a quarter of the limit": (
        "decompression bomb",
        lambda: png(20_000, 1_501, png_chunk(b"tRNS", b"\0\0")),
    ),
    "webp above a quarter of the limit": (
        "decompression bomb",
        lambda: encoded(Image.new("RGB", (10_000, 3_001)), "WEBP", quality=1, method=0),
    ),
    "a tile above the limit": ("decompression bomb", lambda: tiff_of_a_large_tile(11_000)),
    "a heic that is one tile ten thousand times": (
        "decompression bomb",
        lambda: heif(
            [Part(b"grid", grid(100, 100, 60, 60), [size_of(60, 60)]), part_of(heic(picture(512, 512)))],
            [reference(b"dimg", 1, [2] * 10_000)],
        ),
    ),
    "an avif of a thousand pictures of which one is shown": (
        "decompression bomb",
        lambda: heif([_repeated(part_of(avif(picture(512, 512))), 1_000)], brands=(b"avif", b"mif1")),
    ),
    "half a heic": ("truncated", lambda: heic(picture())[:-100]),
    "a million comments": ("decompression bomb", lambda: jpeg_with(b"\xff\xfe\x00\x02" * 1_000_000)),
    "a million exif blocks": ("decompression bomb", lambda: jpeg_with(b"\xff\xe1\x00\x09Exif\0\0M" * 1_000_000)),
    "a thousand scans": ("decompression bomb", lambda: jpeg_of_scans(1_000)),
    "a million chunks": ("decompression bomb", lambda: png(9, 9, png_chunk(b"prVt", b"") * 1_000_000)),
    "profiles": (
        "decompression bomb",
        lambda: png(9, 9, png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1_000_000))) * 2_000),
    ),
}
