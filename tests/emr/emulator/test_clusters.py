"""The EMR emulator does what EMR does, as far as the launcher can tell."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.emr_emulator import Emulator, processes
from tests.support.aws.emulated import M5, Account, refused, shell, trust, until


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
    assert sorted(one["Market"] for one in instances) == ["ON_DEMAND", "SPOT", "SPOT"]
    assert {one["InstanceType"] for one in instances} == {"m5.xlarge"}
    assert all(one["Status"]["Timeline"]["ReadyDateTime"] for one in instances)
    core = account.emr.list_instances(ClusterId=cluster, InstanceFleetType="CORE")["Instances"]
    assert [one["Market"] for one in core] == ["SPOT", "SPOT"]
    assert len({one["InstanceFleetId"] for one in core}) == 1
    with refused("InvalidRequestException", "has instance fleets"):
        account.emr.list_instances(ClusterId=cluster, InstanceGroupTypes=["CORE"])


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


def test_a_master_that_shuts_down_ends_its_cluster_and_a_failing_bootstrap_too(account: Account) -> None:
    lost = account.run("lost", BootstrapActions=account.script("(sleep 30; shutdown -h now) & disown"))
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
    fleets = [{"InstanceFleetType": "MASTER", "TargetOnDemandCapacity": 1, "InstanceTypeConfigs": [M5]}]
    once = account.run("once", Steps=[shell("true")], Instances={"InstanceFleets": fleets})
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
                        "UnitType": "InstanceFleetUnits",
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


def test_managed_scaling_keeps_the_core_fleet_within_its_limits(account: Account, cluster: str) -> None:
    account.wait(cluster, "WAITING")
    limits = {"UnitType": "InstanceFleetUnits", "MinimumCapacityUnits": 3, "MaximumCapacityUnits": 4}
    account.emr.put_managed_scaling_policy(ClusterId=cluster, ManagedScalingPolicy={"ComputeLimits": limits})
    until(lambda: _running(account, cluster) == 4)
    limits = {"UnitType": "InstanceFleetUnits", "MinimumCapacityUnits": 1, "MaximumCapacityUnits": 2}
    account.emr.put_managed_scaling_policy(ClusterId=cluster, ManagedScalingPolicy={"ComputeLimits": limits})
    until(lambda: _running(account, cluster) == 3)
    policy = account.emr.get_managed_scaling_policy(ClusterId=cluster)["ManagedScalingPolicy"]
    assert policy["ComputeLimits"] == limits


def _running(account: Account, cluster: str) -> int:
    pages = account.emr.get_paginator("list_instances").paginate(ClusterId=cluster, InstanceStates=["RUNNING"])
    return sum(len(page["Instances"]) for page in pages)


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
    identity = Account(short_lived, emr, s3).run("forgotten", Steps=[shell("sleep 1000 & sleep 1000 & wait")])
    marks = {processes.CLUSTER: identity}
    until(lambda: len(processes.living(marks)) >= 3)
    os.kill(short_lived.process.pid, signal.SIGKILL)
    short_lived.process.wait()
    until(lambda: not processes.living(marks), 15)


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
