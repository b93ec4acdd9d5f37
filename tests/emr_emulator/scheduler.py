"""EventBridge Scheduler: moto keeps the schedules, and this makes their calls when their time has come."""

import json
import logging
import threading
import time
from datetime import UTC, datetime

from moto.scheduler.models import Schedule, scheduler_backends

from tests.emr_emulator.api import ElasticMapReduce
from tests.emr_emulator.checks import ApiError
from tests.emr_emulator.cluster.world import ACCOUNT, World
from tests.emr_emulator.iam.authorization import policies_of_role, questions_of, role_document, role_of_arn
from tests.emr_emulator.iam.calls import Call
from tests.emr_emulator.iam.policies import Question, decide, trusts

log = logging.getLogger("emr_emulator")

_TARGET = "arn:aws:scheduler:::aws-sdk:emr:"


class Scheduler:
    """Makes the calls of one-time schedules, under their own roles, by the clock of the emulator.

    Stricter than AWS, which may try again after an error: a call is made once.

    Attributes:
        fired: The calls that were made: name of the schedule, and the error, or nothing.
    """

    def __init__(self, world: World, emr: ElasticMapReduce) -> None:
        self.world = world
        self.emr = emr
        self.fired: dict[str, str] = {}
        self.off = False

    def start(self) -> None:
        """Begins, in a thread of its own."""
        threading.Thread(target=self._run, name="scheduler", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(0.1)
            for region, backend in list(scheduler_backends[ACCOUNT].items()):
                for group in list(backend.schedule_groups.values()):
                    for schedule in list(group.schedules.values()):
                        if not self.off and schedule.name not in self.fired and self._is_due(schedule):
                            self._fire(region, schedule)
                            if schedule.action_after_completion == "DELETE":
                                group.schedules.pop(schedule.name, None)

    def _is_due(self, schedule: Schedule) -> bool:
        moment = datetime.strptime(schedule.schedule_expression, "at(%Y-%m-%dT%H:%M:%S)").replace(tzinfo=UTC)
        return self.world.clock.elapsed(schedule.creation_date) >= moment.timestamp() - schedule.creation_date

    def _fire(self, region: str, schedule: Schedule) -> None:
        action = schedule.target["Arn"].removeprefix(_TARGET)
        call = Call("POST", "elasticmapreduce", action[:1].upper() + action[1:], region, "", is_json=True)
        call.body = json.loads(schedule.target["Input"])
        try:
            self._check(call, schedule.target["RoleArn"])
            self.emr.call(call.action, region, call.body)
            self.fired[schedule.name] = ""
        except ApiError as error:
            self.fired[schedule.name] = f"{error.code}: {error.message}"
        log.info("schedule %s calls %s: %s", schedule.name, call.name, self.fired[schedule.name] or "done")

    def _check(self, call: Call, role_arn: str) -> None:
        role = role_of_arn(role_arn)
        assumed = Question("sts:AssumeRole", role_arn, {"aws:SourceAccount": ACCOUNT})
        if role is None or not trusts(role_document(role), "scheduler.amazonaws.com", "Service", assumed):
            raise ApiError("AccessDeniedException", f"scheduler.amazonaws.com may not assume {role_arn}")
        for question in questions_of(call, self.emr, role_arn):
            if decide(policies_of_role(role.name), question) != "allow":
                raise ApiError("AccessDeniedException", f"{role_arn} may not {question.action} {question.resource}")
