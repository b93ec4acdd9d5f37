"""Waits for Spark's jobs so that an interrupt cancels them."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row


def collect(rows: "DataFrame") -> "list[Row]":
    """Returns all rows; an exception during the wait, such as that of Ctrl-C, cancels Spark's jobs.

    When ``DataFrame.collect`` is interrupted, it still waits until the job has ended: before it returns it makes
    another call to Java, which is answered only after the pending one.
    """
    with ThreadPoolExecutor(1) as other_thread:
        collected = other_thread.submit(rows.collect)
        try:
            return collected.result()
        except BaseException:
            rows.sparkSession.sparkContext.cancelAllJobs()
            raise
