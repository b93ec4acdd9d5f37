"""The log of a Delta table: which files are the table at each version, read and written by deltalake, without a JVM.

A commit is made only on the very version that it was checked against. deltalake would else put an append on top of what
others have committed meanwhile, and of two runs that add the same photos both would.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_steps import s3, storage
from spark_steps.errors import FruitsError
from spark_steps.open_tables import COMMIT_NAME, LOG, once_a_version, open_table, options_of, uri_of
from spark_steps.schemas import FOLDER, with_folder

# Imported where it is used: the commands that read no table do without.
if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable

_TRIES = 50
_PROPERTIES = {
    # No least and greatest value of any column: paths and ids of photos are in no log, checkpoint or statistic.
    "delta.dataSkippingNumIndexedCols": "0",
    # Without a checkpoint a reader asks for one file more with each commit.
    "delta.checkpointInterval": "10",
    "delta.deletedFileRetentionDuration": "interval 8 days",
}
# deltalake decodes an escape in a table's location, and then looks for another one (1.6.6).
_UNUSABLE = re.compile("%[0-9A-Fa-f]{2}|[\x00-\x1f\x7f]")
_COLOURS = re.compile("\x1b\\[[0-9;]*m")


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
        about: What the writer has written into it: the run, the asset, rows added and removed.
        files_added: Files that came.
        files_removed: Files that went.
    """

    version: int
    at: datetime
    operation: str
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
    """

    added: Sequence[DataFile]
    removed: Sequence[DataFile]
    base: Snapshot
    folders: frozenset[str]


@dataclass(frozen=True)
class DeltaLog:
    """The log of one table.

    Attributes:
        root: The table's directory, a normalised place.
        schema: Its columns, ``folder`` left out.
    """

    root: str
    schema: pa.Schema

    def snapshot(self, version: int | None = None) -> Snapshot:
        """Returns the table as it is now, or was at a version; an empty one where there is none.

        Raises:
            FruitsError: The log cannot be read, or no longer has that version.
        """
        with self._errors("read"):
            table = self._open(version)
            return Snapshot() if table is None else _snapshot_of(self.root, table)

    def commit(self, change: FileChange, about: Mapping[str, str], check: Callable[[], None]) -> int:
        """Makes a change the next version of the table, and returns its number; a missing table is created.

        Args:
            change: The change.
            about: What the log is to say of it; no path and no id of a photo.
            check: Called after the table has been read and before the commit, each time; may raise.

        Raises:
            TableChangedError: Another process has changed one of the folders since the change was planned.
            FruitsError: Other writers were first, each time; or the log cannot be written.
        """
        removed = sum(file.rows for file in change.removed)
        added = sum(file.rows for file in change.added)
        told = {**about, "rows_added": str(added), "rows_removed": str(removed)}
        s3.check_conditional_writes(self.root)
        for _ in range(_TRIES):
            self.create()
            table = self._opened()
            with self._errors("read"):
                now = _snapshot_of(self.root, table)
            # Of files that come; a change without any is planned anew, and finds nothing left to do.
            if change.added and change.added[0].path in now.paths(change.added[0].folder):
                # It was committed before, by a request whose answer was lost.
                return now.version
            if any(now.paths(folder) != change.base.paths(folder) for folder in change.folders):
                raise TableChangedError(f"{self.root} was changed by another run meanwhile. Run again.")
            check()
            if self._attempt(lambda table=table: _transact(table, change, told)):  # type: ignore[misc]
                return now.version + 1
        raise FruitsError(f"{self.root} is being written by other runs. Run again when they have ended.")

    def create(self) -> None:
        """Creates the table, without a row, where there is none.

        Raises:
            FruitsError: It cannot be created there.
        """
        from deltalake import Schema
        from deltalake.transaction import create_table_with_add_actions

        with self._errors("read"):
            if self._open(None) is not None:
                return
        if _UNUSABLE.search(self.root):
            raise FruitsError(
                f"{self.root!r} has a percent sign before two hexadecimal digits, or a control character, in its name: "
                "no table can be kept there. Give the store another name."
            )
        s3.check_conditional_writes(self.root)
        if not s3.is_s3(self.root):
            storage.create_directory(self.root)

        def create() -> None:
            options = options_of(self.root)
            with s3.settings_from_outside_hidden(options):
                create_table_with_add_actions(
                    uri_of(self.root),
                    Schema.from_arrow(with_folder(self.schema)),
                    [],
                    partition_by=[FOLDER],
                    name=self.root.rpartition("/")[2],
                    configuration=_PROPERTIES,
                    storage_options=options,
                    commit_properties=_commit_properties({}),
                )

        # Another process may have been first.
        self._attempt(create)

    def set_property(self, name: str, value: str, was: str | None) -> bool:
        """Sets a property of the table in a commit of its own, unless another process has changed it.

        Args:
            name: The property.
            value: Its new value.
            was: The value that it had when that was decided, None for none.

        Returns:
            Whether it has the new value.
        """
        s3.check_conditional_writes(self.root)
        for _ in range(_TRIES):
            table = self._opened()
            now = table.metadata().configuration.get(name)
            if now == value:
                return True
            if now != was:
                return False
            self._attempt(
                lambda table=table: table.alter.set_table_properties(  # type: ignore[misc]
                    {name: value}, raise_if_not_exists=False, commit_properties=_commit_properties({})
                )
            )
        raise FruitsError(f"{self.root} is being written by other runs. Run again when they have ended.")

    def remember_removed(self, keep: timedelta) -> None:
        """Lets the log name removed files for longer than they are kept: one that it does not name was never committed.

        Args:
            keep: For how long they are kept.
        """
        name = "delta.deletedFileRetentionDuration"
        now = self._opened().metadata().configuration.get(name, "")
        days = re.fullmatch(r"interval (\d+) days", now)
        if days is None or int(days[1]) <= keep.days:
            self.set_property(name, f"interval {keep.days + 1} days", now or None)

    def removed(self, before: datetime | None = None) -> frozenset[str]:
        """Returns the paths of files that are the table no more, as far back as its log tells.

        Args:
            before: Only those that were removed before that; None for all.
        """
        hours = 0 if before is None else max(0, (datetime.now(UTC) - before).total_seconds() / 3600)
        with self._errors("read"):
            table = self._open(None)
            if table is None:
                return frozenset()
            return frozenset(table.vacuum(retention_hours=int(hours), dry_run=True, enforce_retention_duration=False))

    def history(self) -> list[Commit]:
        """Returns the versions that the log tells of, the newest first.

        Not by deltalake's own ``history``, which finds nothing where a table's location has a space or an accent
        (1.6.6), and knows no removed files.

        Raises:
            FruitsError: The log cannot be read.
        """
        names = (info.base_name for info in storage.list_files(f"{self.root}/{LOG}"))
        versions = sorted((int(match[1]) for name in names if (match := COMMIT_NAME.fullmatch(name))), reverse=True)
        with self._errors("read"):
            return [_commit_of(version, storage.read_bytes(self._place(version))) for version in versions]

    def version_at(self, moment: datetime) -> int:
        """Returns the last version that was committed by a moment; -1 where the table is younger."""
        return next((commit.version for commit in self.history() if commit.at <= moment), -1)

    def _place(self, version: int) -> str:
        return f"{self.root}/{LOG}/{version:020}.json"

    def _open(self, version: int | None) -> "DeltaTable | None":
        from deltalake.exceptions import TableNotFoundError

        try:
            return open_table(self.root, version)
        except TableNotFoundError:
            return None

    def _opened(self) -> "DeltaTable":
        with self._errors("read"):
            if (table := self._open(None)) is None:
                raise FruitsError(f"The table {self.root} is gone. Run again.")
            return table

    def _attempt(self, transaction: Callable[[], None]) -> bool:
        """Returns whether a transaction was committed; False where another process was first."""
        from deltalake.exceptions import CommitFailedError, DeltaError

        with self._errors("written"):
            try:
                transaction()
            except CommitFailedError:
                return False
            except DeltaError as error:
                # Creating a table that another process has just created has no error of its own.
                if re.search("already exists|Version already exists", str(error)):
                    return False
                raise
        return True

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        from deltalake.exceptions import DeltaError

        try:
            with s3.in_sentences(self.root):
                yield
        except (DeltaError, ValueError) as error:
            raise FruitsError(
                f"The log of {self.root} cannot be {done}: {_plain(error)}. Check the permissions of {LOG} there; if "
                "it is damaged, take the table from a backup, or delete its directory and run again."
            ) from error


def _snapshot_of(root: str, table: "DeltaTable") -> Snapshot:
    # A table of 100,000 files takes a second, and is looked at some forty times in a run.
    return once_a_version(root, table, lambda: _files_of(root, table))


def _files_of(root: str, table: "DeltaTable") -> Snapshot:
    # Not pa.table, which imports pandas.
    rows = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all()
    columns = ("path", f"partition.{FOLDER}", "size_bytes", "num_records", "modification_time")
    # A table without a file has no column of its partition.
    values = [rows[name].to_pylist() if name in rows.schema.names else [] for name in columns]
    files = []
    for path, folder, size, count, added in zip(*values, strict=False):
        _check_below(root, path)
        files.append(DataFile(path, folder, size, _rows_of(f"{root}/{path}") if count is None else count, added))
    ordered = sorted(files, key=lambda file: (file.folder, file.added, file.path))
    return Snapshot(table.version(), tuple(ordered), tuple(sorted(table.metadata().configuration.items())))


def _rows_of(location: str) -> int:
    """Returns the rows of a file that another program has added without their number."""
    import pyarrow.parquet as pq

    filesystem, path = storage.filesystem_of(location)
    return int(pq.read_metadata(path, filesystem=filesystem).num_rows)


def _check_below(root: str, path: str) -> None:
    if ":" in path or path.startswith("/") or ".." in path.split("/"):
        raise FruitsError(f"The log of {root} names the file {path}, which lies elsewhere. Find out who wrote it.")


def _transact(table: "DeltaTable", change: FileChange, about: Mapping[str, str]) -> None:
    from deltalake.transaction import AddAction, RemoveAction

    now = int(time.time() * 1000)
    actions: list[AddAction | RemoveAction] = [
        RemoveAction(file.path, True, now, file.size, {FOLDER: file.folder}) for file in change.removed
    ]
    actions += [
        AddAction(file.path, file.size, {FOLDER: file.folder}, now, True, json.dumps({"numRecords": file.rows}))
        for file in change.added
    ]
    properties = _commit_properties(about)
    table.create_write_transaction(actions, "append", table.schema(), [FOLDER], commit_properties=properties)


def _commit_properties(about: Mapping[str, str]) -> "CommitProperties":
    from deltalake import CommitProperties

    return CommitProperties(custom_metadata=dict(about), max_commit_retries=0)


def _commit_of(version: int, data: bytes) -> Commit:
    actions = [json.loads(line) for line in data.decode().splitlines() if line.strip()]
    info: dict[str, Any] = next((one["commitInfo"] for one in actions if "commitInfo" in one), {})
    known = {"timestamp", "operation", "operationParameters", "engineInfo", "clientVersion", "operationMetrics"}
    return Commit(
        version=version,
        at=datetime.fromtimestamp(info.get("timestamp", 0) / 1000, UTC),
        operation=str(info.get("operation", "")),
        about={name: str(value) for name, value in info.items() if name not in known},
        files_added=sum("add" in one for one in actions),
        files_removed=sum("remove" in one for one in actions),
    )


def _plain(error: Exception) -> str:
    return " ".join(_COLOURS.sub("", str(error)).split())
