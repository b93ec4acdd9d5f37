"""What is the same for all kinds of locations that pyarrow reads."""

import hashlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime

import pyarrow as pa
from pyarrow import fs

from spark_steps.errors import FruitsError

_PIECE_BYTES = 1 << 20
_LISTINGS = 50


class PyarrowBackend:
    """Locations that pyarrow reads; no tables can be kept there without what a kind adds."""

    is_remote = True

    def filesystem(self, location: str) -> tuple[fs.FileSystem, str]:
        """Returns the filesystem of a location, and its path there: each kind has its own."""
        raise NotImplementedError

    def translate_errors(self, location: str) -> AbstractContextManager[None]:
        """Lets errors pass as they are."""
        return nullcontext()

    def kind(self, location: str) -> fs.FileType:
        """Returns whether a location is a file, a directory or nothing at all."""
        filesystem, path = self.filesystem(location)
        with self.translate_errors(location):
            return filesystem.get_file_info(path).type

    def modified(self, location: str) -> datetime | None:
        """Returns when a file was last changed; None where there is none."""
        filesystem, path = self.filesystem(location)
        with self.translate_errors(location):
            changed: datetime | None = filesystem.get_file_info(path).mtime
        return changed

    def entries(self, location: str, recursive: bool, must_exist: bool) -> list[fs.FileInfo]:
        """Returns what lies in a directory.

        Raises:
            FileNotFoundError: There is no such directory, and it ``must_exist``.
            FruitsError: It cannot be listed, or holds a name that is not UTF-8.
        """
        filesystem, path = self.filesystem(location)
        wanted = fs.FileSelector(path, recursive=recursive, allow_not_found=not must_exist)
        try:
            with self.translate_errors(location):
                found = _listed(filesystem, wanted)
            # Decoded as they are asked for, and used by whoever does not expect that they cannot be.
            for info in found:
                info.path  # noqa: B018
        except UnicodeDecodeError as error:
            name = error.object.decode(errors="backslashreplace")
            raise FruitsError(
                f"Below {location} the name {name} is not UTF-8. Rename it; convmv -r -f latin1 -t utf8 --notest "
                "renames all of a folder."
            ) from error
        return found

    def list_own(self, location: str) -> list[fs.FileInfo]:
        """Returns all files below a directory; there are no links."""
        found = self.entries(location, recursive=True, must_exist=False)
        return [info for info in found if info.type != fs.FileType.Directory]

    def tags_after(self, directory: str, path: str) -> dict[str, str]:
        """Returns time and size of the files that follow a path in its directory, by name."""
        parent, _, name = path.rpartition("/")
        found = self.entries(f"{directory}/{parent}", recursive=False, must_exist=False)
        return {info.base_name: f"{info.mtime_ns} {info.size}" for info in found if info.base_name > name}

    def leads_elsewhere(self, directory: str, path: str) -> bool:
        """Returns False: there are no links."""
        return False

    def read(self, location: str, most_bytes: int | None) -> bytes:
        """Returns the first bytes of a file, None for all."""
        with self.open_input(location) as stream:
            return bytes(stream.read(most_bytes))

    def open_input(self, location: str) -> pa.NativeFile:
        """Opens a file to be read from its beginning on.

        Raises:
            OSError: It is a pipe or a device, which nothing might ever be written to; or it is not there.
        """
        filesystem, path = self.filesystem(location)
        if filesystem.get_file_info(path).type == fs.FileType.Unknown:
            raise OSError(f"{location} is no regular file")
        return filesystem.open_input_stream(path)

    def open_output(self, location: str) -> pa.NativeFile:
        """Opens a new file; no directory is made, which in an object store would leave an empty object."""
        filesystem, path = self.filesystem(location)
        return filesystem.open_output_stream(path)

    def sha256(self, location: str) -> str | None:
        """Returns the sha256 of a file, read piece by piece; None where there is none, or it has no bytes."""
        digest, length = hashlib.sha256(), 0
        try:
            with self.translate_errors(location), self.open_input(location) as stream:
                while piece := stream.read(_PIECE_BYTES):
                    digest.update(piece)
                    length += len(piece)
        except FileNotFoundError:
            return None
        return digest.hexdigest() if length else None

    def write(self, location: str, data: bytes) -> None:
        """Writes a whole file; a put to an object store is atomic by itself."""
        with self.translate_errors(location), self.open_output(location) as stream:
            stream.write(data)

    def write_new(self, location: str, data: bytes) -> None:
        """Raises a FruitsError: pyarrow has no such write."""
        self.check_exclusive_writes(location)

    def check_exclusive_writes(self, location: str) -> None:
        """Raises a FruitsError: pyarrow has no write that fails where there is a file already."""
        raise FruitsError(
            f"No table can be kept at {location}: of two processes that write a file of one name there, none would "
            "fail. Give a folder, or s3://bucket/prefix."
        )

    def create_directory(self, location: str) -> None:
        """Makes none: an object store needs none."""

    def create_table_directory(self, location: str) -> None:
        """Checks what a table needs."""
        self.check_exclusive_writes(location)

    def delete_files(self, directory: str, names: Iterable[str]) -> None:
        """Deletes files of a directory, one by one."""
        filesystem, path = self.filesystem(directory)
        for name in names:
            with suppress(FileNotFoundError):
                filesystem.delete_file(f"{path}/{name}")

    def delete_directory(self, location: str) -> None:
        """Deletes a directory and all in it."""
        filesystem, path = self.filesystem(location)
        if filesystem.get_file_info(path).type == fs.FileType.Directory:
            filesystem.delete_dir(path)

    def delete_files_for_good(self, directory: str, names: Iterable[str]) -> None:
        """Deletes files of a directory; there are no former versions."""
        self.delete_files(directory, names)

    def delete_for_good(self, location: str) -> None:
        """Deletes a file; there are no former versions."""
        directory, _, name = location.rpartition("/")
        self.delete_files(directory, [name])

    def delete_if(self, location: str, goes: Callable[[str | None], bool]) -> None:
        """Deletes a file if its sha256 says so."""
        if goes(self.sha256(location)):
            self.delete_for_good(location)

    def delete_former_versions(self, directory: str) -> int:
        """Returns 0: there are no former versions."""
        return 0

    def count_versions(self, location: str, only_former: bool) -> int:
        """Returns 1 for a file, which has no former versions."""
        return int(not only_former and self.kind(location) != fs.FileType.NotFound)

    def object_store_uri(self, location: str) -> str:
        """Returns the location as it is."""
        return location

    def object_store_options(self, location: str) -> dict[str, str]:
        """Returns none."""
        return {}


def _listed(filesystem: fs.FileSystem, wanted: fs.FileSelector) -> list[fs.FileInfo]:
    """Returns a listing; a directory that another process creates or deletes meanwhile is listed again."""
    for _ in range(_LISTINGS if wanted.allow_not_found else 0):
        # pyarrow looks whether the directory is there only after it could not open it.
        with suppress(FileNotFoundError):
            found: list[fs.FileInfo] = filesystem.get_file_info(wanted)
            return found
    last: list[fs.FileInfo] = filesystem.get_file_info(wanted)
    return last
