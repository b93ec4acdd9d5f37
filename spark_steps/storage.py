"""Where things lie: one notation for places (an absolute path or a URI) and small files read and written there."""

import json
import os
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pyarrow import fs

from spark_steps.errors import FruitsError

# Option of Spark's readers (DataSource.GLOB_PATHS_KEY of Spark 3.5): take paths as they are, not as patterns. Escaping
# the patterns' characters instead fails where a name holds a colon too: Hadoop's Globber cannot parse it.
PLAIN_PATHS = {"__globPaths__": "false"}


def normalise(location: str) -> str:
    """Returns a place in the notation used everywhere: an absolute path, or a URI, without a trailing slash.

    Args:
        location: A path, relative or absolute, a ``file:`` URI, or another URI such as ``s3://bucket/prefix``.

    Raises:
        FruitsError: The place is empty, or a ``file:`` URI names another host.
    """
    if not location.strip():
        raise FruitsError("An empty path was given: name a folder.")
    if location.startswith("file:"):
        host, path = _file_uri(location)
        if host not in ("", "localhost"):
            raise FruitsError(f"{location!r} names the host {host!r}: write file:///path, with three slashes.")
        location = path
    if "://" in location:
        return location.rstrip("/")
    # abspath takes out "..", as Hadoop does in the paths it lists. Not resolve(): a link is a name somebody chose,
    # and the paths in the tables should be the ones people know.
    place = os.path.abspath(Path(location).expanduser())  # noqa: PTH100
    place = "/" + place.lstrip("/")
    if place == "/":
        raise FruitsError("The root of the file system was given: name a folder below it.")
    return place


def _file_uri(uri: str) -> tuple[str, str]:
    # Not urlsplit: a name may hold # and ?, and people write them as they are.
    rest = uri.removeprefix("file:")
    if not rest.startswith("//"):
        return "", unquote(rest)
    host, slash, path = rest[2:].partition("/")
    return host, unquote(slash + path)


def filesystem_of(location: str) -> tuple[fs.FileSystem, str]:
    """Returns the pyarrow filesystem of a normalised place, and the place's path on it.

    Raises:
        FruitsError: The URI's scheme is none that pyarrow can read.
    """
    if "://" not in location:
        return fs.LocalFileSystem(), location
    try:
        filesystem, path = fs.FileSystem.from_uri(location)
    except (OSError, ValueError) as error:
        raise FruitsError(
            f"{location} cannot be opened: {error}. Give a folder, or a URI that pyarrow reads."
        ) from error
    return filesystem, path


def file_type(location: str) -> fs.FileType:
    """Returns whether a place is a file, a directory or nothing at all."""
    filesystem, path = filesystem_of(location)
    return filesystem.get_file_info(path).type


def read_bytes(location: str) -> bytes:
    """Returns a whole small file.

    Raises:
        FileNotFoundError: There is no such file.
    """
    filesystem, path = filesystem_of(location)
    with filesystem.open_input_stream(path) as stream:
        return bytes(stream.read())


def write_bytes(location: str, data: bytes) -> None:
    """Writes a whole small file, so that a reader sees the old one or the new one and never a part."""
    filesystem, path = filesystem_of(location)
    filesystem.create_dir(str(Path(path).parent), recursive=True)
    # A put to an object store is atomic by itself; only a local file needs the detour over another name.
    local = isinstance(filesystem, fs.LocalFileSystem)
    target = f"{path}.{uuid.uuid4().hex}.partial" if local else path
    with filesystem.open_output_stream(target) as stream:
        stream.write(data)
    if local:
        filesystem.move(target, path)


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
    """Deletes a directory and all in it; one that is not there is no error."""
    filesystem, path = filesystem_of(location)
    if filesystem.get_file_info(path).type == fs.FileType.Directory:
        filesystem.delete_dir(path)


def directory_size(location: str) -> int:
    """Returns the bytes of all files below a directory, 0 where there is none."""
    filesystem, path = filesystem_of(location)
    selector = fs.FileSelector(path, recursive=True, allow_not_found=True)
    return sum(info.size for info in filesystem.get_file_info(selector) if info.type == fs.FileType.File)
