"""Which photos have been erased: a file without content for each, named by a hash of the photo's hash.

That is enough to know an erased photo that comes back, under any name, and nothing else can be read from it: who
guesses has to guess the photo, byte for byte. No key is mixed in: every run would have to read it, so it would lie
beside the tombstones and hide nothing, and with a key that is lost the photos would come back.
"""

import hashlib
import re
from collections.abc import Iterable

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
        directory: Where they lie, a normalised location.
    """
    names = (info.base_name for info in locations.list_files(directory))
    return frozenset(name for name in names if _NAME.fullmatch(name))


def set_tombstones(directory: str, image_ids: Iterable[str]) -> None:
    """Sets the tombstones of photos; one that stands is no error.

    Args:
        directory: Where they lie, a normalised location.
        image_ids: The photos.
    """
    files = [f"{directory}/{tombstone_of(image_id)}" for image_id in image_ids]
    for_each(lambda file: locations.write_bytes(file, b""), files)
