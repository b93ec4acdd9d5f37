"""The EMR emulator does what EMR does, as far as the launcher can tell."""

import gzip
import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emr_emulator import Emulator, processes
from tests.emr_emulator.policies import Question, decide, trusts

pytest_plugins = ["tests.emr_emulator.fixtures"]

ACCOUNT = "123456789012"
NODES_MAY: list[dict[str, Any]] = [
    {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::emulated"},
    {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::emulated/*"},
    {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::emulated/Results/*"},
    {
        "Effect": "Allow",
        "Action": "elasticmapreduce:TerminateJobFlows",
        "Resource": f"arn:aws:elasticmapreduce:eu-west-3:{ACCOUNT}:cluster/*",
        "Condition": {"StringEquals": {"elasticmapreduce:ResourceTag/fruits-stack": "emulated"}},
    },
]
STEP = """
import importlib.util, os, sys
import in_the_zip
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
network = spark.sparkContext.broadcast(b"x" * 9_000_000)


def describe(number):
    import os, time
    time.sleep(1)  # So that one executor alone does not take all tasks.
    return number, os.environ["SPARK_EXECUTOR_DIRS"], len(network.value), in_the_zip.ANSWER


rows = spark.sparkContext.parallelize(range(4), 4).map(describe).toDF(["number", "executor", "size", "answer"])
lines = spark.read.text("s3://emulated/Test/lines.txt")
assert lines.count() == 2
rows.write.mode("overwrite").json("s3://emulated/Results/rows")
print("project", importlib.util.find_spec("fruits_assets"), importlib.util.find_spec("spark_steps"))
print("settings", [name for name in os.environ if name.startswith(("FRUITS_", "DAGSTER_"))])
"""


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """Waits for a condition, and returns what made it true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.1)
    return value


def trust(service: str) -> str:
    principal = {"Service": f"{service}.amazonaws.com"} if "." not in service else {"AWS": service}
    return policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def shell(command: str, name: str = "shell") -> dict[str, Any]:
    """A step that needs no Spark, for tests of states."""
    return step("bash", "-c", command, name=name)


def step(*args: str, name: str = "step") -> dict[str, Any]:
    jar = {"Jar": "command-runner.jar", "Args": list(args)}
    return {"Name": name, "ActionOnFailure": "CONTINUE", "HadoopJarStep": jar}


@dataclass
class Account:
    """What a test needs of AWS, with everything EMR asks for made."""

    emulator: Emulator
    emr: Any
    s3: Any

    def run(self, name: str, **request: Any) -> str:
        instances: dict[str, Any] = {
            "InstanceGroups": [
                {"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1},
                {"InstanceRole": "CORE", "InstanceType": "m5.xlarge", "InstanceCount": 2, "Market": "SPOT"},
            ],
            "KeepJobFlowAliveWhenNoSteps": True,
        }
        defaults = {
            "ReleaseLabel": "emr-7.14.0",
            "ServiceRole": "emulated-service",
            "JobFlowRole": "emulated-nodes",
            "LogUri": "s3://emulated/logs/",
            "Instances": instances,
            "Tags": [{"Key": "fruits-stack", "Value": "emulated"}],
        }
        identity: str = self.emr.run_job_flow(Name=name, **{**defaults, **request})["JobFlowId"]
        return identity

    def state(self, cluster: str) -> str:
        return str(self.emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"])

    def wait(self, cluster: str, *states: str) -> dict[str, Any]:
        until(lambda: self.state(cluster) in states)
        status: dict[str, Any] = self.emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]
        return status

    def add(self, cluster: str, *steps: dict[str, Any]) -> list[str]:
        ids: list[str] = self.emr.add_job_flow_steps(JobFlowId=cluster, Steps=list(steps))["StepIds"]
        return ids

    def step_status(self, cluster: str, step_id: str) -> dict[str, Any]:
        status: dict[str, Any] = self.emr.describe_step(ClusterId=cluster, StepId=step_id)["Step"]["Status"]
        return status

    def wait_step(self, cluster: str, step_id: str, *states: str, seconds: float = 90) -> dict[str, Any]:
        until(lambda: self.step_status(cluster, step_id)["State"] in states, seconds)
        return self.step_status(cluster, step_id)

    def log(self, cluster: str, step_id: str, name: str) -> str:
        key = f"logs/{cluster}/steps/{step_id}/{name}.gz"
        return gzip.decompress(self.s3.get_object(Bucket="emulated", Key=key)["Body"].read()).decode()

    def script(self, text: str) -> list[dict[str, Any]]:
        """A bootstrap action of this text."""
        self.s3.put_object(Bucket="emulated", Key="environment/script.sh", Body=text.encode())
        path = "s3://emulated/environment/script.sh"
        return [{"Name": "script", "ScriptBootstrapAction": {"Path": path, "Args": ["first"]}}]


@pytest.fixture(scope="module")
def account(emulator: Emulator) -> Account:
    """The emulator with a bucket, roles and a step's files."""
    s3, iam = emulator.client("s3"), emulator.client("iam")
    s3.create_bucket(Bucket="emulated", CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
    s3.put_object(Bucket="emulated", Key="Test/lines.txt", Body=b"one\ntwo\n")
    s3.put_object(Bucket="emulated", Key="steps/main.py", Body=STEP.encode())
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("in_the_zip.py", "ANSWER = 42\n")
    s3.put_object(Bucket="emulated", Key="steps/code.zip", Body=code.getvalue())
    for name, service in {"service": "elasticmapreduce", "nodes": "ec2"}.items():
        iam.create_role(RoleName=f"emulated-{name}", AssumeRolePolicyDocument=trust(service))
    iam.put_role_policy(RoleName="emulated-nodes", PolicyName="nodes", PolicyDocument=policy(*NODES_MAY))
    iam.create_instance_profile(InstanceProfileName="emulated-nodes")
    iam.add_role_to_instance_profile(InstanceProfileName="emulated-nodes", RoleName="emulated-nodes")
    return Account(emulator, emulator.client("emr"), s3)


@pytest.fixture(scope="module")
def cluster(account: Account) -> Iterator[str]:
    """One cluster for all tests that leave it alive."""
    script = """
        sudo mkdir -p /opt/fruits
        echo "$1 $(cat /mnt/var/lib/info/instance.json)" >> /opt/fruits/seen
    """
    identity = account.run("shared", BootstrapActions=account.script(script), StepConcurrencyLevel=2)
    yield identity
    account.emr.terminate_job_flows(JobFlowIds=[identity])
    account.wait(identity, "TERMINATED")
    assert account.emulator.state()["clusters"][identity]["processes"] == 0


@contextmanager
def refused(code: str, text: str) -> Iterator[None]:
    with pytest.raises(ClientError) as refusal:
        yield
    assert refusal.value.response["Error"]["Code"] == code
    assert text in refusal.value.response["Error"]["Message"]


# ------------------------------------------------------------------------------------------------------------- clusters


def test_a_cluster_starts_bootstraps_its_nodes_and_waits(account: Account, cluster: str) -> None:
    seen: list[str] = []

    def is_waiting() -> bool:
        if (state := account.state(cluster)) not in seen:
            seen.append(state)
        return state == "WAITING"

    until(is_waiting)
    assert [state for state in seen if state != "RUNNING"] == ["STARTING", "BOOTSTRAPPING", "WAITING"]
    status = account.emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]
    assert status["Timeline"]["ReadyDateTime"] > status["Timeline"]["CreationDateTime"]
    nodes = Path(account.emulator.state()["clusters"][cluster]["directory"]) / "nodes"
    told = sorted(file.read_text().strip() for file in nodes.glob("*/opt/fruits/seen"))
    assert told == ['first {"isMaster": false}', 'first {"isMaster": false}', 'first {"isMaster": true}']


def test_instances_have_times_of_their_own_and_come_in_pages(account: Account, cluster: str) -> None:
    account.wait(cluster, "WAITING")
    first = account.emr.list_instances(ClusterId=cluster)
    assert len(first["Instances"]) == 2
    pages = account.emr.get_paginator("list_instances").paginate(ClusterId=cluster)
    instances = [instance for page in pages for instance in page["Instances"]]
    assert [one["Market"] for one in instances] == ["ON_DEMAND", "SPOT", "SPOT"]
    assert {one["InstanceType"] for one in instances} == {"m5.xlarge"}
    assert all(one["Status"]["Timeline"]["ReadyDateTime"] for one in instances)
    groups = account.emr.list_instance_groups(ClusterId=cluster)["InstanceGroups"]
    assert {one["Id"]: one["RunningInstanceCount"] for one in groups} == {
        instances[0]["InstanceGroupId"]: 1,
        instances[1]["InstanceGroupId"]: 2,
    }


def test_a_cluster_is_not_seen_from_another_region(account: Account, cluster: str) -> None:
    elsewhere = account.emulator.client("emr", "us-east-1")
    assert elsewhere.list_clusters()["Clusters"] == []
    with refused("InvalidRequestException", cluster):
        elsewhere.describe_cluster(ClusterId=cluster)


def test_an_idle_cluster_ends_unless_a_notebook_keeps_it(account: Account) -> None:
    idle = account.run("idle", AutoTerminationPolicy={"IdleTimeout": 100})
    account.wait(idle, "WAITING")
    account.emulator.keep_busy(idle)
    time.sleep(2.5)
    assert account.state(idle) == "WAITING"
    account.emulator.keep_busy(idle, False)
    ended = account.wait(idle, "TERMINATED")
    assert "idle" in ended["StateChangeReason"]["Message"]
    assert ended["Timeline"]["EndDateTime"]
    assert account.emulator.state()["clusters"][idle]["processes"] == 0


def test_a_bootstrap_action_can_end_its_cluster_at_its_greatest_age(account: Account) -> None:
    script = """#!/bin/bash
        set -euo pipefail
        cat > /opt/fruits/dead-man.sh <<'SWITCH'
        id=$(python3 -c 'import json; print(json.load(open("/mnt/var/lib/info/job-flow.json"))["jobFlowId"])')
        aws emr terminate-clusters --cluster-ids "$id" --region eu-west-3
SWITCH
        if grep -q true /mnt/var/lib/info/instance.json; then
            sudo systemd-run --on-active=300s --unit=dead-man bash /opt/fruits/dead-man.sh
        fi
    """
    old = account.run("old", BootstrapActions=account.script(script))
    ended = account.wait(old, "TERMINATED")
    assert ended["StateChangeReason"] == {"Code": "USER_REQUEST", "Message": "Terminated by user request"}
    lived = ended["Timeline"]["EndDateTime"] - ended["Timeline"]["CreationDateTime"]
    assert lived.total_seconds() > 6


def test_a_master_that_shuts_down_ends_its_cluster_and_a_failing_bootstrap_too(account: Account) -> None:
    lost = account.run("lost", BootstrapActions=account.script("systemd-run --on-active=30 shutdown -h now"))
    broken = account.run("broken", BootstrapActions=account.script("echo no such archive >&2; exit 4"))
    status = account.wait(broken, "TERMINATED_WITH_ERRORS")
    assert status["StateChangeReason"]["Code"] == "BOOTSTRAP_FAILURE"
    assert "bootstrap action 1 returned a non-zero return code" in status["StateChangeReason"]["Message"]
    status = account.wait(lost, "TERMINATED_WITH_ERRORS", "TERMINATED")
    assert status["StateChangeReason"]["Code"] in ("INSTANCE_FAILURE", "BOOTSTRAP_FAILURE")


def test_a_cluster_without_its_master_ends_with_errors_and_so_do_its_steps(account: Account) -> None:
    lost = account.run("lost", Steps=[shell("sleep 100"), shell("true")])
    account.wait(lost, "RUNNING")
    until(lambda: account.emr.list_steps(ClusterId=lost, StepStates=["RUNNING"])["Steps"])
    account.emulator.lose_node(lost, "master")
    status = account.wait(lost, "TERMINATED_WITH_ERRORS")
    assert status["StateChangeReason"]["Code"] == "INSTANCE_FAILURE"
    assert [one["Status"]["State"] for one in account.emr.list_steps(ClusterId=lost)["Steps"]] == [
        "CANCELLED",
        "FAILED",
    ]
    with refused("ValidationException", "may not be modified"):
        account.add(lost, shell("true"))


def test_a_cluster_that_should_not_wait_ends_with_its_steps(account: Account) -> None:
    groups = [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}]
    once = account.run("once", Steps=[shell("true")], Instances={"InstanceGroups": groups})
    assert account.wait(once, "TERMINATED")["StateChangeReason"]["Code"] == "ALL_STEPS_COMPLETED"


@pytest.mark.parametrize(
    ("request_part", "text"),
    [
        ({"ReleaseLabel": "emr-9.1.0"}, "release label is invalid: emr-9.1.0"),
        ({"JobFlowRole": "nobody"}, "Invalid InstanceProfile: nobody"),
        ({"ServiceRole": "nobody"}, "Invalid ServiceRole: nobody"),
        ({"AutoTerminationPolicy": {"IdleTimeout": 30}}, "IdleTimeout"),
        (
            {
                "ManagedScalingPolicy": {
                    "ComputeLimits": {
                        "UnitType": "Instances",
                        "MinimumCapacityUnits": 5,
                        "MaximumCapacityUnits": 4,
                    }
                }
            },
            "MinimumCapacityUnits (5)",
        ),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(account: Account, request_part: dict[str, Any], text: str) -> None:
    with refused("ValidationException", text):
        account.run("refused", **request_part)


def test_an_unknown_log_bucket_or_subnet_ends_the_cluster_before_it_starts(account: Account) -> None:
    unknown = account.run("unknown", LogUri="s3://nowhere-at-all/logs/")
    reason = account.wait(unknown, "TERMINATED_WITH_ERRORS")["StateChangeReason"]
    assert reason == {"Code": "VALIDATION_ERROR", "Message": "The log bucket nowhere-at-all does not exist."}


def test_managed_scaling_keeps_the_core_group_within_its_limits(account: Account, cluster: str) -> None:
    account.wait(cluster, "WAITING")
    limits = {"UnitType": "Instances", "MinimumCapacityUnits": 3, "MaximumCapacityUnits": 4}
    account.emr.put_managed_scaling_policy(ClusterId=cluster, ManagedScalingPolicy={"ComputeLimits": limits})
    until(lambda: _running(account, cluster) == 4)
    limits = {"UnitType": "Instances", "MinimumCapacityUnits": 1, "MaximumCapacityUnits": 2}
    account.emr.put_managed_scaling_policy(ClusterId=cluster, ManagedScalingPolicy={"ComputeLimits": limits})
    until(lambda: _running(account, cluster) == 3)
    policy = account.emr.get_managed_scaling_policy(ClusterId=cluster)["ManagedScalingPolicy"]
    assert policy["ComputeLimits"] == limits


def _running(account: Account, cluster: str) -> int:
    pages = account.emr.get_paginator("list_instances").paginate(ClusterId=cluster, InstanceStates=["RUNNING"])
    return sum(len(page["Instances"]) for page in pages)


# ---------------------------------------------------------------------------------------------------------------- steps


def test_a_step_runs_on_two_executors_with_a_broadcast_and_reads_and_writes_s3(account: Account, cluster: str) -> None:
    python = "/opt/fruits/environment/bin/python"
    args = ["/usr/lib/spark/bin/spark-submit", "--master", "yarn", "--deploy-mode", "client"]
    args += ["--conf", f"spark.pyspark.python={python}", "--conf", f"spark.pyspark.driver.python={python}"]
    args += ["--conf", "spark.executor.memory=9g", "--py-files", "s3://emulated/steps/code.zip"]
    (step_id,) = account.add(cluster, step(*args, "s3://emulated/steps/main.py"))
    # A lost Python worker is Spark's to repair: its task runs again.
    assert until(lambda: account.emulator.kill_step(step_id, "python"), 90)
    status = account.wait_step(cluster, step_id, "COMPLETED", "FAILED")
    stdout, stderr = account.log(cluster, step_id, "stdout"), account.log(cluster, step_id, "stderr")
    assert status["State"] == "COMPLETED", stdout + stderr[-3000:]
    found = account.s3.list_objects_v2(Bucket="emulated", Prefix="Results/rows/part-")["Contents"]
    lines = [line for one in found for line in _lines(account, one["Key"])]
    assert len(lines) == 4
    assert len({line["executor"] for line in lines}) == 2
    assert {(line["size"], line["answer"]) for line in lines} == {(9_000_000, 42)}
    # What the step needs must come with it: neither this project nor the tester's settings are there.
    assert "project None None" in stdout
    assert "settings []" in stdout
    # The arguments are kept as they were given.
    assert account.emulator.state()["clusters"][cluster]["steps"][step_id]["args"][:3] == args[:3]


def _lines(account: Account, key: str) -> list[dict[str, Any]]:
    content = account.s3.get_object(Bucket="emulated", Key=key)["Body"].read().decode()
    return [json.loads(line) for line in content.splitlines()]


def test_a_step_with_a_killed_driver_fails(account: Account, cluster: str) -> None:
    (step_id,) = account.add(cluster, shell("sleep 100"))
    account.wait_step(cluster, step_id, "RUNNING")
    until(lambda: account.emulator.kill_step(step_id, "driver"))
    assert account.wait_step(cluster, step_id, "FAILED", "COMPLETED")["State"] == "FAILED"


def test_a_failed_step_says_why_and_where_its_log_is(account: Account, cluster: str) -> None:
    command = "echo out; echo 'java.lang.OutOfMemoryError: Java heap space' >&2; exit 3"
    (step_id,) = account.add(cluster, shell(command))
    status = account.wait_step(cluster, step_id, "FAILED")
    assert status["FailureDetails"] == {
        "Reason": "Unknown Error",
        "Message": "java.lang.OutOfMemoryError: Java heap space",
        "LogFile": f"s3://emulated/logs/{cluster}/steps/{step_id}/stderr.gz",
    }
    assert account.log(cluster, step_id, "stdout") == "out\n"
    assert "exit code 3" in account.log(cluster, step_id, "controller")
    assert status["Timeline"]["EndDateTime"] >= status["Timeline"]["StartDateTime"]


def test_running_and_pending_steps_are_cancelled_with_their_processes(account: Account, cluster: str) -> None:
    endless = "trap '' TERM; while true; do sleep 1000 & wait; done"
    ids = account.add(cluster, shell(endless, "a"), shell(endless, "b"), shell("true", "c"))
    for step_id in ids[:2]:
        account.wait_step(cluster, step_id, "RUNNING")
    assert account.step_status(cluster, ids[2])["State"] == "PENDING"
    answers = account.emr.cancel_steps(ClusterId=cluster, StepIds=ids, StepCancellationOption="TERMINATE_PROCESS")[
        "CancelStepsInfoList"
    ]
    assert [one["Status"] for one in answers] == ["SUBMITTED"] * 3
    for step_id in ids:
        account.wait_step(cluster, step_id, "CANCELLED")
        mine = {processes.CLUSTER: cluster, processes.STEP: step_id}
        until(lambda marks=mine: not processes.living(marks))  # type: ignore[misc]
    again = account.emr.cancel_steps(ClusterId=cluster, StepIds=ids[:1])["CancelStepsInfoList"]
    assert again[0]["Status"] == "FAILED"


def test_steps_are_listed_newest_first_in_pages(account: Account, cluster: str) -> None:
    ids = account.add(cluster, *[shell("true", str(number)) for number in range(12)])
    pages = list(account.emr.get_paginator("list_steps").paginate(ClusterId=cluster))
    assert len(pages) > 1
    assert [one["Id"] for page in pages for one in page["Steps"]][:12] == ids[::-1]
    for step_id in ids:
        account.wait_step(cluster, step_id, "COMPLETED")


def test_arguments_beyond_10240_characters_and_a_257th_step_are_refused(account: Account, cluster: str) -> None:
    with refused("ValidationException", "10240"):
        account.add(cluster, step("bash", "-c", "x" * 10_235))
    with refused("ValidationException", "256"):
        account.add(cluster, *[shell("true") for _ in range(257)])
    with refused("ValidationException", "StepConcurrencyLevel"):
        account.add(cluster, {**shell("true"), "ActionOnFailure": "CANCEL_AND_WAIT"})


def test_throttled_calls_succeed_for_the_patient(account: Account, cluster: str) -> None:
    before = account.emulator.state()["calls"]["elasticmapreduce:DescribeCluster"]
    account.emulator.throttle("DescribeCluster", 2)
    assert account.state(cluster)
    assert account.emulator.state()["calls"]["elasticmapreduce:DescribeCluster"] == before + 3
    account.emulator.throttle("DescribeCluster", 20)
    with refused("ThrottlingException", "Rate exceeded"):
        account.state(cluster)
    account.emulator.throttle("DescribeCluster", 0)


def test_a_lost_core_node_is_replaced(account: Account, cluster: str) -> None:
    def nodes() -> dict[str, str]:
        return {one["id"]: one["state"] for one in account.emulator.state()["clusters"][cluster]["instances"]}

    account.wait(cluster, "WAITING")
    before = {one for one, state in nodes().items() if state == "RUNNING"}
    account.emulator.lose_node(cluster, "core")
    new = until(lambda: {one for one, state in nodes().items() if state == "RUNNING" and one not in before})
    lost = {one for one in before if nodes()[one] == "TERMINATED"}
    assert len(lost) == len(new) == 1
    assert account.state(cluster) == "WAITING"


def test_nothing_outlives_an_emulator_that_was_killed(tmp_path: Path) -> None:
    short_lived = Emulator.start(tmp_path / "emr", startup_seconds=0)
    iam, s3, emr = (short_lived.client(service) for service in ("iam", "s3", "emr"))
    s3.create_bucket(Bucket="emulated", CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
    for name, service in {"emulated-service": "elasticmapreduce", "emulated-nodes": "ec2"}.items():
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(service))
    iam.create_instance_profile(InstanceProfileName="emulated-nodes")
    iam.add_role_to_instance_profile(InstanceProfileName="emulated-nodes", RoleName="emulated-nodes")
    identity = Account(short_lived, emr, s3).run("forgotten")
    marks = {processes.CLUSTER: identity}
    until(lambda: len(processes.living(marks)) >= 3)
    os.kill(short_lived.process.pid, signal.SIGKILL)
    short_lived.process.wait()
    until(lambda: not processes.living(marks), 15)


# --------------------------------------------------------------------------------------------------------------- prices


def test_prices_are_answered_as_the_price_list_does(account: Account) -> None:
    pricing = account.emulator.client("pricing", "us-east-1")
    found = {}
    for service in ("AmazonEC2", "ElasticMapReduce"):
        filters = {"instanceType": "m5.xlarge", "regionCode": "eu-west-3"}
        asked = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in filters.items()]
        (product,) = pricing.get_products(ServiceCode=service, Filters=asked)["PriceList"]
        (offer,) = json.loads(product)["terms"]["OnDemand"].values()
        (dimension,) = offer["priceDimensions"].values()
        found[service] = float(dimension["pricePerUnit"]["USD"])
    assert found == {"AmazonEC2": 0.224, "ElasticMapReduce": 0.048}


# ---------------------------------------------------------------------------------------------------------- permissions


LAUNCHER_MAY: list[dict[str, Any]] = [
    {
        "Effect": "Allow",
        "Action": ["elasticmapreduce:RunJobFlow", "elasticmapreduce:AddTags"],
        "Resource": "*",
        "Condition": {"StringEquals": {"elasticmapreduce:RequestTag/fruits-stack": "emulated"}},
    },
    {
        "Effect": "Allow",
        "Action": "elasticmapreduce:TerminateJobFlows",
        "Resource": f"arn:aws:elasticmapreduce:eu-west-3:{ACCOUNT}:cluster/*",
        "Condition": {"StringEquals": {"elasticmapreduce:ResourceTag/fruits-stack": "emulated"}},
    },
    {"Effect": "Allow", "Action": "elasticmapreduce:List*", "Resource": "*"},
    {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": f"arn:aws:iam::{ACCOUNT}:role/emulated-service",
        "Condition": {"StringEquals": {"iam:PassedToService": "elasticmapreduce.amazonaws.com"}},
    },
    {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::emulated/Results/*"},
]
SERVICE_MAY: list[dict[str, Any]] = [{"Effect": "Allow", "Action": ["iam:PassRole", "ec2:*"], "Resource": "*"}]
PASS_NODES = {
    "Effect": "Allow",
    "Action": "iam:PassRole",
    "Resource": f"arn:aws:iam::{ACCOUNT}:role/emulated-nodes",
    "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
}


def test_permissions_decide_over_clusters_and_objects_once_they_are_enforced(account: Account) -> None:
    emulator = account.emulator
    iam = emulator.client("iam")
    role = iam.create_role(RoleName="launcher", AssumeRolePolicyDocument=trust(f"arn:aws:iam::{ACCOUNT}:root"))
    environ = emulator.environ_of_role(role["Role"]["Arn"])
    launcher = Account(emulator, emulator.client("emr", environ=environ), emulator.client("s3", environ=environ))

    def permit(*statements: dict[str, Any]) -> None:
        iam.put_role_policy(RoleName="launcher", PolicyName="launcher", PolicyDocument=policy(*statements))

    permit(*LAUNCHER_MAY)
    emulator.enforce_iam(True)
    try:
        with refused("AccessDeniedException", "elasticmapreduce:RunJobFlow"):
            launcher.run("untagged", Tags=[])
        with refused("AccessDeniedException", "assumed-role/launcher/test is not authorized to perform: iam:PassRole"):
            launcher.run("passing")
        permit(*LAUNCHER_MAY, PASS_NODES)
        mine = launcher.run("mine")
        reason = account.wait(mine, "TERMINATED_WITH_ERRORS")["StateChangeReason"]
        assert "insufficient EC2 permissions: iam:PassRole" in reason["Message"]
        iam.put_role_policy(RoleName="emulated-service", PolicyName="emr", PolicyDocument=policy(*SERVICE_MAY))
        mine = launcher.run("mine")
        theirs = account.run("theirs", Tags=[])
        with refused("AccessDeniedException", "elasticmapreduce:TerminateJobFlows"):
            launcher.emr.terminate_job_flows(JobFlowIds=[theirs])
        launcher.emr.terminate_job_flows(JobFlowIds=[mine])
        account.emr.terminate_job_flows(JobFlowIds=[theirs])

        launcher.s3.put_object(Bucket="emulated", Key="Results/mine", Body=b"x")
        with refused("AccessDenied", "s3:PutObject"):
            launcher.s3.put_object(Bucket="emulated", Key="Test/theirs", Body=b"x")
        with refused("AccessDenied", "s3:DeleteObject"):
            launcher.s3.delete_objects(Bucket="emulated", Delete={"Objects": [{"Key": "Results/mine"}]})
        with refused("AccessDenied", "s3:ListBucket"):
            launcher.s3.get_object(Bucket="emulated", Key="Results/absent")
        with refused("InvalidAccessKeyId", "invalid"):
            emulator.client("s3", environ=emulator.environ).list_buckets()
        for one in (mine, theirs):
            account.wait(one, "TERMINATED")
    finally:
        emulator.enforce_iam(False)


def question(action: str, resource: str = "*", **context: str | list[str]) -> Question:
    return Question(
        action, resource, {name.replace("__", ":").replace("_", "/"): value for name, value in context.items()}
    )


def allow(**parts: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "*", "Resource": "*", **parts}


def test_a_deny_wins_over_an_allow() -> None:
    deny = {"Effect": "Deny", "Action": "s3:Put*", "Resource": "arn:aws:s3:::bucket/private/*"}
    documents: list[dict[str, Any]] = [{"Statement": allow()}, {"Statement": [deny]}]
    assert decide(documents, question("s3:PutObject", "arn:aws:s3:::bucket/private/x")) == "deny"
    assert decide(documents, question("s3:PutObject", "arn:aws:s3:::bucket/public/x")) == "allow"
    assert decide([], question("s3:PutObject", "arn:aws:s3:::bucket/public/x")) == "none"


def test_actions_are_compared_without_case_and_resources_with_it() -> None:
    documents = [{"Statement": allow(Action="S3:getobject", Resource="arn:aws:s3:::Bucket/?.txt")}]
    assert decide(documents, question("s3:GetObject", "arn:aws:s3:::Bucket/a.txt")) == "allow"
    assert decide(documents, question("s3:GetObject", "arn:aws:s3:::bucket/a.txt")) == "none"


@pytest.mark.parametrize(
    ("condition", "tag", "expected"),
    [
        ({"StringEquals": {"aws:RequestTag/stack": "fruits"}}, "fruits", "allow"),
        ({"StringEquals": {"aws:requesttag/stack": ["other", "fruits"]}}, "fruits", "allow"),
        ({"StringEquals": {"aws:RequestTag/stack": "fruits"}}, None, "none"),
        ({"StringEqualsIfExists": {"aws:RequestTag/stack": "fruits"}}, None, "allow"),
        ({"StringNotEquals": {"aws:RequestTag/stack": "fruits"}}, None, "allow"),
        ({"StringNotEquals": {"aws:RequestTag/stack": ["fruits", "other"]}}, "other", "none"),
        ({"StringLike": {"aws:RequestTag/stack": "fr*"}}, "fruits", "allow"),
        ({"Null": {"aws:RequestTag/stack": "true"}}, None, "allow"),
        ({"Null": {"aws:RequestTag/stack": "true"}}, "fruits", "none"),
    ],
)
def test_conditions_hold_or_not(condition: dict[str, Any], tag: str | None, expected: str) -> None:
    context: dict[str, str | list[str]] = {} if tag is None else {"aws:RequestTag/stack": tag}
    asked = Question("elasticmapreduce:RunJobFlow", "*", context)
    assert decide([{"Statement": allow(Condition=condition)}], asked) == expected


def test_sets_of_values_are_compared_as_any_or_all_of_them() -> None:
    keys = Question("elasticmapreduce:AddTags", "*", {"aws:TagKeys": ["fruits-stack", "Project"]})
    any_of = allow(Condition={"ForAnyValue:StringEquals": {"aws:TagKeys": "Project"}})
    all_of = allow(Condition={"ForAllValues:StringEquals": {"aws:TagKeys": ["Project"]}})
    assert decide([{"Statement": any_of}], keys) == "allow"
    assert decide([{"Statement": all_of}], keys) == "none"


def test_a_trust_policy_names_services_and_principals() -> None:
    document = json.loads(trust("ec2"))
    asked = Question("sts:AssumeRole", "*", {})
    assert trusts(document, "ec2.amazonaws.com", "Service", asked)
    assert not trusts(document, "elasticmapreduce.amazonaws.com", "Service", asked)
    assert not trusts(document, f"arn:aws:iam::{ACCOUNT}:root", "AWS", asked)


def test_a_condition_the_evaluator_does_not_know_is_told() -> None:
    documents = [{"Statement": allow(Condition={"DateLessThan": {"aws:CurrentTime": "2026-01-01"}})}]
    with pytest.raises(ValueError, match="DateLessThan"):
        decide(documents, Question("s3:GetObject", "*", {"aws:CurrentTime": "2025-01-01"}))
