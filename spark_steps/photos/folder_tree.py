"""Lists image folders, on this machine or elsewhere, without opening a file.

Folders of this machine are not listed by pyarrow or Spark. pyarrow counts times in nanoseconds, of which 64 bits hold
the years 1677 to 2262 only. Both fail on the first folder below that may not be read, and Spark leaves out empty files
and names that begin with ``_``.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from pyarrow import fs

from spark_steps.errors import FruitsError
from spark_steps.photos.names import is_photo, is_system_folder
from spark_steps.storage import locations

# The years 1 to 9999 in milliseconds: Python, pandas and Spark know no other times.
_FIRST_MODIFIED, _LAST_MODIFIED = -62_135_596_800_000, 253_402_300_799_999
_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFBLK: "a device", stat.S_IFCHR: "a device"}
_Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ListedPhoto:
    """A file, or what is no file, that has the name of a photo.

    Attributes:
        name: Its name.
        length: Bytes.
        modified: Modification time, milliseconds since 1970; None if it is unknown.
        error: Why it cannot be read, as in the column ``error``; None if nothing is known.
    """

    name: str
    length: int = 0
    modified: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Folder:
    """A folder without its subfolders.

    Attributes:
        path: Its path below the images root, ``""`` for the root.
        photos: What has the name of a photo.
        others: Names of the other files.
        subfolders: Names of its subfolders, but for those passed over; empty where nothing has folders.
        passed_over: Names of its subfolders that are hidden or a system's own; they are not listed.
        error: Why it cannot be listed; None if it was listed.
    """

    path: str
    photos: list[ListedPhoto] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    subfolders: list[str] = field(default_factory=list)
    passed_over: set[str] = field(default_factory=set)
    error: str | None = None


def walk(images: str) -> Iterator[Folder]:
    """Yields the images root and all folders below it, but for those that are hidden or a system's own.

    Args:
        images: The images root, a normalised location.

    Raises:
        FruitsError: A link leads to a folder above it, or a name is not UTF-8.
    """
    return _walk_remote(images) if locations.is_remote(images) else _walk_local(images)


def list_folder(images: str, folder: str) -> Folder | None:
    """Returns a folder, None if it does not exist.

    Args:
        images: The images root, a normalised location.
        folder: Path of the folder below it.

    Raises:
        FruitsError: It cannot be listed, or a name is not UTF-8.
    """
    try:
        if not locations.is_remote(images):
            return _scan(images, folder)
        found = Folder(folder)
        for info in locations.list_files(f"{images}/{folder}", must_exist=True):
            _add(found, info)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unlistable(f"{images}/{folder}", error.strerror or str(error)) from error
    return found


def unlistable(location: str, why: str) -> FruitsError:
    """Returns the error for a folder that cannot be listed."""
    return FruitsError(f"{location} cannot be listed: {why}. Check its permissions.")


def _walk_remote(images: str) -> Iterator[Folder]:
    _, root = locations.filesystem_of(images)
    folders: dict[str, Folder] = {}
    for info in locations.list_files(images, recursive=True):
        parts = info.path[len(root) + 1 : -len(info.base_name) - 1].split("/")
        hidden = next((number for number, part in enumerate(parts) if is_system_folder(part)), None)
        if hidden is not None:
            above = "/".join(parts[:hidden])
            folders.setdefault(above, Folder(above)).passed_over.add(parts[hidden])
            continue
        # A key in S3 may have an empty part (a//b.jpg). Such a folder cannot be listed: count its photos as the root's.
        path = "/".join(parts) if all(parts) else ""
        _add(folders.setdefault(path, Folder(path)), info)
    yield from folders.values()


def _add(folder: Folder, info: fs.FileInfo) -> None:
    if info.type != fs.FileType.File or not is_photo(info.base_name):
        folder.others.append(info.base_name)
    else:
        folder.photos.append(_dated(info.base_name, info.size, info.mtime_ns))


def _dated(name: str, length: int, nanoseconds: int) -> ListedPhoto:
    # Truncated to milliseconds: the rows of existing stores have no more.
    modified = nanoseconds // 1_000_000
    if _FIRST_MODIFIED <= modified <= _LAST_MODIFIED:
        return ListedPhoto(name, length, modified)
    return ListedPhoto(
        name, length, None, "unreadable: its modification time lies outside of the years 1 to 9999; set it with touch"
    )


def _walk_local(images: str) -> Iterator[Folder]:
    # Each folder with the identities of those above it.
    left: list[tuple[str, tuple[_Identity, ...]]] = [("", ())]
    while left:
        folder, above = left.pop()
        location = f"{images}/{folder}" if folder else images
        try:
            status = os.stat(location)  # noqa: PTH116
            identity = (status.st_dev, status.st_ino)
            if identity in above:
                raise FruitsError(
                    f"{location} is a link to a folder that it lies in, so that photos have no end. Delete it."
                )
            found = _scan(images, folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Folder(folder, error=error.strerror or str(error))
            continue
        yield found
        left += [(f"{folder}/{name}".lstrip("/"), (*above, identity)) for name in found.subfolders]


def _scan(images: str, folder: str) -> Folder:
    location = f"{images}/{folder}" if folder else images
    found = Folder(folder)
    with os.scandir(location) as entries:
        for entry in entries:
            if _is_folder(entry):
                _add_subfolder(found, entry)
            elif not is_photo(entry.name):
                found.others.append(_as_text(entry.name))
            elif (photo := _photo(entry)) is not None:
                _check_text(location, entry.name)
                found.photos.append(photo)
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself, or through a folder that may not be searched.
        return False


def _add_subfolder(found: Folder, entry: os.DirEntry[str]) -> None:
    if is_system_folder(entry.name):
        found.passed_over.add(entry.name)
        return
    _check_text(found.path, entry.name)
    found.subfolders.append(entry.name)
    # Only an empty one: a folder with something in it may hold photos, at any depth.
    if is_photo(entry.name) and _is_empty(entry.path):
        found.photos.append(ListedPhoto(entry.name, error="unreadable: it is a folder, not a file"))


def _is_empty(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return False


def _photo(entry: os.DirEntry[str]) -> ListedPhoto | None:
    """Returns a file, None if it is gone since."""
    try:
        status = entry.stat()
    except OSError as error:
        if entry.is_symlink():
            return ListedPhoto(entry.name, error=f"unreadable: the link leads nowhere ({error.strerror})")
        if isinstance(error, FileNotFoundError):
            return None
        return ListedPhoto(entry.name, error=f"unreadable: {error.strerror}")
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        return ListedPhoto(entry.name, error=f"unreadable: it is {kind}, not a file")
    return _dated(entry.name, status.st_size, status.st_mtime_ns)


def _as_text(name: str) -> str:
    """Returns a name whose bytes that are not UTF-8 are escaped."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _check_text(location: str, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise FruitsError(
            f"Below {location} the name {_as_text(name)} is not UTF-8. Rename it; convmv -r -f latin1 -t utf8 --notest "
            "renames all of a folder."
        ) from error
