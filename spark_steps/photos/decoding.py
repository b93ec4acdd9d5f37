"""Decodes the bytes of a photo to the pixels that the network takes, or refuses it with a reason."""

import io
import warnings
from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from spark_steps.errors import UnusablePhotoError
from spark_steps.photos.bombs import BOMB, refuse_costly_shape, refuse_costly_structure
from spark_steps.photos.colour import conversion_of
from spark_steps.photos.formats.heif import is_heif, open_heif
from spark_steps.photos.formats.jpeg import endings
from spark_steps.photos.formats.kinds import UNSUPPORTED, failed_kind, misread_kind, unsupported
from spark_steps.photos.formats.tiff_layout import YCBCR, layout_of
from spark_steps.photos.formats.tiff_samples import read_samples
from spark_steps.photos.measures import Measures, measure, on_scale
from spark_steps.photos.standard_error import quiet_standard_error

# Height and width of the pixels that a network takes.
Size = tuple[int, int]
SIDE = 224
# Change this text with every change below that alters pixels: it is part of the model fingerprint of all features.
PREPROCESSING = "rgb-on-white, exif-oriented, draft>=448, bicubic-224, profile-to-srgb, [-1,1]; 2"

# JPEG includes MPO: files with several pictures, which phones write.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF")
_HEIF_FORMATS = ("HEIF", "AVIF")
_OF_TILES = ("TIFF", *_HEIF_FORMATS)
_ORIENTATION_TAG, _COLOUR_MAP = 0x0112, 320
# Peak memory in bytes per pixel, measured at 120 and at 30 megapixels: RGB and grey take 4 to 5, progressive JPEGs 6 to
# 8, CMYK and YCbCr in TIFF 8, RGBA 20, 16-bit grey 26, WebP 16 and with transparency 28; ``formats.heif`` has HEIC and
# AVIF.
_PLAIN_MODES = ("RGB", "L", "1", "CMYK", "YCbCr")
_COST_OF_OTHERS, _COST_OF_TRANSPARENT_WEBP = 4, 6
# The transpositions that turn the stored pixels upright, by the value of the tag Orientation of EXIF 2.32.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

NOT_AN_IMAGE, TRUNCATED, DAMAGED = "not an image", "truncated", "damaged"
ERASED = "erased"


def reasons(errors: Iterable[str]) -> Counter[str]:
    """Counts errors by their reason, the part before the colon."""
    return Counter(error.split(":", 1)[0] for error in errors)


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    Attributes:
        format: Pillow's name of the file format, whatever the file's extension.
        width: Width in pixels, with the orientation applied.
        height: Height in pixels, with the orientation applied.
        pixels: RGB, uint8, of shape (height, width, 3) of the size that it was decoded to.
        measures: Measures of its quality.
    """

    format: str
    width: int
    height: int
    pixels: NDArray[np.uint8]
    measures: Measures


def may_depend_on_limit(file_format: str | None, width: int | None, height: int | None, before: int, now: int) -> bool:
    """Returns whether another limit of pixels may decide otherwise about a photo that was read.

    It errs on the safe side: all refused photos depend on it, and with a lower limit all of the formats whose tiles
    count too.

    Args:
        file_format: The photo's format, None if it was refused.
        width: Its width in pixels, None if it was refused.
        height: Its height in pixels, None if it was refused.
        before: The limit under which it was decoded or refused.
        now: The limit under which it would be now.
    """
    if width is None or height is None:
        return before != now
    return now < before and (file_format in _OF_TILES or width * height * _COST_OF_TRANSPARENT_WEBP > now)


def decode(data: bytes, max_pixels: int, size: Size = (SIDE, SIDE)) -> Photo:
    """Decodes a photo to RGB pixels of the size that a network takes.

    What differs from ``Image.open(...).resize([224, 224])``: large JPEGs are decoded at a half, a quarter or an
    eighth of their size, never below twice the longer side that is asked for (libjpeg's DCT scaling, 4 to 10 times
    faster on phone photos), the EXIF orientation is applied, transparent pixels are laid on white, values of more than
    8 bits are scaled to 8 instead of clipped (``tiff_samples``), a JPEG may lack its end of image, of several frames
    the first is taken, and colours are converted to sRGB by the photo's profile (``colour``). An opaque 8-bit RGB photo
    without orientation, without a profile and under 896 pixels a side gives the same pixels of 224 x 224.

    Args:
        data: The file's bytes.
        max_pixels: Width times height above which the photo is refused undecoded; half of it for AVIF and for HEIC but
            of 8 bits in 4:2:0, a quarter for WebP and for photos with transparency, a palette or more than 8 bits, a
            sixth for WebP with transparency.
        size: Height and width of the pixels.

    Raises:
        UnusablePhotoError: It cannot be decoded.
    """
    with warnings.catch_warnings():
        # Pillow warns of large images, which max_pixels limits, and of damaged metadata, which does no harm.
        warnings.simplefilter("ignore")
        refuse_costly_structure(data)
        try:
            return _decoded(data, max_pixels, size)
        except UnusablePhotoError as refused:
            photo = _without_end(data, max_pixels, size) if refused.reason in (TRUNCATED, DAMAGED) else None
            if photo is None:
                raise
            return photo


def _decoded(data: bytes, max_pixels: int, size: Size) -> Photo:
    try:
        with _open(data, max_pixels) as image, _quiet_if_tiff(image):
            return _to_photo(image, data, max_pixels, size)
    except UnusablePhotoError:
        raise
    except Image.DecompressionBombError as error:
        raise UnusablePhotoError(BOMB, str(error)) from error
    except MemoryError as error:
        raise UnusablePhotoError(BOMB, "decoding it takes more memory than there is") from error
    except UnidentifiedImageError as error:
        if kind := failed_kind(data, identified=False):
            raise unsupported(kind) from error
        detail = f"the bytes are those of no known picture format ({', '.join(_FORMATS + _HEIF_FORMATS)})"
        raise UnusablePhotoError(NOT_AN_IMAGE, detail) from error
    # Pillow's decoders raise many kinds of errors for a malformed file (struct.error, IndexError, SyntaxError,
    # ZeroDivisionError...). Catch all, so that a bad photo does not fail its batch.
    except Exception as error:
        if kind := failed_kind(data, identified=True):
            raise unsupported(kind) from error
        raise UnusablePhotoError(_reason(error), f"it cannot be decoded: {error or type(error).__name__}") from error


def _without_end(data: bytes, max_pixels: int, size: Size) -> Photo | None:
    """Returns a JPEG's photo if its pixels are whole and only the end of image is missing."""
    try:
        photos = [_decoded(ended, max_pixels, size) for ended in endings(data)]
    except UnusablePhotoError:
        return None
    whole = photos and all(np.array_equal(photos[0].pixels, other.pixels) for other in photos)
    return photos[0] if whole else None


def _quiet_if_tiff(image: Image.Image) -> AbstractContextManager[None]:
    # libtiff writes a line to standard error for each unknown tag: hundreds for one damaged file.
    return quiet_standard_error() if image.format == "TIFF" else nullcontext()


def _open(data: bytes, max_pixels: int) -> Image.Image:
    Image.MAX_IMAGE_PIXELS = max_pixels
    if kind := misread_kind(data):
        raise unsupported(kind)
    if is_heif(data):
        image, cost = open_heif(data, max_pixels)
        return _within_limit(image, max_pixels // cost)
    layout = layout_of(data)
    if layout and layout.is_misread and layout.is_of_bytes:
        return read_samples(data, layout, max_pixels)
    try:
        # Pillow's own reader of uncompressed TIFFs takes YCbCr for unsampled, and some tiles for cut off.
        TiffImagePlugin.READ_LIBTIFF = bool(layout and (layout.tiled or layout.photometric == YCBCR))
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        if layout and layout.is_of_bytes:
            return read_samples(data, layout, max_pixels)
        raise
    finally:
        TiffImagePlugin.READ_LIBTIFF = False
    return _within_limit(image, max_pixels // _cost(image))


def _within_limit(image: Image.Image, allowed: int) -> Image.Image:
    refuse_costly_shape(image, allowed)
    if image.width * image.height > allowed:
        raise UnusablePhotoError(BOMB, f"{image.width} x {image.height} pixels, and at most {allowed} are decoded")
    return image


def _cost(image: Image.Image) -> int:
    if image.format == "WEBP":
        return _COST_OF_OTHERS if image.mode == "RGB" else _COST_OF_TRANSPARENT_WEBP
    plain = image.mode in _PLAIN_MODES and "transparency" not in image.info
    return 1 if plain else _COST_OF_OTHERS


def _reason(error: Exception) -> str:
    message = str(error).lower()
    if "unsupported" in message or "not yet supported" in message:
        return UNSUPPORTED
    cut_short = isinstance(error, EOFError) or any(
        word in message for word in ("truncated", "unexpected end", "incomplete", "not enough")
    )
    return TRUNCATED if cut_short else DAMAGED


def _to_photo(image: Image.Image, data: bytes, max_pixels: int, size: Size) -> Photo:
    file_format, (width, height) = image.format or "TIFF", image.size
    # This has an effect on JPEG only.
    image.draft(None, (2 * max(size), 2 * max(size)))
    image.load()
    if file_format == "TIFF":
        image = _corrected(image, data, max_pixels)
        # Pillow turns TIFFs upright as it loads them, and takes their orientation away.
        width, height = image.size
    orientation = _orientation(image)
    # These orientations exchange width and height; numbers above 8 mean nothing.
    if turned := 5 <= orientation <= 8:
        width, height = height, width
    conversion = conversion_of(image)
    flat = image if conversion and conversion.mode == "CMYK" else _to_rgb(image)
    # Pillow names the width first.
    small = flat.resize(size if turned else size[::-1], Image.Resampling.BICUBIC)
    scaled = on_scale(flat, small)
    if conversion:
        own_colours, small = small, conversion.apply(small)
        scaled = small if scaled is own_colours else conversion.apply(scaled)
    measures = measure(scaled)
    if orientation in _UPRIGHT:
        # Transpose after the resize: the result is the same, and takes a hundredth of the work.
        small = small.transpose(_UPRIGHT[orientation])
    return Photo(file_format, width, height, np.asarray(small, dtype=np.uint8), measures)


def _orientation(image: Image.Image) -> int:
    if image.format == "HEIF":
        # The decoder turns it, by the properties of the file; what EXIF says besides does not count.
        return 1
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    # A photo with a damaged EXIF block is still usable, and a damaged block may raise any error.
    except Exception:
        return 1
    if isinstance(value, bytes) and len(value) == 1:
        return value[0]
    return value if isinstance(value, int) else 1


def _corrected(image: Image.Image, data: bytes, max_pixels: int) -> Image.Image:
    """Returns a loaded TIFF with its own scale: RGB of few bits in 16, and palettes of 8 bits, which come out black."""
    layout = layout_of(data)
    if layout is None:
        return image
    if layout.is_of_bytes and layout.bits == 16 and image.mode in ("RGB", "RGBA"):
        has_few_bits = np.max(image.getextrema()) < 16 or 0 < layout.most < 32_768
        return read_samples(data, layout, max_pixels) if has_few_bits else image
    colours = image.tag_v2.get(_COLOUR_MAP) if image.mode == "P" else None  # type: ignore[attr-defined]
    if colours and max(colours) < 256:
        image.putpalette(bytes(np.reshape(colours, (3, -1)).T.ravel().tolist()))
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = _from_16_bits(image)
    if image.mode == "La":
        image = image.convert("LA")
    if image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        # Programs write the fourth byte as zero and mean no transparency; browsers show such a BMP.
        image = image.convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        opaque = image.convert("RGBA")
        white = Image.new("RGBA", opaque.size, "white")
        return Image.alpha_composite(white, opaque).convert("RGB")
    # convert() would copy an RGB image: 480 MB for 120 megapixels.
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Scales grey values of 16 bits to 8 bits; Pillow's conversion clips them, so most turn white."""
    values = np.asarray(image)
    grey = Image.fromarray((values / 257.0).round().astype(np.uint8), mode="L")
    if (transparent := image.info.get("transparency")) is None:
        return grey
    grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8), mode="L"))
    return grey
