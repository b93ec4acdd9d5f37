"""What is written by hand into files: PNGs, BMPs, and orientations."""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
ORIENTATIONS = range(1, 9)


def stored_for(orientation: int, upright: NDArray[Any]) -> NDArray[Any]:
    """Returns the rows and columns that a file of an orientation stores so that it is seen upright (EXIF 2.32)."""
    return _flipped(orientation, upright.swapaxes(0, 1) if orientation >= 5 else upright)


def upright_of(orientation: int, stored: NDArray[Any]) -> NDArray[Any]:
    """Returns what is seen of the rows and columns that a file of an orientation stores."""
    flipped = _flipped(orientation, stored)
    return np.ascontiguousarray(flipped.swapaxes(0, 1) if orientation >= 5 else flipped)


def _flipped(orientation: int, pixels: NDArray[Any]) -> NDArray[Any]:
    pixels = pixels[::-1] if orientation in (3, 4, 6, 7) else pixels
    return np.ascontiguousarray(pixels[:, ::-1] if orientation in (2, 3, 7, 8) else pixels)


def exif_of(orientation: int) -> bytes:
    """Returns a block of EXIF with an orientation alone."""
    return b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHHI", 0x0112, 3, 1, orientation, 0, 0)


def jpeg_with_exif(jpeg: bytes, orientation: int) -> bytes:
    """Returns a JPEG with an orientation."""
    block = b"Exif\0\0" + exif_of(orientation)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


def chunk(name: bytes, data: bytes) -> bytes:
    """Returns a chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    samples: NDArray[np.unsignedinteger], bits: int, colour_type: int, before: bytes = b"", after: bytes = b""
) -> bytes:
    """Returns a PNG.

    Args:
        samples: Of shape (height, width, samples of a pixel).
        bits: Of a sample.
        colour_type: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGB with alpha.
        before: Chunks before the pixels.
        after: Chunks after the pixels.
    """
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + packed(row.ravel(), bits) for row in samples)
    parts = chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(rows)) + after + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def packed(values: NDArray[np.unsignedinteger], bits: int) -> bytes:
    """Returns values of so many bits each, the highest bit first, padded to whole bytes."""
    shifts = np.arange(bits - 1, -1, -1)
    return np.packbits((values.astype(np.uint32)[:, None] >> shifts & 1).astype(np.uint8).ravel()).tobytes()


def bmp(pixels: NDArray[np.uint8], header_size: int, masks: Sequence[int] | None) -> bytes:
    """Returns a BMP of 32 bits a pixel.

    Args:
        pixels: Four bytes of each pixel, as the file stores them, of shape (height, width, 4).
        header_size: 40, or with masks 56 (version 3), 108 (4) or 124 (5).
        masks: Those of red, green, blue and alpha; None for a file without masks.
    """
    height, width = pixels.shape[:2]
    header = struct.pack("<IiiHHIIiiII", header_size, width, height, 1, 32, 3 if masks else 0, 0, 0, 0, 0, 0)
    rest = struct.pack("<4I", *masks) if masks else b""
    after = rest if header_size == 40 and masks else b""
    body = header + (rest + bytes(header_size))[: header_size - 40] + after[:12]
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(body)) + body + pixels[::-1].tobytes()
