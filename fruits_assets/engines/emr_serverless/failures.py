"""What EMR Serverless tells of a job that failed, and the words for it. The functions are pure."""

import re

from fruits_assets.engines.step_failures import CANCELLED, Cause, Words

WORDS = Words(
    place="in the job",
    environment="the job's environment",
    mend_environment="Run fruits deploy --serverless, and start the run again.",
    larger="or raise FRUITS_EXECUTOR_CORES, with which an executor may have more memory",
    role="the job's role",
    lost_with="their workers",
    when_not_cancelled="The service ends it after FRUITS_STEP_MINUTES.",
    when_idle="the application costs nothing without a job",
)
_CAPACITY = re.compile(r"MaxCapacityExceeded|maximumCapacity|maximum capacity", re.IGNORECASE)
_TIMED_OUT = re.compile(r"timed? ?out|exceeded .{0,40}(timeout|duration)", re.IGNORECASE)
_NO_CAPACITY_AT_AWS = re.compile(r"insufficient capacity|ServiceQuotaExceeded|vCPU (quota|limit)", re.IGNORECASE)
_NO_ROLE = re.compile(r"(could not|unable to|cannot|not authorized to) assume|sts:AssumeRole", re.IGNORECASE)
_NO_ARCHIVE = re.compile(
    r"(NoSuchKey|FileNotFound\w*|does not exist|404)[^\n]*standalone|standalone[^\n]*(does not exist)"
)


def known_cause(state: str, details: str, minutes: int) -> Cause | None:
    """Returns the cause of a failure where the service tells it; None where the logs have to.

    Args:
        state: The service's state of the job.
        details: Its stateDetails.
        minutes: The job's own time limit.
    """
    says = f" EMR Serverless says: {details}." if details else ""
    if _TIMED_OUT.search(details):
        return Cause(
            f"it ran for more than {minutes} minutes, and the service has ended it. Raise FRUITS_STEP_MINUTES, or give "
            f"fewer folders.{says}"
        )
    if _CAPACITY.search(details):
        return Cause(
            "the application's maximum capacity is too small for the job and the others that run. Start it again when "
            "they have ended, lower FRUITS_EXECUTOR_CORES, or raise the stack's ServerlessVcpus and ServerlessMemory."
            + says
        )
    if _NO_CAPACITY_AT_AWS.search(details):
        return Cause(
            f"AWS had no room for the job's workers, by its own capacity or by the account's quota of vCPUs for EMR "
            f"Serverless (fruits doctor).{says}",
            is_transient=True,
        )
    if _NO_ROLE.search(details):
        return Cause(f"the service may not use the job's role. Run fruits deploy, as an administrator.{says}")
    if _NO_ARCHIVE.search(details):
        return Cause(f"the environment with its interpreter is not there. Run fruits deploy --serverless.{says}")
    return CANCELLED if state in ("CANCELLED", "CANCELLING") else None
