"""Steps of a cluster: their names, their states, and how they are cancelled."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from fruits_assets.aws.sessions import translate_errors
from fruits_assets.engines.engine import run_of
from spark_steps.errors import FruitsError

CANCELLING = "CANCEL_PENDING"
UNFINISHED_STEPS = ("PENDING", "RUNNING", CANCELLING)
_IS_ENDING = re.compile(r"shutting down|terminat|not active|may not be modified", re.IGNORECASE)


@dataclass(frozen=True)
class Step:
    """A step of a cluster.

    Attributes:
        id: ``s-...``.
        name: The name that ``job_name`` makes, for steps of this platform.
        state: EMR's state of the step.
        ended: When it ended, None before.
    """

    id: str
    name: str
    state: str
    ended: datetime | None

    @property
    def run_id(self) -> str | None:
        """The id of the Dagster run that it belongs to, None for steps that this platform did not start."""
        return run_of(self.name)


def steps_of(emr: Any, cluster_id: str) -> list[Step]:
    """Returns all steps of a cluster, read with boto3's client of EMR."""
    with translate_errors(f"list the steps of {cluster_id}"):
        pages = emr.get_paginator("list_steps").paginate(ClusterId=cluster_id)
        listed = [(one, one["Status"]) for page in pages for one in page["Steps"]]
    return [
        Step(one["Id"], one["Name"], status["State"], status.get("Timeline", {}).get("EndDateTime"))
        for one, status in listed
    ]


def last_run(steps: Collection[Step]) -> str | None:
    """Returns the id of the run whose step ended last; None where no step has ended or the step belongs to no run."""
    ended = [step for step in steps if step.ended]
    return max(ended, key=lambda step: step.ended or datetime.min).run_id if ended else None


def is_of_an_ending_cluster(error: ClientError) -> bool:
    """Returns whether EMR refuses a request because the cluster is ending."""
    return _IS_ENDING.search(str(error)) is not None


def cancel_steps(emr: Any, cluster_id: str, step_ids: list[str]) -> None:
    """Asks EMR to cancel steps; those that are over, or are being cancelled, are left as they are.

    EMR cancels later: a step may be ``CANCEL_PENDING`` for a while, in which EMR refuses to be asked again.

    Raises:
        FruitsError: EMR refuses to cancel a step that waits or runs.
    """
    with translate_errors(f"cancel steps of {cluster_id}"):
        try:
            answer = emr.cancel_steps(
                ClusterId=cluster_id, StepIds=step_ids, StepCancellationOption="TERMINATE_PROCESS"
            )
        except ClientError as error:
            if is_of_an_ending_cluster(error):
                return
            raise
    told = answer.get("CancelStepsInfoList", [])
    if refused := {one["StepId"]: one.get("Reason") for one in told if one.get("Status") == "FAILED"}:
        for step in steps_of(emr, cluster_id):
            if step.id in refused and step.state in UNFINISHED_STEPS and step.state != CANCELLING:
                raise FruitsError(f"EMR does not cancel step {step.id}: {refused[step.id]}.")
