"""What a table's log says: the files of a version, the change that makes the next one, and the commits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from spark_steps.errors import FruitsError

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    pass


class TableChangedError(FruitsError):
    """Files of a table have been replaced since they were looked at: another look finds the table whole."""


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table.

    Attributes:
        path: Its path below the table's root; no other file ever has the same.
        folder: The image folder whose rows it holds.
        size: Bytes.
        rows: Rows.
        added: When it was committed, milliseconds since 1970.
    """

    path: str
    folder: str
    size: int
    rows: int
    added: int = 0


@dataclass(frozen=True)
class Snapshot:
    """A table at one version.

    Attributes:
        version: Its number, from 0; -1 where there is no table yet.
        files: Its files, by folder and then in the order in which they were added.
        properties: The table's properties.
    """

    version: int = -1
    files: tuple[DataFile, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()

    def property(self, name: str) -> str | None:
        """Returns a property of the table, None where it has none of that name."""
        return dict(self.properties).get(name)

    def paths(self, folder: str) -> frozenset[str]:
        """Returns the paths of a folder's files."""
        return self._by_folder.get(folder, frozenset())

    @cached_property
    def _by_folder(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for file in self.files:
            found.setdefault(file.folder, set()).add(file.path)
        return {folder: frozenset(paths) for folder, paths in found.items()}


@dataclass(frozen=True)
class Commit:
    """A version of a table, as its log tells of it.

    Attributes:
        version: Its number.
        at: When it was committed.
        operation: ``WRITE``, ``CREATE TABLE`` and so on.
        parameters: What the operation was told, such as the properties that it set.
        about: What the writer has written into it: the run, the asset, rows added and removed.
        files_added: Files that came.
        files_removed: Files that went.
    """

    version: int
    at: datetime
    operation: str
    parameters: Mapping[str, Any]
    about: Mapping[str, str]
    files_added: int
    files_removed: int


@dataclass(frozen=True)
class FileChange:
    """Files that replace others of some folders.

    Attributes:
        added: The files that come; they lie in the table's directory already.
        removed: The files that go.
        base: The table that this was planned on.
        folders: The folders that have to be as they were then.
        kept: Rows of the files that come that are also in those that go.
    """

    added: Sequence[DataFile]
    removed: Sequence[DataFile]
    base: Snapshot
    folders: frozenset[str]
    kept: int = 0
