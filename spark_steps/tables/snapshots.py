"""The contents of a table's log: the files of a version, the change to the next version, and the commits."""

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
    """Files of a table have been replaced since they were looked up; a retry reads the new files."""


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table.

    Attributes:
        path: Its path below the table's root, which is never used again for another file.
        folder: The image folder whose rows it holds.
        size: Size in bytes.
        rows: Number of rows.
        added: Time of the commit, milliseconds since 1970.
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
        version: Its number, from 0; -1 if there is no table yet.
        files: Its files, by folder and then in the order in which they were added.
        properties: The table's properties.
    """

    version: int = -1
    files: tuple[DataFile, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()

    def property(self, name: str) -> str | None:
        """Returns a property of the table, None if it is not set."""
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
    """A version of a table, as its log describes it.

    Attributes:
        version: Its number.
        at: Time of the commit.
        operation: ``WRITE``, ``CREATE TABLE`` and so on.
        parameters: Parameters of the operation, such as the properties that it set.
        about: The writer's metadata: the run, the asset, rows added and removed.
        files_added: Number of files added.
        files_removed: Number of files removed.
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
    """A change of a table's files, ready to be committed.

    Attributes:
        added: The files to add; they are in the table's directory already.
        removed: The files to remove.
        base: The snapshot that the change was planned on.
        folders: The folders that must be unchanged since the base snapshot.
        kept: Rows of added files that are also in removed files.
    """

    added: Sequence[DataFile]
    removed: Sequence[DataFile]
    base: Snapshot
    folders: frozenset[str]
    kept: int = 0
