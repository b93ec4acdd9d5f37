"""Finds symbolic links that a listing of a folder tree does not report: circular links and broken links."""

import os
import stat
from collections.abc import Iterator

from spark_steps.errors import FruitsError

_Identity = tuple[int, int]


def broken_links(root: str) -> list[str]:
    """Returns the broken links below a folder on the local disk, sorted; listings skip them.

    Args:
        root: The folder, an absolute path.

    Raises:
        FruitsError: A link leads to a folder above it; pyarrow and Spark would follow it for ever.
        OSError: A folder cannot be listed.
    """
    status = os.stat(root)  # noqa: PTH116
    return sorted(_broken_below(root, ((status.st_dev, status.st_ino),)))


def _broken_below(folder: str, above: tuple[_Identity, ...]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            # Both checks use the entry's type from the directory, so no stat call is made for regular files.
            if entry.is_symlink() or entry.is_dir(follow_symlinks=False):
                yield from _broken_at(entry.path, above)


def _broken_at(path: str, above: tuple[_Identity, ...]) -> Iterator[str]:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        yield path
        return
    if not stat.S_ISDIR(status.st_mode):
        return
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        raise FruitsError(f"{path} is a link to a folder that it lies in, so that photos have no end. Delete it.")
    yield from _broken_below(path, (*above, identity))
