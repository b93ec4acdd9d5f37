"""Runs functions in Spark's tasks, so that an interrupt cancels them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pyspark import RDD, SparkContext

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_in_tasks(
    context: "SparkContext", shares: Sequence[Sequence[Item]], function: Callable[[Iterator[Item]], Iterable[Result]]
) -> list[Result]:
    """Runs a function on each share in a task of its own, and returns the results in the order of the shares.

    The tasks are those of an RDD: Spark would analyse, optimise and compile a query first, which takes a small run a
    second of processor time (docs/benchmarks.md).

    Args:
        context: Spark's context.
        shares: The items of each task.
        function: Yields the results for the items of a task.

    Raises:
        PythonException: The function raised an error; the message has its stack trace.
    """
    return collect(context, tasks_of(context, shares, function)) if shares else []


def tasks_of(
    context: "SparkContext", shares: Sequence[Sequence[Item]], function: Callable[[Iterator[Item]], Iterable[Result]]
) -> "RDD[Result]":
    """Returns the tasks of ``run_in_tasks`` as an RDD, whose results other tasks can go on with.

    Args:
        context: Spark's context.
        shares: The items of each task; one task at least.
        function: Yields the results for the items of a task.
    """

    def run(given: Iterable[Sequence[Item]]) -> Iterator[Result]:
        for share in given:
            yield from function(iter(share))

    return context.parallelize(shares, len(shares)).mapPartitions(run)


def collect(context: "SparkContext", tasks: "RDD[Result]") -> list[Result]:
    """Runs the tasks of an RDD, and returns their results in the order of the tasks.

    Raises:
        PythonException: As ``run_in_tasks`` does.
    """
    # Imported here: most commands read tables without Spark.
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PythonException

    try:
        return cancelled_by_an_interrupt(context, tasks.collect)
    except Py4JJavaError as error:
        if (raised := _error_of_worker(error.java_exception)) is None:
            raise
        raise PythonException(f"An exception was thrown from the Python worker:\n{raised}") from None


def _error_of_worker(java_exception: Any) -> str | None:
    cause = java_exception.getCause()
    of_worker = cause is not None and cause.getClass().getName() == "org.apache.spark.api.python.PythonException"
    return str(cause.getMessage()) if of_worker else None


def cancelled_by_an_interrupt(context: "SparkContext", job: Callable[[], Result]) -> Result:
    """Returns the result of a job; an exception during the wait, such as that of Ctrl-C, cancels Spark's jobs.

    When ``collect`` is interrupted, it still waits until the job has ended: before it returns it makes another call to
    Java, which is answered only after the pending one.
    """
    with ThreadPoolExecutor(1) as other_thread:
        waited_for = other_thread.submit(job)
        try:
            return waited_for.result()
        except BaseException:
            context.cancelAllJobs()
            raise
