"""Writes TIFFs of any samples, which Pillow cannot write."""

import struct
import zlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

_FORMATS = {"u": 1, "i": 2, "f": 3}


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
    bits, kind = samples.dtype.itemsize * 8, _FORMATS[samples.dtype.kind]
    entries: dict[int, tuple[int, list[int]]] = {
        **{256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * count), 259: (3, [8 if deflated else 1])},
        **{262: (3, [photometric]), 273: (4, offsets[:-1]), 277: (3, [count]), 278: (4, [rows])},
        **{279: (4, [len(strip) for strip in strips]), 284: (3, [2 if planes else 1]), 317: (3, [predictor])},
        339: (3, [kind] * count),
        **{int(name.removeprefix("tag")): (3, [value]) for name, value in tags.items()},
    }
    return _file(order, big, b"".join(strips), entries)


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


def _file(order: Literal["<", ">"], big: bool, pixels: bytes, entries: dict[int, tuple[int, list[int]]]) -> bytes:
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
