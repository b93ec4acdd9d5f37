"""Checks the features: each photo should have all of them, finite, and photos should differ in most of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from spark_steps.spark.tasks import run_in_tasks
from spark_steps.tables.folder_table import DataFile, FolderTable
from spark_steps.tables.partitions import contiguous_partitions

_ROWS_AT_A_TIME = 2048


@dataclass(frozen=True)
class FeatureQuality:
    """Counts over the rows that have features.

    Attributes:
        rows: Rows with features.
        wrong_length: Rows with another number of features than the network gives.
        not_finite: Rows with a NaN or an infinity.
        constant: Number of features that are the same in all rows.
        width: Number of features that the network gives.
    """

    rows: int
    wrong_length: int
    not_finite: int
    constant: int
    width: int

    @property
    def degenerate(self) -> bool:
        """Whether most features are the same in two photos or more, as with a broken network."""
        return self.rows > 1 and self.constant > self.width // 2


def feature_quality(
    spark: SparkSession, features: FolderTable, width: int, folders: Sequence[str] | None = None
) -> FeatureQuality:
    """Computes the counts over the features of some folders, or of all, in one pass by Spark's tasks.

    Args:
        spark: The session.
        features: The table mobilenet_features.
        width: Number of features that the store's network gives.
        folders: The folders; None for all.
    """

    def run(share: Iterator[DataFile]) -> Iterator[tuple[int, int, int, NDArray[np.float32], NDArray[np.float32]]]:
        rows = wrong_length = not_finite = 0
        least, most = np.full(width, np.inf, np.float32), np.full(width, -np.inf, np.float32)
        for file in share:
            with features.reading(file) as opened:
                for batch in opened.iter_batches(_ROWS_AT_A_TIME, columns=["features"]):
                    column = batch["features"].filter(batch["features"].is_valid())
                    right = column.filter(pc.equal(pc.list_value_length(column), width))
                    rows, wrong_length = rows + len(column), wrong_length + len(column) - len(right)
                    if len(right):
                        matrix = right.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
                        not_finite += int((~np.isfinite(matrix).all(axis=1)).sum())
                        least, most = np.fmin(least, matrix.min(axis=0)), np.fmax(most, matrix.max(axis=0))
        yield rows, wrong_length, not_finite, least, most

    shares = contiguous_partitions(features.files(folders), spark.sparkContext.defaultParallelism)
    parts = run_in_tasks(spark.sparkContext, shares, run)
    if not parts:
        return FeatureQuality(0, 0, 0, 0, width)
    rows, wrong_length, not_finite, least, most = zip(*parts, strict=True)
    constant = int((np.max(most, axis=0) <= np.min(least, axis=0)).sum())
    return FeatureQuality(sum(rows), sum(wrong_length), sum(not_finite), constant, width)
