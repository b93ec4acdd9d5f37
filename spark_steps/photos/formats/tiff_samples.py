"""Reads the TIFFs that Pillow refuses or misreads: Pillow unpacks their bytes, and numpy reads the numbers in them.

The bytes of a compressed TIFF do not depend on what they mean. So its first picture is presented to Pillow as one of
8-bit grey whose rows are the bytes of its rows. Pillow's decoders and limits stay the only ones.

Looked at: tifffile, which needs imagecodecs (44 MB of C libraries) for LZW and Zstandard, and inflates without a limit;
OpenCV and imageio, which read fewer kinds, and imageio by tifffile.
"""

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spark_steps.errors import UnusablePhotoError
from spark_steps.photos.bombs import BOMB, LONGEST_SIDE
from spark_steps.photos.formats.tiff_layout import CMYK, COLOURS, FLOAT, SIGNED, UNSIGNED, WHITE_IS_ZERO, Layout
from spark_steps.photos.standard_error import quiet_standard_error

_ORIENTATION = 0x0112
# Bits that cameras and programs put into numbers of 16 and more without telling so.
_USUAL_BITS = (8, 10, 12)
_PREMULTIPLIED, _ALPHA, _UNTOLD = 1, 2, -1


def read_samples(data: bytes, layout: Layout, max_pixels: int) -> Image.Image:
    """Returns the picture of a TIFF in 8 bits, with its orientation still to be applied.

    Args:
        data: The file's bytes.
        layout: Its layout, with ``is_of_bytes``.
        max_pixels: Four times the most pixels, and two thirds of the most bytes that are unpacked.

    Raises:
        UnusablePhotoError: It has more pixels or bytes.
    """
    _refuse_costly(layout, max_pixels)
    kept = min(layout.samples, COLOURS[layout.photometric] + (layout.extra in (_PREMULTIPLIED, _ALPHA, _UNTOLD)))
    if layout.planes == 1:
        values = _plane(data, layout, 0)[:, :, :kept]
    else:
        values = np.concatenate([_plane(data, layout, plane) for plane in range(kept)], axis=2)
    image = _image(_to_8_bits(values, layout), layout)
    image.getexif()[_ORIENTATION] = layout.orientation
    image.info["icc_profile"] = layout.profile.tobytes()
    return image


# 100,000 tiles of a pixel take 0.6 s and 61 MB, 800,000 take 10.7 s and 301 MB (measured).
_MOST_PARTS = 131_072


def _refuse_costly(layout: Layout, max_pixels: int) -> None:
    size = f"{layout.width} x {layout.height} pixels"
    if max(layout.width, layout.height) > LONGEST_SIDE:
        raise UnusablePhotoError(BOMB, f"{size}, and no side may have over {LONGEST_SIDE}")
    if layout.width * layout.height > max_pixels // 4:
        raise UnusablePhotoError(BOMB, f"{size}, and at most {max_pixels // 4} are decoded")
    parts = layout.across * layout.down * layout.planes
    if parts > _MOST_PARTS:
        raise UnusablePhotoError(BOMB, f"{parts} strips or tiles, and at most {_MOST_PARTS} are read")
    unpacked = _row_bytes(layout) * layout.across * layout.down * layout.chunk[1] * layout.planes
    # At the peak four times as much is held.
    if unpacked > max_pixels * 3 // 2:
        raise UnusablePhotoError(BOMB, f"{size} unpack to {unpacked} bytes, and at most {max_pixels * 3 // 2} are read")


def _row_bytes(layout: Layout) -> int:
    """Returns the bytes of a row of a strip or tile."""
    return -(-layout.chunk[0] * (layout.samples // layout.planes) * layout.bits // 8)


def _plane(data: bytes, layout: Layout, plane: int) -> NDArray[np.generic]:
    """Returns the numbers of a plane, of shape (height, width, samples)."""
    with quiet_standard_error(), Image.open(io.BytesIO(_as_grey(data, layout, plane)), formats=("TIFF",)) as unpacked:
        rows = np.asarray(unpacked).reshape(layout.height, layout.across, -1)
    samples = layout.samples // layout.planes
    values = _numbers(rows, layout, samples)
    return values.reshape(layout.height, -1, samples)[:, : layout.width]


def _as_grey(data: bytes, layout: Layout, plane: int) -> bytes:
    """Returns a TIFF of the same strips or tiles whose pixels are the bytes of a plane."""
    wide, each = _row_bytes(layout), layout.across * layout.down
    if len(layout.offsets) < each * layout.planes:
        raise ValueError("it has fewer strips or tiles than its size takes")
    part = slice(plane * each, (plane + 1) * each)
    places, sizes = (324, 325) if layout.tiled else (273, 279)
    tags: dict[int, list[int]] = {256: [wide * layout.across], 257: [layout.height], 258: [8]}
    tags |= {259: [layout.compression], 262: [1], 266: [layout.fill_order], 277: [1]}
    tags |= {322: [wide], 323: [layout.chunk[1]]} if layout.tiled else {278: [layout.chunk[1]]}
    tags[places] = layout.offsets[part].tolist()
    if len(layout.lengths) >= each * layout.planes:
        tags[sizes] = layout.lengths[part].tolist()
    # The offsets stay those of the file: what is new comes after it, but for the eight bytes in front.
    start = len(data) + len(data) % 2
    after = start + 2 + 12 * len(tags) + 4
    entries, values = [], b""
    for tag, numbers in sorted(tags.items()):
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        inline = packed if len(numbers) == 1 else struct.pack("<I", after + len(values))
        entries.append(struct.pack("<HHI", tag, 4, len(numbers)) + inline)
        values += packed if len(numbers) > 1 else b""
    directory = struct.pack("<H", len(tags)) + b"".join(entries) + bytes(4)
    return struct.pack("<2sHI", b"II", 42, start) + data[8:] + bytes(len(data) % 2) + directory + values


def _numbers(rows: NDArray[np.uint8], layout: Layout, samples: int) -> NDArray[np.generic]:
    """Returns the numbers in the bytes of rows, of shape (height, strips or tiles, bytes)."""
    if layout.bits % 8:
        return _packed_numbers(rows, layout.bits, layout.chunk[0] * samples)
    size = layout.bits // 8
    if size == 3:
        rows = rows.reshape(*rows.shape[:2], -1, 3)
        rows, size = np.pad(rows, [(0, 0)] * 3 + [(1, 0)]).reshape(*rows.shape[:2], -1), 4
    shape = (*rows.shape[:2], layout.chunk[0], samples)
    if layout.predictor == 3:
        return _predicted_floats(rows, samples, size).reshape(shape)
    integers = rows.view(np.dtype(f"u{size}").newbyteorder(layout.order)).reshape(shape)
    if layout.predictor == 2:
        integers = np.cumsum(integers, axis=2, dtype=f"u{size}")
    kind = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f"}[layout.numbers]
    return integers.view(np.dtype(f"{kind}{size}").newbyteorder("=" if integers.dtype.isnative else layout.order))


def _packed_numbers(rows: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint16]:
    """Returns numbers of fewer than 16 bits that follow one another without gaps, the highest bit first."""
    values = np.zeros((*rows.shape[:2], count), np.uint16)
    # Row by row: a bit takes a byte here.
    for row, packed in zip(values, rows, strict=True):
        found = np.unpackbits(packed, axis=1, count=count * bits).reshape(-1, count, bits)
        for bit in range(bits):
            row[:] = row << 1 | found[..., bit]
    return values


def _predicted_floats(rows: NDArray[np.uint8], samples: int, size: int) -> NDArray[np.generic]:
    """Undoes the floating-point predictor: all first bytes of a row, then all second ones, each less the one before."""
    summed = np.cumsum(rows.reshape(*rows.shape[:2], -1, samples), axis=2, dtype=np.uint8)
    by_byte = summed.reshape(*rows.shape[:2], size, -1)
    return np.ascontiguousarray(np.moveaxis(by_byte, 2, 3)).view(f">f{size}")


def _to_8_bits(values: NDArray[np.generic], layout: Layout) -> NDArray[np.uint8]:
    """Scales numbers to 8 bits, so that white becomes 255.

    White is 1 for floating point up to 1, and 255 for other floating point up to 255. For whole numbers it is what the
    file tells; else, if they have 16 bits and more, 8, 10 or 12 bits if no number is larger; else all bits. Numbers
    without a white, which are negative or larger, are spread from the lowest to the highest.
    """
    known = np.nan_to_num(values, posinf=0.0, neginf=0.0) if layout.numbers == FLOAT else values
    low, high = float(known.min()), float(known.max())
    white = _white_of_floats(low, high) if layout.numbers == FLOAT else _white_of_integers(low, high, layout)
    start, span = (0.0, white) if white is not None else (low, high - low or 1.0)
    scaled = np.empty(known.shape, np.uint8)
    # Row by row: whole, this takes eight bytes a sample, several times.
    for row, numbers in zip(scaled, known, strict=True):
        row[:] = ((numbers.astype(np.float64) - start) * (255.0 / span)).clip(0, 255).round()
    return scaled


def _white_of_floats(low: float, high: float) -> float | None:
    if 1 < high <= 255:
        return 255.0
    return 1.0 if low >= 0 and high <= 1 else None


def _white_of_integers(low: float, high: float, layout: Layout) -> float | None:
    if low < 0:
        return None
    if layout.bits < 16:
        return 2.0 ** (layout.bits - (layout.numbers == SIGNED)) - 1
    if layout.most >= max(high, 1):
        usual: tuple[int, ...] = (max(layout.most.bit_length(), 8),)
    else:
        # Little ink is a bright photo, not one of few bits.
        guessed = () if layout.photometric == CMYK else _USUAL_BITS
        usual = (*guessed, 15 if layout.numbers == SIGNED and layout.bits == 16 else 24 if layout.bits == 24 else 16)
    return next((2.0**bits - 1 for bits in usual if high < 2**bits), None)


def _image(samples: NDArray[np.uint8], layout: Layout) -> Image.Image:
    """Returns samples of shape (height, width, samples) as a picture."""
    colours = COLOURS[layout.photometric]
    seen = 255 - samples[:, :, :colours] if layout.photometric == WHITE_IS_ZERO else samples[:, :, :colours]
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[colours]
    image = Image.fromarray(np.ascontiguousarray(seen if colours > 1 else seen[:, :, 0]), mode)
    if samples.shape[2] == colours or layout.photometric == CMYK:
        return image
    image = image.convert("RGB")
    alpha = Image.fromarray(np.ascontiguousarray(samples[:, :, colours]), "L")
    bands = Image.merge("RGBA", (*image.split(), alpha))
    if layout.extra == _PREMULTIPLIED:
        return Image.frombytes("RGBa", bands.size, bands.tobytes()).convert("RGBA")
    return bands
