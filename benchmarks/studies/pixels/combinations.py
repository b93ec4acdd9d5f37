"""Writes a picture in every combination of mode, depth, layout, orientation and compression."""

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from benchmarks.studies.pixels.files import (
    ORIENTATIONS,
    Picture,
    bmp,
    chunk,
    exif_of,
    jpeg_with_exif,
    png,
    stored_for,
    upright_of,
)

_DTYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "f2", "f4", "f8")
_LOSSLESS = ("webp", "jpeg2000", "jpegxl", "png")
# Compression, and whether neighbours are predicted.
_CODED = (("none", False), ("lzw", False), ("zlib", True), ("packbits", False), ("zstd", True))
_BGRA = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


@dataclass(frozen=True)
class Combination:
    """A file and the picture in it.

    Attributes:
        kind: What the table counts together.
        name: The combination.
        data: The file's bytes.
        picture: RGB, upright, transparency on white, of shape (height, width, 3); None if what is lost is
            only known from decoding it.
    """

    kind: str
    name: str
    data: bytes
    picture: Picture | None


def combinations(picture: Picture) -> Iterator[Combination]:
    """Yields all combinations.

    Args:
        picture: RGB, of shape (height, width, 3), not square.
    """
    for kind in (tiffs, packed_tiffs, coded_tiffs, oriented, jpegs, pngs, bmps, webps):
        yield from kind(picture)


def grey_of(picture: Picture) -> Picture:
    """Returns the mean of the channels, of shape (height, width)."""
    return np.asarray(picture.mean(axis=2).round(), np.uint8)


def rgb(grey: NDArray[np.generic]) -> Picture:
    """Returns three equal channels."""
    return np.asarray(np.repeat(np.asarray(grey, np.uint8)[:, :, None], 3, axis=2))


def alpha_of(picture: Picture) -> Picture:
    """Returns transparency that rises from left to right, of shape (height, width)."""
    height, width = picture.shape[:2]
    return np.tile(np.linspace(60, 255, width).round().astype(np.uint8), (height, 1))


def on_white(picture: Picture, alpha: Picture) -> Picture:
    """Lays a picture on white."""
    share = alpha[:, :, None] / 255
    return np.asarray((picture * share + 255 * (1 - share)).round().astype(np.uint8))


def as_type(picture: NDArray[np.uint8], dtype: str) -> NDArray[Any]:
    """Returns 8-bit values in another type; its largest value is white, and 1 of floats."""
    if dtype[0] == "f":
        return (picture / 255).astype(dtype)
    most, exact = np.iinfo(dtype).max, picture.astype(object if dtype in ("u8", "u4", "i4") else np.int64)
    return ((exact * int(most) + 127) // 255).astype(dtype)


def _in_levels(picture: Picture, levels: int) -> Picture:
    return np.asarray(((picture / 255 * levels).round() * 255 / levels).round(), np.uint8)


def _colours(picture: Picture, levels: int) -> dict[str, tuple[Picture, Picture, dict[str, Any]]]:
    """Returns of each kind of colours the samples in 8 bits, the picture, and the options of the writer."""
    picture, grey = _in_levels(picture, levels), _in_levels(grey_of(picture), levels)
    alpha = _in_levels(alpha_of(picture), levels)
    mixed = _in_levels(np.asarray((picture * (alpha[:, :, None] / 255)).round(), np.uint8), levels)
    with_alpha = np.dstack([picture, alpha])
    plain: dict[str, Any] = {"photometric": "rgb"}
    return {
        "grey": (grey, rgb(grey), {"photometric": "minisblack"}),
        "white is zero": (255 - grey, rgb(grey), {"photometric": "miniswhite"}),
        "grey, alpha": (
            np.dstack([grey, alpha]),
            rgb(on_white(rgb(grey), alpha)[:, :, 0]),
            {"photometric": "minisblack", "extrasamples": [2]},
        ),
        "RGB": (picture, picture, plain),
        "RGB, alpha": (with_alpha, on_white(picture, alpha), {**plain, "extrasamples": [2]}),
        "RGB, premultiplied": (
            np.dstack([mixed, alpha]),
            mixed + (255 - alpha[:, :, None]),
            {**plain, "extrasamples": [1]},
        ),
        "RGB, another": (with_alpha, picture, {**plain, "extrasamples": [0]}),
    }


def tiff(samples: NDArray[Any], options: dict[str, Any]) -> bytes | None:
    """Returns a TIFF by tifffile; None if tifffile cannot write it."""
    buffer = io.BytesIO()
    try:
        tifffile.imwrite(buffer, samples, metadata=None, **options)
    except (ValueError, NotImplementedError, RuntimeError, KeyError, TypeError, imagecodecs.DelayedImportError):
        return None
    return buffer.getvalue()


def tiffs(picture: Picture) -> Iterator[Combination]:
    """Yields colours x types x planes x strips or tiles x compression and prediction x byte order."""
    # Seven bits of brightness are what a signed byte holds.
    kinds = {dtype: _colours(picture, 127 if dtype == "i1" else 255) for dtype in _DTYPES}
    for dtype, (colours, (samples, seen, options)) in ((d, item) for d in _DTYPES for item in kinds[d].items()):
        values = as_type(samples, dtype)
        planes = ("contig", "separate") if samples.ndim == 3 else ("contig",)
        for plane, tiled, (coded, guess), order in itertools.product(planes, (False, True), _CODED, "<>"):
            layout: dict[str, Any] = {"tile": (48, 64)} if tiled else {"rowsperstrip": 37}
            data = tiff(
                values if plane == "contig" else np.ascontiguousarray(np.moveaxis(values, 2, 0)),
                {
                    **options,
                    **layout,
                    **({"planarconfig": plane} if samples.ndim == 3 else {}),
                    "compression": coded,
                    "predictor": guess,
                    "byteorder": order,
                    "bigtiff": tiled,
                },
            )
            if data:
                words = (
                    colours,
                    dtype,
                    plane,
                    "tiles, BigTIFF" if tiled else "strips",
                    coded,
                    f"predicted {guess:d}",
                    order,
                )
                yield Combination(f"TIFF, {dtype}", ", ".join(words), data, seen)


def packed_tiffs(picture: Picture) -> Iterator[Combination]:
    """Yields TIFFs of samples that are no whole bytes, and of values of fewer bits than there are."""
    grey = grey_of(picture)
    for bits, colours, coded in itertools.product((1, 2, 4, 10, 12, 14), ("grey", "RGB"), ("none", "zlib", "lzw")):
        samples = grey if colours == "grey" else picture
        values = (samples.astype(np.uint32) * (2**bits - 1) + 127) // 255
        shown = (values * 255 / (2**bits - 1)).round().astype(np.uint8)
        photometric = "minisblack" if colours == "grey" else "rgb"
        options = {"photometric": photometric, "compression": coded, "bitspersample": bits}
        data = tiff(values.astype(np.uint8 if bits < 9 else np.uint16), options)
        if data:
            expected = rgb(shown) if colours == "grey" else shown
            yield Combination("TIFF, odd bits", f"{colours}, {bits} bits, {coded}", data, expected)
    for bits, tag, colours in itertools.product((8, 10, 12, 14), (False, True), ("grey", "RGB")):
        if bits == 14 and not tag:
            continue
        samples = grey if colours == "grey" else picture
        values = (samples.astype(np.uint32) * (2**bits - 1) // 255).astype(np.uint16)
        extra = [(281, "H", 1, 2**bits - 1, True)] if tag else []
        photometric = "minisblack" if colours == "grey" else "rgb"
        data = tiff(values, {"photometric": photometric, "extratags": extra})
        if data:
            expected = rgb(grey) if colours == "grey" else picture
            yield Combination(
                "TIFF, few of 16 bits", f"{colours}, {bits}, {'told' if tag else 'untold'}", data, expected
            )


def coded_tiffs(picture: Picture) -> Iterator[Combination]:
    """Yields TIFFs whose compression knows pictures, and those of other colours than grey and RGB."""
    grey = grey_of(picture)
    for coded, tiled, order in itertools.product(("jpeg", *_LOSSLESS), (False, True), "<>"):
        layout: dict[str, Any] = {"tile": (64, 64)} if tiled else {}
        for name, samples, seen in (("grey", grey, rgb(grey)), ("RGB", picture, picture)):
            photometric = "minisblack" if name == "grey" else "rgb"
            options = {"photometric": photometric, "compression": coded, "byteorder": order, **layout}
            if data := tiff(samples, options):
                yield Combination(
                    f"TIFF, {coded}",
                    f"{name}, {'tiles' if tiled else 'strips'}, {order}",
                    data,
                    seen if coded in _LOSSLESS else None,
                )
    for sampling in ((1, 1), (2, 1), (2, 2)):
        options = {
            "photometric": "ycbcr",
            "compression": "jpeg",
            "subsampling": sampling,
            "compressionargs": {"level": 97},
        }
        if data := tiff(picture, options):
            yield Combination("TIFF, jpeg", f"YCbCr {sampling}", data, None)
    inks = (255 - picture).astype(np.uint8)
    for dtype, plane, coded in itertools.product(("u1", "u2"), ("contig", "separate"), ("none", "lzw")):
        values = as_type(np.dstack([inks, np.zeros_like(grey)]), dtype)
        values = values if plane == "contig" else np.ascontiguousarray(np.moveaxis(values, 2, 0))
        if data := tiff(values, {"photometric": "separated", "planarconfig": plane, "compression": coded}):
            yield Combination("TIFF, CMYK", f"{dtype}, {plane}, {coded}", data, picture)
    palette = Image.fromarray(picture).quantize(200, dither=Image.Dither.NONE)
    colours = np.array(palette.getpalette("RGB"), np.uint16)[: 200 * 3].reshape(-1, 3).T
    table = np.zeros((3, 256), np.uint16)
    table[:, : colours.shape[1]] = colours
    for scale, order, coded in itertools.product((1, 257), "<>", ("none", "lzw")):
        options = {"photometric": "palette", "colormap": table * scale, "byteorder": order, "compression": coded}
        if data := tiff(np.asarray(palette), options):
            yield Combination("TIFF, palette", f"{scale}, {order}, {coded}", data, np.asarray(palette.convert("RGB")))


def oriented(picture: Picture) -> Iterator[Combination]:
    """Yields each format in each orientation."""
    for turn in ORIENTATIONS:
        stored = np.asarray(stored_for(turn, picture), np.uint8)
        bgr = np.ascontiguousarray(stored[:, :, ::-1])
        tag = [(274, "H", 1, turn, True)]
        for dtype, coded, order in itertools.product(("u1", "u2", "f4", "f8"), ("none", "lzw", "zlib"), "<>"):
            options = {"photometric": "rgb", "compression": coded, "byteorder": order, "extratags": tag}
            if data := tiff(as_type(stored, dtype), options):
                yield Combination("orientation", f"TIFF {turn}, {dtype}, {coded}, {order}", data, picture)
        jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
        kept = imagecodecs.jpeg8_decode(jpeg)
        yield Combination("orientation", f"JPEG {turn}", jpeg_with_exif(jpeg, turn), upright_of(turn, kept))
        exif = chunk(b"eXIf", exif_of(turn))
        yield Combination("orientation", f"PNG {turn}", png(stored, 8, 2, before=exif), picture)
        yield Combination("orientation", f"PNG {turn}, after the pixels", png(stored, 8, 2, after=exif), picture)
        buffer = io.BytesIO()
        Image.fromarray(stored).save(buffer, "WEBP", lossless=True, exif=b"Exif\0\0" + exif_of(turn))
        yield Combination("orientation", f"WebP {turn}", buffer.getvalue(), picture)
        pair = jpeg_with_exif(jpeg, turn)
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(pair)) as first:
            first.save(buffer, "MPO", save_all=True, append_images=[first], quality="keep", exif=first.getexif())
        yield Combination("orientation", f"MPO {turn}", buffer.getvalue(), upright_of(turn, kept))
    # Without noise: libjpeg and Pillow halve it in different ways.
    large = cv2.resize(cv2.medianBlur(picture, 7), (2000, 1400), interpolation=cv2.INTER_CUBIC)
    for turn in ORIENTATIONS:
        bgr = np.ascontiguousarray(stored_for(turn, large)[:, :, ::-1])
        jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        yield Combination("orientation", f"JPEG of 2000 x 1400, {turn}", jpeg_with_exif(jpeg, turn), large)


def jpegs(picture: Picture) -> Iterator[Combination]:
    """Yields JPEGs: progressive, with restarts, sampled, grey, RGB, CMYK, and those of other bits or processes."""
    bgr, grey = np.ascontiguousarray(picture[:, :, ::-1]), grey_of(picture)
    samplings = [value for name, value in vars(cv2).items() if name.startswith("IMWRITE_JPEG_SAMPLING_FACTOR_")]
    for progressive, restart, sampling in itertools.product((0, 1), (0, 3), samplings):
        options = [cv2.IMWRITE_JPEG_QUALITY, 97, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
        options += [cv2.IMWRITE_JPEG_RST_INTERVAL, restart, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
        for name, pixels in (("RGB", bgr), ("grey", grey)):
            data = cv2.imencode(".jpg", pixels, options)[1].tobytes()
            yield Combination("JPEG", f"{name}, progressive {progressive}, restart {restart}, {sampling:x}", data, None)
    inks = np.dstack([picture, np.full_like(grey, 255)])
    for space, out, samples in (("rgb", "rgb", picture), ("cmyk", "cmyk", inks), ("cmyk", "ycck", inks)):
        coded = imagecodecs.jpeg8_encode(samples, level=97, colorspace=space, outcolorspace=out)
        yield Combination("JPEG", f"{space} as {out}", bytes(coded), None)
    deep = (picture.astype(np.uint16) * 4095 // 255).astype(np.uint16)
    yield Combination(
        "JPEG, 12 bits", "12 bits", bytes(imagecodecs.jpeg8_encode(deep, level=97, bitspersample=12)), picture
    )
    yield Combination("JPEG, lossless", "lossless", bytes(imagecodecs.jpeg8_encode(picture, lossless=True)), picture)
    yield Combination("JPEG-LS", "lossless", bytes(imagecodecs.jpegls_encode(picture)), picture)


def pngs(picture: Picture) -> Iterator[Combination]:
    """Yields PNGs of every type of colour and depth, with alpha and with a transparent colour."""
    grey, alpha = grey_of(picture), alpha_of(picture)
    for bits, keyed in itertools.product((1, 2, 4, 8, 16), (False, True)):
        values = (grey.astype(np.uint32) * (2**bits - 1) + 127) // 255
        values = np.where(grey > 250, 0, values) if keyed else values
        shown = (values * 255 / (2**bits - 1)).round().astype(np.uint8)
        trns = chunk(b"tRNS", bytes(2)) if keyed else b""
        expected = np.where(values == 0, 255, shown) if keyed else shown
        yield Combination("PNG", f"grey, {bits}, {keyed}", png(values[:, :, None], bits, 0, trns), rgb(expected))
    for bits, keyed in itertools.product((8, 16), (False, True)):
        scale = 257 if bits == 16 else 1
        key = np.array([10, 200, 30], np.uint8)
        shown = np.where((grey > 250)[:, :, None], key, picture) if keyed else picture
        trns = chunk(b"tRNS", (key.astype(np.uint32) * scale).astype(">u2").tobytes()) if keyed else b""
        expected = np.where((shown == key).all(2, keepdims=True), 255, shown).astype(np.uint8)
        data = png(shown.astype(np.uint32) * scale, bits, 2, trns)
        yield Combination("PNG", f"RGB, {bits}, {keyed}", data, expected if keyed else picture)
        both = np.dstack([grey, alpha]).astype(np.uint32) * scale
        yield Combination("PNG", f"grey, alpha, {bits}", png(both, bits, 4), rgb(on_white(rgb(grey), alpha)[:, :, 0]))
        four = np.dstack([picture, alpha]).astype(np.uint32) * scale
        yield Combination("PNG", f"RGB, alpha, {bits}", png(four, bits, 6), on_white(picture, alpha))
    for bits, some in itertools.product((1, 2, 4, 8), (False, True)):
        palette = Image.fromarray(picture).quantize(2**bits, dither=Image.Dither.NONE)
        colours = np.array(palette.getpalette("RGB"), np.uint8).reshape(-1, 3)[: 2**bits]
        opaque = np.linspace(255, 80, len(colours)).astype(np.uint8) if some else np.full(len(colours), 255, np.uint8)
        chunks = chunk(b"PLTE", colours.tobytes()) + (chunk(b"tRNS", opaque.tobytes()) if some else b"")
        index = np.asarray(palette)
        expected = on_white(colours[index], opaque[index])
        yield Combination("PNG", f"palette, {bits}, {some}", png(index[:, :, None], bits, 3, chunks), expected)


def bmps(picture: Picture) -> Iterator[Combination]:
    """Yields BMPs: those of OpenCV, and of 32 bits with every header, order of bytes, and kind of alpha."""
    bgr = np.ascontiguousarray(picture[:, :, ::-1])
    yield Combination("BMP", "24 bits", cv2.imencode(".bmp", bgr)[1].tobytes(), picture)
    grey, alpha = grey_of(picture), alpha_of(picture)
    yield Combination("BMP", "8 bits", cv2.imencode(".bmp", grey)[1].tobytes(), rgb(grey))
    for name, fourth, seen in (
        ("zero", np.zeros_like(grey), picture),
        ("full", np.full_like(grey, 255), picture),
        ("some", alpha, on_white(picture, alpha)),
    ):
        four = np.dstack([bgr, fourth])
        yield Combination("BMP", f"32 bits, {name}", bmp(four, 40, None), picture)
        yield Combination("BMP", f"32 bits, masks after, {name}", bmp(four, 40, (*_BGRA[:3], 0)), picture)
        for size in (56, 108, 124):
            yield Combination("BMP", f"32 bits, header {size}, {name}", bmp(four, size, _BGRA), seen)
            yield Combination(
                "BMP", f"32 bits, header {size}, no mask, {name}", bmp(four, size, (*_BGRA[:3], 0)), picture
            )
            rgba = np.dstack([picture, fourth])
            data = bmp(rgba, size, (0xFF, 0xFF00, 0xFF0000, 0xFF000000))
            yield Combination("BMP", f"32 bits, header {size}, RGBA, {name}", data, seen)


def webps(picture: Picture) -> Iterator[Combination]:
    """Yields WebPs, lossy and not, with alpha and without."""
    bgr, alpha = np.ascontiguousarray(picture[:, :, ::-1]), alpha_of(picture)
    for quality in (95, 101):
        options = [cv2.IMWRITE_WEBP_QUALITY, quality]
        plain = cv2.imencode(".webp", bgr, options)[1].tobytes()
        yield Combination("WebP", f"{quality}", plain, picture if quality > 100 else None)
        data = cv2.imencode(".webp", np.dstack([bgr, alpha]), options)[1].tobytes()
        yield Combination("WebP", f"{quality}, alpha", data, on_white(picture, alpha) if quality > 100 else None)
