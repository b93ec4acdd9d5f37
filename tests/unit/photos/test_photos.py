"""Decoding: any file gives pixels or a reason, and the pixels are the right ones."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spark_steps.errors import UnusablePhotoError
from spark_steps.photos.decoding import Photo, decode

MAX_PIXELS = 120_000_000
RANDOM = np.random.default_rng(7)
# How a camera stores an upright photo under each orientation.
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def picture(width: int = 120, height: int = 90) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=2).astype(np.uint8))


def decoded(image: Image.Image, file_format: str, **options: object) -> Photo:
    return decode(encoded(image, file_format, **options), MAX_PIXELS)


def refusal(data: bytes, max_pixels: int = MAX_PIXELS) -> UnusablePhotoError:
    with pytest.raises(UnusablePhotoError) as refused:
        decode(data, max_pixels)
    return refused.value


def test_a_small_plain_photo_has_the_pixels_of_pillows_bicubic_resize() -> None:
    data = encoded(picture(), "JPEG")
    expected = Image.open(io.BytesIO(data)).resize((224, 224), Image.Resampling.BICUBIC)
    photo = decode(data, MAX_PIXELS)
    assert (photo.format, photo.width, photo.height) == ("JPEG", 120, 90)
    np.testing.assert_array_equal(photo.pixels, np.asarray(expected))


def test_a_large_jpeg_decoded_small_looks_like_the_one_decoded_in_full() -> None:
    data = encoded(picture(3000, 2000), "JPEG", quality=95)
    full = np.asarray(Image.open(io.BytesIO(data)).resize((224, 224), Image.Resampling.BICUBIC), dtype=float)
    assert np.abs(decode(data, MAX_PIXELS).pixels - full).mean() < 1.0


@pytest.mark.parametrize("size", [(96, 96), (64, 160), (331, 331)])
def test_a_photo_is_decoded_to_the_size_that_a_network_takes(size: tuple[int, int]) -> None:
    data = encoded(picture(), "PNG")
    photo = decode(data, MAX_PIXELS, size)
    expected = Image.open(io.BytesIO(data)).resize(size[::-1], Image.Resampling.BICUBIC)
    assert (photo.width, photo.height) == (120, 90)
    np.testing.assert_array_equal(photo.pixels, np.asarray(expected))


def test_a_large_jpeg_keeps_twice_the_pixels_that_a_network_takes() -> None:
    noise = RANDOM.integers(0, 256, (1200, 1600, 3)).astype(np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG", quality=95)
    for size, halvings in (((600, 600), 0), ((300, 300), 1), ((64, 300), 1), ((150, 150), 2)):
        drafted = Image.open(io.BytesIO(data))
        drafted.draft(None, (1600 >> halvings, 1200 >> halvings))
        assert drafted.size == (1600 >> halvings, 1200 >> halvings)
        expected = drafted.resize(size[::-1], Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(decode(data, MAX_PIXELS, size).pixels, np.asarray(expected))


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_photo_is_turned_upright_also_for_a_network_that_takes_no_squares(orientation: int) -> None:
    stored = picture(100, 100).transpose(TURNED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, "PNG", exif=exif)
    found, expected = (
        decode(data, MAX_PIXELS, (40, 80)),
        decode(encoded(picture(100, 100), "PNG"), MAX_PIXELS, (40, 80)),
    )
    assert found.pixels.shape == (40, 80, 3)
    assert np.abs(found.pixels.astype(int) - expected.pixels.astype(int)).max() <= 1


def test_an_orientation_that_does_not_exist_turns_nothing() -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    photo = decode(encoded(picture(), "PNG", exif=exif), MAX_PIXELS, (40, 80))
    assert (photo.width, photo.height) == (120, 90)
    assert photo.pixels.shape == (40, 80, 3)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_the_exif_orientation_is_applied(orientation: int) -> None:
    upright = picture(200, 100)
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = decoded(upright.transpose(TURNED[orientation]), "PNG", exif=exif)
    assert (photo.width, photo.height) == (200, 100)
    # A square resize and a turn commute but for the last bit of rounding.
    difference = photo.pixels.astype(int) - decoded(upright, "PNG").pixels.astype(int)
    assert np.abs(difference).max() <= 1


def test_transparent_pixels_become_white() -> None:
    transparent = Image.new("RGBA", (50, 50), (255, 0, 0, 0))
    assert (decoded(transparent, "PNG").pixels == 255).all()


@pytest.mark.parametrize(("mode", "file_format"), [("CMYK", "JPEG"), ("L", "JPEG"), ("P", "GIF"), ("1", "PNG")])
def test_other_modes_become_rgb(mode: str, file_format: str) -> None:
    assert decoded(picture().convert(mode), file_format).pixels.shape == (224, 224, 3)


def test_a_16_bit_grey_photo_is_scaled_and_not_clipped_to_white() -> None:
    ramp = np.tile(np.linspace(0, 65535, 224), (224, 1)).astype(np.uint16)
    pixels = decoded(Image.fromarray(ramp), "PNG").pixels
    assert pixels[:, :, 0].mean() == pytest.approx(127.5, abs=2)
    assert pixels[0, 0, 0] < 3 < 252 < pixels[0, -1, 0]


def test_of_an_animation_the_first_frame_is_taken() -> None:
    red, blue = Image.new("RGB", (40, 40), "red"), Image.new("RGB", (40, 40), "blue")
    pixels = decoded(red, "GIF", save_all=True, append_images=[blue]).pixels
    assert (pixels[:, :, 0] > 200).all()
    assert (pixels[:, :, 2] < 50).all()


def test_a_png_called_jpg_is_used_and_its_format_told() -> None:
    assert decoded(picture(), "PNG").format == "PNG"


def test_a_truncated_photo_says_so() -> None:
    noise = Image.fromarray(RANDOM.integers(0, 255, (200, 200, 3), dtype=np.uint8))
    data = encoded(noise, "JPEG")
    assert refusal(data[: len(data) // 2]).reason == "truncated"


@pytest.mark.parametrize("data", [b"a letter, not a photo", b"\xff\xd8", bytes(1000)])
def test_what_is_no_image_says_so(data: bytes) -> None:
    assert refusal(data).reason == "not an image"


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10_000)))
    assert refusal(bomb).reason == "decompression bomb"


def test_a_photo_above_the_limit_of_pixels_is_refused_with_its_size() -> None:
    refused = refusal(encoded(picture(200, 100), "PNG"), max_pixels=19_999)
    assert refused.reason == "decompression bomb"
    assert "20000" in str(refused) or "200 x 100" in str(refused)


def test_every_mutation_of_a_photo_gives_pixels_or_a_reason() -> None:
    originals = [encoded(picture(), file_format) for file_format in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")]
    for number in range(300):
        data = bytearray(originals[number % len(originals)])
        for position in RANDOM.integers(0, len(data), size=1 + number % 20):
            data[position] = RANDOM.integers(0, 256)
        cut = bytes(data[: RANDOM.integers(1, len(data) + 1)])
        try:
            assert decode(cut, MAX_PIXELS).pixels.shape == (224, 224, 3)
        except UnusablePhotoError as refused:
            assert refused.reason in ("not an image", "truncated", "damaged", "not supported", "decompression bomb")
            assert "\n" not in str(refused)


def test_each_awkward_file_gives_pixels_or_a_reason_a_person_can_read(real_data: Path) -> None:
    reasons = {}
    for file in sorted((real_data / "messy").iterdir()):
        try:
            decode(file.read_bytes(), MAX_PIXELS)
        except UnusablePhotoError as refused:
            reasons[file.name] = refused.reason
    assert reasons == {
        "broken.png": "not an image",
        "crash-2020-10-test.tif": "damaged",
        "text_renamed.jpg": "not an image",
        "truncated_half.jpg": "truncated",
        "truncated_header_only.jpg": "truncated",
        "truncated_jpeg.jpg": "truncated",
        "zero_bytes.jpg": "not an image",
    }
