"""What a kind of location has to offer; ``locations`` is how callers use it."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

import pyarrow as pa
from pyarrow import fs


class Backend(Protocol):
    """The operations on one kind of location; all locations are normalised.

    ``pyarrow_backend.PyarrowBackend`` has all but the first for what pyarrow reads: a further kind inherits most.

    Attributes:
        is_remote: Whether each request crosses a network: then few large requests are better than many small ones, and
            there are no links, pipes or permissions of this machine.
    """

    is_remote: bool

    def filesystem(self, location: str) -> tuple[fs.FileSystem, str]:
        """Returns the pyarrow filesystem for the moment's use, as its credentials may expire, and the path on it."""

    def translate_errors(self, location: str) -> AbstractContextManager[None]:
        """Turns errors of the libraries into a FruitsError that names the location; a missing file stays one."""

    def kind(self, location: str) -> fs.FileType:
        """Returns whether a location is a file, a directory or nothing at all."""

    def modified(self, location: str) -> datetime | None:
        """Returns when a file was last changed; None where there is none."""

    def entries(self, location: str, recursive: bool, must_exist: bool) -> list[fs.FileInfo]:
        """Returns what lies in a directory, in all below it too if ``recursive``; paths are the filesystem's."""

    def list_own(self, location: str) -> list[fs.FileInfo]:
        """Returns all files below a directory, but neither links nor what lies behind one."""

    def tags_after(self, directory: str, path: str) -> dict[str, str]:
        """Returns tags, which change with the content, by name: of files that follow a path in its directory.

        One request, however many there are: some of them may be left out, never the first.
        """

    def leads_elsewhere(self, directory: str, path: str) -> bool:
        """Returns whether a file of a directory is a link, or lies behind one."""

    def read(self, location: str, most_bytes: int | None) -> bytes:
        """Returns the first bytes of a file, None for all; threads may call it at once."""

    def open_input(self, location: str) -> pa.NativeFile:
        """Opens a file to be read from its beginning on; its errors are not translated."""

    def open_output(self, location: str) -> pa.NativeFile:
        """Opens a new file, in a directory that is made where one is needed; its errors are not translated."""

    def sha256(self, location: str) -> str | None:
        """Returns the sha256 of a file, hexadecimal; None where there is none, or it has no bytes."""

    def write(self, location: str, data: bytes) -> None:
        """Writes a whole file, so that a reader sees the old one or the new one and never a part."""

    def write_new(self, location: str, data: bytes) -> None:
        """Writes a whole file where there is none; raises a FileExistsError where there is one, whoever is first."""

    def check_exclusive_writes(self, location: str) -> None:
        """Raises a FruitsError where ``write_new`` does not hold; called often, and before there is a directory."""

    def create_directory(self, location: str) -> None:
        """Makes a directory with those above it, where they are needed."""

    def create_table_directory(self, location: str) -> None:
        """Makes a directory for a table; raises a FruitsError where two processes could write one version of it."""

    def delete_files(self, directory: str, names: Iterable[str]) -> None:
        """Deletes files of a directory; one that is not there is no error."""

    def delete_directory(self, location: str) -> None:
        """Deletes a directory and all in it; what is not there, or goes in the meantime, is no error."""

    def delete_files_for_good(self, directory: str, names: Iterable[str]) -> None:
        """Deletes files of a directory, with their former versions where that is allowed."""

    def delete_for_good(self, location: str) -> None:
        """Deletes a file with its former versions; one that is not there is no error."""

    def delete_if(self, location: str, goes: Callable[[str | None], bool]) -> None:
        """Deletes a file for good if its sha256 says so, as late as can be; its former versions go in any case."""

    def delete_former_versions(self, directory: str) -> int:
        """Deletes the former versions of all below a directory, and returns how many that were."""

    def count_versions(self, location: str, only_former: bool) -> int:
        """Returns how many versions there are of a file, the one that a reader gets among them or not."""

    def object_store_uri(self, location: str) -> str:
        """Returns a location as Rust's object_store, and with it deltalake, takes it."""

    def object_store_options(self, location: str) -> dict[str, str]:
        """Returns what that needs to reach it; good for some minutes."""
