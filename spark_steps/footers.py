"""Totals of tables, from the footers of their files: no row is read."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from spark_steps import s3
from spark_steps.tables import DataFile, FolderTable
from spark_steps.totals import Totals, read_totals, sum_of

FilesByFolder = Mapping[str, Sequence[DataFile]]
_FILES_AT_A_TIME = 16


def files_by_folder(table: FolderTable) -> FilesByFolder:
    """Returns the files of each folder that has some, from one listing of the whole table."""
    found: dict[str, list[DataFile]] = {}
    for file in table.files():
        found.setdefault(file.folder, []).append(file)
    return found


def table_totals(table: FolderTable, files: FilesByFolder) -> dict[str, Totals]:
    """Returns the totals of the rows of each folder."""

    def of_files(of_folder: Sequence[DataFile]) -> Totals:
        return sum_of(read_totals(table.open(file)) for file in of_folder)

    with s3.in_sentences(table.root), ThreadPoolExecutor(_FILES_AT_A_TIME) as pool:
        return dict(zip(files, pool.map(of_files, files.values()), strict=True))


def folder_totals(table: FolderTable) -> dict[str, Totals]:
    """Returns the totals of the rows of each folder that has some."""
    return table.while_unchanged(lambda: table_totals(table, files_by_folder(table)))
