"""Where things lie: one notation for locations (an absolute path or a URI) and small files read and written there."""

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import fs

from spark_steps.errors import FruitsError
from spark_steps.storage import s3, s3_address, s3_errors, s3_reader

# Option of Spark's readers (DataSource.GLOB_PATHS_KEY of Spark 3.5): take paths as they are, not as patterns. Escaping
# the patterns' characters instead fails where a name holds a colon too: Hadoop's Globber cannot parse it.
PLAIN_PATHS = {"__globPaths__": "false"}


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
        FruitsError: The location is empty, a ``file:`` URI names another host, or another URI names nothing, or holds a
            secret, which is not repeated.
    """
    if not location.strip():
        raise FruitsError("An empty path was given: name a folder.")
    if location.startswith("file:"):
        host, path = _file_uri(location)
        if host not in ("", "localhost"):
            raise FruitsError(f"{location!r} names the host {host!r}: write file:///path, with three slashes.")
        location = path
    if "://" in location:
        if holds_a_secret(location):
            raise FruitsError(
                f"A location that begins with {location.partition('://')[0]}:// holds a password or a signature, and "
                "locations are written into tables and logs. Give it without, and the credentials by AWS_PROFILE."
            )
        if not location.partition("://")[2].strip("/"):
            raise FruitsError(f"{location!r} names no bucket: write s3://bucket/prefix.")
        return location.rstrip("/")
    # abspath takes out "..", as Hadoop does in the paths it lists. Not resolve(): a link is a name somebody chose,
    # and the paths in the tables should be the ones people know.
    location = os.path.abspath(Path(location).expanduser())  # noqa: PTH100
    location = "/" + location.lstrip("/")
    if location == "/":
        raise FruitsError("The root of the file system was given: name a folder below it.")
    return location


def _file_uri(uri: str) -> tuple[str, str]:
    # Not urlsplit: a name may hold # and ?, and people write them as they are.
    rest = uri.removeprefix("file:")
    if not rest.startswith("//"):
        return "", unquote(rest)
    host, slash, path = rest[2:].partition("/")
    return host, unquote(slash + path)


def filesystem_of(location: str) -> tuple[fs.FileSystem, str]:
    """Returns the pyarrow filesystem of a normalised location, and the location's path on it.

    The filesystem is for the moment's use, in this process: it may hold credentials that expire.

    Raises:
        FruitsError: The URI's scheme is none that pyarrow can read, or there are no credentials for it.
    """
    if "://" not in location:
        return fs.LocalFileSystem(), location
    if s3_address.is_s3(location):
        # Not from_uri, which decodes %20 and takes # and ? for what they are in a URL: keys may hold them.
        return s3.filesystem(), location.removeprefix(s3_address.SCHEME)
    try:
        filesystem, path = fs.FileSystem.from_uri(location)
    except (OSError, ValueError) as error:
        raise FruitsError(
            f"{location} cannot be opened: {error}. Give a folder, or a URI that pyarrow reads."
        ) from error
    return filesystem, path


def file_type(location: str) -> fs.FileType:
    """Returns whether a location is a file, a directory or nothing at all."""
    filesystem, path = filesystem_of(location)
    with s3_errors.translate_errors(location):
        return filesystem.get_file_info(path).type


def modified(location: str) -> datetime | None:
    """Returns when a file was last changed, in S3 when it was put; None where there is none."""
    filesystem, path = filesystem_of(location)
    with s3_errors.translate_errors(location):
        changed: datetime | None = filesystem.get_file_info(path).mtime
    return changed


def read_bytes(location: str, most_bytes: int | None = None) -> bytes:
    """Returns a whole file, or its beginning; threads may call it at once.

    Args:
        location: The file.
        most_bytes: How many of its bytes, where it has so many; None for all.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if s3_address.is_s3(location):
        return s3_reader.read(location, most_bytes)
    with _input_stream(location) as stream:
        return bytes(stream.read(most_bytes))


def _input_stream(location: str) -> pa.NativeFile:
    filesystem, path = filesystem_of(location)
    # A pipe or a device, which nothing might ever be written to; S3 has none.
    if not s3_address.is_s3(location) and filesystem.get_file_info(path).type == fs.FileType.Unknown:
        raise OSError(f"{location} is no regular file")
    return filesystem.open_input_stream(path)


def sha256_of(location: str) -> str | None:
    """Returns the sha256 of a file, hexadecimal, read piece by piece; None where there is none, or it has no bytes."""
    digest, length = hashlib.sha256(), 0
    try:
        with s3_errors.translate_errors(location), _input_stream(location) as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
                length += len(piece)
    except FileNotFoundError:
        return None
    return digest.hexdigest() if length else None


def write_bytes(location: str, data: bytes) -> None:
    """Writes a whole small file, so that a reader sees the old one or the new one and never a part."""
    # A put to an object store is atomic by itself; only a local file needs the detour over another name.
    filesystem, path = filesystem_of(location)
    partial = f".{uuid.uuid4().hex}.partial" if isinstance(filesystem, fs.LocalFileSystem) else ""
    with s3_errors.translate_errors(location), open_output(location + partial) as stream:
        stream.write(data)
    if partial:
        filesystem.move(path + partial, path)


def create_directory(location: str) -> None:
    """Makes a directory of this machine, with those above it; an object store needs none.

    Raises:
        FruitsError: It cannot be made.
    """
    try:
        if not s3_address.is_s3(location):
            Path(location).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FruitsError(f"{location} cannot be made ({error.strerror}). Check the permissions there.") from error


def check_hard_links(location: str) -> None:
    """Raises a FruitsError where a directory of this machine can hold no hard links.

    Tables need them: of two processes that give a file the same name by a link, one fails; by a rename, none does.

    Args:
        location: The directory, which may be written to.
    """
    probe = Path(location, f"_hard_link_{uuid.uuid4().hex}")
    try:
        probe.touch()
    except OSError as error:
        raise FruitsError(
            f"{location} cannot be written to ({error.strerror}). Check the permissions there."
        ) from error
    try:
        Path(f"{probe}_2").hardlink_to(probe)
    except OSError as error:
        raise FruitsError(
            f"The file system of {location} makes no hard links ({error.strerror}), without which two runs at once "
            "would lose rows: exFAT, FAT and some network shares have none. Put the store on another disk, or into S3."
        ) from error
    finally:
        for file in (probe, Path(f"{probe}_2")):
            file.unlink(missing_ok=True)


def open_output(location: str) -> pa.NativeFile:
    """Returns a new file to write to, in a directory that is made where one is needed."""
    filesystem, path = filesystem_of(location)
    # An object store has no directories; to make one would leave an empty object.
    if isinstance(filesystem, fs.LocalFileSystem):
        filesystem.create_dir(str(Path(path).parent), recursive=True)
    return filesystem.open_output_stream(path)


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


def delete_directory(location: str) -> None:
    """Deletes a directory and all in it; what is not there, or goes in the meantime, is no error."""
    if s3_address.is_s3(location):
        s3.delete_below(location)
        return
    filesystem, path = filesystem_of(location)
    if isinstance(filesystem, fs.LocalFileSystem):
        shutil.rmtree(path, onerror=_unless_gone)
    elif filesystem.get_file_info(path).type == fs.FileType.Directory:
        filesystem.delete_dir(path)


def _unless_gone(function: Any, path: str, raised: tuple[Any, BaseException, Any]) -> None:
    if not isinstance(raised[1], FileNotFoundError):
        raise raised[1]


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
    return [info for info in _list(location, recursive, must_exist) if info.type != fs.FileType.Directory]


def list_own_files(location: str) -> list[fs.FileInfo]:
    """Returns all files below a directory, but neither links nor what lies behind one: what may be deleted there."""
    if "://" in location:
        return list_files(location, recursive=True)
    found, directories = [], [location]
    while directories:
        for info in _list(directories.pop(), False, False):
            if Path(info.path).is_symlink():
                continue
            if info.type == fs.FileType.Directory:
                directories.append(info.path)
            else:
                found.append(info)
    return found


def leads_elsewhere(directory: str, path: str) -> bool:
    """Returns whether a file of a directory is a link, or lies behind one.

    Args:
        directory: The directory, a normalised location; it may be a link itself.
        path: The file's path below it.
    """
    if "://" in directory:
        return False
    parts = path.split("/")
    return any(Path(directory, *parts[: length + 1]).is_symlink() for length in range(len(parts)))


def list_directories(location: str) -> list[str]:
    """Returns the names of the directories in a directory; none where there is no such directory."""
    return [info.base_name for info in _list(location, False, False) if info.type == fs.FileType.Directory]


def _list(location: str, recursive: bool, must_exist: bool) -> list[fs.FileInfo]:
    filesystem, path = filesystem_of(location)
    wanted = fs.FileSelector(path, recursive=recursive, allow_not_found=not must_exist)
    try:
        with s3_errors.translate_errors(location):
            found: list[fs.FileInfo] = filesystem.get_file_info(wanted)
        # Decoded as they are asked for, and used by whoever does not expect that they cannot be.
        for info in found:
            info.path  # noqa: B018
    except UnicodeDecodeError as error:
        name = error.object.decode(errors="backslashreplace")
        raise FruitsError(
            f"Below {location} the name {name} is not UTF-8. Rename it; convmv -r -f latin1 -t utf8 --notest renames "
            "all of a folder."
        ) from error
    return found


def delete_files(directory: str, names: Iterable[str]) -> None:
    """Deletes files of a directory; one that is not there is no error."""
    if s3_address.is_s3(directory):
        bucket, key = s3_address.bucket_and_key(directory)
        s3.delete_keys(bucket, [f"{key}/{name}" for name in names])
        return
    filesystem, path = filesystem_of(directory)
    for name in names:
        with suppress(FileNotFoundError):
            filesystem.delete_file(f"{path}/{name}")
