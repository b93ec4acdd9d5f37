"""The pixels of files that are easily misread: each is written here from a known picture, and has its pixels."""

import io
import struct
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.studies.pixels.files import bmp, chunk, exif_of, png, stored_for
from spark_steps.errors import UnusablePhotoError
from spark_steps.photos.decoding import Photo, decode
from spark_steps.photos.formats.tiff_layout import layout_of
from tests.support.photo_corpus import MAX_PIXELS, encoded, jpeg_of_scans, picture, tiff, tiff_of

WIDTH, HEIGHT = 60, 44
RGB = np.asarray(picture(WIDTH, HEIGHT))
GREY = RGB[:, :, :1]
ALPHA = np.linspace(0, 255, WIDTH, dtype=np.uint8).repeat(HEIGHT).reshape(WIDTH, HEIGHT).T[:, :, None]
Samples = NDArray[Any]


def seen(data: bytes) -> NDArray[np.int16]:
    return decode(data, MAX_PIXELS).pixels.astype(np.int16)


def expected(shown: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Returns the pixels of a picture, of shape (height, width, 1 or 3)."""
    return seen(encoded(Image.fromarray(np.broadcast_to(shown, (*shown.shape[:2], 3)).astype(np.uint8)), "PNG"))


def assert_shows(data: bytes, shown: NDArray[np.uint8], within: int = 1) -> None:
    assert np.abs(seen(data) - expected(shown)).max() <= within


def on_white(shown: NDArray[np.uint8]) -> NDArray[np.uint8]:
    share = ALPHA / 255
    return np.asarray((shown * share + 255 * (1 - share)).round().astype(np.uint8))


def deep(samples: Samples, dtype: str) -> Samples:
    """Returns 8-bit samples in another type, its largest value, or 1 of floats, for white."""
    if dtype[0] == "f":
        return (samples / 255).astype(dtype)
    most = int(np.iinfo(dtype).max)
    return (samples.astype(object) * most // 255).astype(dtype)


@pytest.mark.parametrize("deflated", [False, True], ids=["plain", "deflated"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i2", "i4", "f2", "f4", "f8"])
def test_a_tiff_of_every_number_has_its_pixels_in_both_orders_of_bytes(
    dtype: str, order: Literal["<", ">"], deflated: bool
) -> None:
    for samples, photometric, shown in (
        (GREY, 1, GREY),
        (255 - GREY, 0, GREY),
        (RGB, 2, RGB),
        (np.dstack([RGB, ALPHA]), 2, on_white(RGB)),
        (np.dstack([GREY, ALPHA]), 1, on_white(GREY)),
    ):
        numbers = deep(samples, dtype)
        for planes in (False, True)[: samples.shape[2]]:
            alpha: dict[str, Any] = {"tag338": 2} if samples.shape[2] in (2, 4) else {}
            predictor = (3 if dtype[0] == "f" else 2) if deflated else 1
            options: dict[str, Any] = {"order": order, "deflated": deflated, "planes": planes, "predictor": predictor}
            assert_shows(tiff_of(numbers, photometric, **options, **alpha), shown, within=2)


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_a_bigtiff_is_read_in_both_orders_of_bytes(order: Literal["<", ">"]) -> None:
    assert_shows(tiff_of(RGB, 2, order=order, big=True), RGB)
    assert_shows(tiff_of(deep(RGB, "f8"), 2, order=order, big=True, deflated=True), RGB)


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_few_bits_in_16_are_not_dark_and_the_tag_of_the_largest_value_comes_first(bits: int) -> None:
    for samples, photometric, planes in ((GREY, 1, False), (RGB, 2, False), (RGB, 2, True)):
        few = (samples.astype(np.uint32) * (2**bits - 1) // 255).astype(np.uint16)
        assert_shows(tiff_of(few, photometric, planes=planes), samples)
        darker = (few // 2).astype(np.uint16)
        assert_shows(tiff_of(darker, photometric, planes=planes, tag281=2**bits - 1), (samples // 2).astype(np.uint8))


def test_fourteen_bits_in_16_are_as_dark_as_they_are_unless_the_file_tells_them() -> None:
    few = (RGB.astype(np.uint32) * (2**14 - 1) // 255).astype(np.uint16)
    assert_shows(tiff_of(few, 2), (RGB // 4).astype(np.uint8))
    assert_shows(tiff_of(few, 2, tag281=2**14 - 1), RGB)


def test_a_dark_png_of_16_bits_is_as_dark_as_it_is() -> None:
    assert_shows(png(GREY.astype(np.uint32) * 16, 16, 0), (GREY // 16).astype(np.uint8))


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        (GREY.astype(np.float32), GREY),
        (GREY.astype(np.float64) * 1000 - 70_000, GREY),
        (GREY.astype(np.int16) - 128, GREY),
        (GREY.astype(np.uint32) * 16_000_000, GREY),
        (np.where(GREY == 0, np.nan, GREY.astype(np.float64)), GREY),
    ],
    ids=["0 to 255", "any range", "negative", "more than 16 bits", "no number"],
)
def test_numbers_without_a_white_are_spread_from_the_lowest_to_the_highest(numbers: Samples, shown: Samples) -> None:
    assert_shows(tiff_of(numbers, 1), shown)


def test_cmyk_of_16_bits_in_planes_has_its_colours() -> None:
    inks = np.dstack([255 - RGB, np.zeros_like(GREY)])
    assert_shows(tiff_of(deep(inks, "u2"), 5, planes=True), RGB, within=2)


def test_premultiplied_transparency_is_laid_on_white_once() -> None:
    mixed = np.dstack([(RGB * (ALPHA / 255)).round().astype(np.uint8), ALPHA])
    for dtype, planes in (("u1", False), ("u1", True), ("u2", False), ("u2", True), ("f4", False)):
        assert_shows(tiff_of(deep(mixed, dtype), 2, planes=planes, tag338=1), on_white(RGB), within=3)
    grey = np.dstack([(GREY * (ALPHA / 255)).round().astype(np.uint8), ALPHA])
    assert_shows(tiff_of(grey, 1, tag338=1), on_white(GREY), within=3)


def test_a_palette_of_8_bits_in_a_tiff_is_not_black() -> None:
    image = Image.fromarray(RGB).quantize(16)
    data = bytearray(encoded(image, "TIFF"))
    colours = Image.open(io.BytesIO(data)).tag_v2[320]  # type: ignore[attr-defined]
    place = data.find(struct.pack(f"<{len(colours)}H", *colours))
    data[place : place + 2 * len(colours)] = struct.pack(f"<{len(colours)}H", *(value >> 8 for value in colours))
    assert_shows(bytes(data), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_format_is_turned_upright_once(orientation: int) -> None:
    stored = np.asarray(stored_for(orientation, RGB))
    tag: Any = {"tag274": orientation}
    exif = Image.Exif()
    exif[0x0112] = orientation
    block = chunk(b"eXIf", exif_of(orientation))
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()
    for name, data in {
        "TIFF": tiff_of(stored, 2, **tag),
        "TIFF, deflated": tiff_of(stored, 2, deflated=True, **tag),
        "TIFF, floating point": tiff_of(deep(stored, "f8"), 2, **tag),
        "TIFF, few bits": tiff_of(stored.astype(np.uint16) * 16, 2, **tag),
        "TIFF, by XMP": encoded(Image.fromarray(stored), "TIFF", tiffinfo={700: xmp}),
        "PNG": png(stored, 8, 2, before=block),
        "PNG, told after the pixels": png(stored, 8, 2, after=block),
        "WebP": encoded(Image.fromarray(stored), "WEBP", lossless=True, exif=exif),
        "JPEG": encoded(Image.fromarray(stored), "JPEG", quality=100, subsampling=0, exif=exif),
        "JPEG, by both": encoded(Image.fromarray(stored), "JPEG", quality=100, subsampling=0, exif=exif, xmp=xmp),
        "MPO": encoded(Image.fromarray(stored), "MPO", quality=100, subsampling=0, exif=exif),
    }.items():
        photo = decode(data, MAX_PIXELS)
        assert (photo.width, photo.height) == (WIDTH, HEIGHT), name
        assert np.abs(photo.pixels - expected(RGB)).max() <= (6 if photo.format in ("JPEG", "MPO") else 1), name


def test_an_orientation_in_one_byte_is_applied_once() -> None:
    stored = np.asarray(stored_for(6, RGB))
    tag = struct.pack("<HHI", 274, 3, 1)
    assert_shows(tiff_of(stored, 2, tag274=6).replace(tag, struct.pack("<HHI", 274, 1, 1)), RGB)


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    assert_shows(tiff_of(RGB, 2, tag274=orientation), RGB)
    assert_shows(tiff_of(deep(RGB, "f8"), 2, tag274=orientation), RGB)
    assert_shows(png(RGB, 8, 2, before=chunk(b"eXIf", exif_of(orientation))), RGB)


def test_uncompressed_ycbcr_whose_colours_have_fewer_samples_has_its_colours() -> None:
    """Four values of brightness and two of colour make a block of 2 x 2 pixels."""
    orange = bytes([138, 138, 138, 138, 73, 172]) * (WIDTH * HEIGHT // 4)
    data = tiff_of(np.frombuffer(orange, np.uint8).reshape(1, -1, 1), 6, rows=1)
    for tag, value in ((256, WIDTH), (257, HEIGHT), (277, 3), (278, HEIGHT)):
        kind = 3 if tag == 277 else 4
        place = data.index(struct.pack("<HHI", tag, kind, 1)) + 8
        data = data[:place] + struct.pack("<I", value) + data[place + 4 :]
    assert_shows(data, np.broadcast_to(np.array([200, 126, 41], np.uint8), RGB.shape), within=3)


@pytest.mark.parametrize("header", [56, 108, 124])
def test_a_bmp_whose_fourth_bytes_are_all_zero_is_opaque_and_any_other_is_laid_on_white(header: int) -> None:
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    assert_shows(bmp(np.dstack([RGB[:, :, ::-1], np.zeros_like(GREY)]), header, masks), RGB)
    assert_shows(bmp(np.dstack([RGB[:, :, ::-1], ALPHA]), header, masks), on_white(RGB))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_a_png_becomes_white(bits: int) -> None:
    values = GREY.astype(np.uint32) * (2**bits - 1) // 255
    shown = np.where(values == 0, 255, (values * 255 / (2**bits - 1)).round()).astype(np.uint8)
    assert_shows(png(values, bits, 0, chunk(b"tRNS", bytes(2))), shown)


def without_end(**options: Any) -> tuple[bytes, Photo]:
    """Returns a JPEG without its end of image, and its photo with it."""
    whole = encoded(picture(300, 200), "JPEG", **options)
    return whole[:-2], decode(whole, MAX_PIXELS)


FILM = b"\0\0\0\x1cftypmp42" + np.random.default_rng(5).bytes(20_000)


@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 7}, {"subsampling": 0, "quality": 98}], ids=str)
@pytest.mark.parametrize("after", [b"", FILM, bytes(100)], ids=["nothing", "a film", "zeros"])
def test_a_jpeg_whose_pixels_are_whole_is_read_although_its_end_is_missing(
    options: dict[str, Any], after: bytes
) -> None:
    cut, photo = without_end(**options)
    np.testing.assert_array_equal(decode(cut + after, MAX_PIXELS).pixels, photo.pixels)


@pytest.mark.parametrize("after", [b"", FILM], ids=["nothing", "a film"])
@pytest.mark.parametrize("missing", [40, 400, 2000])
def test_a_jpeg_of_which_pixels_are_missing_is_refused_whatever_follows(missing: int, after: bytes) -> None:
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 255, (200, 300, 3), dtype=np.uint8))
    with pytest.raises(UnusablePhotoError) as refused:
        decode(encoded(noise, "JPEG")[:-missing] + after, MAX_PIXELS)
    assert refused.value.reason in ("truncated", "damaged")


def test_a_progressive_jpeg_without_its_end_is_refused_since_passes_may_be_missing() -> None:
    with pytest.raises(UnusablePhotoError, match="truncated"):
        decode(jpeg_of_scans(1)[:-2], MAX_PIXELS)


def jpeg_of_kind(marker: int, bits: int, components: int = 3) -> bytes:
    data = encoded(picture(), "JPEG")
    frame = data.index(b"\xff\xc0")
    changed = bytes([0xFF, marker]) + data[frame + 2 : frame + 4] + bytes([bits]) + data[frame + 5 : frame + 9]
    return data[:frame] + changed + bytes([components]) + data[frame + 10 :]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (jpeg_of_kind(0xC1, 12), "a JPEG of 12 bits a sample"),
        (jpeg_of_kind(0xC3, 16), "a lossless JPEG of 16 bits a sample"),
        (jpeg_of_kind(0xF7, 8), "a JPEG-LS of 8 bits"),
        (jpeg_of_kind(0xC5, 8), "a hierarchical JPEG"),
        (jpeg_of_kind(0xC0, 8, 2), "a JPEG of 8 bits a sample, with 2 components"),
        (tiff_of(RGB, 2, tag259=34712), "a TIFF of 8 bits a sample, RGB in 3 samples, compressed by JPEG 2000"),
        (tiff_of(RGB, 2, tag259=50001), "a TIFF of 8 bits a sample, RGB in 3 samples, compressed by WebP"),
        (tiff_of(GREY, 9), "a TIFF of 8 bits a sample, ICC Lab"),
        (tiff_of(deep(RGB, "f4"), 8), "a TIFF of 32 floating-point bits a sample, CIE Lab"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"CgBI", bytes(4)) + png(RGB, 8, 2)[8:], "a PNG in the form of iOS apps"),
        (
            encoded(picture(), "BMP").replace(struct.pack("<HHI", 1, 24, 0), struct.pack("<HHI", 1, 24, 4)),
            "Unsupported",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_kind_that_is_not_supported_is_refused_by_its_name(data: bytes, kind: str) -> None:
    with pytest.raises(UnusablePhotoError, match=f"^not supported: .*{kind}"):
        decode(data, MAX_PIXELS)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff_of(np.zeros((2, 9, 1)), 1, deflated=True, tag256=60_000, tag257=60_000), "decompression bomb"),
        (tiff_of(np.zeros((2, 9, 1)), 1, tag256=5_000, tag257=5_900, tag278=5_900), "decompression bomb"),
        (tiff_of(np.zeros((2, 9, 1)), 1, tag257=400, tag278=400), "truncated"),
        (tiff_of(np.zeros((40, 9, 1)), 1, deflated=True)[:40], "not an image"),
    ],
    ids=["pixels", "bytes", "cut off", "no directory"],
)
def test_a_floating_point_tiff_is_under_the_same_limits(data: bytes, reason: str) -> None:
    with pytest.raises(UnusablePhotoError) as refused:
        decode(data, MAX_PIXELS)
    assert refused.value.reason == reason


@pytest.mark.parametrize("tiles", [200_000])
def test_a_tiff_of_many_tiny_tiles_is_refused_before_they_are_read(tiles: int) -> None:
    side = 448
    entries = [
        *((256, 3, 1, side), (257, 3, 1, side), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)),
        *((322, 3, 1, 1), (323, 3, 1, 1), (324, 3, tiles, 8), (325, 3, tiles, 8), (339, 3, 1, 2)),
    ]
    with pytest.raises(UnusablePhotoError, match="200704 strips or tiles, and at most 131072 are read"):
        decode(tiff(entries, bytes(2 * tiles)), MAX_PIXELS)


def test_a_tag_of_a_tiff_that_names_millions_of_numbers_is_read_for_its_first_ones() -> None:
    millions = 4_000_000
    entries = [
        *((256, 3, 1, 20), (257, 3, 1, 20), (258, 3, millions, 200), (259, 3, 1, 1), (262, 3, 1, 1)),
        *((273, 4, 1, 200), (277, 3, 1, 1), (278, 3, 1, 20), (279, 4, 1, 400), (339, 3, 1, 2)),
    ]
    layout = layout_of(tiff(entries, b"\x08\x00" * (millions + 500)))
    assert layout is not None
    assert layout.bits == 8
