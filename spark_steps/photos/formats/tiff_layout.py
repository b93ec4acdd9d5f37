"""Reads how a TIFF lays out its first picture, within the limits of its length."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.unsignedinteger]
Order = Literal["<", ">"]

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
WHITE_IS_ZERO, CMYK, YCBCR = 0, 5, 6
# Samples of a pixel without the extra ones, by the photometric interpretations that are numbers of brightness or ink.
COLOURS = {0: 1, 1: 1, 2: 3, CMYK: 4}
# Compressions that know nothing of samples: none, LZW, Deflate (two numbers), PackBits, LZMA, Zstandard.
_OF_BYTES = (1, 5, 8, 32946, 32773, 34925, 50000)
_COMPRESSIONS = {
    **{
        2: "CCITT",
        3: "fax",
        4: "fax",
        5: "LZW",
        6: "old JPEG",
        7: "JPEG",
        8: "Deflate",
        32773: "PackBits",
        34887: "LERC",
    },
    **{32809: "ThunderScan", 34676: "SGI", 34677: "SGI", 34712: "JPEG 2000", 33003: "JPEG 2000", 33005: "JPEG 2000"},
    **{34892: "lossy JPEG", 34925: "LZMA", 32946: "Deflate", 34933: "PNG", 34934: "JPEG XR", 22610: "JPEG XR"},
    **{50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL"},
}
_PHOTOMETRICS = {
    -1: "untold colours",
    **{0: "grey", 1: "grey", 2: "RGB", 3: "a palette", 4: "a mask", 5: "CMYK", 6: "YCbCr", 8: "CIE Lab", 9: "ICC Lab"},
    **{10: "ITU Lab", 32803: "a camera's raw data", 32844: "LogL", 32845: "LogLuv", 34892: "a camera's raw data"},
}
_NUMBERS = {UNSIGNED: "", SIGNED: " signed", FLOAT: " floating-point"}
_UNTOLD = -1
_ORDERS: dict[bytes, Order] = {b"II": "<", b"MM": ">"}
_TYPES = {1: "u1", 3: "u2", 4: "u4", 7: "u1", 16: "u8"}
_TAGS = {
    **{256: "width", 257: "height", 258: "bits", 259: "compression", 262: "photometric", 266: "fill order"},
    **{273: "offsets", 274: "orientation", 277: "samples", 278: "rows", 279: "lengths", 281: "most", 284: "planes"},
    **{317: "predictor", 322: "tile width", 323: "tile height", 324: "offsets", 325: "lengths", 338: "extra"},
    **{339: "format", 34675: "profile"},
}
# Tags of which all values are of use, and the type of those that are bytes of no kind.
_LONG, _BYTES = ("offsets", "lengths", "profile"), 7


@dataclass(frozen=True)
class Layout:
    """How a TIFF lays out its first picture.

    Attributes:
        order: "<" or ">", of the bytes of a sample.
        width: In pixels, as stored.
        height: In pixels, as stored.
        bits: Of each sample.
        samples: Of a pixel.
        numbers: UNSIGNED, SIGNED or FLOAT, or another value of the tag SampleFormat.
        photometric: The tag PhotometricInterpretation.
        compression: The tag Compression.
        predictor: The tag Predictor: 1 none, 2 differences of numbers, 3 of the bytes of floats.
        fill_order: 2 if the lowest bit of a byte comes first, else 1.
        planes: Into how many planes the samples are divided: 1, or all of them.
        extra: What the first sample beside the colours is: 1 premultiplied alpha, 2 alpha, 0 neither; -1 if untold.
        orientation: The tag Orientation.
        most: The largest value, as the tag MaxSampleValue tells it; 0 if untold.
        chunk: Width and height of a strip or tile.
        tiled: Whether these are tiles.
        offsets: Where each strip or tile begins.
        lengths: How many bytes each has; none if untold.
        profile: The colour profile's bytes; none if there is none.
    """

    order: Order
    width: int
    height: int
    bits: int
    samples: int
    numbers: int
    photometric: int
    compression: int
    predictor: int
    fill_order: int
    planes: int
    extra: int
    orientation: int
    most: int
    chunk: tuple[int, int]
    tiled: bool
    offsets: Integers
    lengths: Integers
    profile: Integers

    @property
    def is_of_bytes(self) -> bool:
        """Whether its bytes can be unpacked without knowing what its samples are, and be read as numbers."""
        whole = self.bits in (8, 16, 24, 32, 64) if self.numbers == UNSIGNED else self.bits in (8, 16, 32, 64)
        packed = self.numbers == UNSIGNED and 1 <= self.bits <= 15 and self.predictor == 1
        return (
            self.compression in _OF_BYTES
            and self.photometric in COLOURS
            and COLOURS[self.photometric] <= self.samples <= 16
            and self.numbers in (UNSIGNED, SIGNED, FLOAT)
            and not (self.numbers == FLOAT and self.bits == 8)
            and (whole or packed)
            and self.predictor in ((1, 2, 3) if self.numbers == FLOAT else (1, 2))
            # Programs disagree about the order of the bytes of 24 bits in little-endian files.
            and not (self.bits == 24 and (self.predictor != 1 or self.order == "<"))
        )

    @property
    def is_misread(self) -> bool:
        """Whether Pillow opens it and gives other pixels; found by comparing with tifffile.

        Pillow takes signed numbers for unsigned ones, few bits in 16 for 16, and the bytes of one plane for those of
        another. It forgets that white is zero, and the byte order of compressed numbers of 32 bits.
        """
        if self.numbers != UNSIGNED or self.bits > 16 or self.bits in range(9, 16):
            return True
        if self.planes > 1:
            return self.bits == 16 or COLOURS[self.photometric] == 1 or self.extra == 1
        return self.bits == 16 and COLOURS[self.photometric] == 1

    @property
    def across(self) -> int:
        """How many strips or tiles are side by side."""
        return -(-self.width // self.chunk[0])

    @property
    def down(self) -> int:
        """How many strips or tiles are below one another."""
        return -(-self.height // self.chunk[1])

    def __str__(self) -> str:
        photometric = _PHOTOMETRICS.get(self.photometric, f"photometric interpretation {self.photometric}")
        compression = _COMPRESSIONS.get(self.compression, f"compression {self.compression}")
        words = f"a TIFF of {self.bits}{_NUMBERS.get(self.numbers, ' complex')} bits a sample"
        words += f", {photometric} in {self.samples} sample{'s' * (self.samples != 1)}"
        return words + (f", compressed by {compression}" if self.compression != 1 else "")


_MOST_SAMPLES = 64


def layout_of(data: bytes) -> Layout | None:
    """Returns the layout of a TIFF's first picture; None for other files and where its directory is not sound."""
    try:
        order = _ORDERS[data[:2]]
        tags = _tags(data, order)
        return _layout(order, tags)
    except (KeyError, ValueError, IndexError, OverflowError):
        return None


def _tags(data: bytes, order: Order) -> dict[str, Integers]:
    """Returns the values of the tags that are whole numbers and of use here."""
    big = {42: False, 43: True}[int(_numbers(data, 2, 1, "u2", order)[0])]
    word, size = ("u8", 20) if big else ("u4", 12)
    start = int(_numbers(data, 8 if big else 4, 1, word, order)[0])
    entries = int(_numbers(data, start, 1, "u8" if big else "u2", order)[0])
    first, tags = start + (8 if big else 2), {}
    # The number of entries is one of 16 bits in all but BigTIFF.
    for place in range(first, first + min(entries, 65_535) * size, size):
        tag, kind = (int(value) for value in _numbers(data, place, 2, "u2", order))
        if tag not in _TAGS or kind not in _TYPES or _TAGS[tag] in tags:
            continue
        if (kind == _BYTES) != (_TAGS[tag] == "profile"):
            continue
        count = int(_numbers(data, place + 4, 1, word, order)[0])
        value = place + 4 + int(word[1])
        inline = count * int(_TYPES[kind][1]) <= place + size - value
        where = value if inline else int(_numbers(data, value, 1, word, order)[0])
        # The other tags have a number for each sample at most; a hostile file names millions.
        kept = count if _TAGS[tag] in _LONG else min(count, _MOST_SAMPLES)
        tags[_TAGS[tag]] = _numbers(data, where, kept, _TYPES[kind], order)
    return tags


def _numbers(data: bytes, place: int, count: int, kind: str, order: Order) -> Integers:
    # This raises a ValueError if they are not all within the data.
    found: Integers = np.frombuffer(data, np.dtype(kind).newbyteorder(order), count, place)
    return found


def _layout(order: Order, tags: dict[str, Integers]) -> Layout | None:
    def of(name: str, default: int) -> int:
        return int(tags[name][0]) if name in tags else default

    width, height = int(tags["width"][0]), int(tags["height"][0])
    bits, formats = tags.get("bits", np.ones(1, np.uint16)), tags.get("format", np.ones(1, np.uint16))
    if not width or not height or len(set(bits.tolist())) != 1 or len(set(formats.tolist())) != 1:
        return None
    tiled = "tile width" in tags and "tile height" in tags
    chunk = (
        (int(tags["tile width"][0]), int(tags["tile height"][0])) if tiled else (width, min(of("rows", height), height))
    )
    if not all(chunk):
        return None
    samples = of("samples", 1)
    return Layout(
        order=order,
        width=width,
        height=height,
        bits=int(bits[0]),
        samples=samples,
        numbers=int(formats[0]),
        # Without it, one sample is what Pillow takes it for, and of several nobody knows.
        photometric=of("photometric", 0 if samples == 1 else _UNTOLD),
        compression=of("compression", 1),
        predictor=of("predictor", 1),
        fill_order=of("fill order", 1),
        planes=samples if of("planes", 1) == 2 else 1,
        extra=of("extra", -1),
        orientation=of("orientation", 1),
        most=int(tags["most"].max()) if "most" in tags else 0,
        chunk=chunk,
        tiled=tiled,
        offsets=tags["offsets"],
        lengths=tags.get("lengths", np.empty(0, np.uint32)),
        profile=tags.get("profile", np.empty(0, np.uint8)),
    )
