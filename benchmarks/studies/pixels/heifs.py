"""Writes a picture as HEIC and AVIF: in each orientation, in tiles, grey, with transparency and more than 8 bits."""

import io
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
from PIL import Image

from benchmarks.studies.pixels.combinations import Combination, alpha_of, grey_of, on_white, rgb
from benchmarks.studies.pixels.files import ORIENTATIONS, Picture, stored_for

_LOSSLESS: dict[str, dict[str, Any]] = {
    "HEIF": {"quality": -1, "chroma": 444, "matrix_coefficients": 0},
    "AVIF": {"quality": 100, "subsampling": "4:4:4", "speed": 8},
}
_TILES = (64, 128)


def heifs(picture: Picture) -> Iterator[Combination]:
    """Yields all of them.

    Args:
        picture: RGB, of shape (height, width, 3), not square.
    """
    pillow_heif.register_heif_opener()
    alpha, grey = alpha_of(picture), grey_of(picture)
    for name in _LOSSLESS:
        for turn in ORIENTATIONS:
            exif = Image.Exif()
            exif[0x0112] = turn
            stored = Image.fromarray(np.asarray(stored_for(turn, picture), np.uint8))
            yield Combination("orientation", f"{name} {turn}", _written(stored, name, exif=exif.tobytes()), picture)
        transparent = Image.fromarray(np.dstack([picture, alpha]))
        yield Combination(name, "alpha", _written(transparent, name), on_white(picture, alpha))
        yield Combination(name, "grey", _written(Image.fromarray(grey), name), rgb(grey))
    for side in _TILES:
        tiled = _written(Image.fromarray(picture), "HEIF", tile_size=side)
        yield Combination("HEIF", f"tiles of {side}", tiled, picture)
    yield from _deep(picture)


def _written(image: Image.Image, name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **_LOSSLESS[name], **options)
    return buffer.getvalue()


def _deep(picture: Picture) -> Iterator[Combination]:
    for bits in (10, 12):
        deep = picture.astype(np.uint16) * 257
        pillow_heif.options.SAVE_HDR_TO_12_BIT = bits == 12
        buffer = io.BytesIO()
        size = (picture.shape[1], picture.shape[0])
        pillow_heif.encode("RGB;16", size, deep.tobytes(), buffer, **_LOSSLESS["HEIF"])
        yield Combination("HEIF", f"{bits} bits", buffer.getvalue(), picture)
        values = np.asarray((picture.astype(np.uint32) * (2**bits - 1) + 127) // 255, np.uint16)
        data = imagecodecs.avif_encode(values, level=100, speed=8, bitspersample=bits, pixelformat="444")
        yield Combination("AVIF", f"{bits} bits, by imagecodecs", data, picture)
    data = imagecodecs.avif_encode(picture, level=100, speed=8, pixelformat="444")
    yield Combination("AVIF", "8 bits, by imagecodecs", data, picture)
