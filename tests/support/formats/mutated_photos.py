"""Decodes mutated HEICs and AVIFs by the hundred; a process of its own, since a decoder might end it.

Run it for longer by ``python -m tests.support.formats.mutated_photos COUNT SEED``: it prints how many had pixels or
which reason, and how much its memory grew. If a decoder ends the process, the file lies in the present directory.
"""

import io
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from spark_steps.errors import UnusablePhotoError
from spark_steps.photos.decoding import decode
from tests.support.formats.heif_files import avif, heic
from tests.support.photo_corpus import picture

LAST = "last-mutated-photo"
# A photo that a mutation makes large takes memory for as long as it is decoded.
MAX_PIXELS = 4_000_000
_REASONS = {"not an image", "truncated", "damaged", "not supported", "decompression bomb"}


def originals() -> list[bytes]:
    """Returns small files of each kind."""
    photo, clear = picture(96, 64), picture(96, 64)
    clear.putalpha(128)
    deep = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (48, 48, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = b"a profile" * 40
    Image.fromarray(noise).save(deep, "HEIF", quality=90, chroma=444)
    return [
        heic(photo, exif=exif, icc_profile=profile),
        heic(photo, tile_size=64),
        heic(clear),
        heic(photo.convert("L")),
        heic(photo, save_all=True, append_images=[photo, photo]),
        deep.getvalue(),
        avif(photo, exif=exif, icc_profile=profile),
        avif(clear),
        avif(photo.convert("L"), subsampling="4:0:0"),
        avif(photo, save_all=True, append_images=[photo, photo]),
        avif(Image.fromarray(noise), quality=90, tile_rows=1, tile_cols=1),
    ]


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """Returns a file with bytes flipped, sizes of boxes changed, parts left out or repeated, or its end cut off."""
    changed = bytearray(data)
    boxes = [found.start() - 4 for found in re.finditer(rb"(?<=[\x00-\xff]{4})[a-zA-Z][a-zA-Z0-9 ]{3}", data)]
    for _ in range(random.integers(1, 5)):
        place, kind = int(random.integers(0, len(changed))), random.integers(0, 6)
        if kind <= 1:
            changed[place] ^= 1 << int(random.integers(0, 8))
        elif kind == 2:
            changed[place : place + 4] = random.integers(0, 256, 4, np.uint8).tobytes()
        elif kind == 3:
            start = boxes[int(random.integers(0, len(boxes)))]
            size = int(random.choice([0, 1, 7, 8, 9, 255, 2**16, 2**31, 2**32 - 1]))
            changed[start : start + 4] = size.to_bytes(4, "big")
        elif kind == 4:
            length = int(random.integers(1, 200))
            changed[place:place] = changed[place : place + length] * int(random.integers(0, 20))
        else:
            del changed[place : place + int(random.integers(1, 60))]
    return bytes(changed[: int(random.integers(1, len(changed) + 1))] if random.random() < 0.15 else changed)


def resident() -> int:
    """Returns the process's memory in KiB."""
    found = re.search(r"VmRSS:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) if found else 0


def main(count: int, seed: int) -> None:
    """Decodes so many files, and prints the outcomes, and the growth of memory after the first fifth in MiB."""
    random, files, outcomes, at_first = np.random.default_rng(seed), originals(), Counter[str](), 0
    last = Path(LAST)
    for number in range(count):
        data = mutated(files[number % len(files)], random)
        last.write_bytes(data)
        try:
            outcomes[f"{decode(data, MAX_PIXELS).pixels.shape}"] += 1
        except UnusablePhotoError as refused:
            if refused.reason not in _REASONS or "\n" in str(refused) or len(str(refused)) > 500:
                raise
            outcomes[refused.reason] += 1
        if number == count // 5:
            at_first = resident()
    last.unlink()
    print(dict(outcomes))
    print((resident() - at_first) // 1024)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
