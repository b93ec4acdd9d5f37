"""Names the kinds of photos that are known but not supported, for the reasons of refusals."""

from spark_steps.photos.jpeg import frame_of
from spark_steps.photos.tiff_layout import layout_of

# What Pillow has from PyPI: none, fax, LZW, JPEG, Deflate, PackBits, LZMA, Zstandard.
_USUAL_COMPRESSIONS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000)


def kind_of(data: bytes) -> str | None:
    """Returns what kind of JPEG, PNG or TIFF a file is that Pillow does not identify; None if it is none of these."""
    if (frame := frame_of(data)) is not None:
        return None if frame.is_supported else str(frame)
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"CgBI":
        return "a PNG in the form of iOS apps (CgBI)"
    layout = layout_of(data)
    return str(layout) if layout else None


def unusual_tiff(data: bytes) -> str | None:
    """Returns what kind of TIFF a file is whose compression Pillow need not have; None for all others."""
    layout = layout_of(data)
    return str(layout) if layout and layout.compression not in _USUAL_COMPRESSIONS else None
