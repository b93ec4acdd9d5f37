"""Totals of tables from the footers of their files: no row is read, and a process opens each file at most once."""

from collections.abc import Mapping, Sequence

import pyarrow.parquet as pq

from spark_steps.storage import locations
from spark_steps.storage.parallel import for_each
from spark_steps.tables.folder_table import DataFile, FolderTable
from spark_steps.tables.totals import Totals, read_totals, sum_of

FilesByFolder = Mapping[str, Sequence[DataFile]]
# The totals of one file of features take 10 kB.
_MOST_KNOWN = 20_000
_KNOWN: dict[tuple[str, str], Totals] = {}


def files_by_folder(table: FolderTable) -> FilesByFolder:
    """Returns the files of each folder of a table, from one snapshot."""
    found: dict[str, list[DataFile]] = {}
    for file in table.files():
        found.setdefault(file.folder, []).append(file)
    return found


def table_totals(table: FolderTable, files: FilesByFolder) -> dict[str, Totals]:
    """Returns the totals of the rows of each folder."""

    def of_files(of_folder: Sequence[DataFile]) -> Totals:
        return sum_of(_of_file(table, file) for file in of_folder)

    with locations.translate_errors(table.root):
        return dict(zip(files, for_each(of_files, files.values()), strict=True))


def _of_file(table: FolderTable, file: DataFile) -> Totals:
    # File names are never used again, so cached totals stay valid.
    known = _KNOWN.get((table.root, file.path))
    if known is not None:
        return known
    with table.reading(file) as opened:
        return remember(table, file, opened)


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
    return sum_of(_of_file(table, file) for file in files).max_pixels
