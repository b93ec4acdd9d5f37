"""Rows to be written as files of a table: by Spark's Python workers, or by this process, never by the JVM."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from spark_steps.spark.tasks import cancelled_by_an_interrupt, run_in_tasks
from spark_steps.storage import locations
from spark_steps.storage.parallel import for_each
from spark_steps.tables.schemas import with_folder_column
from spark_steps.tables.snapshots import DataFile
from spark_steps.tables.totals import Totals

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import DataFrame

_FILES = pa.schema([("path", pa.string()), ("folder", pa.string()), ("size", pa.int64()), ("rows", pa.int64())])
# This many rows of features take 40 MB.
_ROWS_OF_ROW_GROUP = 8192
_NONE: frozenset[int] = frozenset()


class RowSource(Protocol):
    """Rows that are written when a change is committed."""

    def write_files(self, directory: str, name: str) -> list[DataFile]:
        """Writes the rows as Parquet files of a table, and returns the files.

        Args:
            directory: The table's directory, a normalised location.
            name: Prefix of the files' names.
        """


@dataclass(frozen=True)
class DriverRows:
    """Narrow rows in the memory of this process.

    Attributes:
        tables: The rows of each folder, without the column ``folder``; no table is empty.
    """

    tables: Mapping[str, Sequence[pa.Table]]

    def write_files(self, directory: str, name: str) -> list[DataFile]:
        """Writes one file for each folder, several files at a time."""

        def write(folder: str) -> DataFile:
            return write_file(
                directory, folder, (part for one in self.tables[folder] for part in one.to_batches()), name
            )

        return for_each(write, self.tables)


@dataclass(frozen=True)
class DeferredRows:
    """Rows that tasks compute from files which they read themselves, so that no row passes through the JVM.

    Attributes:
        context: Spark's context.
        shares: The items of each task, such as row ranges of files.
        function: Turns the items of a task into rows with the column ``folder``, as Arrow batches. Rows of the same
            folder are adjacent.
        max_pixels: The limit under which the rows' photos are decoded, None for other rows.
    """

    context: "SparkContext"
    shares: Sequence[Sequence[Any]]
    function: Callable[[Iterator[Any]], Iterator[pa.RecordBatch]]
    max_pixels: int | None = None

    def write_files(self, directory: str, name: str) -> list[DataFile]:
        """Writes the rows in the tasks: one file for each folder of a task.

        Returns the files of the successful task attempts. File names are unique, so files of failed attempts are never
        committed.
        """
        function, limits = self.function, _NONE if self.max_pixels is None else frozenset([self.max_pixels])

        def write(items: Iterator[Any]) -> Iterator[DataFile]:
            return _write_folders(directory, name, function(items), limits)

        return run_in_tasks(self.context, self.shares, write)


@dataclass(frozen=True)
class FrameRows:
    """Rows of a DataFrame, which pass through the JVM.

    Attributes:
        frame: The rows. Rows of the same folder are adjacent.
    """

    frame: "DataFrame"

    def write_files(self, directory: str, name: str) -> list[DataFile]:
        """Writes the rows as ``DeferredRows`` does."""

        def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            written = _write_folders(directory, name, batches)
            yield pa.RecordBatch.from_pylist([asdict(file) for file in written], schema=_FILES)

        files = self.frame.mapInArrow(run, "path string, folder string, size long, rows long")
        rows = cancelled_by_an_interrupt(self.frame.sparkSession.sparkContext, files.collect)
        return [DataFile(row["path"], row["folder"], row["size"], row["rows"]) for row in rows]


def _write_folders(
    directory: str, name: str, batches: Iterable[pa.RecordBatch], max_pixels: frozenset[int] = _NONE
) -> Iterator[DataFile]:
    from pyspark import TaskContext

    context = TaskContext.get()
    task = context.partitionId() if context else 0
    for folder, parts in groupby(_runs(batches), key=itemgetter(0)):
        yield write_file(directory, folder, (part for _, part in parts), f"{name}-{task:05d}", max_pixels)


def write_file(
    directory: str,
    folder: str,
    parts: Iterable[pa.RecordBatch],
    name: str = "part",
    max_pixels: frozenset[int] = _NONE,
) -> DataFile:
    """Writes a Parquet file of a table, with the totals of its rows in its footer.

    The file has the partition column ``folder`` too, which Delta leaves to the writer and our own readers take from
    the log: Polars takes it from the file, or from names of directories, which cannot hold every folder's name.

    Args:
        directory: The table's directory, a normalised location.
        folder: The image folder that the rows belong to.
        parts: At least one batch, all of one schema, without the column ``folder``.
        name: Prefix of the file's name.
        max_pixels: See ``Totals``.

    Raises:
        FruitsError: S3 refused the request.
    """
    path = f"{name}-{uuid.uuid4().hex}.parquet"
    tables = tables_of(with_folder_column(part, folder) for part in parts)
    first = next(tables)
    # No dictionary encoding for features: they hardly repeat, and building the dictionary takes half of the write time.
    repeating = [field.name for field in first.schema if not pa.types.is_list(field.type)]
    with locations.translate_errors(directory), locations.open_output(f"{directory}/{path}") as stream:
        with pq.ParquetWriter(stream, first.schema, use_dictionary=repeating) as writer:
            totals = Totals(max_pixels=max_pixels)
            for table in chain([first], tables):
                writer.write_table(table)
                totals += Totals.of_rows(table)
            writer.add_key_value_metadata(totals.to_footer())
        size = stream.tell()
    return DataFile(path, folder, size, totals.rows)


def _runs(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yields (folder, rows without the column ``folder``) of batches in which rows of the same folder are adjacent."""
    for batch in batches:
        columns = [name for name in batch.schema.names if name != "folder"]
        start = 0
        for folder, run in groupby(batch["folder"].to_pylist()):
            length = sum(1 for _ in run)
            yield folder, batch.select(columns).slice(start, length)
            start += length


def tables_of(parts: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yields the rows as tables of at least ``_ROWS_OF_ROW_GROUP`` rows; the last table may be smaller."""
    held: list[pa.RecordBatch] = []
    for part in parts:
        held.append(part)
        if sum(one.num_rows for one in held) >= _ROWS_OF_ROW_GROUP:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)
