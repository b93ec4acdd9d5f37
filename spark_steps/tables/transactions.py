"""Transactions of deltalake, committed only on the version that a change was checked against."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spark_steps.tables.open_tables import SHARED
from spark_steps.tables.schemas import FOLDER
from spark_steps.tables.snapshots import FileChange, Snapshot

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable, Field


@contextmanager
def at_version(table: "DeltaTable", version: int) -> Iterator[None]:
    """Keeps a table object at the version that a transaction was checked against, while the block runs.

    Raises:
        CommitFailedError: (of deltalake) The table object is at another version already.
    """
    from deltalake.exceptions import CommitFailedError

    with SHARED:
        # Another thread of this process may have updated the shared table object since.
        if table.version() != version:
            raise CommitFailedError(f"version {version} is no longer the newest")
        yield


def transact_change(table: "DeltaTable", version: int, change: FileChange, about: Mapping[str, str]) -> None:
    """Commits a change on a version of a table; deltalake attempts it once and never rebases it."""
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


def columns_to_add(table: "DeltaTable", schema: "pa.Schema") -> list["Field"]:
    """Returns the columns of a schema that a table does not have yet: an earlier release has created it.

    Args:
        table: The table.
        schema: The columns that it is to have.
    """
    from deltalake import Schema

    known = {field.name for field in table.schema().fields}
    return [field for field in Schema.from_arrow(schema).fields if field.name not in known]


def transact_columns(table: "DeltaTable", version: int, columns: list["Field"]) -> None:
    """Adds columns to a version of a table, whose files stay: their rows have null there.

    It is a commit of its own, because deltalake changes the schema in a transaction of files only where that replaces
    all files.
    """
    with at_version(table, version):
        table.alter.add_columns(columns, commit_properties=commit_properties({}))


def commit_properties(about: Mapping[str, str]) -> "CommitProperties":
    """Returns the properties of a commit: its metadata, and no retry."""
    from deltalake import CommitProperties

    return CommitProperties(custom_metadata=dict(about), max_commit_retries=0)


# A table property. A change planned while it had another value must be planned again, whichever folders it changes.
PLANNED_SINCE = "fruits.plannedSince"


def is_outdated(change: FileChange, now: Snapshot) -> bool:
    """Returns whether a change can no longer be committed as planned.

    Args:
        change: The change.
        now: The table's newest snapshot.
    """
    if now.property(PLANNED_SINCE) != change.base.property(PLANNED_SINCE):
        return True
    if any(now.paths(folder) != change.base.paths(folder) for folder in change.folders):
        return True
    # A caller may have looked up the removed files before it took the base snapshot, so the check above is not enough.
    return any(file.path not in now.paths(file.folder) for file in change.removed)
