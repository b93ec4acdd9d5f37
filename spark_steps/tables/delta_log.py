"""The log of a Delta table: which files are the table at each version, read and written by deltalake, without a JVM.

A commit is made only on the very version that it was checked against. deltalake would else put an append on top of what
others have committed meanwhile, and of two runs that add the same photos both would.

Each commit has an id. Where S3 does not answer, the log tells by that id whether the commit was made.
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
from spark_steps.tables.transactions import PLANNED_SINCE, at_version, commit_properties, is_outdated, transact_change

# Imported where it is used: the commands that read no table do without.
if TYPE_CHECKING:
    from deltalake import DeltaTable

Found = TypeVar("Found")
_TRIES = 50
_LONGEST_PAUSE_SECONDS = 5.0
_PROPERTIES = {
    # No least and greatest value of any column: paths and ids of photos are in no log, checkpoint or statistic.
    "delta.dataSkippingNumIndexedCols": "0",
    # Without a checkpoint a reader asks for one file more with each commit.
    "delta.checkpointInterval": "10",
    "delta.deletedFileRetentionDuration": "interval 8 days",
}
# For how long the log names removed files, and former versions, where its properties do not say.
_RETENTIONS = {"delta.deletedFileRetentionDuration": "", "delta.logRetentionDuration": "interval 30 days"}
# deltalake decodes an escape in a table's location, and then looks for another one (1.6.6).
_UNUSABLE = re.compile("%[0-9A-Fa-f]{2}|[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class DeltaLog:
    """The log of one table.

    Attributes:
        root: The table's directory, a normalised location.
        schema: Its columns, ``folder`` left out.
    """

    root: str
    schema: pa.Schema

    def snapshot(self, version: int | None = None) -> Snapshot:
        """Returns the table as it is now, or was at a version; an empty one where there is none.

        Raises:
            FruitsError: The log cannot be read, or no longer has that version.
        """
        table, snapshot = self._ask(lambda: self._look(version))
        if table is None and version is not None:
            raise FruitsError(f"The log of {self.root} no longer has version {version}. Give a later one.")
        return snapshot

    def commit(self, change: FileChange, about: Mapping[str, str], check: Callable[[], None]) -> int:
        """Makes a change the next version of the table, and returns its number; a missing table is created.

        Args:
            change: The change.
            about: What the log is to say of it; no path and no id of a photo.
            check: Called after the table has been read and before the commit, each time; may raise.

        Raises:
            TableChangedError: Another process has changed one of the folders since the change was planned, or an
                erasure has made all plans out of date.
            FruitsError: Other writers were first, each time; or the log cannot be written.
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

            def transact(table: "DeltaTable" = table, now: Snapshot = now) -> None:
                transact_change(table, now.version, change, metadata)

            if self._attempt(transact, lambda now=now: self._is_commit(now.version + 1, identity)):  # type: ignore[misc]
                return now.version + 1
        raise FruitsError(f"{self.root} is being written by other runs. Run again when they have ended.")

    def create(self) -> None:
        """Creates the table, without a row, where there is none.

        Raises:
            FruitsError: It cannot be created there.
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

        # Where it returns False, another process was first.
        self._attempt(create, self._is_there)

    def set_property(self, name: str, value: str, was: str | None) -> bool:
        """Sets a property of the table in a commit of its own, unless another process has changed it.

        Args:
            name: The property.
            value: Its new value.
            was: The value that it had when that was decided, None for none.

        Returns:
            Whether it has the new value.
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
        """Lets no change be committed that was planned before now: a file that it would add may then be deleted."""
        while not self.set_property(PLANNED_SINCE, uuid.uuid4().hex, self._opened()[1].property(PLANNED_SINCE)):
            pass

    def remember_removed(self, keep: timedelta) -> None:
        """Lets the log name removed files, and former versions, for longer than removed files are kept.

        A file that it does not name was never committed.

        Args:
            keep: For how long they are kept.
        """
        properties = dict(self._opened()[1].properties)
        for name, default in _RETENTIONS.items():
            days = re.fullmatch(r"interval (\d+) days", properties.get(name, default))
            if days is None or int(days[1]) <= keep.days:
                self.set_property(name, f"interval {keep.days + 1} days", properties.get(name))

    def removed(self, before: datetime | None = None) -> frozenset[str]:
        """Returns the paths of files that are the table no more, as far back as its log tells.

        Args:
            before: Only those that were removed before that; None for all.
        """
        hours = 0 if before is None else int(max(0, (datetime.now(UTC) - before).total_seconds() / 3600))

        def look() -> frozenset[str]:
            with SHARED:
                if (table := self._look(None)[0]) is None:
                    return frozenset()
                return frozenset(table.vacuum(retention_hours=hours, dry_run=True, enforce_retention_duration=False))

        return self._ask(look)

    def history(self, limit: int | None = None) -> list[Commit]:
        """Returns the versions that the log tells of, the newest first.

        Not by deltalake's own ``history``, which finds nothing where a table's location has a space or an accent
        (1.6.6), and knows no removed files.

        Args:
            limit: Only so many; None for all.

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
        """Returns a version, None where another process has cleaned up its part of the log meanwhile."""
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
        """Returns whether a version is the commit with some id."""
        try:
            with self._errors("read"):
                return f'"{COMMIT_ID}":"{identity}"'.encode() in locations.read_bytes(self._location(version))
        except FileNotFoundError:
            return False

    def _ask(self, question: Callable[[], Found]) -> Found:
        """Returns what is read of the log; asked again where an answer of S3 broke off."""
        return _patiently(lambda: self._asked(question))

    def _asked(self, question: Callable[[], Found]) -> Found:
        with self._errors("read"):
            return question()

    def _attempt(self, transaction: Callable[[], None], is_done: Callable[[], bool]) -> bool:
        """Returns whether a transaction was committed; False where another process was first.

        Args:
            transaction: Called again where S3 has not answered.
            is_done: Whether it was committed, asked where its answer does not tell.
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
                        # Creating a table that another process has just created has no error of its own.
                        if re.search("already exists|Version already exists", str(error)):
                            return is_done()
                        raise
            except FruitsError:
                # The answer was lost, or what follows a commit has failed, such as a checkpoint.
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
