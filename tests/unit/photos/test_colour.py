"""Colour profiles: a photo of a phone or a camera has the pixels that the same picture has in sRGB."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from fruits_assets.sample_photos import write_sample
from spark_steps.photos.decoding import decode
from spark_steps.photos.formats.profiles import ADOBE_RGB, DISPLAY_P3, gamma, matrix_profile, srgb_curve
from tests.support.formats.heif_files import avif, colours, heic, heif, part_of
from tests.support.photo_corpus import MAX_PIXELS, encoded, picture, tiff_of

Pixels = NDArray[np.int16]
Floats = NDArray[np.float64]
P3 = matrix_profile(DISPLAY_P3, srgb_curve)
ADOBE = matrix_profile(ADOBE_RGB, gamma(563 / 256))
PROPHOTO = matrix_profile(((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585)), gamma(1.8))
WIDE = {"Display P3": P3, "Adobe RGB": ADOBE, "ProPhoto": PROPHOTO}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
OWN_SRGB = matrix_profile(((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), (0.3127, 0.3290)), srgb_curve)
# From linear sRGB to linear Display P3 and Adobe RGB, by CSS Color 4, appendix A.
TO_P3 = np.array([[0.82246197, 0.17753803, 0], [0.03319420, 0.96680580, 0], [0.01708263, 0.07239744, 0.91051993]])
TO_ADOBE = np.array([[0.71512561, 0.28487439, 0], [0, 1, 0], [0, 0.04116196, 0.95883804]])


def seen(data: bytes) -> Pixels:
    return decode(data, MAX_PIXELS).pixels.astype(np.int16)


def in_p3(image: Image.Image) -> Image.Image:
    """Returns the numbers that the colours of an sRGB picture have in Display P3, by its definition."""
    linear = srgb_curve(np.asarray(image, np.float64) / 255) @ TO_P3.T
    values = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)
    return Image.fromarray((values * 255).round().clip(0, 255).astype(np.uint8))


def in_adobe(image: Image.Image) -> Image.Image:
    """Returns the numbers that the colours of an sRGB picture have in Adobe RGB, by its definition."""
    linear = srgb_curve(np.asarray(image, np.float64) / 255) @ TO_ADOBE.T
    return Image.fromarray((linear.clip(0, 1) ** (256 / 563) * 255).round().astype(np.uint8))


def converted(image: Image.Image, profile: bytes) -> Image.Image:
    """Returns the numbers that the colours of an sRGB picture have in another space, by LittleCMS."""
    source, target = (ImageCms.ImageCmsProfile(io.BytesIO(one)) for one in (SRGB, profile))
    found = ImageCms.profileToProfile(image, source, target, ImageCms.Intent.RELATIVE_COLORIMETRIC)
    assert found is not None
    return found


PICTURE = picture(160, 120)


def test_the_numbers_of_display_p3_and_adobe_rgb_have_the_colours_of_their_definitions() -> None:
    expected = seen(encoded(PICTURE, "PNG"))
    for numbers, profile in ((in_p3(PICTURE), P3), (in_adobe(PICTURE), ADOBE)):
        # At full colours, rounding to a whole number moves the lowest of the three by more.
        assert np.percentile(np.abs(seen(encoded(numbers, "PNG", icc_profile=profile)) - expected), 97) <= 4
        assert np.percentile(np.abs(seen(encoded(numbers, "PNG")) - expected), 97) > 20


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("file_format", ["JPEG", "MPO", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_each_format_with_a_profile_has_the_pixels_of_srgb(file_format: str, name: str) -> None:
    numbers = converted(PICTURE, WIDE[name])
    options: dict[str, Any] = {"HEIF": {"chroma": 444}, "AVIF": {"subsampling": "4:4:4"}, "WEBP": {"lossless": True}}
    options = {"quality": 97, "icc_profile": WIDE[name], **options.get(file_format, {"subsampling": 0})}
    write = {"HEIF": heic, "AVIF": avif}.get(file_format)
    data = write(numbers, **options) if write else encoded(numbers, file_format, **options)
    difference = np.abs(seen(data) - seen(encoded(PICTURE, "PNG")))
    assert difference.mean() < 3
    assert np.percentile(difference, 99) <= 20


def test_a_tiff_of_16_bits_that_pillow_does_not_read_has_its_profile_too() -> None:
    samples = np.asarray(in_p3(PICTURE)).astype(np.uint16) * 257
    plain = tiff_of(samples, 2, planes=True)
    tagged = with_profile(plain, P3)
    assert np.percentile(np.abs(seen(tagged) - seen(encoded(PICTURE, "PNG"))), 97) <= 4
    assert np.percentile(np.abs(seen(plain) - seen(encoded(PICTURE, "PNG"))), 97) > 20


def with_profile(data: bytes, profile: bytes) -> bytes:
    """Returns a little-endian TIFF with its directory moved to the end, where a profile is added."""
    start = struct.unpack("<I", data[4:8])[0]
    count = struct.unpack("<H", data[start : start + 2])[0]
    entries = data[start + 2 : start + 2 + 12 * count]
    moved = len(data) + len(data) % 2
    place = moved + 2 + 12 * (count + 1) + 4
    entries += struct.pack("<HHII", 34675, 7, len(profile), place)
    directory = struct.pack("<H", count + 1) + entries + bytes(4)
    return data[:4] + struct.pack("<I", moved) + data[8:] + bytes(len(data) % 2) + directory + profile


@pytest.mark.parametrize("writer", [heic, avif], ids=["HEIC", "AVIF"])
def test_colours_that_a_file_names_by_number_are_converted(writer: Any) -> None:
    part = part_of(writer(in_p3(PICTURE), quality=97))
    expected = seen(encoded(PICTURE, "PNG"))
    for primaries, transfer, right in ((12, 13, True), (12, 1, True), (1, 13, False), (2, 2, False)):
        named = heif([type(part)(part.kind, part.data, [*part.properties, colours(primaries, transfer)])])
        difference = np.abs(seen(named) - expected)
        assert (np.percentile(difference, 99) <= 14) == right, (primaries, transfer)


@pytest.mark.parametrize(("transfer", "white"), [(16, 148), (18, 191)], ids=["PQ", "HLG"])
def test_white_of_hdr_is_white_and_what_is_brighter_too(transfer: int, white: int) -> None:
    """By ITU-R BT.2408 white has 58 % of the signal in PQ, and 75 % in HLG."""
    levels = np.array([[0] * 64 + [white // 2] * 64 + [white] * 64 + [255] * 64], np.uint8).repeat(64, 0)
    part = part_of(heic(Image.fromarray(levels).convert("RGB"), quality=97))
    shown = seen(heif([type(part)(part.kind, part.data, [*part.properties, colours(9, transfer)])]))
    black, middle, full, brighter = (shown[:, column].mean() for column in (20, 80, 140, 200))
    assert black < 3
    assert 20 < middle < 160
    assert full > 245
    assert brighter > 252


def exif_of_adobe_rgb(colour_space: int = 65_535, index: bytes = b"R03\0") -> bytes:
    """Returns EXIF as cameras write it that are set to Adobe RGB."""
    interoperability = struct.pack("<HHHI4sI", 1, 1, 2, 4, index, 0)
    exif = struct.pack("<HHHIIHHIII", 2, 0xA001, 3, 1, colour_space, 0xA005, 4, 1, 56, 0)
    return b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, 26, 0) + exif + interoperability


def test_a_jpeg_that_is_adobe_rgb_by_exif_alone_is_converted() -> None:
    numbers, expected = in_adobe(PICTURE), seen(encoded(PICTURE, "PNG"))

    def difference(exif: bytes) -> float:
        data = encoded(numbers, "JPEG", quality=97, subsampling=0, exif=exif)
        return float(np.percentile(np.abs(seen(data) - expected), 99))

    assert difference(exif_of_adobe_rgb()) <= 8
    for other in (exif_of_adobe_rgb(colour_space=1), exif_of_adobe_rgb(index=b"R98\0"), b"Exif\0\0R03R03"):
        assert difference(other) > 20


def grey_profile(exponent: float) -> bytes:
    """Returns a profile of grey with the curve of a power."""
    curve = b"curv" + struct.pack(">4xIH", 1, round(exponent * 256)) + bytes(2)
    white = b"XYZ \0\0\0\0" + P3[68:80]
    tags = struct.pack(">I4sII4sII", 2, b"kTRC", 156, len(curve), b"wtpt", 156 + len(curve), len(white))
    header = P3[4:16] + b"GRAY" + P3[20:128]
    return struct.pack(">I", 156 + len(curve) + len(white)) + header + tags + curve + white


def test_a_grey_photo_has_the_brightness_that_its_profile_says() -> None:
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 224).round().astype(np.uint8), (224, 1)))
    shown = seen(encoded(ramp, "PNG", icc_profile=grey_profile(1.0)))
    linear = np.asarray(ramp, np.float64) / 255
    values = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    assert np.abs(shown - values[:, :, None]).max() <= 3


def ink_profile(white: tuple[int, int, int], cyan: tuple[int, int, int]) -> bytes:
    """Returns a profile of CMYK by a table of 2 x 2 x 2 x 2 colours, in which every mixture is paper or one colour.

    Args:
        white: Lab of the paper, as bytes.
        cyan: Lab of all mixtures with cyan.
    """
    identity = struct.pack(">9i", *(65_536 * (place % 4 == 0) for place in range(9)))
    ramp = bytes(range(256))
    colours_of_inks = b"".join(bytes(cyan if number >= 8 else white) for number in range(16))
    table = b"mft1" + bytes([0, 0, 0, 0, 4, 3, 2, 0]) + identity + ramp * 4 + colours_of_inks + ramp * 3
    paper = b"XYZ \0\0\0\0" + P3[68:80]
    tags = struct.pack(">I4sII4sII", 2, b"A2B0", 156, len(table), b"wtpt", 156 + len(table), len(paper))
    header = P3[4:12] + b"prtrCMYKLab " + P3[24:128]
    return struct.pack(">I", 156 + len(table) + len(paper)) + header + tags + table + paper


def test_cmyk_has_the_colours_of_its_inks() -> None:
    halves = np.zeros((60, 80, 4), np.uint8)
    halves[:, 40:, 0] = 255
    profile = ink_profile(white=(255, 128, 128), cyan=(141, 91, 78))
    shown = seen(encoded(Image.fromarray(halves, "CMYK"), "TIFF", icc_profile=profile))
    # Lab 55, -37, -50 is the cyan of offset printing, far from the (0, 255, 255) of a screen.
    assert np.abs(shown[:, :90] - 255).max() <= 3
    assert np.abs(shown[112, 200] - (0, 152, 215)).max() <= 12


PLAIN: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 90},
    "PNG": {},
    "WEBP": {"quality": 90},
    "TIFF": {"compression": "tiff_lzw"},
}


@pytest.mark.parametrize("profile", [None, SRGB, OWN_SRGB], ids=["none", "LittleCMS's", "another's"])
@pytest.mark.parametrize("file_format", PLAIN)
def test_a_photo_without_a_profile_or_with_srgb_has_exactly_the_pixels_of_pillow(
    file_format: str, profile: bytes | None
) -> None:
    data = encoded(PICTURE, file_format, icc_profile=profile, **PLAIN[file_format])
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.info.get("icc_profile") == profile
        expected = np.asarray(opened.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(decode(data, MAX_PIXELS).pixels, expected)


def broken_profiles() -> dict[str, bytes]:
    return {
        "nothing": b"",
        "text": b"no profile" * 900,
        "cut off": P3[:300],
        "only a header": P3[:128],
        "of grey": grey_profile(1.0),
        "of inks": ink_profile((255, 128, 128), (141, 91, 78)),
        "of another class": P3[:12] + b"link" + P3[16:],
        "of endless steps": P3 + b"mpet",
        "too long": P3 + bytes(5_000_000),
    }


@pytest.mark.parametrize("name", broken_profiles())
def test_a_profile_that_is_none_for_these_pixels_is_ignored(name: str) -> None:
    plain, profiled = (encoded(PICTURE, "TIFF", icc_profile=one) for one in (None, broken_profiles()[name]))
    np.testing.assert_array_equal(seen(profiled), seen(plain))


def test_a_mutated_profile_never_costs_the_photo() -> None:
    random = np.random.default_rng(11)
    originals = [P3, grey_profile(2.2), ink_profile((255, 128, 128), (141, 91, 78)), SRGB]
    modes = ["RGB", "L", "CMYK", "RGB"]
    for number in range(400):
        data = bytearray(originals[number % 4])
        for place in random.integers(0, min(len(data), 400), size=1 + number % 7):
            data[place] = random.integers(0, 256)
        photo = encoded(PICTURE.convert(modes[number % 4]), "TIFF", icc_profile=bytes(data))
        assert decode(photo, MAX_PIXELS).pixels.shape == (224, 224, 3)


def test_converting_the_small_picture_gives_about_what_converting_the_large_one_gives(tmp_path: Path) -> None:
    write_sample(tmp_path, photos_per_folder=1)
    for file in sorted(tmp_path.rglob("*.jpg")):
        with Image.open(file) as photo:
            numbers = photo.convert("RGB")
        first = converted(numbers, P3)
        small = seen(encoded(first, "PNG", icc_profile=P3))
        large = seen(encoded(numbers, "PNG"))
        assert np.abs(small - large).mean() < 1.5
