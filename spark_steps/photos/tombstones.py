"""Tombstones of erased photos: an empty file for each photo, named by a hash of the photo's hash.

A tombstone identifies an erased photo that comes back under any name. It reveals nothing else: to find the photo of a
tombstone, one must guess the photo byte for byte. The hash has no secret key. Every run would have to read the key, so
it would lie beside the tombstones and protect nothing. If the key were lost, erased photos could come back.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence

from spark_steps.storage import locations
from spark_steps.storage.parallel import for_each

_PURPOSE = b"fruits: erased photo\0"
_NAME = re.compile("[0-9a-f]{64}")


def tombstone_of(image_id: str) -> str:
    """Returns the tombstone of a photo: sha256, hexadecimal, of a constant and the 32 bytes of its image id."""
    return hashlib.sha256(_PURPOSE + bytes.fromhex(image_id)).hexdigest()


def read_tombstones(directory: str) -> frozenset[str]:
    """Returns all tombstones, from one listing.

    Args:
        directory: The directory of the tombstones, a normalised location.
    """
    names = (info.base_name for info in locations.list_files(directory))
    return frozenset(name for name in names if _NAME.fullmatch(name))


def erased_among(directory: str, image_ids: Sequence[str]) -> frozenset[str]:
    """Returns those of some photos that have been erased: one look, or in S3 one request, for each photo.

    An erasure sets its tombstones before anything else and never deletes one. So a photo that is not among them now was
    not erased by any command that has ended.

    Args:
        directory: The directory of the tombstones, a normalised location.
        image_ids: The photos.

    Raises:
        OSError: It cannot be known whether a photo was erased.
        FruitsError: The same, of S3.
    """

    def has_tombstone(image_id: str) -> bool:
        try:
            locations.read_bytes(f"{directory}/{tombstone_of(image_id)}")
        except FileNotFoundError:
            return False
        return True

    # On a disk a look takes microseconds, and threads would take longer.
    found = for_each(has_tombstone, image_ids) if locations.is_remote(directory) else map(has_tombstone, image_ids)
    return frozenset(image_id for image_id, erased in zip(image_ids, found, strict=True) if erased)


def set_tombstones(directory: str, image_ids: Iterable[str]) -> None:
    """Writes the tombstones of photos; an existing tombstone is not an error.

    Args:
        directory: The directory of the tombstones, a normalised location.
        image_ids: The photos.
    """
    files = [f"{directory}/{tombstone_of(image_id)}" for image_id in image_ids]
    for_each(lambda file: locations.write_bytes(file, b""), files)
