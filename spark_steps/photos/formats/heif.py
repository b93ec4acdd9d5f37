"""Opens HEIC by pillow-heif and AVIF by Pillow, after a look at what decoding would cost.

Both are files of boxes in which the picture is one of many items, often made of hundreds of tiles, and in which small
files can name endless work. So the tables are read here first, within limits, and only then by the decoder's library.
"""

import io
from functools import cache

from PIL import Image

from spark_steps.errors import UnusablePhotoError
from spark_steps.photos.bombs import BOMB
from spark_steps.photos.formats.heif_items import HeifItems, Work
from spark_steps.photos.formats.kinds import unsupported
from spark_steps.photos.formats.profiles import profile_of_numbers

# Brands of still pictures and sequences of HEVC, of AV1, and of either.
_BRANDS = {
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    *(b"avif", b"avis", b"mif1", b"msf1", b"mif2", b"miaf"),
}
_BRANDS_OF_FILMS = {b"avis": b"avif", b"msf1": b"mif1", b"hevc": b"heic", b"hevx": b"heix"}
_MOST_BRANDS = 64
# Peak memory in bytes per pixel: HEIC of 8 bits in 4:2:0 takes 7.5, in 4:4:4 9, of 10 bits 13, AVIF 9 and of 12 bits
# 15, with transparency 24.
_COST_OF_OTHERS, _COST_OF_TRANSPARENCY = 2, 4
# Metadata is copied for each picture that it describes. A phone writes up to 64 KiB of EXIF and some of XMP.
_MOST_METADATA = 32 * 1024 * 1024


def is_heif(data: bytes) -> bool:
    """Returns whether a file says that it is a HEIC or an AVIF, by one of its brands.

    Args:
        data: The file's bytes.
    """
    if data[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(data[:4], "big"), 16 + 4 * _MOST_BRANDS)
    return not _BRANDS.isdisjoint(data[place : place + 4] for place in (8, *range(16, end, 4)))


def open_heif(data: bytes, max_pixels: int) -> tuple[Image.Image, int]:
    """Opens the picture of a HEIC or AVIF that is shown, undecoded, with its orientation and its colour profile.

    Of a sequence with a still picture that is the still one. Thumbnails, depth and gain maps are not looked at.

    Args:
        data: The file's bytes.
        max_pixels: Half of the most pixels that are decoded for it, in tiles and for transparency.

    Returns:
        The picture, and how many times its pixels count: as often as it takes the memory of a JPEG.

    Raises:
        UnusablePhotoError: It is of a kind that is not supported, or costs too much.
        EOFError: It is cut off.
        ValueError: It is malformed.
        SyntaxError: The library does not open it.
    """
    items = HeifItems(data)
    work = items.work()
    cost = 1 if work.is_plain else _COST_OF_OTHERS
    _refuse_costly(work, items.described, len(data), max_pixels, max_pixels // cost)
    if len(work.codecs) != 1:
        raise unsupported("a HEIF of several kinds of pictures")
    still = _without_films(data, items)
    image = _open_hevc(still) if b"hvc1" in work.codecs else _open_av1(still)
    if not image.info.get("icc_profile"):
        image.info["icc_profile"] = _profile_of(data, items)
    return image, cost if image.mode in ("RGB", "L") else _COST_OF_TRANSPARENCY


def _refuse_costly(work: Work, described: int, length: int, max_pixels: int, largest: int) -> None:
    if work.largest > largest:
        raise UnusablePhotoError(BOMB, f"a picture of {work.largest} pixels, and at most {largest} are decoded")
    if work.pixels > 2 * max_pixels:
        raise UnusablePhotoError(BOMB, f"{work.pixels} pixels with all tiles, and at most {2 * max_pixels} are decoded")
    if work.length > 4 * length:
        raise UnusablePhotoError(BOMB, "its tiles are the same bytes again and again")
    if described > _MOST_METADATA:
        raise UnusablePhotoError(BOMB, f"its pictures have {described} bytes of metadata")


def _without_films(data: bytes, items: HeifItems) -> bytes:
    """Returns a file with its films declared free space.

    libavif decodes the first frame of a film instead of the still picture, if the file's first brand is that of films,
    and both libraries miss the film if any is. They also read its tables, which were not looked at here.
    """
    end = int.from_bytes(data[:4], "big")
    brands = data[8:end]
    for of_films, of_pictures in _BRANDS_OF_FILMS.items():
        brands = brands.replace(of_films, of_pictures)
    if not items.films and brands == data[8:end]:
        return data
    still = bytearray(data)
    for box in items.films:
        still[box.header + 4 : box.header + 8] = b"free"
    still[8:end] = brands
    return bytes(still)


def _open_hevc(data: bytes) -> Image.Image:
    # Imported where such a file comes: it loads 20 MB of libraries.
    from pillow_heif import HeifImageFile, options

    # No pool of threads: the network's processes are as many as there are cores. libde265 has one of its own.
    options.DECODE_THREADS = 0
    # A thumbnail may show something else, and its compression is visible.
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    return HeifImageFile(io.BytesIO(data))  # type: ignore[no-untyped-call]


def _open_av1(data: bytes) -> Image.Image:
    from PIL import AvifImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    return AvifImagePlugin.AvifImageFile(io.BytesIO(data))


def _profile_of(data: bytes, items: HeifItems) -> bytes | None:
    """Returns a profile for colours that a file names by numbers (ITU-T H.273); None for those of sRGB."""
    for box in items.primary.properties:
        content = data[box.start : box.end]
        if box.kind == b"colr" and content[:4] == b"nclx" and len(content) >= 10:
            return _profile_of_numbers(int.from_bytes(content[4:6], "big"), int.from_bytes(content[6:8], "big"))
    return None


_profile_of_numbers = cache(profile_of_numbers)
