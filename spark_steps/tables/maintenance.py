"""Maintenance of a table: merges small files, and deletes files that no longer belong to it.

deltalake's ``optimize`` is not used: it writes no totals into the footers, so every summary of the table would read all
features. Its ``vacuum`` is not used: it keeps the files of killed writers for as long as replaced files, and deletes
replaced files again and again as long as the log names them.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain

from spark_steps.storage import locations
from spark_steps.tables.deferred_rows import write_file
from spark_steps.tables.folder_table import DataFile, FolderTable, TableChange, TableChangedError
from spark_steps.tables.footers import max_pixels_of
from spark_steps.tables.schemas import by_folder

# No task takes that long: an uncommitted file of this age was left by a killed process.
LEFT_OVER_AFTER = timedelta(days=1)
# 64 MB hold the features of 13,000 photos, which one thread reads and writes in a second.
_SMALL_BYTES = 64 << 20


@dataclass(frozen=True)
class MaintenanceLimits:
    """Limits of the maintenance of a table.

    Attributes:
        keep: How long replaced files are kept, so that former versions can be read.
        most_files: Small files that a folder may have before they are merged.
    """

    keep: timedelta = timedelta(days=7)
    most_files: int = 20


def maintain(table: FolderTable, folders: Collection[str], limits: MaintenanceLimits, about: Mapping[str, str]) -> None:
    """Merges small files of folders that have too many, and deletes files that were replaced longer ago than ``keep``.

    A folder that another process changes at the same time is skipped; the next run merges its files.

    Args:
        table: The table.
        folders: The folders that have just been written.
        limits: The limits.
        about: Metadata of the commits, such as the run.
    """
    for files in by_folder(table.files(folders), folders).values():
        small = [file for file in files if file.size < _SMALL_BYTES]
        if len(small) > limits.most_files:
            compact(table, small, about)
    vacuum(table, limits.keep)


def compact(table: FolderTable, files: Iterable[DataFile], about: Mapping[str, str]) -> bool:
    """Merges files of one folder into one file, with the same rows.

    Args:
        table: The table.
        files: The files.
        about: Metadata of the commit, such as the run.

    Returns:
        False if another process changed the folder meanwhile and nothing was merged.
    """
    merged, base = list(files), table.snapshot()
    folder = merged[0].folder
    try:
        every = chain.from_iterable(map(table.batches, merged))
        new = write_file(table.root, folder, every, max_pixels=max_pixels_of(table, merged))
        change = TableChange(base, None, merged, frozenset([folder]), kept=new.rows)
        table.commit([new], change, {**about, "change": "compact"})
    except TableChangedError:
        return False
    return True


def uncommitted_files(table: FolderTable) -> dict[str, datetime]:
    """Returns the modification times of the files that were never committed, or are not committed yet, by path."""
    # List the files first: a file that is committed after the listing is then found in the log.
    listed = table.listing()
    named = _named(table)
    return {path: written for path, written in listed.items() if path not in named}


def delete_uncommitted(table: FolderTable, paths: Iterable[str]) -> list[str]:
    """Deletes those of the given files that were never committed, and prevents their commit.

    Args:
        table: The table.
        paths: The files. A change that would add one of them was planned before the file was written. Its commit is
            refused, and it must be planned again.

    Returns:
        The paths of the deleted files.
    """
    if not (left := set(paths) - _named(table)):
        return []
    table.log.outdate_plans()
    gone = sorted(left - _named(table))
    locations.delete_files(table.root, gone)
    return gone


def _named(table: FolderTable) -> frozenset[str]:
    """Returns the paths of the files that the table's log names, present or removed."""
    return table.log.removed().union(file.path for file in table.files())


def vacuum(table: FolderTable, keep: timedelta) -> list[str]:
    """Deletes files that were replaced longer than ``keep`` ago, and files that killed writers left over a day ago.

    It lists the table once: in S3 one request for every 1,000 files. A deletion takes one request for as many files.

    Args:
        table: The table.
        keep: How long replaced files are kept.

    Returns:
        The paths of the deleted files.
    """
    now, listed = datetime.now(UTC), table.listing()
    present = {file.path for file in table.files()}
    # A file was written before it was replaced, so a young file need not be looked up in the log.
    old = {path for path, at in listed.items() if path not in present and now - at > min(keep, LEFT_OVER_AFTER)}
    if not old:
        return []
    table.log.remember_removed(keep)
    due = sorted(old & table.log.removed(now - keep))
    locations.delete_files(table.root, due)
    # Judge all files of one write by its newest file: a long write may still be running when its first files are old.
    newest: dict[str, datetime] = {}
    for path, at in listed.items():
        newest[_write_of(path)] = max(at, newest.get(_write_of(path), at))
    left = [path for path in old - table.log.removed() if now - newest[_write_of(path)] > LEFT_OVER_AFTER]
    return due + delete_uncommitted(table, left)


def _write_of(path: str) -> str:
    """Returns the prefix that the names of all files of one write share."""
    return "-".join(path.split("-")[:2])
