"""Waiting for Spark in a way that an interrupt can end."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row


def collect(rows: "DataFrame") -> "list[Row]":
    """Returns all rows; what interrupts the wait, such as Ctrl-C, cancels Spark's jobs.

    ``DataFrame.collect`` itself waits on until the job has ended: on its way out it asks Java for something else,
    behind the answer that it did not wait for.
    """
    with ThreadPoolExecutor(1) as other_thread:
        collected = other_thread.submit(rows.collect)
        try:
            return collected.result()
        except BaseException:
            rows.sparkSession.sparkContext.cancelAllJobs()
            raise
