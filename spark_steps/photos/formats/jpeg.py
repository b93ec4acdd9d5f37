"""Reads the markers of JPEGs: which kind one is, and where its pixels end although nothing says so."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_START, _END = b"\xff\xd8", b"\xff\xd9"
_START_OF_SCAN = 0xDA
# Markers of frames: C4, C8 and CC are others.
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
_PROCESSES = {
    **{0xC3: "lossless JPEG", 0xC5: "hierarchical JPEG", 0xC6: "hierarchical JPEG", 0xC7: "hierarchical JPEG"},
    **{0xCB: "lossless arithmetic JPEG", 0xCD: "hierarchical JPEG", 0xCE: "hierarchical JPEG"},
    **{0xCF: "hierarchical JPEG", 0xF7: "JPEG-LS"},
}
# Their pixels come in one pass, if the first scan has all components.
_ONE_PASS = (0xC0, 0xC1, 0xC9)
_MARKER = re.compile(rb"\xff+([^\x00\x01\xff\xd0-\xd7])")
# What pixels do not go on beyond: a marker with a length, a film, and the zeros of a file of which a part never came.
_AFTER_PIXELS = re.compile(rb"\xff+[^\x00\x01\xff\xd0-\xd7]|\x00\x00\x00.ftyp|\x00{16}", re.DOTALL)
# Bytes that pixels might go on with, without a marker.
_CONTINUATIONS = (b"", b"\x55" * 256, bytes(range(7, 250, 3)) * 4)


@dataclass(frozen=True)
class Frame:
    """The header of a JPEG's pixels.

    Attributes:
        marker: Its second byte, which says by which process the pixels are coded.
        bits: Of a sample.
        components: Samples of a pixel.
        pixels: Where the first scan's pixels begin; None if there is no scan.
        one_pass: Whether that scan is the only one.
    """

    marker: int
    bits: int
    components: int
    pixels: int | None
    one_pass: bool

    @property
    def is_supported(self) -> bool:
        """Whether Pillow decodes such pixels."""
        return self.bits == 8 and self.components in (1, 3, 4) and self.marker not in _PROCESSES

    def __str__(self) -> str:
        process = _PROCESSES.get(self.marker, "JPEG")
        return f"a {process} of {self.bits} bits a sample, with {self.components} components"


def frame_of(data: bytes) -> Frame | None:
    """Returns the header of a JPEG's pixels; None for other files, and where there is none."""
    header = b""
    marker = 0
    for code, start in _segments(data):
        if code in _FRAMES and not header:
            marker, header = code, data[start + 2 : start + 8]
        elif code == _START_OF_SCAN and len(header) == 6:
            length = int.from_bytes(data[start : start + 2], "big")
            one_pass = marker in _ONE_PASS and data[start + 2 : start + 3] == header[5:]
            return Frame(marker, header[0], header[5], start + length, one_pass)
    return Frame(marker, header[0], header[5], None, False) if len(header) == 6 else None


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    place = 2 if data.startswith(_START) else len(data)
    while found := _MARKER.search(data, place):
        start = found.end()
        yield found[1][0], start
        place = start + max(int.from_bytes(data[start : start + 2], "big"), 2)


def endings(data: bytes) -> list[bytes]:
    """Returns a JPEG cut at the end of its only scan and ended properly, with several bytes in between.

    Some phones leave the end of image out and append a film. If all of the returned have the same pixels, then those
    were whole: nothing that follows has a part in them.

    Args:
        data: A file that does not decode.

    Returns:
        No files for other formats and for several scans, where a whole one may be missing.
    """
    frame = frame_of(data)
    if frame is None or frame.pixels is None or not frame.one_pass:
        return []
    found = _AFTER_PIXELS.search(data, frame.pixels)
    whole = data[: found.start()] if found else data.rstrip(b"\xff")
    return [whole + continuation + _END for continuation in _CONTINUATIONS]
