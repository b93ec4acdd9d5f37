"""Requests to Glue: which of them the emulator answers itself, and what IAM asks for them."""

from typing import Any

from tests.emr_emulator.cluster.world import ACCOUNT
from tests.emr_emulator.iam.policies import Question

SERVICE, TARGET = "glue", "AWSGlue."
# All others are moto's.
OWN = {"StartJobRun", "GetJobRun", "GetJobRuns", "BatchStopJobRun"}


def questions(name: str, region: str, body: dict[str, Any], context: dict[str, str | list[str]]) -> list[Question]:
    """Returns what must be permitted for a call.

    Args:
        name: The action, such as ``glue:StartJobRun``.
        region: Of the call.
        body: Its fields.
        context: Condition keys that every call has.
    """
    if "JobName" not in body:
        return [Question(name, "*", context)]
    return [Question(name, f"arn:aws:glue:{region}:{ACCOUNT}:job/{body['JobName']}", context)]
