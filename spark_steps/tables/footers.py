"""Totals of tables from the footers of their files: no row is read, and a process opens each file at most once."""

from collections.abc import Mapping, Sequence
from itertools import islice

import pyarrow.parquet as pq

from spark_steps.storage import locations
from spark_steps.storage.parallel import for_each_unknown
from spark_steps.tables.folder_table import DataFile, FolderTable
from spark_steps.tables.totals import Totals, read_totals, sum_of

FilesByFolder = Mapping[str, Sequence[DataFile]]
# The totals of one file of features take 10 kB.
_MOST_KNOWN = 20_000
# By table and file; names of files are never used again.
_KNOWN: dict[tuple[str, str], Totals] = {}


def files_by_folder(table: FolderTable) -> FilesByFolder:
    """Returns the files of each folder of a table, from one snapshot."""
    found: dict[str, list[DataFile]] = {}
    for file in table.files():
        found.setdefault(file.folder, []).append(file)
    return found


def table_totals(table: FolderTable, files: FilesByFolder) -> dict[str, Totals]:
    """Returns the totals of the rows of each folder."""
    totals = iter(_of_files(table, [file for of_folder in files.values() for file in of_folder]))
    return {folder: sum_of(islice(totals, len(of_folder))) for folder, of_folder in files.items()}


def _of_files(table: FolderTable, files: Sequence[DataFile]) -> list[Totals]:
    def read(file: DataFile) -> Totals:
        with table.reading(file) as opened:
            return read_totals(opened)

    with locations.translate_errors(table.root):
        return for_each_unknown(_KNOWN, _MOST_KNOWN, lambda file: (table.root, file.path), read, files)


def remember(table: FolderTable, file: DataFile, opened: pq.ParquetFile) -> Totals:
    """Returns the totals of an open file, and caches them; for callers that have opened it for another purpose."""
    if len(_KNOWN) >= _MOST_KNOWN:
        _KNOWN.clear()
    totals = _KNOWN[table.root, file.path] = read_totals(opened)
    return totals


def folder_totals(table: FolderTable) -> dict[str, Totals]:
    """Returns the totals of each folder of a table."""
    return table.while_unchanged(lambda: table_totals(table, files_by_folder(table)))


def max_pixels_of(table: FolderTable, files: Sequence[DataFile]) -> frozenset[int]:
    """Returns the limits under which the photos of some files were decoded, for a file that takes their rows over."""
    return sum_of(_of_files(table, files)).max_pixels
