"""Each way to forget a cluster: it is ended all the same, without the process that created it, in the time promised.

All clusters run at once, on an emulator without Spark whose clock runs fast once they are forgotten. The idle limit is
longer than the greatest age, where nothing else is said, so that it is not what ends them.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest

from fruits_assets.aws.environment import read_environment
from fruits_assets.engines.emr.cluster import Clusters
from fruits_assets.engines.emr.failures import Evidence, explain
from fruits_assets.engines.emr.steps import cancel_steps
from fruits_assets.engines.engine import job_name
from fruits_assets.engines.guards import guard_sensor
from fruits_assets.money.costs import MINUTES_BEYOND_AGE
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import FruitsError
from tests.emr_emulator import Emulator
from tests.emr_emulator.client import REGION
from tests.support.aws.emulated import ACCOUNT, shell, until
from tests.support.project import PROJECT

DATA = f"fruits-data-{ACCOUNT}-{REGION}"
CLOCK_SPEED = 40.0
AGE = 15
LAUNCHER = f"fruits-launcher-{REGION}"

# A launching process: it says which cluster it has taken, and hangs.
PROGRAM = """
import sys, time
from tests.emr.test_forgotten_clusters import settings, submit
from fruits_assets.engines.emr.cluster import Clusters
print(submit(Clusters(settings()))[0], flush=True)
time.sleep(600)
"""


def settings(**given: Any) -> Settings:
    places = {"images": f"s3://{DATA}/Test", "store": f"s3://{DATA}"}
    limits = {"max_age_minutes": AGE, "idle_minutes": 60, "budget_eur": 1000.0}
    return read_settings(deployment="emr", **{**limits, **places, **given})


def submit(clusters: Clusters) -> tuple[str, str]:
    """Gives a step without end to a cluster; returns the ids of both."""
    environment = read_environment(clusters.s3, clusters.infrastructure.staging_bucket)
    return clusters.submit(environment, lambda _: shell("sleep infinity"), lambda _: None)


@contextmanager
def as_role(aws: Emulator, name: str) -> Iterator[None]:
    """Has this process work under a role."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in aws.environ_of_role(f"arn:aws:iam::{ACCOUNT}:role/{name}").items():
            patch.setenv(variable, value)
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        yield


def make_role_without(aws: Emulator, name: str, *actions: str) -> None:
    """Makes a role with the policies of the stack's launcher, without some actions."""
    iam = aws.client("iam")
    trust = iam.get_role(RoleName=LAUNCHER)["Role"]["AssumeRolePolicyDocument"]
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    own = iam.get_role_policy(RoleName=LAUNCHER, PolicyName="launcher")["PolicyDocument"]
    own["Statement"].append({"Effect": "Deny", "Action": list(actions), "Resource": "*"})
    iam.put_role_policy(RoleName=name, PolicyName="launcher", PolicyDocument=json.dumps(own))


@dataclass
class Forgotten:
    """The clusters, each forgotten in another way, by name; and what was said on the way."""

    aws: Emulator
    ids: dict[str, str]
    said: dict[str, str]

    def end(self, name: str) -> dict[str, Any]:
        """Waits for the end of a cluster, and returns its status."""

        def ended() -> dict[str, Any] | None:
            status: dict[str, Any] = self.aws.client("emr").describe_cluster(ClusterId=self.ids[name])["Cluster"][
                "Status"
            ]
            return status if status["State"].startswith("TERMINATED") else None

        found: dict[str, Any] = until(ended, 240)
        return found

    def minutes(self, name: str) -> float:
        """Waits for the end of a cluster, and returns how long it has lived, by the clock of the emulator."""
        self.end(name)
        minutes: float = self.aws.state()["clusters"][self.ids[name]]["minutes"]
        return minutes


def launch_and_kill(aws: Emulator) -> str:
    """Has a process launch a cluster, and kills it: no line of it runs any more."""
    environment = {**os.environ, **aws.environ_of_role(f"arn:aws:iam::{ACCOUNT}:role/{LAUNCHER}")}
    with subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, cwd=PROJECT, stdout=subprocess.PIPE) as run:
        assert run.stdout
        cluster_id = run.stdout.readline().decode().strip()
        run.send_signal(signal.SIGKILL)
    return cluster_id


def launch_apart(aws: Emulator, **given: Any) -> str:
    """Launches a cluster that no later call takes again: another environment, as far as its tag says."""
    cluster_id = submit(Clusters(settings(**given)))[0]
    tag = {"Key": "fruits-environment", "Value": "taken"}
    aws.client("emr").add_tags(ResourceId=cluster_id, Tags=[tag])
    return cluster_id


@pytest.fixture(scope="module")
def forgotten(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forgotten]:
    aws = Emulator.start(tmp_path_factory.mktemp("forgotten"), startup_seconds=0.5, stack=True, with_spark=False)
    try:
        aws.enforce_iam(True)
        make_role_without(aws, "cannot-terminate", "elasticmapreduce:TerminateJobFlows")
        make_role_without(aws, "cannot-schedule", "scheduler:CreateSchedule")
        make_role_without(aws, "can-neither", "scheduler:CreateSchedule", "elasticmapreduce:TerminateJobFlows")
        yield forget(aws)
    finally:
        aws.stop()


def forget(aws: Emulator) -> Forgotten:
    ids: dict[str, str] = {}
    said: dict[str, str] = {}
    emr, scheduler = aws.client("emr"), aws.client("scheduler")
    ids["laptop off"] = launch_and_kill(aws)
    emr.add_tags(ResourceId=ids["laptop off"], Tags=[{"Key": "fruits-environment", "Value": "taken"}])
    with as_role(aws, LAUNCHER):
        ids["protected"] = launch_apart(aws)
        emr.set_termination_protection(JobFlowIds=[ids["protected"]], TerminationProtected=True)
        ids["rebooted"] = launch_apart(aws)
        for name in ("terminate", "unprotect"):
            scheduler.delete_schedule(Name=f"{ids['rebooted']}-{name}", GroupName="fruits")
        aws.set_spot_capacity(0)
        ids["without spot"] = launch_apart(aws, spot=True)
    with as_role(aws, "cannot-terminate"):
        clusters = Clusters(settings())
        ids["not to be terminated"] = launch_apart(aws)
        with pytest.raises(FruitsError) as denied:
            clusters.terminate([ids["not to be terminated"]])
        said["not to be terminated"] = str(denied.value)
    for role in ("cannot-schedule", "can-neither"):
        before = set(aws.state()["clusters"])
        with as_role(aws, role), pytest.raises(FruitsError) as denied:
            submit(Clusters(settings(idle_minutes=5)))
        said[role] = str(denied.value)
        (ids[role],) = set(aws.state()["clusters"]) - before
    until(lambda: emr.describe_cluster(ClusterId=ids["rebooted"])["Cluster"]["Status"]["State"] == "RUNNING", 120)
    aws.reboot(ids["rebooted"])
    boot = next(Path(aws.state()["clusters"][ids["rebooted"]]["directory"]).glob("nodes/*")) / "boot.log"
    until(boot.exists, 60)
    aws.set_clock_speed(CLOCK_SPEED)
    return Forgotten(aws, ids, said)


def test_a_cluster_whose_launching_machine_is_off_is_ended_at_its_greatest_age(forgotten: Forgotten) -> None:
    assert AGE <= forgotten.minutes("laptop off") < AGE + MINUTES_BEYOND_AGE
    assert forgotten.aws.fired()[f"{forgotten.ids['laptop off']}-terminate"] == ""


def test_a_cluster_that_was_protected_by_hand_is_ended_all_the_same(forgotten: Forgotten) -> None:
    assert AGE <= forgotten.minutes("protected") < AGE + MINUTES_BEYOND_AGE
    fired = forgotten.aws.fired()
    assert {name: fired[f"{forgotten.ids['protected']}-{name}"] for name in ("unprotect", "terminate")} == {
        "unprotect": "",
        "terminate": "",
    }


def test_a_cluster_whose_master_was_rebooted_is_ended_by_its_own_switch(forgotten: Forgotten) -> None:
    # Its end is asked for by a process of the node, which on a busy machine is many minutes of a fast clock.
    assert AGE <= forgotten.minutes("rebooted") < settings().idle_minutes
    assert f"{forgotten.ids['rebooted']}-terminate" not in forgotten.aws.fired()


def test_a_cluster_that_gets_no_spot_instances_ends_itself_and_the_message_says_what_to_do(
    forgotten: Forgotten,
) -> None:
    status = forgotten.end("without spot")
    assert status["State"] == "TERMINATED_WITH_ERRORS"
    assert status["StateChangeReason"]["Code"] == "INSTANCE_FLEET_TIMEOUT"
    assert settings().provisioning_minutes <= forgotten.minutes("without spot") < AGE
    told = explain(Evidence("CANCELLED", {}, status["State"], status["StateChangeReason"], None, "", waiting=True))
    assert "could not get the cluster's Spot instances in time" in told.message
    assert "FRUITS_SPOT=false" in told.message


def test_a_cluster_that_its_launcher_may_not_end_is_ended_by_its_schedule(forgotten: Forgotten) -> None:
    assert "elasticmapreduce:TerminateJobFlows" in forgotten.said["not to be terminated"]
    assert AGE <= forgotten.minutes("not to be terminated") < AGE + MINUTES_BEYOND_AGE


def test_a_cluster_that_can_have_no_schedule_is_ended_at_once_and_the_permission_is_named(forgotten: Forgotten) -> None:
    said, cluster_id = forgotten.said["cannot-schedule"], forgotten.ids["cannot-schedule"]
    assert said.startswith(f"Cluster {cluster_id} is ended at once, because nothing outside of it would end it")
    assert "scheduler:CreateSchedule" in said
    assert forgotten.minutes("cannot-schedule") < AGE
    assert not forgotten.aws.state()["clusters"][cluster_id]["steps"]


def test_a_cluster_with_neither_a_schedule_nor_somebody_who_may_end_it_has_no_step_and_ends_as_idle(
    forgotten: Forgotten,
) -> None:
    said, cluster_id = forgotten.said["can-neither"], forgotten.ids["can-neither"]
    assert said.startswith(f"Cluster {cluster_id} could not be ended")
    assert "elasticmapreduce:TerminateJobFlows" in said
    assert "scheduler:CreateSchedule" in said
    assert "idle" in forgotten.end("can-neither")["StateChangeReason"]["Message"]
    assert not forgotten.aws.state()["clusters"][cluster_id]["steps"]


def test_a_step_without_a_run_is_cancelled_and_one_that_does_not_end_then_ends_with_its_cluster(
    forgotten: Forgotten, instance: dg.DagsterInstance
) -> None:
    aws = forgotten.aws
    run_id = dg.GraphDefinition(name="over").execute_in_process(instance=instance).run_id
    given = settings(core_nodes=3)
    with as_role(aws, LAUNCHER):
        clusters = Clusters(given)
        environment = read_environment(clusters.s3, clusters.infrastructure.staging_bucket)
        step = shell("sleep infinity", job_name("raw_images", run_id, 0))
        cluster_id, step_id = clusters.submit(environment, lambda _: step, lambda _: None)
        until(lambda: aws.state()["clusters"][cluster_id]["state"] == "RUNNING", 60)
        # One that has been idle for less than half a minute may be between two runs.
        aws.age(cluster_id, 0.001)
        aws.hold_cancels(True)
        context = dg.build_sensor_context(instance=instance, resources={"settings": given})
        first = guard_sensor(context)
        assert first == dg.SkipReason(f"Step {step_id} of cluster {cluster_id} is cancelled: its run is over.")
        # EMR refuses to be asked again.
        cancel_steps(clusters.emr, cluster_id, [step_id])
        assert [one.state for one in clusters.steps(cluster_id)] == ["CANCEL_PENDING"]
        assert set(schedules(aws)) >= {f"{cluster_id}-terminate", f"{cluster_id}-unprotect"}
        second = guard_sensor(context)
        assert second == dg.SkipReason(f"cluster {cluster_id} has nothing more to do and is ended")
    # They go with a cluster that the platform ends.
    assert not [name for name in schedules(aws) if name.startswith(cluster_id)]


def test_idle_clusters_are_ended_whose_schedules_the_launcher_may_not_delete_and_both_are_said(
    forgotten: Forgotten,
) -> None:
    aws, said = forgotten.aws, list[str]()
    make_role_without(aws, "keeps-schedules", "scheduler:DeleteSchedule")
    with as_role(aws, "keeps-schedules"):
        ids = [submit_and_finish(aws, core_nodes=nodes) for nodes in (2, 3)]
        Clusters(settings()).end_idle(said.append, is_ours=lambda _: True)
        assert not {one.id for one in Clusters(settings()).active()} & set(ids)
    for cluster_id in ids:
        assert f"cluster {cluster_id} has nothing more to do and is ended" in said
        assert any(
            line.startswith(f"the schedules of cluster {cluster_id} stay") and "scheduler:DeleteSchedule" in line
            for line in said
        )


def test_an_idle_cluster_that_emr_does_not_end_keeps_no_other_from_its_end(forgotten: Forgotten) -> None:
    aws, said = forgotten.aws, list[str]()
    with as_role(aws, LAUNCHER):
        ids = [submit_and_finish(aws, core_nodes=nodes) for nodes in (2, 3)]
        aws.client("emr").set_termination_protection(JobFlowIds=ids[:1], TerminationProtected=True)
        with pytest.raises(FruitsError, match=f"terminate {ids[0]}.*termination protected"):
            Clusters(settings()).end_idle(said.append, is_ours=lambda _: True)
        aws.client("emr").set_termination_protection(JobFlowIds=ids[:1], TerminationProtected=False)
    assert [line for line in said if ids[1] in line] == [f"cluster {ids[1]} has nothing more to do and is ended"]
    assert not [name for name in schedules(aws) if name.startswith(ids[1])]


def submit_and_finish(aws: Emulator, **given: Any) -> str:
    """Gives a cluster of its own a step that ends at once, and waits until it has nothing to do."""
    clusters = Clusters(settings(**given))
    environment = read_environment(clusters.s3, clusters.infrastructure.staging_bucket)
    cluster_id, _ = clusters.submit(environment, lambda _: shell("true"), lambda _: None)
    aws.client("emr").add_tags(ResourceId=cluster_id, Tags=[{"Key": "fruits-environment", "Value": "taken"}])
    until(lambda: all(step.ended for step in clusters.steps(cluster_id)), 120)
    return cluster_id


def schedules(aws: Emulator) -> list[str]:
    return [one["Name"] for one in aws.client("scheduler").list_schedules(GroupName="fruits")["Schedules"]]


def test_what_ended_more_than_30_days_ago_is_not_listed_any_more(forgotten: Forgotten) -> None:
    cluster_id = forgotten.ids["cannot-schedule"]
    forgotten.end("cannot-schedule")
    emr = forgotten.aws.client("emr")
    forgotten.aws.age(cluster_id, 31)
    assert emr.list_instances(ClusterId=cluster_id)["Instances"] == []
    assert emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["NormalizedInstanceHours"] >= 0
