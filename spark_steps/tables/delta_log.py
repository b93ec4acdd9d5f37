"""The log of a Delta table, which lists the files of each version; deltalake reads and writes it, without a JVM.

A commit is made only on the version that it was checked against. By default deltalake rebases an append onto commits of
other writers, so two runs that add the same photos would both succeed.

Each commit has an id in its metadata. If the response of S3 is lost, the id in the log shows whether the commit was
made.
"""

import random
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from spark_steps.errors import FruitsError
from spark_steps.storage import locations, object_store, s3_address, s3_errors
from spark_steps.storage.parallel import for_each
from spark_steps.tables.log_entries import COMMIT_ID, commit_of, snapshot_of
from spark_steps.tables.open_tables import COMMIT_NAME, LOG, SHARED, open_table
from spark_steps.tables.schemas import FOLDER, with_folder
from spark_steps.tables.snapshots import Commit, FileChange, Snapshot, TableChangedError
from spark_steps.tables.transactions import (
    PLANNED_SINCE,
    at_version,
    columns_to_add,
    commit_properties,
    is_outdated,
    transact_change,
    transact_columns,
)

# Imported where it is used: commands that read no table do not need it.
if TYPE_CHECKING:
    from deltalake import DeltaTable, Field

Found = TypeVar("Found")
_TRIES = 50
_LONGEST_PAUSE_SECONDS = 5.0
_PROPERTIES = {
    # No column statistics: paths and ids of photos must not be in logs and checkpoints.
    "delta.dataSkippingNumIndexedCols": "0",
    # Without checkpoints a reader would request one more file for each commit.
    "delta.checkpointInterval": "10",
    "delta.deletedFileRetentionDuration": "interval 8 days",
}
# How long the log keeps removed files and former versions: the properties, with their values where a table has none.
_RETENTIONS = {"delta.deletedFileRetentionDuration": "", "delta.logRetentionDuration": "interval 30 days"}
# deltalake 1.6.6 decodes percent escapes in a table's location, and then reads another location.
_UNUSABLE = re.compile("%[0-9A-Fa-f]{2}|[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class DeltaLog:
    """The log of one table.

    Attributes:
        root: The table's directory, a normalised location.
        schema: Its columns without ``folder``.
    """

    root: str
    schema: pa.Schema

    def snapshot(self, version: int | None = None) -> Snapshot:
        """Returns the table at a version, by default the newest; an empty snapshot if the table does not exist.

        Raises:
            FruitsError: The log cannot be read, or no longer has that version.
        """
        table, snapshot = self._ask(lambda: self._look(version))
        if table is None and version is not None:
            raise FruitsError(f"The log of {self.root} no longer has version {version}. Give a later one.")
        return snapshot

    def commit(self, change: FileChange, about: Mapping[str, str], check: Callable[[], None]) -> int:
        """Commits a change as the next version of the table, and returns its number; creates a missing table.

        A table of an earlier release first gets the columns of the schema that it lacks.

        Args:
            change: The change.
            about: Metadata of the commit; no path and no id of a photo.
            check: Called in each attempt, after the table has been read and before the commit; may raise.

        Raises:
            TableChangedError: Another process has changed one of the folders since the change was planned, or an
                erasure has invalidated all plans.
            FruitsError: Another writer committed first in every attempt; or the log cannot be written.
        """
        removed = sum(file.rows for file in change.removed) - change.kept
        added = sum(file.rows for file in change.added) - change.kept
        identity = uuid.uuid4().hex
        metadata = {**about, "rows_added": str(added), "rows_removed": str(removed), COMMIT_ID: identity}
        locations.check_exclusive_writes(self.root)
        for _ in range(_TRIES):
            table, now = self._ask(lambda: self._look(None))
            if table is None:
                self.create()
                continue
            if is_outdated(change, now):
                raise TableChangedError(f"{self.root} was changed by another run meanwhile. Run again.")
            check()
            if change.added and (columns := columns_to_add(table, self.schema)):
                self._add_columns(table, now.version, columns)
                continue

            def transact(table: "DeltaTable" = table, now: Snapshot = now) -> None:
                transact_change(table, now.version, change, metadata)

            if self._attempt(transact, lambda now=now: self._is_commit(now.version + 1, identity)):  # type: ignore[misc]
                return now.version + 1
        raise FruitsError(f"{self.root} is being written by other runs. Run again when they have ended.")

    def _add_columns(self, table: "DeltaTable", version: int, columns: list["Field"]) -> None:
        self._attempt(
            lambda: transact_columns(table, version, columns),
            lambda: not columns_to_add(self._opened()[0], self.schema),
        )

    def create(self) -> None:
        """Creates an empty table if it does not exist.

        Raises:
            FruitsError: The table cannot be created at its location.
        """
        from deltalake import Schema
        from deltalake.transaction import create_table_with_add_actions

        if self._is_there():
            return
        if _UNUSABLE.search(self.root):
            raise FruitsError(
                f"{self.root!r} has a percent sign before two hexadecimal digits, or a control character, in its name: "
                "no table can be kept there. Give the store another name."
            )
        locations.create_table_directory(self.root)

        def create() -> None:
            options = locations.object_store_options(self.root)
            with object_store.settings_from_outside_hidden(options):
                create_table_with_add_actions(
                    locations.object_store_uri(self.root),
                    Schema.from_arrow(with_folder(self.schema)),
                    [],
                    partition_by=[FOLDER],
                    name=self.root.rpartition("/")[2],
                    configuration=_PROPERTIES,
                    storage_options=options,
                    commit_properties=commit_properties({}),
                )

        # False means that another process has created the table first.
        self._attempt(create, self._is_there)

    def set_property(self, name: str, value: str, was: str | None) -> bool:
        """Sets a property of the table in a separate commit, unless another process has changed it.

        Args:
            name: The property.
            value: Its new value.
            was: The value that the caller has read before, None for none.

        Returns:
            Whether the property has the new value.
        """
        locations.check_exclusive_writes(self.root)
        for _ in range(_TRIES):
            table, now = self._opened()
            if now.property(name) == value:
                return True
            if now.property(name) != was:
                return False

            def set_it(table: "DeltaTable" = table, now: Snapshot = now) -> None:
                with at_version(table, now.version):
                    table.alter.set_table_properties(
                        {name: value}, raise_if_not_exists=False, commit_properties=commit_properties({})
                    )

            self._attempt(set_it, lambda: self.snapshot().property(name) == value)
        raise FruitsError(f"{self.root} is being written by other runs. Run again when they have ended.")

    def outdate_plans(self) -> None:
        """Prevents the commit of all changes planned before now, so that the files they would add can be deleted."""
        while not self.set_property(PLANNED_SINCE, uuid.uuid4().hex, self._opened()[1].property(PLANNED_SINCE)):
            pass

    def remember_removed(self, keep: timedelta) -> None:
        """Sets the retention of the log longer than that of removed files: both removed files and former versions.

        Then a file that the log does not name was never committed.

        Args:
            keep: How long removed files are kept.
        """
        properties = dict(self._opened()[1].properties)
        for name, default in _RETENTIONS.items():
            days = re.fullmatch(r"interval (\d+) days", properties.get(name, default))
            if days is None or int(days[1]) <= keep.days:
                self.set_property(name, f"interval {keep.days + 1} days", properties.get(name))

    def removed(self, before: datetime | None = None) -> frozenset[str]:
        """Returns the paths of the removed files that the log still names.

        Args:
            before: Only files that were removed before this time; None for all.
        """
        hours = 0 if before is None else int(max(0, (datetime.now(UTC) - before).total_seconds() / 3600))

        def look() -> frozenset[str]:
            with SHARED:
                if (table := self._look(None)[0]) is None:
                    return frozenset()
                return frozenset(table.vacuum(retention_hours=hours, dry_run=True, enforce_retention_duration=False))

        return self._ask(look)

    def history(self, limit: int | None = None) -> list[Commit]:
        """Returns the versions that the log still has, the newest first.

        deltalake's own ``history`` is not used: in 1.6.6 it finds nothing if a table's location has a space or an
        accent, and it does not count removed files.

        Args:
            limit: The most versions to return; None for all.

        Raises:
            FruitsError: The log cannot be read.
        """
        names = (info.base_name for info in locations.list_files(f"{self.root}/{LOG}"))
        versions = sorted((int(match[1]) for name in names if (match := COMMIT_NAME.fullmatch(name))), reverse=True)
        with self._errors("read"):
            return [commit for commit in for_each(self._commit, versions[:limit]) if commit]

    def _location(self, version: int) -> str:
        return f"{self.root}/{LOG}/{version:020}.json"

    def _commit(self, version: int) -> Commit | None:
        """Returns a version; None if another process has deleted its file from the log meanwhile."""
        try:
            return commit_of(version, locations.read_bytes(self._location(version)))
        except FileNotFoundError:
            return None

    def _look(self, version: int | None) -> "tuple[DeltaTable | None, Snapshot]":
        from deltalake.exceptions import TableNotFoundError

        try:
            with SHARED if locations.is_remote(self.root) else nullcontext():
                table = open_table(self.root, version)
                return table, snapshot_of(self.root, table)
        except TableNotFoundError:
            return None, Snapshot()

    def _is_there(self) -> bool:
        return self._ask(lambda: self._look(None)[0]) is not None

    def _opened(self) -> "tuple[DeltaTable, Snapshot]":
        table, now = self._ask(lambda: self._look(None))
        if table is None:
            raise FruitsError(f"The table {self.root} is gone. Run again.")
        return table, now

    def _is_commit(self, version: int, identity: str) -> bool:
        """Returns whether a version was committed with the given id."""
        try:
            with self._errors("read"):
                return f'"{COMMIT_ID}":"{identity}"'.encode() in locations.read_bytes(self._location(version))
        except FileNotFoundError:
            return False

    def _ask(self, question: Callable[[], Found]) -> Found:
        """Returns what a function reads from the log; retries it if the response of S3 broke off."""
        return _patiently(lambda: self._asked(question))

    def _asked(self, question: Callable[[], Found]) -> Found:
        with self._errors("read"):
            return question()

    def _attempt(self, transaction: Callable[[], None], is_done: Callable[[], bool]) -> bool:
        """Runs a transaction and returns whether it was committed; False if another process committed first.

        Args:
            transaction: The transaction; retried if S3 did not respond.
            is_done: Returns whether it was committed; called if the outcome of the transaction is unknown.
        """
        from deltalake.exceptions import CommitFailedError, DeltaError

        def attempt() -> bool:
            try:
                with self._errors("written"):
                    try:
                        transaction()
                    except CommitFailedError:
                        return is_done()
                    except DeltaError as error:
                        # deltalake has no error type for creating a table that another process has just created.
                        if re.search("already exists|Version already exists", str(error)):
                            return is_done()
                        raise
            except FruitsError:
                # The response was lost, or a step after the commit has failed, such as a checkpoint.
                if is_done():
                    return True
                raise
            return True

        return _patiently(attempt)

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        from deltalake.exceptions import DeltaError

        try:
            with locations.translate_errors(self.root):
                yield
        except FileNotFoundError:
            raise
        except (DeltaError, ValueError, OSError) as error:
            raise FruitsError(
                f"The log of {self.root} cannot be {done}: {s3_errors.plain(error)}. Check the permissions of {LOG} "
                "there; if it is damaged, take the table from a backup, or delete its directory and run again."
            ) from error


def _patiently(ask: Callable[[], Found]) -> Found:
    for number in range(1, s3_address.ATTEMPTS):
        try:
            return ask()
        except FruitsError as error:
            if not s3_errors.broke_off(error):
                raise
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE_SECONDS, 0.1 * 2**number)))  # noqa: S311
    return ask()
