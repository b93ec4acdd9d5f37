"""Names the kinds of photos that are known but not supported, for the reasons of refusals."""

from spark_steps.errors import UnusablePhotoError
from spark_steps.photos.formats.jpeg import frame_of
from spark_steps.photos.formats.tiff_layout import COLOURS, layout_of

UNSUPPORTED = "not supported"
# A bare stream, and one in boxes.
_JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
# What Pillow has from PyPI: none, fax, LZW, JPEG, Deflate, PackBits, LZMA, Zstandard.
_USUAL_COMPRESSIONS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000)


def unsupported(kind: str) -> UnusablePhotoError:
    """Returns the error for a photo of a kind that is not supported."""
    return UnusablePhotoError(UNSUPPORTED, f"it is {kind}. Save it in another form")


def misread_kind(data: bytes) -> str | None:
    """Returns what kind of file Pillow would open and misread, and nothing else here reads; None for all others."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"CgBI":
        return "a PNG in the form of iOS apps (CgBI)"
    header, bits, compression = (int.from_bytes(data[a:b], "little") for a, b in ((14, 18), (28, 30), (30, 34)))
    if data.startswith(b"BM") and header >= 56 and bits == 16 and compression == 3 and any(data[66:70]):
        return "a BMP of 16 bits a pixel with transparency"
    layout = layout_of(data)
    if layout and layout.is_misread and layout.photometric in COLOURS and not layout.is_of_bytes:
        return str(layout)
    return None


def failed_kind(data: bytes, identified: bool) -> str | None:
    """Returns what kind of file Pillow does not decode by its nature; None if there is another reason.

    Args:
        data: The file's bytes.
        identified: Whether Pillow has opened it.
    """
    if frame := frame_of(data):
        return None if frame.is_supported else str(frame)
    if data.startswith(_JPEG_XL):
        return "a JPEG XL"
    layout = layout_of(data)
    is_unusual = layout and (not identified or layout.compression not in _USUAL_COMPRESSIONS)
    return str(layout) if is_unusual else None
