"""Spark's Python workers: what they import from where."""

import sys
from collections.abc import Iterator
from zipimport import zipimporter

import pyspark
import pytest
from pyspark.sql import SparkSession

from spark_steps.spark.tasks import run_in_tasks


@pytest.mark.skipif(sys.platform != "linux", reason="Elsewhere Spark's own daemon forks the workers.")
def test_workers_take_pyspark_from_where_it_is_installed_and_read_no_archive_before_each_task(
    spark: SparkSession,
) -> None:
    def imports(items: Iterator[None]) -> Iterator[str]:
        archives = [name for name, finder in sys.path_importer_cache.items() if isinstance(finder, zipimporter)]
        yield from [str(sys.modules["pyspark"].__file__), *archives]

    assert run_in_tasks(spark.sparkContext, [[None]], imports) == [pyspark.__file__]
