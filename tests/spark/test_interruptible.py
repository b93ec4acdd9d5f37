"""What waits for Spark can be interrupted."""

import signal
import time
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from spark_steps.spark.interruptible import collect


class InterruptedTest(Exception):
    """Stands for whatever an interrupt raises."""


def asleep(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    time.sleep(60)
    yield from batches


def test_an_interrupt_ends_the_wait_for_a_job_and_the_job(spark: SparkSession) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise InterruptedTest

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 3)
    started = time.monotonic()
    try:
        with pytest.raises(InterruptedTest):
            collect(spark.range(2).mapInArrow(asleep, "id long"))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - started < 30
    assert not spark.sparkContext.statusTracker().getActiveJobsIds()
    assert collect(spark.range(1))[0]["id"] == 0
