"""Requests that are made to do harm: mutated photos, huge headers, bombs and wrong forms; equal for equal seeds."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP")
_RAW, _FORM = "application/octet-stream", "multipart/form-data; boundary=edge"
# Of four requests one is made from scratch and the others are mutated photos.
_MUTATED_SHARE = 0.75


def hostile_requests(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yields so many requests: the header Content-Type, and the body."""
    chance = random.Random(seed)  # noqa: S311
    photos = [_photo(file_format, chance) for file_format in _FORMATS]
    made: list[Callable[[random.Random, list[bytes]], tuple[str, bytes]]] = [_huge, _bomb, _wrong_form, _no_photo]
    for _ in range(count):
        if chance.random() < _MUTATED_SHARE:
            yield _RAW, _mutated(chance.choice(photos), chance)
        else:
            yield chance.choice(made)(chance, photos)


def _photo(file_format: str, chance: random.Random) -> bytes:
    pixels = np.random.default_rng(chance.getrandbits(32)).integers(0, 255, (40, 60, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((240, 160)).save(buffer, file_format)
    return buffer.getvalue()


def _mutated(photo: bytes, chance: random.Random) -> bytes:
    body = bytearray(photo)
    # Most of what a decoder believes is in the beginning.
    reach = len(body) if chance.random() < 0.5 else min(len(body), 600)
    for _ in range(chance.choice((1, 2, 4, 8, 32))):
        start = chance.randrange(reach)
        match chance.randrange(5):
            case 0:
                body[start] ^= 1 << chance.randrange(8)
            case 1:
                body[start] = chance.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
            case 2:
                body[start : start + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
            case 3:
                del body[start : start + chance.randrange(1, 64)]
            case _:
                body[start:start] = body[chance.randrange(len(body)) :][: chance.randrange(1, 64)]
        reach = min(reach, len(body)) or 1
        if not body:
            return b"\0"
    return bytes(body)


def _huge(chance: random.Random, photos: list[bytes]) -> tuple[str, bytes]:
    """Returns a file whose header says that it has very many pixels."""
    width, height = chance.choice(((65_000, 65_000), (1 << 30, 1), (1, 1 << 30), ((1 << 31) - 1, (1 << 31) - 1)))
    jpeg = bytearray(photos[0])
    frame = jpeg.find(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    bmp = bytearray(photos[5])
    bmp[18:26] = struct.pack("<ii", width, height)
    gif = bytearray(photos[4])
    gif[6:10] = b"\xff\xff\xff\xff"
    return _RAW, bytes(chance.choice((_png(width, height, b"\0" * 1000), bytes(jpeg), bytes(bmp), bytes(gif))))


def _bomb(chance: random.Random, _: list[bytes]) -> tuple[str, bytes]:
    """Returns a small file that takes much to decode, or would: some of them are within the limits."""
    side = chance.choice((3_000, 8_000, 12_000, 30_000))
    rows = zlib.compress(b"\0" * (1 + side // 8) * min(side, 12_000), 9)
    blocks = b"".join(_chunk(b"tEXt", b"a\0b") for _ in range(3_000))
    scans = b"\xff\xd8" + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" * 5_000
    return _RAW, chance.choice((_png(side, side, rows, compressed=True), _png(10, 10, b"", before=blocks), scans))


def _png(width: int, height: int, rows: bytes, *, compressed: bool = False, before: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width & 0x7FFFFFFF, height & 0x7FFFFFFF, 1, 0, 0, 0, 0)
    pixels = rows if compressed else zlib.compress(rows)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + before + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _wrong_form(chance: random.Random, photos: list[bytes]) -> tuple[str, bytes]:
    photo = chance.choice(photos)
    begin = b'--edge\r\ncontent-disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'
    whole = begin + photo + b"\r\n--edge--\r\n"
    return chance.choice(
        (
            ("multipart/form-data", whole),
            ("multipart/form-data; boundary=", whole),
            ("multipart/form-data; boundary=other", whole),
            (f"multipart/form-data; boundary={'x' * 5_000}", whole),
            (_FORM, begin + photo),
            (_FORM, begin * 2_000),
            (_FORM, whole[: chance.randrange(len(whole))]),
            (_FORM, whole.replace(b": ", b" ", 1)),
            (_FORM, whole.replace(b"name=", b"x" * 60_000 + b"=", 1)),
            (_FORM, whole.replace(b"form-data", b"\xff\0\xfe", 1)),
            (_FORM, _mutated(whole[:100], chance) + whole[100:]),
            (_FORM, b"--edge--\r\n"),
        )
    )


def _no_photo(chance: random.Random, photos: list[bytes]) -> tuple[str, bytes]:
    return _RAW, chance.choice(
        (
            chance.randbytes(5_000),
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nquit\n",
            b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
            b"\xff\xd8" * 10_000,
            b"\xff\xd8\xff" + b"\xe0" * 50_000,
            photos[0][:20] * 500,
            b"II*\0" + b"\xff" * 5_000,
            b"RIFF\xff\xff\xff\xffWEBPVP8L" + chance.randbytes(300),
        )
    )
