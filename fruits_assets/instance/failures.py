"""Failures of steps as one sentence, shown before the stack trace, in the UI and at the terminal."""

import errno
import functools
import inspect
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, cast

import dagster as dg

from fruits_assets.terminal.problems import damaged, of_the_system
from spark_steps import denials
from spark_steps.errors import own_error

P = ParamSpec("P")
R = TypeVar("R")

# The errors of a call into a Java process that has ended.
_SPARK_IS_GONE = re.compile(r"\s*(?:py4j\.protocol\.Py4JNetworkError|ConnectionRefusedError|ConnectionResetError)\b")
# An error of this project: a Failure that Dagster has recorded, or one that a Spark worker raised, which Spark puts
# into the text of its own error.
_OURS = re.compile(r"(?:^Failure|FruitsError|CalledWronglyError|TableChangedError|DamagedFileError): (.+)")
_OF_THE_SYSTEM = re.compile(r"\w+Error: (?P<said>\[Errno (?P<number>\d+)\] .+)")
# A file that may not be opened, in the words of Python, of Java, and of Hadoop, wherever Spark has put them.
_DENIED_BY_THE_SYSTEM = re.compile(
    r"PermissionError: \[Errno (?:1|13)\] [^\n]*?'(?P<python>[^'\n]+)'"
    r"|AccessDeniedException: (?:file:)?(?P<java>/[^\n]+)"
    r"|FileNotFoundException: (?:file:)?(?P<io>/[^\n]+?) \(Permission denied\)"
    r"|AccessControlException: Permission denied: [^\n]*inode=\"(?P<hadoop>[^\"\n]+)"
)
# The messages of pyarrow and of Spark about a file that is not Parquet.
_NO_PARQUET = re.compile(r"ArrowInvalid: (.*Parquet.*)|RuntimeException: (?:file:)?(.+ is not a Parquet file.*)")
_NO_REASON = "Dagster has recorded no reason."
_OF_A_STEP = re.compile(r"StepError: (.+)", re.DOTALL)


class Failure(dg.Failure):
    """A failure of a step, described by one sentence."""

    # With its real module, Python and the UI would print "fruits_assets.instance.failures." before the sentence.
    __module__ = "builtins"


def reports_failures(function: Callable[P, R]) -> Callable[P, R]:
    """Returns the function of an asset, a check, an op or an IO manager with its errors as a Failure with one sentence.

    Dagster shows the outermost error first, and wraps an error that it does not know in "Error occurred while executing
    op". It does not wrap a Failure.
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
    """Replaces an error for which there is a sentence by a Failure, with the error's stack trace and its cause.

    Args:
        allow_retries: Whether Dagster may try the step again.
    """
    try:
        yield
    except (dg.Failure, dg.RetryRequested):
        raise
    except Exception as error:
        denial = denials.denial_of(error)
        if (sentence := _sentence_of(error, denial)) is None:
            raise
        failure = Failure(sentence, metadata=_metadata_of(denial), allow_retries=allow_retries)
        raise failure.with_traceback(error.__traceback__) from error.__cause__


def _sentence_of(error: Exception, denial: denials.Denial | None) -> str | None:
    if own := own_error(error):
        return str(own)
    text = f"{type(error).__module__}.{type(error).__qualname__}: {error}".removeprefix("builtins.")
    return own_sentence(text) or (denials.sentence_of(denial) if denial else None)


def _metadata_of(denial: denials.Denial | None) -> dict[str, str]:
    """Returns what AWS has denied as metadata of a failure, which the UI shows and scripts can read."""
    named = {"denied_action": denial.action, "denied_on": denial.resource, "denied_to": denial.who} if denial else {}
    return {name: value for name, value in named.items() if value}


def own_sentence(message: str) -> str | None:
    """Returns the message of an error of this project, or of a lost Spark process; None for any other error.

    Args:
        message: The error as Dagster records it, ``module.Name: text``.
    """
    if own := _OURS.search(message) or _OF_A_STEP.search(message):
        return own.group(1).strip()
    if _SPARK_IS_GONE.match(message):
        return (
            "Spark's Java process has ended under way; most often the system has killed it for memory. Run again, with "
            "fewer FRUITS_CORES or a smaller FRUITS_DRIVER_MEMORY if it happens again."
        )
    if "[JAVA_GATEWAY_EXITED]" in message:
        return (
            "Spark's Java process did not start; what it says is in the output of this process. Check "
            "FRUITS_DRIVER_MEMORY and JAVA_TOOL_OPTIONS."
        )
    return None


def reason(events: Sequence[dg.DagsterEvent]) -> str:
    """Returns why a run failed: the reason of the first step that did, else of what failed before any step.

    Args:
        events: The events of the run.
    """
    for event in events:
        if event.is_step_failure:
            failure = event.step_failure_data
            if failure.user_failure_data and failure.user_failure_data.description:
                return failure.user_failure_data.description
            return _reason_of(failure.error) or _NO_REASON
    # Errors outside steps: a resource that could not be made, or a run that was ended by another process.
    outside = [event for event in events if event.is_failure]
    errors = (getattr(event.event_specific_data, "error", None) for event in outside)
    described = (sentence for error in errors if (sentence := _reason_of(error)))
    return next(described, None) or next((event.message for event in outside if event.message), _NO_REASON)


def _reason_of(error: Any) -> str | None:
    chain = _chain(error)
    for parse in (own_sentence, _denied):
        if sentence := next((found for message in chain if (found := parse(message))), None):
            return sentence
    return readable(chain[-1]) if chain else None


def _denied(message: str) -> str | None:
    """Returns a sentence where AWS or the operating system has denied something; None for any other message."""
    if denial := denials.denial_in(message):
        return denials.sentence_of(denial)
    if system := _DENIED_BY_THE_SYSTEM.search(message):
        return of_the_system(errno.EACCES, f"Permission denied: {next(filter(None, system.groups()))}")
    return None


def _chain(error: Any) -> list[str]:
    """Returns the messages of an error and of its causes, the innermost last."""
    return [error.message, *_chain(error.cause)] if error else []


def readable(message: str) -> str:
    """Returns the message of an error, without the names of exceptions that wrap it and without a stack trace.

    Args:
        message: The error as Dagster records it, ``module.Name: text``; Java's causes and traces follow on lines of
            their own.
    """
    if sentence := own_sentence(message) or _denied(message):
        return sentence
    if system := _OF_THE_SYSTEM.match(message):
        return of_the_system(int(system["number"]), system["said"].rstrip("."))
    if no_parquet := _NO_PARQUET.search(message):
        return damaged(f"{(no_parquet[1] or no_parquet[2]).rstrip('.')}.")
    lines = [line.strip() for line in message.strip().splitlines() if line.strip()]
    java = next((line[2:] for line in lines if line.startswith(": ")), None)
    before_trace = itertools.takewhile(lambda line: not line.startswith(("at ", "JVM stacktrace")), lines)
    return java or " ".join(before_trace)
