"""Converts photos to sRGB by the colour profiles embedded in them.

Phones save Display P3 and cameras Adobe RGB: the same numbers mean other colours than in sRGB, in which the network has
learnt. The conversion is LittleCMS's, by Pillow. It is relative colorimetric with black point compensation, as phones
and browsers convert: colours that sRGB has stay what they are, and the others go to the nearest. Perceptual conversion
would depend on tables that each vendor of a profile makes to its own taste; the profiles of phones have none.

A photo is converted after it has been made small, 224 x 224 instead of millions of pixels. Resizing mixes neighbours of
about the same colour, for which the order makes no difference that can be seen.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image

from spark_steps.photos.formats.profiles import ADOBE_RGB, gamma, matrix_profile

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

# Profiles of printing are up to 3 MB long, those of phones 0.5 KB.
_LONGEST_PROFILE = 4 * 1024 * 1024
# A folder's photos have few different ones. At most 64 MiB of profiles are kept.
_PROFILES_KEPT = 16
# A profile of which no colour comes out further away is one of sRGB. Programs round its curve in different ways.
_ROUNDING = 2
# Kinds of profiles that are of pixels: of input, screens, printers, and colour spaces.
_CLASSES = (b"scnr", b"mntr", b"prtr", b"spac")
# Modes of Pillow whose pixels are grey, and the space of the profiles that may describe them.
_GREY_MODES = ("1", "L", "LA", "La", "I", "F")
# Steps whose number is not limited by a profile's length. No camera writes them.
_ENDLESS = b"mpet"


@dataclass(frozen=True)
class Conversion:
    """A conversion of pixels to sRGB.

    Attributes:
        mode: The mode that it takes: "RGB", "L" or "CMYK".
        transform: LittleCMS's.
    """

    mode: str
    transform: "ImageCmsTransform"

    def apply(self, image: Image.Image) -> Image.Image:
        """Returns a picture in sRGB.

        Args:
            image: A picture in its own colours, of the mode; for "L" also RGB of three equal channels.
        """
        converted = self.transform.apply(image if image.mode == self.mode else image.getchannel(0))
        del converted.info["icc_profile"]
        return converted


def conversion_of(image: Image.Image) -> Conversion | None:
    """Returns the conversion of a photo's colours, None if its pixels are to be taken as they are.

    They are taken as they are without a profile, with one of sRGB, and with one that is broken, too long, of another
    kind of colours than the pixels, or of no kind that describes pixels.

    Args:
        image: The opened photo.
    """
    profile = image.info.get("icc_profile")
    if not profile and _is_adobe_rgb_by_exif(image):
        profile = _adobe_rgb()
    if not isinstance(profile, bytes) or not 128 < len(profile) <= _LONGEST_PROFILE:
        return None
    mode = _mode_of(profile)
    return _conversion(profile, mode) if mode is not None and mode == _converted_mode(image) else None


def _mode_of(profile: bytes) -> str | None:
    if profile[12:16] not in _CLASSES or _ENDLESS in profile:
        return None
    return {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}.get(profile[16:20])


def _converted_mode(image: Image.Image) -> str | None:
    if image.mode in _GREY_MODES or image.mode.startswith("I;16"):
        return "L"
    if image.mode == "LAB":
        return None
    return "CMYK" if image.mode == "CMYK" else "RGB"


@lru_cache(_PROFILES_KEPT)
def _conversion(profile: bytes, mode: str) -> Conversion | None:
    # Imported where a photo has a profile.
    from PIL import ImageCms

    # Optimised, LittleCMS is up to 10 of 255 wrong in the shadows of linear grey.
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION | (ImageCms.Flags.NOOPTIMIZE if mode == "L" else 0),
        )
    # A photo with a broken profile is still usable, and a broken one may raise any error.
    except Exception:
        return None
    return Conversion(mode, transform) if _changes_colours(transform, mode) else None


def _changes_colours(transform: "ImageCmsTransform", mode: str) -> bool:
    if mode == "CMYK":
        return True
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    if mode == "L":
        sample = Image.fromarray(np.arange(256, dtype=np.uint8)[np.newaxis])
    else:
        sample = Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3))
    before, after = (np.asarray(pixels, np.int16) for pixels in (sample.convert("RGB"), transform.apply(sample)))
    return bool(np.abs(after - before).max() > _ROUNDING)


def _is_adobe_rgb_by_exif(image: Image.Image) -> bool:
    """Returns whether a camera has marked a JPEG as Adobe RGB by EXIF alone, as DCF 2.0 wants it."""
    exif = image.info.get("exif")
    if image.format not in ("JPEG", "MPO") or image.mode != "RGB":
        return False
    if not isinstance(exif, bytes) or b"R03" not in exif:
        return False
    try:
        tags = image.getexif()
        is_srgb = tags.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace) == 1
        index = tags.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex)
    # A photo with a damaged EXIF block is still usable, and a damaged block may raise any error.
    except Exception:
        return False
    return not is_srgb and str(index).startswith("R03")


@lru_cache(1)
def _adobe_rgb() -> bytes:
    return matrix_profile(ADOBE_RGB, gamma(563 / 256))
