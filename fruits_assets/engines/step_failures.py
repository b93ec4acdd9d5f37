"""Why a step failed, as a sentence with a remedy, derived from its own error, its log and what its engine knows.

The functions are pure: each engine collects the evidence, and words what only it can know.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from spark_steps import denials
from spark_steps.errors import FruitsError

# Lines of the log at the end of the message.
_LINES_SHOWN = 12
_LONGEST_TEXT = 8000


@dataclass(frozen=True)
class Cause:
    """Why a step failed.

    Attributes:
        message: What happened, and the remedy.
        is_transient: Whether a retry may succeed.
    """

    message: str
    is_transient: bool = False


@dataclass(frozen=True)
class Words:
    """How the messages of an engine name its things.

    Attributes:
        place: Where steps run, as in "an import failed in the job".
        environment: Whose Python environment it is, as in "the job's environment".
        mend_environment: What to do where the environment is missing.
        larger: The remedy for too little memory that is this engine's own.
        role: Whose role the step has.
        lost_with: What executors are most likely lost with.
        when_not_cancelled: What ends a step that could not be cancelled.
        when_idle: What ends what it ran on, if nobody else does.
    """

    place: str = "where it ran"
    environment: str = "the environment there"
    mend_environment: str = "Run fruits deploy, and start the run again."
    larger: str = "or take fewer executor cores"
    role: str = "the step's role"
    lost_with: str = "their machines"
    when_not_cancelled: str = "It ends by its time limit."
    when_idle: str = "nothing is left behind"


@dataclass(frozen=True)
class Evidence:
    """What is known about a step that has not succeeded.

    Attributes:
        error: The error that the step itself wrote, None if it wrote none.
        log: The ends of the step's logs, as far as they are there.
        message: What the engine says of the failure.
        known: The cause, where the engine knows it for certain; nothing else is looked at then.
        log_uri: Where the logs are, or will be.
        log_note: Why there is no log yet.
        words: How messages name the engine's things.
    """

    error: Mapping[str, Any] | None
    log: str
    message: str = ""
    known: Cause | None = None
    log_uri: str = ""
    log_note: str = ""
    words: Words = field(default_factory=Words)


class StepError(FruitsError):
    """A step that did not succeed where it was sent to.

    Attributes:
        cause: Why the step failed.
    """

    def __init__(self, where: str, cause: Cause) -> None:
        super().__init__(f"{where}: {cause.message}")
        self.cause = cause


CANCELLED = Cause("the step was cancelled. Start the run again if that was not intended.")
_MEMORY = re.compile(
    r"OutOfMemoryError|MemoryError|Cannot allocate memory|exceeding (physical )?memory limits|oom-kill",
    re.IGNORECASE,
)
_NO_PYTHON = re.compile(
    r'Cannot run program "(?P<one>[^"]*python[^"]*)"|(?P<two>/\S*python[\d.]*): No such file or directory'
)
_NO_MODULE = re.compile(r"No module named '?(?P<module>[\w.]+)'?|cannot import name '(?P<name>\w+)'")
_THROTTLED = re.compile(
    r"SlowDown|Throttling(Exception)?|RequestLimitExceeded|Status Code: 503|reduce your request rate", re.I
)
_LOST_EXECUTOR = re.compile(r"ExecutorLostFailure|Lost executor|Slave lost|worker lost|FetchFailed", re.IGNORECASE)
_LOST_WORKER = re.compile(r"Python worker exited unexpectedly")
_DENIED = re.compile(r"AccessDenied|Status Code: 403|not authorized to perform")
_OF_THE_ENGINE = (_MEMORY, _NO_PYTHON, _NO_MODULE, _THROTTLED, _LOST_EXECUTOR, _LOST_WORKER, _DENIED)
# 128 and the number of the signal: when memory runs out, the kernel and resource managers kill with signal 9.
_KILLED = re.compile(r"(exited with|exit code|exit code is|exit status):? 137|ExitCode: 137", re.IGNORECASE)


def explain(evidence: Evidence) -> Cause:
    """Returns the most likely cause of a failure: the step's own error takes precedence over its log."""
    if evidence.known:
        return evidence.known
    message = f"{evidence.error['type']}: {evidence.error['message']}" if evidence.error else ""
    # The log may contain a stack trace, whose lines name modules. So an import error is searched in the message where
    # there is one, and the log is searched for patterns that no line of a trace matches by accident.
    text = "\n".join([message, evidence.message, evidence.log])
    found = _of_text(message, text, evidence)
    if evidence.error and evidence.error.get("is_ours"):
        # Its own sentence, which names the remedy; whether another attempt may succeed is told by what caused it.
        return replace(found, message=f"{evidence.error['message']}{_where_the_log_is(evidence)}")
    return found


def is_unnamed_denial(text: str) -> bool:
    """Returns whether a text says that AWS denied something, and not what: a log has to tell that."""
    return bool(_DENIED.search(text)) and denials.denial_in(text) is None


def explain_error(text: str, words: Words | None = None) -> Cause | None:
    """Returns why a step failed that reported an error caused by where it ran; None for any other error.

    Args:
        text: The messages of the error and of its causes.
        words: How messages name the engine's things.
    """
    if "FruitsError" in text or not any(pattern.search(text) for pattern in _OF_THE_ENGINE):
        return None
    message = {"type": "Spark", "message": text[-_LONGEST_TEXT:], "trace": text[-_LONGEST_TEXT:]}
    return explain(Evidence(message, "", words=words or Words()))


def _of_text(message: str, text: str, evidence: Evidence) -> Cause:
    tail, words = _tail(evidence), evidence.words
    if "wrong Python" in message:
        return Cause(f"{message}. {words.environment.capitalize()} is not the locked one: run fruits deploy.")
    if missing := _NO_PYTHON.search(text):
        return Cause(
            f"there is no Python at {missing['one'] or missing['two']} {words.place}: its environment is missing. "
            + words.mend_environment
        )
    if _MEMORY.search(text):
        return Cause(
            "the step ran out of memory. Lower FRUITS_MAX_PHOTO_MEGAPIXELS or FRUITS_MEGABYTES_AHEAD, raise "
            f"FRUITS_EXECUTOR_OVERHEAD, {words.larger}.{tail}"
        )
    if module := _NO_MODULE.search(message or text):
        name = module["module"] or module["name"]
        return Cause(
            f"an import failed {words.place}: {name} is not there. A package belongs into pyproject.toml and uv.lock, "
            f"then run fruits deploy; a module of this project must lie in fruits_assets or spark_steps.{tail}"
        )
    return _of_losses(message, text, evidence, tail)


def _of_losses(message: str, text: str, evidence: Evidence, tail: str) -> Cause:
    words = evidence.words
    if _THROTTLED.search(text):
        return Cause(f"AWS throttled the step's requests (SlowDown). Run fewer steps at once.{tail}", is_transient=True)
    if _LOST_EXECUTOR.search(text):
        return Cause(f"the step lost executors, most likely with {words.lost_with}.{tail}", is_transient=True)
    if _LOST_WORKER.search(text):
        return Cause(
            "a Python worker died without a word, most often for memory. Lower FRUITS_MAX_PHOTO_MEGAPIXELS or "
            f"FRUITS_MEGABYTES_AHEAD, or raise FRUITS_EXECUTOR_OVERHEAD.{tail}",
            is_transient=True,
        )
    if denial := denials.denial_in(text):
        of_step = replace(denial, principal=denial.principal or words.role)
        return Cause(f"{denials.sentence_of(of_step)}{_where_the_log_is(evidence)}")
    if is_unnamed_denial(text):
        return Cause(f"AWS denied something to {words.role}. fruits doctor compares it with the stack's.{tail}")
    if message:
        return Cause(f"it failed with {message}{tail}")
    if _KILLED.search(text):
        return Cause(
            "it was killed (exit code 137), most often for memory. Another attempt may go better; else lower "
            f"FRUITS_MAX_PHOTO_MEGAPIXELS or FRUITS_MEGABYTES_AHEAD, or raise FRUITS_EXECUTOR_OVERHEAD.{tail}",
            is_transient=True,
        )
    return Cause(f"the driver was lost without a word. Another attempt may go better.{tail}", is_transient=True)


def _where_the_log_is(evidence: Evidence) -> str:
    note = "" if evidence.log or evidence.error else evidence.log_note
    return f" Its log: {evidence.log_uri}.{note}" if evidence.log_uri else ""


def _tail(evidence: Evidence) -> str:
    trace = evidence.error["trace"] if evidence.error else evidence.log
    lines = [line for line in trace.strip().splitlines() if line.strip() and not line.startswith("INFO")]
    return _where_the_log_is(evidence) + ("\n" + "\n".join(lines[-_LINES_SHOWN:]) if lines else "")
