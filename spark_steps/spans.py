"""Runs of rows of Parquet files: how work on rows is shared out without a look at any of them."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from spark_steps.schemas import FOLDER
from spark_steps.tables import DataFile, FolderTable, rows_of_shares
from spark_steps.task_rows import TaskRows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# A warm Python task costs 50 to 80 ms, about as much as this many photos at the end of a run may leave a core idle for.
_LEAST_ROWS = 32


@dataclass(frozen=True)
class Span:
    """Rows of a file that follow each other.

    Attributes:
        file: The file.
        first: The first of the rows, counted from 0.
        rows: How many they are.
    """

    file: DataFile
    first: int
    rows: int


def task_sizes(rows: int, cores: int, most: int) -> list[int]:
    """Returns how many rows each task gets: the last ones few, so that no core waits long for another's last task.

    Each takes a share of what is left, as guided self-scheduling does (Polychronopoulos and Kuck 1987), of half that
    size, and at most so many.

    Args:
        rows: All rows.
        cores: Tasks that run at a time.
        most: The largest task.
    """
    sizes = []
    left = rows
    while left:
        sizes.append(min(left, most, max(_LEAST_ROWS, math.ceil(left / (2 * cores)))))
        left -= sizes[-1]
    return sizes


def cut(files: Iterable[tuple[DataFile, int]], sizes: Sequence[int]) -> list[list[Span]]:
    """Cuts files, in their order, into tasks of given sizes, so that a task meets few folders.

    Args:
        files: Files, and how many rows each has; together as many as the sizes.
        sizes: Rows of each task.
    """
    tasks: list[list[Span]] = [[]]
    left = list(reversed(sizes))
    for file, rows in files:
        first = 0
        while first < rows:
            taken = min(rows - first, left[-1])
            tasks[-1].append(Span(file, first, taken))
            first += taken
            left[-1] -= taken
            if not left[-1]:
                left.pop()
                tasks.append([])
    return [task for task in tasks if task]


def rows_of_spans(
    spark: "SparkSession",
    table: FolderTable,
    tasks: Sequence[Sequence[Span]],
    compute: Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]],
) -> TaskRows:
    """Returns the rows that a function makes of spans of a table, which its tasks read themselves, in this order.

    Args:
        spark: The session.
        table: The table.
        tasks: The spans of each task.
        compute: From a task's rows, with ``folder``, a batch for each span and row group, to Arrow batches.
    """

    def run(spans: Iterator[Span]) -> Iterator[pa.RecordBatch]:
        yield from compute(rows for span in spans for rows in _read(table, span))

    return rows_of_shares(spark, tasks, run)


def _read(table: FolderTable, span: Span) -> Iterator[pa.RecordBatch]:
    with table.reading(span.file) as opened:
        start = 0
        for number in range(opened.num_row_groups):
            length = opened.metadata.row_group(number).num_rows
            skipped = max(0, span.first - start)
            taken = min(length, span.first + span.rows - start) - skipped
            if taken > 0:
                rows = opened.read_row_group(number, columns=table.schema.names).slice(skipped, taken)
                (batch,) = rows.combine_chunks().to_batches()
                yield batch.append_column(FOLDER, pa.array([span.file.folder] * len(batch), pa.string()))
            start += length
