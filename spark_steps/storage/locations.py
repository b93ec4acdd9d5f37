"""Where things lie: one notation for locations (an absolute path or a URI), and what can be done there.

Whatever the kind of a location: each function hands on to its backend (``registry``).
"""

import json
import os
import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import fs

from spark_steps.errors import FruitsError
from spark_steps.storage.registry import REMEDY, backend_of, has_backend

# A slash is missing: what begins so was meant for S3, and would be made as a folder.
MISTYPED = ("s3:/", "S3:/")
# user:password@host, a colon that begins no port, and the parameters of a signed URL. No bucket has such a name.
_SECRET = re.compile(r"^[^/?#]*(?:@|:(?!\d+(?:[/?#]|$)))|[?&](?:X-Amz-|sig=|token=)", re.IGNORECASE)


def holds_a_secret(location: str) -> bool:
    """Returns whether a location is a URI with a password, a key or a signature in it."""
    return _SECRET.search(location.partition("://")[2]) is not None


def normalise(location: str) -> str:
    """Returns a location in the notation used everywhere: an absolute path, or a URI, without a trailing slash.

    Args:
        location: A path, relative or absolute, a ``file:`` URI, or another URI such as ``s3://bucket/prefix``.

    Raises:
        FruitsError: The location is empty or not UTF-8, begins with ``s3:/`` and lacks a slash, a ``file:`` URI names
            another host, or another URI is of no kind that can be read here, names nothing, or holds a secret, which is
            not repeated.
    """
    # Python decodes other bytes of a command's arguments to surrogates, which neither pyarrow nor a table can take.
    if (name := location.encode(errors="surrogateescape").decode(errors="backslashreplace")) != location:
        raise FruitsError(f"The name {name} is not UTF-8. Rename it.")
    if not location.strip():
        raise FruitsError("An empty path was given: name a folder.")
    if location.startswith("file:"):
        host, path = _file_uri(location)
        if host not in ("", "localhost"):
            raise FruitsError(f"{location!r} names the host {host!r}: write file:///path, with three slashes.")
        location = path
    if "://" in location:
        if holds_a_secret(location):
            without = "Give it without, and the credentials by AWS_PROFILE." if has_backend(location) else REMEDY
            raise FruitsError(
                f"A location that begins with {location.partition('://')[0]}:// holds a password or a signature, and "
                f"locations are written into tables and logs. {without}"
            )
        backend_of(location)
        if not location.partition("://")[2].strip("/"):
            raise FruitsError(f"{location!r} names no bucket: write s3://bucket/prefix.")
        return location.rstrip("/")
    if location.startswith(MISTYPED):
        raise FruitsError(f"{location!r} is taken for no folder: write s3://bucket/prefix, or ./{location}.")
    # abspath takes out "..", as Hadoop does in the paths it lists. Not resolve(): a link is a name somebody chose,
    # and the paths in the tables should be the ones people know.
    location = os.path.abspath(with_home(location))  # noqa: PTH100
    location = "/" + location.lstrip("/")
    if location == "/":
        raise FruitsError("The root of the file system was given: name a folder below it.")
    return location


def with_home(path: str) -> str:
    """Returns a path with the home directory for a leading ``~`` that no shell has expanded, as in ``--store=~/store``.

    A name that only begins with a tilde, such as ``~1.jpg``, stays as it is. ``pathlib`` cannot do this: it takes
    ``./~1.jpg`` for ``~1.jpg``, and every such name for a user whose home it must know.

    Raises:
        FruitsError: The home directory of the present user is not known.
    """
    path = os.path.expanduser(path)  # noqa: PTH111
    if path == "~" or path.startswith("~/"):
        raise FruitsError(
            f"{path} cannot be found: no home directory is known here. Set HOME, or write the whole path."
        )
    return path


def _file_uri(uri: str) -> tuple[str, str]:
    # Not urlsplit: a name may hold # and ?, and people write them as they are.
    rest = uri.removeprefix("file:")
    if not rest.startswith("//"):
        return "", unquote(rest)
    host, slash, path = rest[2:].partition("/")
    return host, unquote(slash + path)


def is_remote(location: str) -> bool:
    """Returns whether each request to a location crosses a network; else it is a path of this machine.

    There, few large requests are better than many small ones, and there are no links, pipes and permissions.
    """
    return backend_of(location).is_remote


def below(directory: str, path: str) -> str:
    """Returns the location of a path below a directory; a URI is continued by it as it stands."""
    return f"{directory}/{path}" if is_remote(directory) else normalise(f"{directory}/{path}")


def filesystem_of(location: str) -> tuple[fs.FileSystem, str]:
    """Returns the pyarrow filesystem of a normalised location, and the location's path on it.

    The filesystem is for the moment's use, in this process: it may hold credentials that expire.

    Raises:
        FruitsError: There are no credentials for it.
    """
    return backend_of(location).filesystem(location)


def translate_errors(location: str) -> AbstractContextManager[None]:
    """Turns what a remote location answers into a FruitsError that names it and the remedy; a missing file stays one.

    Args:
        location: What is read or written; errors of a folder on this machine pass as they are.
    """
    return backend_of(location).translate_errors(location)


def file_type(location: str) -> fs.FileType:
    """Returns whether a location is a file, a directory or nothing at all."""
    return backend_of(location).kind(location)


def modified(location: str) -> datetime | None:
    """Returns when a file was last changed, in S3 when it was put; None where there is none."""
    return backend_of(location).modified(location)


def read_bytes(location: str, most_bytes: int | None = None) -> bytes:
    """Returns a whole file, or its beginning; threads may call it at once.

    Args:
        location: The file.
        most_bytes: How many of its bytes, where it has so many; None for all.

    Raises:
        FileNotFoundError: There is no such file.
    """
    return backend_of(location).read(location, most_bytes)


def sha256_of(location: str) -> str | None:
    """Returns the sha256 of a file, hexadecimal, read piece by piece; None where there is none, or it has no bytes."""
    return backend_of(location).sha256(location)


def open_output(location: str) -> pa.NativeFile:
    """Returns a new file to write to, in a directory that is made where one is needed; the caller closes it."""
    return backend_of(location).open_output(location)


def write_bytes(location: str, data: bytes) -> None:
    """Writes a whole small file, so that a reader sees the old one or the new one and never a part."""
    backend_of(location).write(location, data)


def write_new(location: str, data: bytes) -> None:
    """Writes a whole small file where there is none; of several processes one succeeds.

    Raises:
        FileExistsError: There is one, in S3 perhaps this very one, of a request whose answer was lost.
        FruitsError: S3 refused; or there is no such write there.
    """
    backend_of(location).write_new(location, data)


def check_exclusive_writes(location: str) -> None:
    """Raises a FruitsError where two processes may write a file of one name and none fails; what is known is not asked.

    Args:
        location: A directory where files may be written and deleted. Before ``create_table_directory`` a directory of
            this machine is not looked at.
    """
    backend_of(location).check_exclusive_writes(location)


def create_directory(location: str) -> None:
    """Makes a directory of this machine, with those above it; an object store needs none.

    Raises:
        FruitsError: It cannot be made.
    """
    backend_of(location).create_directory(location)


def create_table_directory(location: str) -> None:
    """Makes the directory of a table, where one is needed.

    Raises:
        FruitsError: It cannot be made; or two processes may write a file of one name there, and none fails.
    """
    backend_of(location).create_table_directory(location)


def read_json(location: str) -> dict[str, Any]:
    """Returns the object in a JSON file.

    Raises:
        FileNotFoundError: There is no such file.
    """
    document: dict[str, Any] = json.loads(read_bytes(location))
    return document


def write_json(location: str, document: dict[str, Any]) -> None:
    """Writes an object as JSON, in one piece."""
    write_bytes(location, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def list_files(location: str, *, recursive: bool = False, must_exist: bool = False) -> list[fs.FileInfo]:
    """Returns what lies in a directory and is not a directory.

    Args:
        location: The directory, a normalised location.
        recursive: Those of its subdirectories too.
        must_exist: Whether a directory that is not there is an error; else it is an empty one.

    Raises:
        FileNotFoundError: There is no such directory.
        FruitsError: It cannot be listed, or holds a name that is not UTF-8.
    """
    found = backend_of(location).entries(location, recursive, must_exist)
    return [info for info in found if info.type != fs.FileType.Directory]


def list_own_files(location: str) -> list[fs.FileInfo]:
    """Returns all files below a directory, but neither links nor what lies behind one: what may be deleted there."""
    return backend_of(location).list_own(location)


def list_directories(location: str) -> list[str]:
    """Returns the names of the directories in a directory; none where there is no such directory."""
    found = backend_of(location).entries(location, recursive=False, must_exist=False)
    return [info.base_name for info in found if info.type == fs.FileType.Directory]


def tags_after(directory: str, path: str) -> dict[str, str]:
    """Returns a tag, which changes with the content, of each file that follows another in its directory, by name.

    By one request where the location is remote, so that of very many files some may be left out, never the first.

    Args:
        directory: A normalised location.
        path: The path below it of a file that need not be there.
    """
    return backend_of(directory).tags_after(directory, path)


def leads_elsewhere(directory: str, path: str) -> bool:
    """Returns whether a file of a directory is a link, or lies behind one.

    Args:
        directory: The directory, a normalised location; it may be a link itself.
        path: The file's path below it.
    """
    return backend_of(directory).leads_elsewhere(directory, path)


def delete_files(directory: str, names: Iterable[str]) -> None:
    """Deletes files of a directory; one that is not there is no error."""
    backend_of(directory).delete_files(directory, names)


def delete_directory(location: str) -> None:
    """Deletes a directory and all in it; what is not there, or goes in the meantime, is no error."""
    backend_of(location).delete_directory(location)


def delete_files_for_good(directory: str, names: Iterable[str]) -> None:
    """Deletes files of a directory, in S3 with all versions where the role may do that, as a cluster's may not."""
    backend_of(directory).delete_files_for_good(directory, names)


def delete_for_good(location: str) -> None:
    """Deletes a file, in S3 with all versions and delete markers; one that is not there is no error."""
    backend_of(location).delete_for_good(location)


def delete_if(location: str, goes: Callable[[str | None], bool]) -> None:
    """Deletes a file for good if its bytes say so; former versions go in any case.

    What is put in its place meanwhile stays, but for a bucket without versions and a folder on this machine: there
    between the last look and the deletion, which follows at once.

    Args:
        location: The file; one that is not there is no error.
        goes: Tells of its sha256, None for a file without bytes or none at all, whether it goes.
    """
    backend_of(location).delete_if(location, goes)


def delete_former_versions(directory: str) -> int:
    """Deletes what a bucket with versions keeps of files that are no more, and returns how many versions that were.

    Args:
        directory: A directory of derived files; elsewhere than in S3 there are no versions.
    """
    return backend_of(directory).delete_former_versions(directory)


def count_versions(location: str, *, only_former: bool = False) -> int:
    """Returns how many versions there are of a file, delete markers among them; elsewhere than in S3 at most one.

    Args:
        location: The file.
        only_former: The one that a reader gets is not counted.
    """
    return backend_of(location).count_versions(location, only_former)


def object_store_uri(location: str) -> str:
    """Returns how Rust's object_store, and with it deltalake, is told of a location."""
    return backend_of(location).object_store_uri(location)


def object_store_options(location: str) -> dict[str, str]:
    """Returns what Rust's object_store, and with it deltalake, needs to reach a location; good for some minutes.

    Raises:
        FruitsError: There are no credentials.
    """
    return backend_of(location).object_store_options(location)
