"""What a listing of a folder tree does not tell: links in a circle, and links to nothing."""

import os
import stat
from collections.abc import Iterator

from spark_steps.errors import FruitsError

_Identity = tuple[int, int]


def broken_links(root: str) -> list[str]:
    """Returns the links below a folder of this machine that lead nowhere, and that listings therefore pass over.

    Args:
        root: The folder, an absolute path.

    Raises:
        FruitsError: A link leads to a folder that it lies in; pyarrow and Spark would follow it for ever.
        OSError: A folder cannot be listed.
    """
    status = os.stat(root)  # noqa: PTH116
    return sorted(_broken_below(root, ((status.st_dev, status.st_ino),)))


def _broken_below(folder: str, above: tuple[_Identity, ...]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            # What the directory itself tells: no file is asked for its status.
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
