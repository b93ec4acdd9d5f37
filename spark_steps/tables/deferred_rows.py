"""Rows that become files of a table where they are: in Spark's Python processes, never in the JVM, or in this one."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from spark_steps.spark.interruptible import collect
from spark_steps.storage import locations
from spark_steps.storage.parallel import for_each
from spark_steps.tables.snapshots import DataFile
from spark_steps.tables.totals import Totals

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

Compute = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
_FILES = pa.schema([("path", pa.string()), ("folder", pa.string()), ("size", pa.int64()), ("rows", pa.int64())])
# 40 MB of features.
_ROWS_OF_ROW_GROUP = 8192


class RowSource(Protocol):
    """Rows that are written on request."""

    def write_files(self, directory: str, name: str) -> list[DataFile]:
        """Writes the rows as Parquet files of a table, and returns the files.

        Args:
            directory: The table's directory, a normalised location.
            name: How the files' names begin.
        """


@dataclass(frozen=True)
class DriverRows:
    """Narrow rows in the memory of this process.

    Attributes:
        tables: The rows of each folder, without the column ``folder``; none without a row.
    """

    tables: Mapping[str, Sequence[pa.Table]]

    def write_files(self, directory: str, name: str) -> list[DataFile]:
        """Writes the rows, a file for each folder, several at a time."""

        def write(folder: str) -> DataFile:
            return write_file(
                directory, folder, (part for one in self.tables[folder] for part in one.to_batches()), name
            )

        return for_each(write, self.tables)


@dataclass(frozen=True)
class DeferredRows:
    """Rows that each task computes from rows of its own.

    Attributes:
        source: What the tasks start from.
        compute: From a task's source rows to its rows, in Arrow batches; those of a folder follow each other.
    """

    source: "DataFrame"
    compute: Compute

    def frame(self, schema: "StructType | str") -> "DataFrame":
        """Returns the rows as a DataFrame; they then do pass through the JVM."""
        return self.source.mapInArrow(self.compute, schema)

    def write_files(self, directory: str, name: str) -> list[DataFile]:
        """Writes the rows in the tasks, a file for each folder of a task.

        The files are those of the tasks that succeeded; a name is used once, so that those of others count for nothing.
        """
        compute = self.compute

        def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            from pyspark import TaskContext

            context = TaskContext.get()
            task = context.partitionId() if context else 0
            files = [
                write_file(directory, folder, (part for _, part in parts), f"{name}-{task:05d}")
                for folder, parts in groupby(_runs(compute(batches)), key=itemgetter(0))
            ]
            yield pa.RecordBatch.from_pylist([asdict(file) for file in files], schema=_FILES)

        written = collect(self.source.mapInArrow(run, "path string, folder string, size long, rows long"))
        return [DataFile(row["path"], row["folder"], row["size"], row["rows"]) for row in written]


def rows_as_they_are(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Computes nothing: the rows are those of the source."""
    yield from batches


def write_file(directory: str, folder: str, parts: Iterable[pa.RecordBatch], name: str = "part") -> DataFile:
    """Writes a Parquet file of a table, with the totals of its rows in its footer.

    Args:
        directory: The table's directory, a normalised location.
        folder: The image folder whose rows these are.
        parts: At least one batch, all of one schema, without the column ``folder``.
        name: How the file's name begins.

    Raises:
        FruitsError: S3 refused.
    """
    path = f"{name}-{uuid.uuid4().hex}.parquet"
    tables = tables_of(parts)
    first = next(tables)
    # Features hardly repeat: looking for those that do takes half of the time of the write.
    repeating = [field.name for field in first.schema if not pa.types.is_list(field.type)]
    with locations.translate_errors(directory), locations.open_output(f"{directory}/{path}") as stream:
        with pq.ParquetWriter(stream, first.schema, use_dictionary=repeating) as writer:
            totals = Totals()
            for table in chain([first], tables):
                writer.write_table(table)
                totals += Totals.of_rows(table)
            writer.add_key_value_metadata(totals.to_footer())
        size = stream.tell()
    return DataFile(path, folder, size, totals.rows)


def _runs(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yields (folder, rows without that column) of batches in which the rows of a folder follow each other."""
    for batch in batches:
        columns = [name for name in batch.schema.names if name != "folder"]
        start = 0
        for folder, run in groupby(batch["folder"].to_pylist()):
            length = sum(1 for _ in run)
            yield folder, batch.select(columns).slice(start, length)
            start += length


def tables_of(parts: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yields rows in tables of a size for a row group."""
    held: list[pa.RecordBatch] = []
    for part in parts:
        held.append(part)
        if sum(one.num_rows for one in held) >= _ROWS_OF_ROW_GROUP:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)
