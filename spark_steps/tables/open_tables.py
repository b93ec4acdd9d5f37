"""Opens Delta tables with deltalake; tables in S3 stay open for as long as their credentials are current.

Opening a table takes several requests, and two more for each commit since the last checkpoint of its log. For an open
table, one listing of the newest names in its log shows whether it has changed.
"""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from spark_steps.storage import locations, object_store

# Imported where it is used: commands that read no table do not need it.
if TYPE_CHECKING:
    from deltalake import DeltaTable

LOG = "_delta_log"
Made = TypeVar("Made")
COMMIT_NAME = re.compile(r"(\d{20})\.json")
_MOST_KEPT = 16


@dataclass
class _OpenTable:
    """An open table in S3.

    Attributes:
        table: The table object, at some version.
        options: The storage options that it was opened with.
        newest: The tag of that version's commit, None if it is not known yet.
        made: The cached result of ``once_a_version``: the version, and what was made from it.
    """

    table: "DeltaTable"
    options: dict[str, str]
    newest: str | None = None
    made: tuple[int, Any] | None = None


_KEPT: dict[str, _OpenTable] = {}
# Lock of the open tables: no thread updates a table object while another thread uses it.
SHARED = threading.RLock()


def open_table(root: str, version: int | None = None) -> "DeltaTable":
    """Opens a table.

    Args:
        root: The table's directory, a normalised location.
        version: The version; None for the newest. For a table in S3 all callers share the newest table object.

    Raises:
        TableNotFoundError: (of deltalake) There is no table.
        FruitsError: There are no credentials.
    """
    options = locations.object_store_options(root)
    # Tables on the local disk are opened each time: the folder may be deleted and another store made in its place.
    return _newest(root, options) if locations.is_remote(root) and version is None else _opened(root, version, options)


def once_a_version(root: str, table: "DeltaTable", make: Callable[[], Made]) -> Made:
    """Returns the result of a function of a table; for an open table it is cached until the version changes.

    Args:
        root: The table's directory, a normalised location.
        table: The table object.
        make: The function.
    """
    kept = _KEPT.get(root)
    if kept is None or kept.table is not table:
        return make()
    if kept.made is None or kept.made[0] != table.version():
        kept.made = table.version(), make()
    made: Made = kept.made[1]
    return made


def _opened(root: str, version: int | None, options: dict[str, str]) -> "DeltaTable":
    from deltalake import DeltaTable

    with object_store.settings_from_outside_hidden(options):
        return DeltaTable(locations.object_store_uri(root), version, storage_options=options)


def _newest(root: str, options: dict[str, str]) -> "DeltaTable":
    with SHARED:
        kept = _KEPT.pop(root, None)
        if kept is not None and kept.options == options and _brought_up_to_date(root, kept):
            _KEPT[root] = kept
            return kept.table
        if len(_KEPT) >= _MOST_KEPT:
            _KEPT.clear()
        return _KEPT.setdefault(root, _OpenTable(_opened(root, None, options), options)).table


def _brought_up_to_date(root: str, kept: _OpenTable) -> bool:
    """Updates an open table to its newest version; returns False if it is gone or was replaced by another table."""
    version = kept.table.version()
    commits = _commits_since(root, version)
    if version not in commits or kept.newest not in (None, commits[version]):
        return False
    if max(commits) > version:
        kept.table.update_incremental()
    kept.newest = commits.get(kept.table.version())
    return True


def _commits_since(root: str, version: int) -> dict[int, str]:
    """Returns the tags of the commits of a version and of later ones, by version: at most one page of a listing."""
    found = locations.tags_after(root, f"{LOG}/{version:020}.")
    return {int(match[1]): tag for name, tag in found.items() if (match := COMMIT_NAME.fullmatch(name))}
