"""Tasks give back what they yield, and what waits for them can be interrupted."""

import signal
import time
from collections.abc import Iterator

import pytest
from pyspark import TaskContext
from pyspark.errors import PythonException
from pyspark.sql import SparkSession

from spark_steps.spark.tasks import cancelled_by_an_interrupt, run_in_tasks


class InterruptedTest(Exception):
    """Stands for whatever an interrupt raises."""


def numbered(items: Iterator[str]) -> Iterator[tuple[int, str]]:
    context = TaskContext.get()
    assert context
    for item in items:
        yield context.partitionId(), item


def asleep(items: Iterator[int]) -> Iterator[int]:
    time.sleep(60)
    yield from items


def test_each_share_has_its_own_task_and_the_results_are_in_its_order(spark: SparkSession) -> None:
    shares = [["a", "b"], [], ["c"], ["d", "e", "f"]]
    found = run_in_tasks(spark.sparkContext, shares, numbered)
    assert found == [(0, "a"), (0, "b"), (2, "c"), (3, "d"), (3, "e"), (3, "f")]
    assert run_in_tasks(spark.sparkContext, [], numbered) == []


def test_an_error_in_a_task_is_raised_with_its_stack_trace(spark: SparkSession) -> None:
    def divide(items: Iterator[int]) -> Iterator[float]:
        yield from (1 / item for item in items)

    with pytest.raises(PythonException, match=r"(?s)in divide.*ZeroDivisionError: division by zero"):
        run_in_tasks(spark.sparkContext, [[1], [0]], divide)


def test_an_interrupt_ends_the_wait_for_a_job_and_the_job(spark: SparkSession) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise InterruptedTest

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 3)
    started = time.monotonic()
    try:
        with pytest.raises(InterruptedTest):
            run_in_tasks(spark.sparkContext, [[1], [2]], asleep)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - started < 30
    assert not spark.sparkContext.statusTracker().getActiveJobsIds()
    assert cancelled_by_an_interrupt(spark.sparkContext, spark.range(1).collect)[0]["id"] == 0
