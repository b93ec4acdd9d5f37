"""Which files are photos, as docs/formats.md says: each kind of file is written, and is read or not."""

from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from spark_steps.errors import UnusablePhotoError
from spark_steps.photos.decoding import decode
from spark_steps.photos.names import is_photo

pillow_heif.register_heif_opener()
LIMIT = 120_000_000
ORANGE = Image.new("RGB", (40, 30), (200, 120, 40))
BLACK = Image.new("RGB", (40, 30))
SEVERAL = {"save_all": True}


def grey(dtype: type[np.generic], value: float) -> Image.Image:
    """A left half of zeros, and a right half of a value, so that what is scaled has a span."""
    return Image.fromarray(np.repeat(np.array([[0] * 20 + [value] * 20], dtype), 30, axis=0))


def brightness(file: Path) -> float:
    return float(decode(file.read_bytes(), LIMIT).pixels.mean())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("progressive.jpg", {"progressive": True}),
        ("CAPITALS.JPEG", {}),
        ("pair.mpo", {"format": "MPO", **SEVERAL}),
        ("saved by a browser.jfif", {"format": "JPEG"}),
        ("of a bird.jpg_large", {"format": "JPEG"}),
        ("plain.png", {}),
        ("plain.webp", {}),
        ("plain.bmp", {}),
        *((f"{kind}.tif", {"compression": kind}) for kind in ("tiff_lzw", "tiff_deflate", "packbits", "lzma", "zstd")),
        ("jpeg.tiff", {"compression": "jpeg"}),
        ("frames.gif", SEVERAL),
        ("frames.png", SEVERAL),
        ("frames.webp", SEVERAL),
        ("pages.tif", SEVERAL),
        ("IMG_1.HEIC", {}),
        ("burst.heif", {"format": "HEIF", **SEVERAL}),
        ("of a camera.hif", {"format": "HEIF"}),
        ("plain.avif", {}),
        ("frames.avif", SEVERAL),
        ("a heic called.jpg", {"format": "HEIF"}),
        ("a webp called.jpg", {"format": "WEBP"}),
        ("a jpeg called.png", {"format": "JPEG"}),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_file_that_the_page_says_is_read_is_a_photo_and_its_first_frame_has_its_colours(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    # Copies: Pillow notes the options of a save in the picture.
    ORANGE.copy().save(tmp_path / name, append_images=[BLACK.copy(), BLACK.copy()], **options)
    assert is_photo(name)
    pixels = decode((tmp_path / name).read_bytes(), LIMIT).pixels
    np.testing.assert_allclose(pixels.mean(axis=(0, 1)), (200, 120, 40), atol=6)


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "RGBA", "YCbCr"])
def test_every_mode_that_the_page_names_is_read(mode: str, tmp_path: Path) -> None:
    ORANGE.convert(mode).save(tmp_path / "photo.tif")  # type: ignore[arg-type]
    assert brightness(tmp_path / "photo.tif") == pytest.approx(np.mean((200, 120, 40)), abs=25)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (grey(np.uint16, 65535), 127.5),
        (grey(np.int32, 2**30), 127.5),
        (grey(np.float32, 1.0), 127.5),
        (grey(np.uint16, 4095), 127.5),
    ],
    ids=["16 bits", "32-bit integers", "floating point", "12 bits in 16"],
)
def test_deep_values_are_scaled_to_8_bits(picture: Image.Image, expected: float, tmp_path: Path) -> None:
    picture.save(tmp_path / "deep.tif")
    assert brightness(tmp_path / "deep.tif") == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("ending", ["jp2", "ico", "tga", "ppm"])
def test_other_formats_are_passed_over_and_rejected_under_the_name_of_a_photo(ending: str, tmp_path: Path) -> None:
    ORANGE.copy().save(tmp_path / f"photo.{ending}")
    assert not is_photo(f"photo.{ending}")
    with pytest.raises(UnusablePhotoError, match="not an image: the bytes are those of no known picture format"):
        decode((tmp_path / f"photo.{ending}").read_bytes(), LIMIT)


@pytest.mark.parametrize("name", ["photo.jxl", "photo", ".photo.jpg", "raw.dng", "photo.jpg~"])
def test_names_that_the_page_says_are_passed_over_are_no_photos(name: str) -> None:
    assert not is_photo(name)
