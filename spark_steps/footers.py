"""A table as its files' names and footers tell it: what a look at it takes, and no row is read."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

from pyarrow import fs

from spark_steps import s3, storage
from spark_steps.schemas import FOLDER
from spark_steps.tables import FolderTable
from spark_steps.totals import Totals, read_totals, sum_of

Listing = Mapping[str, Sequence[fs.FileInfo]]
_FILES_AT_A_TIME = 16


def list_table(table: FolderTable) -> Listing:
    """Returns the Parquet files of each folder, from one listing of the whole table.

    On S3 that is a request for 1,000 files, where one for each folder's would be a thousand.
    """
    table.finish_replacements()
    _, root = storage.filesystem_of(table.root)
    found: dict[str, list[fs.FileInfo]] = {}
    for info in sorted(storage.list_files(table.root, recursive=True), key=lambda info: str(info.path)):
        directory = info.path.removeprefix(f"{root}/").rpartition("/")[0]
        # Not those below _replacing, which are still to come.
        if info.extension == "parquet" and directory.startswith(f"{FOLDER}="):
            found.setdefault(unquote(directory.removeprefix(f"{FOLDER}=")), []).append(info)
    return found


def table_totals(table: FolderTable, listing: Listing) -> dict[str, Totals]:
    """Returns the totals of the rows of each folder of a listing."""

    def of_files(infos: Sequence[fs.FileInfo]) -> Totals:
        # Asked for anew each time: a filesystem in S3 has credentials that expire.
        filesystem, _ = storage.filesystem_of(table.root)
        return sum_of(read_totals(info.path, filesystem) for info in infos)

    with s3.in_sentences(table.root), ThreadPoolExecutor(_FILES_AT_A_TIME) as pool:
        return dict(zip(listing, pool.map(of_files, listing.values()), strict=True))
