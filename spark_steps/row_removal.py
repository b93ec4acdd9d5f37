"""Rows taken out of the tables, file by file, without Spark: what stays is bit for bit what it was."""

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spark_steps import s3, storage
from spark_steps.errors import FruitsError
from spark_steps.folder_names import directory_name
from spark_steps.replacements import new_id
from spark_steps.s3_versions import delete_versions, versions_below
from spark_steps.tables import DataFile, FolderTable
from spark_steps.task_rows import write_file

_PREFIX = "erasing-"
# The tasks of a write finish a file each some minutes.
_STILL_WRITTEN_TO = timedelta(minutes=15)
_FILES_AT_A_TIME = 8
_ROWS_AT_A_TIME = 4096


@dataclass(frozen=True)
class Doomed:
    """Which rows go: those of some photos, under whatever path, and those at some paths, whatever photo lies there.

    Attributes:
        image_ids: The photos.
        paths: The paths, as the tables have them.
    """

    image_ids: frozenset[str]
    paths: frozenset[str]

    @cached_property
    def _values(self) -> dict[str, pa.Array]:
        return {"path": pa.array(self.paths, pa.string()), "image_id": pa.array(self.image_ids, pa.string())}

    def mask(self, rows: pa.RecordBatch) -> pa.BooleanArray:
        """Returns of each row whether it goes."""
        gone = pc.is_in(rows["path"], value_set=self._values["path"])
        if "image_id" in rows.schema.names:
            gone = pc.or_(gone, pc.is_in(rows["image_id"], value_set=self._values["image_id"]))
        return gone


@dataclass(frozen=True)
class Found:
    """Rows that go.

    Attributes:
        image_ids: Their photos.
        paths: Their paths.
        folders: Rows of each folder.
        files: The files that hold them.
    """

    image_ids: frozenset[str]
    paths: frozenset[str]
    folders: Counter[str]
    files: list[DataFile]

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.folders.total()


def find_rows(table: FolderTable, doomed: Doomed) -> Found:
    """Finds rows; of each file the columns ``path`` and ``image_id`` are read."""
    columns = [name for name in ("path", "image_id") if name in table.schema.names]

    def look(file: DataFile) -> pa.Table:
        with table.open(file) as opened:
            batches = opened.iter_batches(_ROWS_AT_A_TIME, columns=columns)
            schema = pa.schema([table.schema.field(name) for name in columns])
            return pa.Table.from_batches([one.filter(doomed.mask(one)).cast(schema) for one in batches], schema)

    files = table.files()
    with s3.in_sentences(table.root), ThreadPoolExecutor(_FILES_AT_A_TIME) as pool:
        found = [(file, rows) for file, rows in zip(files, pool.map(look, files), strict=True) if rows.num_rows]
    folders: Counter[str] = Counter()
    for file, rows in found:
        folders[file.folder] += rows.num_rows
    return Found(
        image_ids=_values(found, "image_id") if "image_id" in columns else frozenset(),
        paths=_values(found, "path"),
        folders=folders,
        files=[file for file, _ in found],
    )


def _values(found: Iterable[tuple[DataFile, pa.Table]], column: str) -> frozenset[str]:
    return frozenset(value for _, rows in found for value in rows[column].to_pylist() if value is not None)


def check_nobody_writes(table: FolderTable) -> None:
    """Raises a FruitsError where a write seems to be under way, on this machine or another."""
    for directory, written in table.leftovers().items():
        if not _is_ours(directory) and datetime.now(UTC) - written < _STILL_WRITTEN_TO:
            raise FruitsError(
                f"Something writes to {table.root}, last at {written:%H:%M} UTC. Wait until it has ended; if its "
                f"process was killed, wait until {written + _STILL_WRITTEN_TO:%H:%M} UTC."
            )


def remove_rows(table: FolderTable, doomed: Doomed) -> None:
    """Takes rows out of a table; whatever ends the process, the table has all of them or none.

    Files that hold none of them are not touched. What killed writes have left beside the table goes as well.
    """
    for directory in table.leftovers():
        storage.delete_directory(directory)
    files = find_rows(table, doomed).files
    if not files:
        return
    new = table.new_directory(_PREFIX)

    def rewrite(file: DataFile) -> list[str]:
        # Not made of the old name, which would grow with every erasure until no file system takes it.
        name = f"part-e-{new_id()}.parquet"
        parts = _kept(table, file, doomed)
        first = next(parts, None)
        if first is None:
            # An empty file is as good as none, and with it the folder would be there for ever.
            return []
        write_file(f"{new}/{directory_name(file.folder)}/{name}", chain([first], parts))
        return [name]

    with s3.in_sentences(table.root), ThreadPoolExecutor(_FILES_AT_A_TIME) as pool:
        written = list(pool.map(rewrite, files))
    replacement: dict[str, dict[str, list[str]]] = {file.folder: {"come": [], "go": []} for file in files}
    for file, names in zip(files, written, strict=True):
        replacement[file.folder]["come"] += names
        replacement[file.folder]["go"].append(file.path.rpartition("/")[2])
    table.replace_files(new, replacement)


def _kept(table: FolderTable, file: DataFile, doomed: Doomed) -> Iterator[pa.RecordBatch]:
    opened: pq.ParquetFile
    with table.open(file) as opened:
        for batch in opened.iter_batches(_ROWS_AT_A_TIME):
            kept = batch.filter(pc.invert(doomed.mask(batch)))
            if kept.num_rows:
                # The old file's totals are among the schema's metadata, and those are sums with the rows that go.
                yield kept.replace_schema_metadata(None)


def _is_ours(directory: str) -> bool:
    return directory.rpartition("/")[2].startswith(_PREFIX)


def delete_former_versions(place: str) -> int:
    """Deletes what a bucket with versions keeps of files that are no more, and returns how many versions that were.

    Args:
        place: A directory of derived files; elsewhere than in S3 there are no versions.
    """
    if not s3.is_s3(place):
        return 0
    return delete_versions(place, (version for version in versions_below(place) if version.former))
