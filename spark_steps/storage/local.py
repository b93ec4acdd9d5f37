"""Files of this machine."""

import os
import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from spark_steps.at_exit import finally_calls
from spark_steps.errors import FruitsError
from spark_steps.storage.pyarrow_backend import PyarrowBackend


class LocalFiles(PyarrowBackend):
    """Absolute paths."""

    is_remote = False

    def filesystem(self, location: str) -> tuple[fs.FileSystem, str]:
        """Returns the filesystem of this machine, and the path as it is."""
        return fs.LocalFileSystem(), location

    def modified(self, location: str) -> datetime | None:
        """Returns when a file was last changed, at most the last moment of the year 9999; None where there is none."""
        try:
            seconds = Path(location).stat().st_mtime
        except OSError:
            return None
        # pyarrow's time of a file after the year 2262 is of another century.
        first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        if seconds >= last.timestamp():
            return last
        return first if seconds <= first.timestamp() else datetime.fromtimestamp(seconds, UTC)

    def list_own(self, location: str) -> list[fs.FileInfo]:
        """Returns all files below a directory, but neither links nor what lies behind one."""
        found, directories = [], [location]
        while directories:
            for info in self.entries(directories.pop(), recursive=False, must_exist=False):
                if Path(info.path).is_symlink():
                    continue
                if info.type == fs.FileType.Directory:
                    directories.append(info.path)
                else:
                    found.append(info)
        return found

    def leads_elsewhere(self, directory: str, path: str) -> bool:
        """Returns whether a file of a directory, which may be a link itself, is a link, or lies behind one."""
        parts = path.split("/")
        return any(Path(directory, *parts[: length + 1]).is_symlink() for length in range(len(parts)))

    def open_output(self, location: str) -> pa.NativeFile:
        """Opens a new file, in a directory that is made if it is not there."""
        filesystem, path = self.filesystem(location)
        filesystem.create_dir(str(Path(path).parent), recursive=True)
        return filesystem.open_output_stream(path)

    def write(self, location: str, data: bytes) -> None:
        """Writes a whole file under another name, and gives it its own then."""
        partial = Path(_partial(location))
        with finally_calls(lambda: partial.unlink(missing_ok=True)):
            super().write(str(partial), data)
            partial.replace(location)

    def write_new(self, location: str, data: bytes) -> None:
        """Writes a whole file under another name, and links it to its own, which fails where there is a file.

        Raises:
            FileExistsError: There is one.
        """
        partial = Path(_partial(location))
        with finally_calls(lambda: partial.unlink(missing_ok=True)):
            super().write(str(partial), data)
            os.link(partial, location)

    def check_exclusive_writes(self, location: str) -> None:
        """Checks nothing: the directory of a table was checked when it was made."""

    def create_directory(self, location: str) -> None:
        """Makes a directory, with those above it.

        Raises:
            FruitsError: It cannot be made.
        """
        try:
            Path(location).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FruitsError(f"{location} cannot be made ({error.strerror}). Check the permissions there.") from error

    def create_table_directory(self, location: str) -> None:
        """Makes a directory for a table.

        Tables need hard links: of two processes that give a file the same name by a link, one fails; by a rename, none
        does.

        Raises:
            FruitsError: It cannot be made or written to, or can hold no hard links.
        """
        self.create_directory(location)
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
                "would lose rows: exFAT, FAT and some network shares have none. Put the store on another disk, or into "
                "S3."
            ) from error
        finally:
            for file in (probe, Path(f"{probe}_2")):
                file.unlink(missing_ok=True)

    def delete_directory(self, location: str) -> None:
        """Deletes a directory and all in it; what is not there, or goes in the meantime, is no error."""
        shutil.rmtree(location, onerror=_unless_gone)

    def delete_for_good(self, location: str) -> None:
        """Deletes a file, or a link; one that is not there is no error."""
        Path(location).unlink(missing_ok=True)

    def delete_if(self, location: str, goes: Callable[[str | None], bool]) -> None:
        """Deletes a file if its sha256 says so, unless another is put there between the last look and that."""
        seen = None
        # Until nobody has put another there while the bytes were read.
        while seen is None or seen != _state(location):
            seen = _state(location)
            if not goes(self.sha256(location)):
                return
        self.delete_for_good(location)

    def count_versions(self, location: str, only_former: bool) -> int:
        """Returns 1 for a file, and for a link to nothing, which is a file to delete too."""
        return int(not only_former and (Path(location).is_symlink() or Path(location).exists()))


def _partial(location: str) -> str:
    # With a dot in front: what a killed process leaves in the directory of a PipelineModel, Spark does not read.
    directory, _, name = location.rpartition("/")
    return f"{directory}/.{name}.{uuid.uuid4().hex}.partial"


def _unless_gone(function: Any, path: str, raised: tuple[Any, BaseException, Any]) -> None:
    if not isinstance(raised[1], FileNotFoundError):
        raise raised[1]


def _state(location: str) -> tuple[int, ...]:
    try:
        now = Path(location).lstat()
    except FileNotFoundError:
        return ()
    return now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns
