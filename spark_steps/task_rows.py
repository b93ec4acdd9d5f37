"""Rows that a Spark task computes in its Python process and writes there, so that they never pass through the JVM."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from spark_steps import storage
from spark_steps.interruptible import collect
from spark_steps.totals import Totals

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

Compute = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
# 40 MB of features.
_ROWS_OF_ROW_GROUP = 8192


@dataclass(frozen=True)
class TaskRows:
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

    def write_files(self, directory: str, directory_name: Callable[[str], str]) -> list[tuple[str, str]]:
        """Writes the rows as Parquet, one file for each folder of a task.

        Args:
            directory: A normalised place; each folder has a directory in it.
            directory_name: The name of that directory.

        Returns:
            Folder and name of each file of the tasks that succeeded; a name is used once.
        """
        compute = self.compute

        def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            from pyspark import TaskContext

            context = TaskContext.get()
            name = f"part-{context.partitionId() if context else 0:05d}-{uuid.uuid4().hex}.parquet"
            folders = []
            for folder, parts in groupby(_runs(compute(batches)), key=itemgetter(0)):
                write_file(f"{directory}/{directory_name(folder)}/{name}", (part for _, part in parts))
                folders.append(folder)
            names = pa.array([name] * len(folders), pa.string())
            yield pa.RecordBatch.from_pydict({"folder": pa.array(folders, pa.string()), "name": names})

        written = collect(self.source.mapInArrow(run, "folder string, name string"))
        return [(row["folder"], row["name"]) for row in written]


def rows_as_they_are(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Computes nothing: the rows are those of the source."""
    yield from batches


def write_file(location: str, parts: Iterable[pa.RecordBatch]) -> None:
    """Writes a Parquet file with the totals of its rows in its footer.

    Args:
        location: The file.
        parts: At least one batch, all of one schema, without the column ``folder``.
    """
    tables = _tables_of(parts)
    first = next(tables)
    # Features hardly repeat: looking for those that do takes half of the time of the write.
    repeating = [field.name for field in first.schema if not pa.types.is_list(field.type)]
    with (
        storage.open_output(location) as stream,
        pq.ParquetWriter(stream, first.schema, use_dictionary=repeating) as writer,
    ):
        totals = Totals()
        for table in chain([first], tables):
            writer.write_table(table)
            totals += Totals.of_rows(table)
        writer.add_key_value_metadata(totals.to_footer())


def _runs(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yields (folder, rows without that column) of batches in which the rows of a folder follow each other."""
    for batch in batches:
        columns = [name for name in batch.schema.names if name != "folder"]
        start = 0
        for folder, run in groupby(batch["folder"].to_pylist()):
            length = sum(1 for _ in run)
            yield folder, batch.select(columns).slice(start, length)
            start += length


def _tables_of(parts: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yields rows in tables of a size for a row group."""
    held: list[pa.RecordBatch] = []
    for part in parts:
        held.append(part)
        if sum(one.num_rows for one in held) >= _ROWS_OF_ROW_GROUP:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)
