"""The history of a store, and the store as it was at a former moment, from the logs of its tables."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from spark_steps.errors import CalledWronglyError, FruitsError
from spark_steps.store.store import IMAGES_PROPERTY, Moment, Store
from spark_steps.tables.snapshots import Commit
from spark_steps.tables.transactions import PLANNED_SINCE

_VERSION = re.compile(r"(?:(\w+)@)?(\d{1,18})")
_NUMBER = re.compile(r"\d{1,18}")
_OPERATIONS = {
    "CREATE TABLE": "created",
    "WRITE": "written",
    "SET TBLPROPERTIES": "properties set",
    "ADD COLUMN": "columns added",
    "OPTIMIZE": "compacted",
    "RESTORE": "restored",
}
# Names of the changes that this platform writes into the metadata of its WRITE commits.
_CHANGES = {"compact": "compacted", "convert": "converted", "drop": "folders dropped", "erase": "erased"}


@dataclass(frozen=True)
class Change:
    """A version of a table of a store.

    Attributes:
        table: The table's name.
        commit: The version's commit.
    """

    table: str
    commit: Commit

    @property
    def what(self) -> str:
        """The change in plain words."""
        operation, about = self.commit.operation, self.commit.about
        if (images := self._properties().get(IMAGES_PROPERTY)) is not None:
            return f"images root set to {images}"
        if PLANNED_SINCE in self._properties():
            return "unfinished writes refused"
        return _CHANGES.get(about.get("change", ""), _OPERATIONS.get(operation, operation.lower() or "unknown"))

    def _properties(self) -> dict[str, str]:
        with suppress(ValueError):
            properties = json.loads(self.commit.parameters.get("properties", "{}"))
            if self.commit.operation == "SET TBLPROPERTIES" and isinstance(properties, dict):
                return properties
        return {}

    @property
    def rows_added(self) -> int | None:
        """Number of rows that are new or have changed; None if another program made the commit and left it out."""
        return self._rows("rows_added")

    @property
    def rows_removed(self) -> int | None:
        """Number of rows that are gone or have changed; None if another program made the commit and left it out."""
        return self._rows("rows_removed")

    def _rows(self, name: str) -> int | None:
        if not self.commit.files_added and not self.commit.files_removed:
            return 0
        value = self.commit.about.get(name, "")
        return int(value) if _NUMBER.fullmatch(value) else None


def history(store: Store, limit: int | None = None) -> list[Change]:
    """Returns the versions of all tables of a store that their logs still have, the newest first.

    Args:
        store: The store.
        limit: The most versions to return; None for all.

    Raises:
        FruitsError: There is no store, or a log cannot be read.
    """
    changes = [Change(name, commit) for name, table in store.tables.items() for commit in table.log.history(limit)]
    if not changes:
        # Raises a FruitsError with the remedy if this is a store of an earlier release.
        store.raw_images.snapshot()
        raise FruitsError(
            f"There is no store at {store.root}, or no table in it. Make one: fruits run --images DIR --store "
            f"{store.root}"
        )
    order = list(store.tables)
    ordered = sorted(changes, key=lambda one: (one.commit.at, order.index(one.table), one.commit.version), reverse=True)
    return ordered[:limit]


def as_it_was(store: Store, text: str) -> Store:
    """Returns a store as it was at a given moment.

    Args:
        store: The store.
        text: A time in ISO 8601, UTC unless it has an offset; or a version such as ``raw_images@3``, which stands for
            the time of its commit. A number alone is a version of reduced_features.

    Raises:
        CalledWronglyError: The text is neither a time nor a version, or the time is in the future.
        FruitsError: There is no such version, or no longer; or the store is younger.
    """
    version = _VERSION.fullmatch(text)
    table = (version[1] or "reduced_features") if version else ""
    if version and table not in store.tables:
        raise CalledWronglyError(f"There is no table {table!r}. Name one of {', '.join(store.tables)}.")
    moment = None if version else _moment_of(text)
    commits: dict[str, list[Commit]] = {name: [] for name in store.tables}
    for one in history(store):
        commits[one.table].append(one.commit)
    # Sort by version and not by time: the clock of a writer may be wrong.
    commits = {name: sorted(of_table, key=lambda one: -one.version) for name, of_table in commits.items()}
    named = _commit(store, table, int(version[2]), commits[table]) if version else None
    at = named.at if named else moment
    assert at is not None  # noqa: S101
    versions = {name: _version_at(store, name, of_table, at) for name, of_table in commits.items()}
    if named:
        versions[table] = named.version
    if max(versions.values()) < 0:
        first = min(one.at for of_table in commits.values() for one in of_table)
        raise FruitsError(
            f"The store {store.root} is younger than that: its first table was created at "
            f"{first:%Y-%m-%d %H:%M:%S} UTC. Give a later moment."
        )
    return replace(store, as_of=Moment(at, tuple(versions.items())))


def _moment_of(text: str) -> datetime:
    try:
        given = datetime.fromisoformat(text)
        moment = (given if given.tzinfo else given.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise CalledWronglyError(
            f"{text!r} is no moment. Give a time, such as 2026-07-30, 2026-07-30T18:05:00 (UTC) or "
            "2026-07-30T18:05:00+02:00, or a version, such as raw_images@3."
        ) from error
    if moment > datetime.now(UTC):
        raise CalledWronglyError(f"{text} lies in the future. Without a moment the store is read as it is now.")
    # The history lists times to the second. A time copied from there must include commits within that second.
    return moment if moment.microsecond else moment + timedelta(seconds=1, microseconds=-1)


def _commit(store: Store, table: str, version: int, commits: Sequence[Commit]) -> Commit:
    found = next((one for one in commits if one.version == version), None)
    if found is not None:
        return found
    if not commits:
        raise FruitsError(f"There is no table {table} in {store.root} yet, so it has no version {version}.")
    if version < commits[-1].version:
        raise _cleaned_up(store, table, commits[-1])
    raise FruitsError(
        f"There is no version {version} of {table} in {store.root}: the newest is {commits[0].version}. All are listed "
        f"by: fruits history {store.option}"
    )


def _version_at(store: Store, table: str, commits: Sequence[Commit], moment: datetime) -> int:
    version = next((one.version for one in commits if one.at <= moment), -1)
    if version < 0 and commits and commits[-1].version > 0:
        raise _cleaned_up(store, table, commits[-1])
    return version


def _cleaned_up(store: Store, table: str, oldest: Commit) -> FruitsError:
    return FruitsError(
        f"The log of {table} in {store.root} no longer reaches back to that: its older part was cleaned up, and begins "
        f"with version {oldest.version}, of {oldest.at:%Y-%m-%d %H:%M:%S} UTC. Give a later moment or version."
    )
