"""Spark's Python workers: what they import from where."""

import sys
from collections.abc import Iterable, Iterator
from zipimport import zipimporter

import pyarrow as pa
import pyspark
import pytest
from pyspark.sql import SparkSession

from spark_steps.spark.session import rows_in_partitions


@pytest.mark.skipif(sys.platform != "linux", reason="Elsewhere Spark's own daemon forks the workers.")
def test_workers_take_pyspark_from_where_it_is_installed_and_read_no_archive_before_each_task(
    spark: SparkSession,
) -> None:
    def imports(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        list(batches)
        archives = [name for name, finder in sys.path_importer_cache.items() if isinstance(finder, zipimporter)]
        yield pa.RecordBatch.from_pydict({"source": [sys.modules["pyspark"].__file__, *archives]})

    found = rows_in_partitions(spark, 1).mapInArrow(imports, "source string").collect()
    assert [row["source"] for row in found] == [pyspark.__file__]
