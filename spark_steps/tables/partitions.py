"""Assigns files to Spark's tasks, which read the files themselves."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from spark_steps.tables.snapshots import DataFile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType


Item = TypeVar("Item")


def contiguous_partitions(files: Sequence[DataFile], shares: int) -> list[list[DataFile]]:
    """Cuts a list of files into at most ``shares`` contiguous parts of about equal size.

    The order is kept, so that each task has few folders: all tasks together then write at most one file for each folder
    and one more for each task.
    """
    if not files:
        return []
    wanted = sum(file.size for file in files) / shares
    cut: list[list[DataFile]] = [[]]
    bytes_cut = 0
    for file in files:
        if cut[-1] and bytes_cut + file.size / 2 > wanted * len(cut) and len(cut) < shares:
            cut.append([])
        cut[-1].append(file)
        bytes_cut += file.size
    return cut


def frame_of(
    spark: "SparkSession",
    shares: Sequence[Sequence[Item]],
    function: Callable[[Iterator[Item]], Iterator[pa.RecordBatch]],
    schema: "StructType | str",
) -> "DataFrame":
    """Returns the rows that a function computes as a DataFrame, which passes them through the JVM.

    Args:
        spark: The session.
        shares: The files of each task.
        function: Turns the share of a task into Arrow batches of the schema.
        schema: The columns of the result, in Spark's notation.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch["id"].to_pylist():
                yield from function(iter(shares[number]))

    # The shares are pickled with the function. As rows of a DataFrame they would need a second Python worker per task.
    return spark.range(0, len(shares), 1, max(1, len(shares))).mapInArrow(run, schema)
