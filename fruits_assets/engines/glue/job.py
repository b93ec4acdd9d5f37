"""What the stack's job must be like, so that each run is the one that its launcher asked for, and no other starts."""

from collections.abc import Mapping
from typing import Any

# Spark 3.5 and Python 3.11. The default of a new job, 6.0, is Spark 4.1 and Python 3.13.
GLUE_VERSION = "5.1"
AUTO_SCALING = "--enable-auto-scaling"
LOGS = "--custom-logGroup-prefix"


def problems(job: Mapping[str, Any], logs: str) -> list[str]:
    """Returns what is wrong with a job, a phrase each.

    Args:
        job: As GetJob describes it.
        logs: The stack's prefix of groups of logs.
    """
    wrong: list[str] = []
    if job.get("GlueVersion") != GLUE_VERSION:
        wrong.append(f"its version is {job.get('GlueVersion')}, and steps need {GLUE_VERSION}")
    if job.get("MaxRetries"):
        wrong.append("it retries by itself, which would record steps twice")
    arguments = job.get("DefaultArguments") or {}
    if arguments.get(AUTO_SCALING) != "true":
        wrong.append("it does not scale, so all workers of a run are billed for all of its time")
    if arguments.get(LOGS) != logs:
        wrong.append(f"its logs do not go to {logs}, where they are deleted after some time")
    return wrong
