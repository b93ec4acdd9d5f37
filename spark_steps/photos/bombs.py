"""Refuses files whose decoding would take far more time or memory than their length suggests, before decoding.

Each kind of file was tested with Pillow 13: none crashed it, but each kept a worker busy for minutes or took gigabytes.
"""

import re

from PIL import Image

from spark_steps.errors import UnusablePhotoError

BOMB = "decompression bomb"
# Real photos have fewer than 100 blocks of metadata. 1,024 JPEG blocks of 64 KiB are as long as the largest file read.
MOST_BLOCKS = 1024
# Encoders write about ten scans. Each scan is one more pass over all pixels, and can be as short as ten bytes.
MOST_SCANS = 256
# JPEG's own limit. Pillow's resize takes 32 bytes for each pixel of a side: 3 GB for a row of 100 million.
LONGEST_SIDE = 65_535

_PNG = b"\x89PNG\r\n\x1a\n"
_OF_PIXELS = (b"IDAT", b"fdAT", b"fcTL")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
# Frame types whose pixels come in one pass, if the first scan has all of their components.
_SEQUENTIAL = (0xC0, 0xC1, 0xC9)
# Matches markers with a length. Within pixel data 0xFF is followed by a zero, or belongs to a restart marker; these and
# 0x01 have no length.
_MARKER = re.compile(rb"\xff+([^\x00\x01\xff\xd0-\xd7])")
_TILE_WIDTH, _TILE_LENGTH = 322, 323


def refuse_costly_structure(data: bytes) -> None:
    """Raises an UnusablePhotoError for a file with so many blocks or scans that reading it takes minutes.

    All other defects are left to the decoder.

    Args:
        data: The file's bytes.
    """
    if data.startswith(b"\xff\xd8"):
        blocks, scans = _jpeg_blocks_and_scans(data)
        if scans > MOST_SCANS:
            raise UnusablePhotoError(BOMB, f"its pixels come in more than {MOST_SCANS} scans")
    else:
        blocks = _png_blocks(data) if data.startswith(_PNG) else 0
    if blocks > MOST_BLOCKS:
        raise UnusablePhotoError(BOMB, f"it has more than {MOST_BLOCKS} blocks of metadata")


def _jpeg_blocks_and_scans(data: bytes) -> tuple[int, int]:
    """Counts the blocks and scans of a JPEG; stops at a limit, or as soon as the scans cannot be too many."""
    blocks = scans = 0
    components, place = b"", 2
    while blocks <= MOST_BLOCKS and scans <= MOST_SCANS and (found := _MARKER.search(data, place)):
        code, start = found[1][0], found.end()
        if code == _END_OF_IMAGE:
            break
        if code == _START_OF_SCAN:
            if not scans and (components == data[start + 2 : start + 3] or not _may_have_many_scans(data)):
                break
            scans += 1
        elif not scans:
            blocks += 1
        if code in _SEQUENTIAL:
            components = data[start + 7 : start + 8]
        place = start + int.from_bytes(data[start : start + 2], "big")
    return blocks, scans


def _may_have_many_scans(data: bytes) -> bool:
    # This takes milliseconds for a phone's photo; parsing the scans one by one takes longer.
    return data.count(b"\xff\xda") > MOST_SCANS


def _png_blocks(data: bytes) -> int:
    blocks, place = 0, len(_PNG)
    while blocks <= MOST_BLOCKS and place + 8 <= len(data):
        blocks += data[place + 4 : place + 8] not in _OF_PIXELS
        place += 12 + int.from_bytes(data[place : place + 4], "big")
    return blocks


def refuse_costly_shape(image: Image.Image, max_pixels: int) -> None:
    """Raises an UnusablePhotoError for an opened, undecoded photo with a side that is too long or a tile too large.

    Args:
        image: The photo.
        max_pixels: The most pixels of a tile. A TIFF of 10 x 10 pixels may consist of one tile of 26,000 x 26,000.
    """
    if max(image.size) > LONGEST_SIDE:
        raise UnusablePhotoError(
            BOMB, f"{image.width} x {image.height} pixels, and no side may have over {LONGEST_SIDE}"
        )
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        tile = [tags.get(tag) for tag in (_TILE_WIDTH, _TILE_LENGTH)]
        if all(isinstance(side, int) for side in tile) and tile[0] * tile[1] > max_pixels:
            raise UnusablePhotoError(
                BOMB, f"tiles of {tile[0]} x {tile[1]} pixels, and at most {max_pixels} are decoded"
            )
