"""Why a step failed: the sentence first, the stack trace after it, in the UI and at the terminal alike."""

import functools
import inspect
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, cast

import dagster as dg

from fruits_assets.terminal.problems import damaged, of_the_system
from spark_steps.errors import FruitsError

P = ParamSpec("P")
R = TypeVar("R")

# What a call into a Java process that has ended raises.
_SPARK_IS_GONE = re.compile(r"\s*(?:py4j\.protocol\.Py4JNetworkError|ConnectionRefusedError|ConnectionResetError)\b")
# An error of ours inside the text of one of Spark's: it was raised in a worker.
_OURS = re.compile(r"(?:FruitsError|TableChangedError): (.+)")
_OF_THE_SYSTEM = re.compile(r"\w+Error: (?P<said>\[Errno (?P<number>\d+)\] .+)")
# In the words of pyarrow, and of Spark.
_NO_PARQUET = re.compile(r"ArrowInvalid: (.*Parquet.*)|RuntimeException: (?:file:)?(.+ is not a Parquet file.*)")
_OF_A_STEP = re.compile(r"StepError: (.+)", re.DOTALL)


class Failure(dg.Failure):
    """A failure that has its sentence."""

    # Else Python, and with it the UI, puts "fruits_assets.instance.failures." before the sentence.
    __module__ = "builtins"


def reports_failures(function: Callable[P, R]) -> Callable[P, R]:
    """Returns a function of an asset, a check, an op or an IO manager that fails in a sentence.

    Dagster shows the outermost error first, and wraps one that it does not know in "Error occurred while executing op".
    A Failure it shows as it is.
    """
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def yields(*args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
            with sentence_first():
                yield from cast("Iterator[Any]", function(*args, **kwargs))

        return cast("Callable[P, R]", yields)

    @functools.wraps(function)
    def returns(*args: P.args, **kwargs: P.kwargs) -> R:
        with sentence_first():
            return function(*args, **kwargs)

    return returns


@contextmanager
def sentence_first(*, allow_retries: bool = True) -> Iterator[None]:
    """Raises a Failure in the place of an error that has a sentence of ours, with its stack trace and its cause.

    Args:
        allow_retries: Whether Dagster may try the step again.
    """
    try:
        yield
    except Exception as error:
        if (sentence := _sentence_of(error)) is None:
            raise
        raise Failure(sentence, allow_retries=allow_retries).with_traceback(error.__traceback__) from error.__cause__


def _sentence_of(error: Exception) -> str | None:
    if isinstance(error, FruitsError):
        return str(error)
    return own_sentence(f"{type(error).__module__}.{type(error).__qualname__}: {error}".removeprefix("builtins."))


def own_sentence(message: str) -> str | None:
    """Returns the sentence that an error of ours has, None where it is an error of others.

    Args:
        message: As Dagster keeps it, ``module.Name: text``.
    """
    if own := _OURS.search(message) or _OF_A_STEP.search(message):
        return own.group(1).strip()
    if _SPARK_IS_GONE.match(message):
        return (
            "Spark's Java process has ended under way; most often the system has killed it for memory. Run again, with "
            "fewer FRUITS_CORES or a smaller FRUITS_DRIVER_MEMORY if it happens again."
        )
    return None


def reason(events: Sequence[dg.DagsterEvent]) -> str:
    """Returns why the first step that failed has failed.

    Args:
        events: Of a run.
    """
    for event in events:
        if event.is_step_failure:
            failure = event.step_failure_data
            if failure.user_failure_data and failure.user_failure_data.description:
                return failure.user_failure_data.description
            chain = _chain(failure.error)
            own = (sentence for message in chain if (sentence := own_sentence(message)))
            return next(own, None) or (readable(chain[-1]) if chain else "No step says why.")
    return "No step says why."


def _chain(error: Any) -> list[str]:
    """Returns the messages of an error and of its causes, the innermost last."""
    return [error.message, *_chain(error.cause)] if error else []


def readable(message: str) -> str:
    """Returns what an error says, without the names of exceptions that wrap ours and without a stack trace.

    Args:
        message: As Dagster keeps it, ``module.Name: text``; Java's causes and traces follow on lines of their own.
    """
    if own := own_sentence(message):
        return own
    if system := _OF_THE_SYSTEM.match(message):
        return of_the_system(int(system["number"]), system["said"].rstrip("."))
    if no_parquet := _NO_PARQUET.search(message):
        return damaged(f"{(no_parquet[1] or no_parquet[2]).rstrip('.')}.")
    lines = [line.strip() for line in message.strip().splitlines() if line.strip()]
    java = next((line[2:] for line in lines if line.startswith(": ")), None)
    before_trace = itertools.takewhile(lambda line: not line.startswith(("at ", "JVM stacktrace")), lines)
    return java or " ".join(before_trace)
