"""The guard outside of the cluster and of this machine: schedules of EventBridge Scheduler that end a cluster.

A schedule calls EMR itself, once, with a role of the stack: no code of ours has to run for it, and it costs nothing. It
makes a single request, so a cluster has two schedules: somebody may have set termination protection by hand, which is
taken away first. Each deletes itself after its call.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from fruits_assets.aws import clock
from fruits_assets.aws.sessions import error_code, translate_errors
from spark_steps.errors import FruitsError

_TARGET = "arn:aws:scheduler:::aws-sdk:emr:"
# Scheduler calls within a minute of the time that it was given.
_UNPROTECTED_BEFORE = timedelta(minutes=2)


@dataclass(frozen=True)
class EndSchedules:
    """The schedules of a stack's clusters.

    Attributes:
        scheduler: boto3's client of EventBridge Scheduler.
        group: Their schedule group, which has the name of the stack.
        role_arn: ARN of the stack's role that Scheduler assumes; not needed to remove schedules.
    """

    scheduler: Any
    group: str
    role_arn: str = ""

    def create(self, cluster_id: str, ends_by: datetime) -> None:
        """Creates the schedules of a cluster; those that are there already stay as they are.

        Args:
            cluster_id: ``j-...``.
            ends_by: When the cluster is to be ended, with a time zone.

        Raises:
            FruitsError: A schedule cannot be created.
        """
        for name, moment, action, arguments in _calls(cluster_id, ends_by):
            with translate_errors(f"create the schedule that ends {cluster_id} at its maximum age"):
                try:
                    self.scheduler.create_schedule(
                        Name=name,
                        GroupName=self.group,
                        ScheduleExpression=f"at({moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S})",
                        ScheduleExpressionTimezone="UTC",
                        FlexibleTimeWindow={"Mode": "OFF"},
                        ActionAfterCompletion="DELETE",
                        Target={
                            "Arn": f"{_TARGET}{action}",
                            "RoleArn": self.role_arn,
                            "Input": json.dumps({"JobFlowIds": [cluster_id], **arguments}),
                        },
                    )
                except ClientError as error:
                    if error_code(error) != "ConflictException":
                        raise

    def remove(self, cluster_id: str, report: Callable[[str], None]) -> None:
        """Deletes the schedules of a cluster that is ending, if there are any.

        What cannot be deleted is reported and raises nothing: the cluster is ended all the same.

        Args:
            cluster_id: ``j-...``.
            report: Takes a line if one of them stays.
        """
        try:
            self._remove(cluster_id)
        except FruitsError as error:
            report(
                f"the schedules of cluster {cluster_id} stay, which does no harm: they delete themselves at its "
                f"maximum age. {error}"
            )

    def _remove(self, cluster_id: str) -> None:
        for name, *_ in _calls(cluster_id, clock.now()):
            with translate_errors(f"delete the schedule {self.group}/{name}"):
                try:
                    self.scheduler.delete_schedule(Name=name, GroupName=self.group)
                except ClientError as error:
                    if error_code(error) != "ResourceNotFoundException":
                        raise


def _calls(cluster_id: str, ends_by: datetime) -> Iterator[tuple[str, datetime, str, dict[str, Any]]]:
    """Yields the name, the time, the call and its arguments besides the cluster; the most needed schedule first."""
    yield f"{cluster_id}-terminate", ends_by, "terminateJobFlows", {}
    unprotect = {"TerminationProtected": False}
    yield f"{cluster_id}-unprotect", ends_by - _UNPROTECTED_BEFORE, "setTerminationProtection", unprotect
