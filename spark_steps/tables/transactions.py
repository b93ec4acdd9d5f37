"""Transactions of deltalake, made on the very version that a change was checked against."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spark_steps.tables.open_tables import SHARED
from spark_steps.tables.schemas import FOLDER
from spark_steps.tables.snapshots import FileChange, Snapshot

if TYPE_CHECKING:
    pass
if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable


@contextmanager
def at_version(table: "DeltaTable", version: int) -> Iterator[None]:
    """Holds a table at the version that a transaction was checked against."""
    from deltalake.exceptions import CommitFailedError

    with SHARED:
        # Another thread of this process may have brought it up to date since.
        if table.version() != version:
            raise CommitFailedError(f"version {version} is no longer the newest")
        yield


def transact_change(table: "DeltaTable", version: int, change: FileChange, about: Mapping[str, str]) -> None:
    """Commits a change on a version of a table; deltalake tries it once and never rebases it."""
    from deltalake.transaction import AddAction, RemoveAction

    now = int(time.time() * 1000)
    actions: list[AddAction | RemoveAction] = [
        RemoveAction(file.path, True, now, file.size, {FOLDER: file.folder}) for file in change.removed
    ]
    actions += [
        AddAction(file.path, file.size, {FOLDER: file.folder}, now, True, json.dumps({"numRecords": file.rows}))
        for file in change.added
    ]
    properties = commit_properties(about)
    with at_version(table, version):
        table.create_write_transaction(actions, "append", table.schema(), [FOLDER], commit_properties=properties)


def commit_properties(about: Mapping[str, str]) -> "CommitProperties":
    """Returns what a commit is made with: its metadata, and no second try."""
    from deltalake import CommitProperties

    return CommitProperties(custom_metadata=dict(about), max_commit_retries=0)


# A change that was planned when this was another has to be planned anew, whatever folder it changes.
PLANNED_SINCE = "fruits.plannedSince"


def is_outdated(change: FileChange, now: Snapshot) -> bool:
    """Returns whether a change can no longer be made as it was planned."""
    if now.property(PLANNED_SINCE) != change.base.property(PLANNED_SINCE):
        return True
    if any(now.paths(folder) != change.base.paths(folder) for folder in change.folders):
        return True
    # Of a caller who has found the files before the table that it names.
    return any(file.path not in now.paths(file.folder) for file in change.removed)
