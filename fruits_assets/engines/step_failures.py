"""Why a step on EMR failed, as a sentence with a remedy, derived from EMR's states and the step's error and log.

The functions are pure: ``launcher`` collects the evidence.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spark_steps.errors import FruitsError

# Lines of the log at the end of the message.
_LINES_SHOWN = 12
_LONGEST_TEXT = 8000


@dataclass(frozen=True)
class Evidence:
    """What is known about a step that has not succeeded.

    Attributes:
        step: The step's state, such as ``FAILED``.
        details: FailureDetails of DescribeStep.
        cluster: The cluster's state.
        cluster_reason: StateChangeReason of DescribeCluster.
        error: The error that the step itself wrote, None if it wrote none.
        log: The ends of the step's controller log, stdout and stderr, as far as EMR has written them.
        waiting: Whether the step never started.
        aged: Whether the cluster has reached its maximum age.
        log_uri: The folder that EMR uploads the step's logs to.
    """

    step: str
    details: Mapping[str, str]
    cluster: str
    cluster_reason: Mapping[str, str]
    error: Mapping[str, Any] | None
    log: str
    waiting: bool = False
    aged: bool = False
    log_uri: str = ""


@dataclass(frozen=True)
class Cause:
    """Why a step failed.

    Attributes:
        message: What happened, and the remedy.
        is_transient: Whether a retry may succeed.
    """

    message: str
    is_transient: bool = False


class StepError(FruitsError):
    """A step on EMR that did not succeed.

    Attributes:
        cause: Why the step failed.
    """

    def __init__(self, where: str, cause: Cause) -> None:
        super().__init__(f"{where}: {cause.message}")
        self.cause = cause


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
_OF_THE_CLUSTER = (_MEMORY, _NO_PYTHON, _NO_MODULE, _THROTTLED, _LOST_EXECUTOR, _LOST_WORKER, _DENIED)
# 128 and the number of the signal: when memory runs out, the kernel and YARN kill with signal 9.
_KILLED = re.compile(r"(exited with|exit code|exit code is|exit status):? 137", re.IGNORECASE)


def explain(evidence: Evidence) -> Cause:
    """Returns the most likely cause of a failure: the step's own error takes precedence over its log."""
    lost = _of_cluster(evidence)
    if lost:
        return lost
    if evidence.step in ("CANCELLED", "CANCEL_PENDING", "INTERRUPTED"):
        return Cause("the step was cancelled. Start the run again if that was not intended.")
    message = f"{evidence.error['type']}: {evidence.error['message']}" if evidence.error else ""
    # The log may contain a stack trace, whose lines name modules. So an import error is searched in the message where
    # there is one, and the log is searched for patterns that no line of a trace matches by accident.
    text = "\n".join([message, evidence.details.get("Message", ""), evidence.log])
    return _of_text(message, text, evidence)


def explain_error(text: str) -> Cause | None:
    """Returns why a step failed that reported an error caused by the cluster; None for any other error.

    Args:
        text: The messages of the error and of its causes.
    """
    if "FruitsError" in text or not any(pattern.search(text) for pattern in _OF_THE_CLUSTER):
        return None
    message = {"type": "Spark", "message": text[-_LONGEST_TEXT:], "trace": text[-_LONGEST_TEXT:]}
    return explain(Evidence("FAILED", {}, "RUNNING", {}, message, ""))


def _of_cluster(evidence: Evidence) -> Cause | None:
    if not evidence.cluster.startswith("TERMINAT"):
        return None
    code, message = evidence.cluster_reason.get("Code", ""), evidence.cluster_reason.get("Message", "")
    detail = f" EMR says {code}: {message}." if code or message else ""
    if code == "BOOTSTRAP_FAILURE":
        return Cause(
            f"the cluster could not be set up.{detail} Look at the bootstrap action's log below node/ in the log "
            "bucket; run fruits deploy to build the environment again."
        )
    if code == "INSTANCE_FLEET_TIMEOUT":
        return Cause(
            f"EMR could not get the cluster's Spot instances in time, and has ended it.{detail} Start the run again "
            "later, set FRUITS_SPOT=false, choose another FRUITS_INSTANCE_TYPE, or raise FRUITS_PROVISIONING_MINUTES."
        )
    if evidence.waiting or evidence.aged:
        why = "it had reached its greatest age" if evidence.aged else "it ended before the step's turn"
        return Cause(
            f"the cluster is gone: {why}.{detail} Another attempt takes a new one; give fewer folders at once, or "
            "raise FRUITS_MAX_AGE_MINUTES, if that happens again.",
            is_transient=True,
        )
    if code in ("USER_REQUEST", "ALL_STEPS_COMPLETED"):
        return Cause(
            "the cluster was terminated while the step was under way, by a person or by fruits clusters --terminate."
            f"{detail} Start the run again; what is written already is not computed twice."
        )
    return Cause(f"the cluster was lost.{detail} Another attempt takes a new one.", is_transient=True)


def _of_text(message: str, text: str, evidence: Evidence) -> Cause:
    tail = _tail(evidence)
    if "wrong Python" in message:
        return Cause(f"{message}. The cluster's environment is not the locked one: run fruits deploy.")
    if missing := _NO_PYTHON.search(text):
        return Cause(
            f"there is no Python at {missing['one'] or missing['two']} on the cluster: its environment is missing. Run "
            "fruits deploy, end this cluster (fruits clusters --terminate), and start the run again."
        )
    if _MEMORY.search(text):
        return Cause(
            "the step ran out of memory. Lower FRUITS_MAX_PHOTO_MEGAPIXELS or FRUITS_MEGABYTES_AHEAD, raise "
            f"FRUITS_EXECUTOR_OVERHEAD, or take larger nodes with FRUITS_INSTANCE_TYPE.{tail}"
        )
    if module := _NO_MODULE.search(message or text):
        name = module["module"] or module["name"]
        return Cause(
            f"an import failed on the cluster: {name} is not there. A package belongs into pyproject.toml and uv.lock, "
            f"then run fruits deploy; a module of this project must lie in fruits_assets or spark_steps.{tail}"
        )
    if _THROTTLED.search(text):
        return Cause(f"AWS throttled the step's requests (SlowDown). Run fewer steps at once.{tail}", is_transient=True)
    if _LOST_EXECUTOR.search(text):
        return Cause(f"the step lost executors, most likely with their nodes.{tail}", is_transient=True)
    if _LOST_WORKER.search(text):
        return Cause(
            "a Python worker died without a word, most often for memory. Lower FRUITS_MAX_PHOTO_MEGAPIXELS or "
            f"FRUITS_MEGABYTES_AHEAD, or raise FRUITS_EXECUTOR_OVERHEAD.{tail}",
            is_transient=True,
        )
    if _DENIED.search(text):
        return Cause(f"AWS denied something to the nodes' role. fruits doctor compares it with the stack's.{tail}")
    if message:
        return Cause(f"it failed with {message}{tail}")
    if _KILLED.search(text):
        return Cause(
            "it was killed (exit code 137), most often for memory. Another attempt may go better; else lower "
            f"FRUITS_MAX_PHOTO_MEGAPIXELS or FRUITS_MEGABYTES_AHEAD, or raise FRUITS_EXECUTOR_OVERHEAD.{tail}",
            is_transient=True,
        )
    return Cause(f"the driver was lost without a word. Another attempt may go better.{tail}", is_transient=True)


def _tail(evidence: Evidence) -> str:
    trace = evidence.error["trace"] if evidence.error else evidence.log
    lines = [line for line in trace.strip().splitlines() if line.strip() and not line.startswith("INFO")]
    place = evidence.details.get("LogFile") or evidence.log_uri
    come = "" if evidence.log or evidence.error else " EMR has not uploaded it yet; it comes within some minutes."
    log = f" Its log: {place}.{come}" if place else ""
    return log + ("\n" + "\n".join(lines[-_LINES_SHOWN:]) if lines else "")
