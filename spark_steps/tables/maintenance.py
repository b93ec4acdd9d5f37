"""A table kept in order: small files merged, and files deleted that are the table no more.

Not by deltalake's ``optimize``, which writes no totals into a file's footer, so that each look at the table would
read all features; nor by its ``vacuum``, which keeps what a killed writer has left for as long as replaced files, and
deletes these again and again as long as the log names them.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain

import pyarrow as pa

from spark_steps.storage import locations
from spark_steps.tables.deferred_rows import write_file
from spark_steps.tables.folder_table import DataFile, FolderTable, TableChange, TableChangedError
from spark_steps.tables.schemas import by_folder

# No task takes that long: a file that was never committed is then that of a process that was killed.
LEFT_OVER_AFTER = timedelta(days=1)
# 64 MB are 13,000 photos' features, which one thread reads and writes in a second.
_SMALL_BYTES = 64 << 20
_ROWS_AT_A_TIME = 4096


@dataclass(frozen=True)
class MaintenanceLimits:
    """How a table is kept.

    Attributes:
        keep: For how long replaced files stay, so that former versions can be read.
        most_files: Small files of a folder; where there are more, they are merged.
    """

    keep: timedelta = timedelta(days=7)
    most_files: int = 20


def maintain(table: FolderTable, folders: Collection[str], limits: MaintenanceLimits, about: Mapping[str, str]) -> None:
    """Merges the small files of folders that have too many, and deletes what has been replaced for long enough.

    Another process that changes a folder in the same moment is let be: the next run comes here too.

    Args:
        table: The table.
        folders: Those that have just been written.
        limits: How it is kept.
        about: What the log is to say, such as the run.
    """
    for files in by_folder(table.files(folders), folders).values():
        small = [file for file in files if file.size < _SMALL_BYTES]
        if len(small) > limits.most_files:
            compact(table, small, about)
    vacuum(table, limits.keep)


def compact(table: FolderTable, files: Iterable[DataFile], about: Mapping[str, str]) -> bool:
    """Merges files of one folder into one, the rows as they are; returns whether nobody else changed it meanwhile.

    Args:
        table: The table.
        files: The files.
        about: What the log is to say, such as the run.
    """
    merged, base = list(files), table.snapshot()

    def rows(file: DataFile) -> Iterator[pa.RecordBatch]:
        with table.reading(file) as opened:
            for batch in opened.iter_batches(_ROWS_AT_A_TIME, columns=table.schema.names):
                # The old file's totals are among the schema's metadata.
                yield batch.replace_schema_metadata(None)

    folder = merged[0].folder
    try:
        new = write_file(table.root, folder, chain.from_iterable(map(rows, merged)))
        change = TableChange(base, None, merged, frozenset([folder]), kept=new.rows)
        table.commit([new], change, {**about, "change": "compact"})
    except TableChangedError:
        return False
    return True


def uncommitted_files(table: FolderTable) -> dict[str, datetime]:
    """Returns the files that were never committed, or not yet, and when each was written."""
    # In this order: what is committed after the listing is then in the log.
    listed = table.listing()
    named = _named(table)
    return {path: written for path, written in listed.items() if path not in named}


def delete_uncommitted(table: FolderTable, paths: Iterable[str]) -> list[str]:
    """Deletes those of some files that were never committed, and never will be; returns their paths.

    Args:
        table: The table.
        paths: The files. A change to which one belongs was planned before it was written; it is planned anew.
    """
    if not (left := set(paths) - _named(table)):
        return []
    table.log.outdate_plans()
    gone = sorted(left - _named(table))
    locations.delete_files(table.root, gone)
    return gone


def _named(table: FolderTable) -> frozenset[str]:
    """Returns the files that the table's log names, present or removed."""
    return table.log.removed().union(file.path for file in table.files())


def vacuum(table: FolderTable, keep: timedelta) -> list[str]:
    """Deletes files that were replaced longer ago than some time, and those of writers that were killed a day ago.

    It takes one listing of the table, in S3 a request for 1,000 files, and a deletion of as many where there are some.

    Args:
        table: The table.
        keep: For how long replaced files stay.

    Returns:
        The paths of the deleted files.
    """
    now, listed = datetime.now(UTC), table.listing()
    present = {file.path for file in table.files()}
    # A file is older than its replacement.
    old = {path for path, at in listed.items() if path not in present and now - at > min(keep, LEFT_OVER_AFTER)}
    if not old:
        return []
    table.log.remember_removed(keep)
    due = sorted(old & table.log.removed(now - keep))
    locations.delete_files(table.root, due)
    # Those of one write together: a long one still writes when its first files are old.
    newest: dict[str, datetime] = {}
    for path, at in listed.items():
        newest[_write_of(path)] = max(at, newest.get(_write_of(path), at))
    left = [path for path in old - table.log.removed() if now - newest[_write_of(path)] > LEFT_OVER_AFTER]
    return due + delete_uncommitted(table, left)


def _write_of(path: str) -> str:
    """Returns how the names of the files of a write begin."""
    return "-".join(path.split("-")[:2])
