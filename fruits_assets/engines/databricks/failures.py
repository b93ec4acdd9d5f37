"""What Databricks tells of a run that failed, and the words for it. The functions are pure."""

import re

from fruits_assets.engines.step_failures import CANCELLED, Cause, Words

WORDS = Words(
    place="on the run's cluster",
    environment="the environment of the run's cluster",
    mend_environment="Run fruits deploy --databricks, and start the run again.",
    larger="or set FRUITS_INSTANCE_TYPE to nodes with more memory",
    role="the role of the cluster's instance profile",
    lost_with="their nodes",
    when_not_cancelled="Databricks ends it, and its cluster, some time after FRUITS_STEP_MINUTES.",
    when_idle="a job cluster ends with its run",
)
_TIMED_OUT = re.compile(r"time[d ]?[- ]?out|maximum (run )?duration", re.IGNORECASE)
_INIT_SCRIPT = re.compile(r"init[ _-]?script", re.IGNORECASE)
_PROFILE = re.compile(r"instance[ _-]?profile|iam:PassRole|UnauthorizedOperation|not authorized to perform", re.I)
_NO_CAPACITY = re.compile(
    r"InsufficientInstanceCapacity|insufficient capacity|VcpuLimitExceeded|InstanceLimitExceeded"
    r"|CLOUD_PROVIDER_(RESOURCE_)?(LAUNCH_FAILURE|STOCKOUT)|RequestLimitExceeded",
    re.IGNORECASE,
)
_LIMITS = {
    "CLUSTER_REQUEST_LIMIT_EXCEEDED",
    "MAX_CONCURRENT_RUNS_EXCEEDED",
    "MAX_JOB_QUEUE_SIZE_EXCEEDED",
    "MAX_SPARK_CONTEXTS_EXCEEDED",
    "WORKSPACE_RUN_LIMIT_EXCEEDED",
}
_OF_THE_CLUSTER = {"CLUSTER_ERROR", "CLOUD_FAILURE", "INVALID_CLUSTER_REQUEST", "UNAUTHORIZED_ERROR"}


def known_cause(code: str, message: str, minutes: int) -> Cause | None:
    """Returns the cause of a failure where Databricks tells it; None where output and logs have to.

    Args:
        code: The code of the run's termination details.
        message: Their message.
        minutes: The run's own time limit, its cluster's start-up included.
    """
    says = f" Databricks says: {message.rstrip('.')}." if message else ""
    if code == "USER_CANCELED":
        return CANCELLED
    if code == "CANCELED":
        return _timed_out(minutes, says) if _TIMED_OUT.search(message) else CANCELLED
    if code in _LIMITS:
        return Cause(
            f"the workspace has as many runs or clusters as it may. Run fewer things at once, or start it again later."
            f"{says}",
            is_transient=True,
        )
    if code in _OF_THE_CLUSTER:
        return _of_the_cluster(code, message, says)
    if code == "STORAGE_ACCESS_ERROR":
        return Cause(
            f"its cluster could not read what was sent. Run fruits deploy --databricks, which checks the instance "
            f"profile.{says}"
        )
    if code == "INTERNAL_ERROR":
        return Cause(f"Databricks itself has failed. Another attempt may go better.{says}", is_transient=True)
    return None


def _timed_out(minutes: int, says: str) -> Cause:
    return Cause(
        f"it took more than {minutes} minutes with the start of its cluster, and Databricks has ended it. Raise "
        f"FRUITS_STEP_MINUTES, or give fewer folders.{says}"
    )


def _of_the_cluster(code: str, message: str, says: str) -> Cause:
    if _INIT_SCRIPT.search(message):
        return Cause(
            f"the environment could not be put onto the nodes of its cluster. Run fruits deploy --databricks; the log "
            f"of the script is beside that of the driver.{says}"
        )
    if _NO_CAPACITY.search(message):
        return Cause(
            "AWS had no room for the nodes of its cluster, by its own capacity or by the account's quotas of vCPUs "
            f"(fruits doctor compares these). Lower FRUITS_MAX_EXECUTORS, or start it again later.{says}",
            is_transient=True,
        )
    if _PROFILE.search(message) or code == "UNAUTHORIZED_ERROR":
        return Cause(
            "Databricks may not start the nodes of its cluster with the stack's instance profile. Run fruits deploy "
            "--databricks as an administrator of the workspace, and let the workspace's role pass the profile's role "
            f"(docs/engines.md).{says}"
        )
    if code == "INVALID_CLUSTER_REQUEST":
        return Cause(f"Databricks refuses the cluster. fruits doctor looks at its policy.{says}")
    return Cause(f"its cluster was lost. Another attempt may go better.{says}", is_transient=True)
