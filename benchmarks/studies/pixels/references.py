"""Decodes files with libraries that the platform does not use: tifffile, OpenCV and imagecodecs."""

import io
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

import cv2
import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from benchmarks.studies.pixels.files import Picture, upright_of
from spark_steps.photos.formats.heif import is_heif
from spark_steps.photos.standard_error import quiet_standard_error

# What cannot be decoded is a result of the study, not a message.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
_LARGEST = 64_000_000
_DEPTHS = (8, 10, 12)


class References:
    """The libraries in a process of their own: some files end it."""

    def __init__(self) -> None:
        self._process = ProcessPoolExecutor(1, get_context("spawn"))

    def pictures_of(self, data: bytes) -> list[Picture]:
        """Returns the pictures that the libraries see, as ``pictures_of``; none if one of them crashes."""
        try:
            return self._process.submit(pictures_of, data).result()
        except BrokenProcessPool:
            self._process = ProcessPoolExecutor(1, get_context("spawn"))
            return []


def pictures_of(data: bytes) -> list[Picture]:
    """Returns the pictures that the libraries see: RGB, upright, transparency on white; none if they see none."""
    readers: tuple[Callable[[bytes], Picture | None], ...]
    if is_heif(data):
        readers = (_by_imagecodecs_heif, _by_opencv_upright)
    elif data[:2] in (b"II", b"MM"):
        readers = (_by_tifffile, _by_tifffile_high_bytes, _by_opencv)
    else:
        # OpenCV's own conversion to RGB turns pictures upright and forgets their transparency.
        if data.startswith(b"\xff\xd8"):
            readers = (_by_opencv_upright, _by_opencv_reduced)
        elif _orientation(data) != 1:
            readers = (_by_opencv_upright, _by_opencv_turned)
        else:
            readers = (_by_opencv, _by_imagecodecs, _by_opencv_opaque)
    return list(_read(data, readers))


def _read(data: bytes, readers: tuple[Callable[[bytes], Picture | None], ...]) -> Iterator[Picture]:
    for reader in readers:
        try:
            with quiet_standard_error(), warnings.catch_warnings(action="ignore"):
                picture = reader(data)
        # Each library has errors of its own for what it does not read.
        except Exception:  # noqa: S112
            continue
        if picture is not None:
            yield picture


def _orientation(data: bytes) -> int:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return int(image.getexif().get(274, 1))
    except Exception:
        return 1


def _by_opencv(data: bytes) -> Picture | None:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype not in (np.uint8, np.uint16):
        return None
    if found.ndim == 3 and found.shape[2] >= 3:
        found = found[:, :, [2, 1, 0, 3][: found.shape[2]]]
        if data.startswith(b"BM") and found.shape[2] == 4 and not found[:, :, 3].any():
            found = found[:, :, :3]
    return _shown(found)


def _by_opencv_upright(data: bytes) -> Picture | None:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_BGR)
    return None if found is None else np.ascontiguousarray(found[:, :, ::-1]).astype(np.uint8)


def _by_opencv_turned(data: bytes) -> Picture | None:
    """Returns what OpenCV sees, turned as Pillow says: OpenCV does not know the orientation of WebPs, and of XMP."""
    found = _by_opencv(data)
    return None if found is None else upright_of(_orientation(data), found)


def _by_opencv_opaque(data: bytes) -> Picture | None:
    """Returns a picture without transparency by the reader that makes no palette grey."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return None if found is None or (found.ndim == 3 and found.shape[2] == 4) else _by_opencv_upright(data)


def _by_opencv_reduced(data: bytes) -> Picture | None:
    """Returns a large JPEG as libjpeg halves it, which is not what a resize gives, in its own size."""
    with Image.open(io.BytesIO(data)) as image:
        size = image.size
    halvings = max(0, min(3, (min(size) // 448).bit_length() - 1))
    flags = (cv2.IMREAD_COLOR, cv2.IMREAD_REDUCED_COLOR_2, cv2.IMREAD_REDUCED_COLOR_4, cv2.IMREAD_REDUCED_COLOR_8)
    found = cv2.imdecode(np.frombuffer(data, np.uint8), flags[halvings])
    if found is None:
        return None
    width, height = size[::-1] if _orientation(data) >= 5 else size
    large = cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(large[:, :, ::-1]).astype(np.uint8)


def _by_imagecodecs(data: bytes) -> Picture | None:
    if data.startswith(b"\x89PNG"):
        found = imagecodecs.png_decode(data)
    elif data.startswith(b"RIFF"):
        found = imagecodecs.webp_decode(data)
    elif data.startswith(b"GIF"):
        found = imagecodecs.gif_decode(data, index=0)
    elif data.startswith(b"BM"):
        found = imagecodecs.bmp_decode(data)
    else:
        found = imagecodecs.jpeg8_decode(data)
    return _shown(found)


def _by_imagecodecs_heif(data: bytes) -> Picture | None:
    return _shown(imagecodecs.avif_decode(data) if b"avif" in data[8:32] else imagecodecs.heif_decode(data))


def _by_tifffile_high_bytes(data: bytes) -> Picture | None:
    """Returns RGB of 16 bits in 8 as many decoders do: the higher byte of each number."""
    return _by_tifffile(data, high_bytes=True)


def _by_tifffile(data: bytes, high_bytes: bool = False) -> Picture | None:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages[0]
        if page.size > _LARGEST:
            return None
        values = page.asarray()
        if page.planarconfig == 2 and values.ndim == 3 and values.shape[0] == page.samplesperpixel:
            values = np.moveaxis(values, 0, 2)
        if high_bytes and values.dtype == np.uint16 and int(page.photometric) == 2:
            values = (values >> 8).astype(np.uint8)
        tag = page.tags.get(281)
        most = int(np.max(tag.value)) if tag is not None and page.bitspersample == 16 else 0
        orientation = page.tags.get(274)
        picture = _tiff_colours(page, values, most)
    return None if picture is None else upright_of(1 if orientation is None else int(orientation.value), picture)


def _tiff_colours(page: Any, values: NDArray[Any], most: int) -> Picture | None:
    photometric = int(page.photometric)
    if photometric == 3:
        table = np.asarray(page.colormap, np.float64)
        table = table if table.max() < 256 else table // 256
        return _on_white(table.T[(values if values.ndim == 2 else values[:, :, 0]).astype(np.intp)], None)
    if photometric == 5:
        inks = _as_bytes(values[:, :, :4], page, 0).astype(np.float64)
        return _on_white((255 - inks[:, :, :3]) * (255 - inks[:, :, 3:4]) / 255, None)
    if photometric == 6 and int(page.compression) in (6, 7):
        return _shown(values)
    if photometric == 8 and values.dtype == np.uint8 and values.shape[2] == 3:
        signed = np.ascontiguousarray(values).view(np.int8).astype(np.float32)
        lab = np.dstack([values[:, :, 0].astype(np.float32) * (100 / 255), signed[:, :, 1], signed[:, :, 2]])
        return _on_white(_srgb(lab.astype(np.float64)), None)
    if photometric not in (0, 1, 2):
        return None
    seen = _as_bytes(values, page, most)
    if photometric == 0:
        seen = 255 - seen
    seen = seen[:, :, None] if seen.ndim == 2 else seen
    colours = 3 if photometric == 2 else 1
    extra = [int(value) for value in page.extrasamples] or [2] * (seen.shape[2] > colours)
    alpha = seen[:, :, colours].astype(np.float64) if extra[:1] in ([1], [2]) else None
    shown = seen[:, :, :colours].astype(np.float64)
    if extra[:1] == [1] and alpha is not None:
        return _on_white((shown + 255 - alpha[:, :, None]).clip(0, 255), None)
    return _on_white(shown, alpha)


def _srgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Converts CIE Lab of the white D50 to sRGB, by IEC 61966-2-1 with Bradford's adaptation."""
    y = (lab[:, :, 0] + 16) / 116
    roots = np.dstack([y + lab[:, :, 1] / 500, y, y - lab[:, :, 2] / 200])
    xyz = np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29)) * (0.96422, 1, 0.82521)
    matrix = np.array(
        [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
    )
    linear = (xyz @ matrix.T).clip(0, 1)
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255)


def _as_bytes(values: NDArray[Any], page: Any, most: int) -> Picture:
    """Scales to 8 bits as docs/formats.md says it."""
    bits, kind = int(page.bitspersample), values.dtype.kind
    bits = min(bits, values.dtype.itemsize * 8)
    if kind == "b":
        return np.asarray(values * 255, np.uint8)
    if kind == "u" and bits < 16:
        return np.asarray((values.astype(np.float64) * 255 / (2**bits - 1)).round(), np.uint8)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    depths = (*(_DEPTHS if bits > 8 and int(page.photometric) != 5 else ()), min(bits, 24) if bits <= 24 else 16)
    depths = (*depths[:-1], depths[-1] - (kind == "i" and bits <= 16))
    if kind == "f":
        white = 1.0 if low >= 0 and high <= 1 else 255.0 if 1 < high <= 255 else 0.0
    elif most and most >= high:
        white = 2.0 ** max(int(most).bit_length(), 8) - 1
    else:
        white = next((2.0**depth - 1 for depth in depths if high < 2**depth), 0)
    if (low < 0 and kind != "f") or not white:
        return ((values - low) * (255 / ((high - low) or 1))).round().astype(np.uint8)
    return (values.astype(np.float64) * (255 / white)).round().clip(0, 255).astype(np.uint8)


def _shown(found: NDArray[Any]) -> Picture:
    values = found.astype(np.float64) / 257 if found.dtype == np.uint16 else found.astype(np.float64)
    if found.dtype == bool:
        values = values * 255
    values = values[:, :, None] if values.ndim == 2 else values
    if values.shape[2] in (2, 4):
        return _on_white(values[:, :, :-1], values[:, :, -1])
    return _on_white(values, None)


def _on_white(colours: NDArray[np.float64], alpha: NDArray[np.float64] | None) -> Picture:
    share = 1.0 if alpha is None else alpha[:, :, None] / 255
    seen = (colours * share + 255 * (1 - share)).round().clip(0, 255).astype(np.uint8)
    return np.repeat(seen, 3, axis=2) if seen.shape[2] == 1 else np.ascontiguousarray(seen)
