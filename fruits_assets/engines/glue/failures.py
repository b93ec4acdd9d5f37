"""What Glue tells of a run that failed, and the words for it. The functions are pure."""

import re

from fruits_assets.engines.step_failures import CANCELLED, Cause, Words

WORDS = Words(
    place="in the run",
    environment="the run's environment",
    mend_environment="Run fruits deploy --glue, and start the run again.",
    larger="or raise FRUITS_EXECUTOR_CORES, with which a worker has more memory",
    role="the Glue job's role",
    lost_with="their workers",
    when_not_cancelled="Glue ends it after FRUITS_STEP_MINUTES.",
    when_idle="a Glue job costs nothing without a run",
)
_NO_CAPACITY = re.compile(
    r"resource unavailable|insufficient capacity|ResourceNumberLimitExceeded|max(imum)? (task )?(dpu|compute|capacity)"
    r"|exceeded .{0,40}(quota|limit)",
    re.IGNORECASE,
)
_NO_ROLE = re.compile(r"(could not|unable to|cannot|failed to|not authorized to) assume|sts:AssumeRole", re.IGNORECASE)
_NO_ARCHIVE = re.compile(
    r"(NoSuchKey|FileNotFound\w*|does not exist|404)[^\n]*standalone|standalone[^\n]*(does not exist|Not Found)"
)


def known_cause(state: str, message: str, minutes: int) -> Cause | None:
    """Returns the cause of a failure where Glue tells it; None where the logs have to.

    Args:
        state: Glue's state of the run.
        message: Its ErrorMessage.
        minutes: The run's own time limit.
    """
    says = f" Glue says: {message}." if message else ""
    if state == "TIMEOUT":
        return Cause(
            f"it ran for more than {minutes} minutes, and Glue has ended it. Raise FRUITS_STEP_MINUTES, or give fewer "
            f"folders.{says}"
        )
    if state == "EXPIRED":
        return Cause(
            f"it waited for its turn until Glue gave it up. Run fewer things at once.{says}", is_transient=True
        )
    if _NO_ROLE.search(message):
        return Cause(f"Glue may not use the role of its job. Run fruits deploy, as an administrator.{says}")
    if _NO_ARCHIVE.search(message):
        return Cause(f"the environment with its interpreter is not there. Run fruits deploy --glue.{says}")
    if _NO_CAPACITY.search(message):
        return Cause(
            f"AWS had no room for the run's workers, by its own capacity or by the account's quotas for Glue (Service "
            f"Quotas in the console). Lower FRUITS_MAX_EXECUTORS, or start it again later.{says}",
            is_transient=True,
        )
    if state == "ERROR":
        return Cause(f"Glue itself has failed. Another attempt may go better.{says}", is_transient=True)
    return CANCELLED if state in ("STOPPED", "STOPPING") else None
