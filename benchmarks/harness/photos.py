"""Photos to measure with: any number of hard links to real ones, and photos of a phone's size made from them."""

import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fruits_assets.sample_photos import write_sample

PHONE_SIZE = (4000, 3000)
_DIFFERENT_PHONE_PHOTOS = 16
# Of the grain of a small sensor, in grey values; with it such a photo takes 1.5 to 2 MB.
_GRAIN = 4.0


def find_originals(images: Path | None, scratch: Path) -> Path:
    """Returns the images root with the photos to link to: the one given, else generated ones."""
    if images is not None and images.is_dir():
        return images
    generated = scratch / "generated"
    if not (generated / "whole").exists():
        write_sample(generated / "photos", photos_per_folder=60)
        (generated / "whole").touch()
    return generated / "photos"


def link_photos(originals: Path, count: int, scratch: Path) -> Path:
    """Returns an images root with so many links to the originals, spread over their folders; made where it is missing.

    The links of ``Banana/7.jpg`` are ``Banana/7~0.jpg``, ``Banana/7~1.jpg`` and so on.
    """
    key = hashlib.sha256(str(originals).encode()).hexdigest()[:8]
    root = scratch / f"photos-{key}-{count}"
    if (root / "whole").exists():
        return root / "photos"
    shutil.rmtree(root, ignore_errors=True)
    files = list(_evenly(originals))
    copies = root / "originals"
    for number in range(count):
        file, turn = files[number % len(files)], number // len(files)
        link = root / "photos" / file.parent.name / f"{file.stem}~{turn}.jpg"
        link.parent.mkdir(parents=True, exist_ok=True)
        _link(file, link, copies / file.parent.name / file.name)
    (root / "whole").touch()
    return root / "photos"


def link_folders(source: Path, images: Path, folders: Sequence[int], first: int = 0) -> None:
    """Adds so many photos to each of some folders, hard links of the source's over and over.

    Args:
        source: Folder with photos, at any depth.
        images: The images root, made where it is missing, with folders ``Fruit 00000``, ``Fruit 00001`` and so on.
        folders: Photos of each.
        first: Number of the first photo of each, which is its name: so many are there already.
    """
    photos = itertools.cycle(sorted(source.rglob("*.jpg")))
    for number, count in enumerate(folders):
        folder = images / f"Fruit {number:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        for photo in range(first, first + count):
            os.link(next(photos), folder / f"{photo:06d}.jpg")


def even(photos: int, folders: int) -> tuple[int, ...]:
    """Returns about equal numbers of photos for so many folders."""
    return tuple(photos // folders + (number < photos % folders) for number in range(folders))


def _evenly(originals: Path) -> Iterator[Path]:
    """Yields the first photo of each folder, then the second of each, and so on."""
    folders = [sorted(folder.glob("*.jpg")) for folder in sorted(originals.iterdir()) if folder.is_dir()]
    for turn in range(max(len(files) for files in folders)):
        yield from (files[turn] for files in folders if turn < len(files))


def _link(file: Path, link: Path, copy: Path) -> None:
    try:
        os.link(file, link)
    except OSError:
        # On another disk: one copy of each, and links to that.
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        os.link(copy, link)


def original_of(path: str) -> str:
    """Returns what all links to one original have in common: its folder and its name."""
    folder, name = path.rsplit("/", 2)[1:]
    return f"{folder}/{name.rsplit('~', 1)[0]}"


def one_link_each(paths: Sequence[str]) -> dict[str, str]:
    """Returns a link to each different original, by ``original_of``."""
    return {original_of(path): path for path in reversed(paths)}


def make_phone_photos(originals: Path, scratch: Path, count: int = _DIFFERENT_PHONE_PHOTOS) -> Path:
    """Returns an images root with photos of 12 megapixels: small real ones, enlarged, with grain added."""
    key = hashlib.sha256(str(originals).encode()).hexdigest()[:8]
    root = scratch / f"phone-{key}-{count}"
    if (root / "whole").exists():
        return root / "photos"
    random = np.random.default_rng(0)
    for number, file in zip(range(count), _evenly(originals), strict=False):
        target = root / "photos" / file.parent.name / f"{number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        large = Image.open(file).convert("RGB").resize(PHONE_SIZE, Image.Resampling.BICUBIC)
        grain = random.normal(0, _GRAIN, (PHONE_SIZE[1], PHONE_SIZE[0], 1)).astype(np.float32)
        grainy = (np.asarray(large, np.float32) + grain).clip(0, 255).astype(np.uint8)
        Image.fromarray(grainy).save(target, quality=88)
    (root / "whole").touch()
    return root / "photos"
