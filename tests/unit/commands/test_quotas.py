"""What a cluster takes of the quotas of vCPUs, and what follows where they are too small."""

from typing import Any

import pytest

from fruits_assets.commands.aws.quotas import ON_DEMAND, SERVERLESS, SPOT, Need, judge_quotas, needs
from fruits_assets.settings import read_settings


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, [Need(ON_DEMAND, "On-Demand", 12, 20)]),
        ({"max_core_nodes": 2}, [Need(ON_DEMAND, "On-Demand", 12, 12)]),
        ({"instance_type": "m5.2xlarge"}, [Need(ON_DEMAND, "On-Demand", 24, 40)]),
        ({"instance_type": "c5.large"}, [Need(ON_DEMAND, "On-Demand", 6, 10)]),
        ({"spot": True}, [Need(ON_DEMAND, "On-Demand", 4, 4), Need(SPOT, "Spot", 8, 16)]),
        # Their quotas are others.
        ({"instance_type": "g5.xlarge"}, []),
        ({"instance_type": "inf2.xlarge"}, []),
        ({"instance_type": "hpc7a.12xlarge"}, []),
    ],
)
def test_a_cluster_takes_vcpus_of_its_master_and_core_nodes(given: dict[str, Any], wanted: list[Need]) -> None:
    assert needs(read_settings(**given)) == wanted


@pytest.mark.parametrize(("vcpus", "outcome"), [(5, "failed"), (11, "failed"), (12, "warning"), (20, "ok")])
def test_too_few_to_start_fails_and_too_few_to_grow_warns(vcpus: float, outcome: str) -> None:
    state, _, remedy = judge_quotas(needs(read_settings()), {ON_DEMAND: vcpus}, "eu-west-3")
    assert state == outcome
    assert ("--region eu-west-3 --service-code ec2 --quota-code L-1216C47A --desired-value 20" in remedy) == (
        outcome != "ok"
    )


def test_a_new_account_has_room_for_a_job_of_the_default_size_and_a_larger_one_is_told() -> None:
    places = {"deployment": "emr-serverless", "images": "s3://data/Test", "store": "s3://data"}
    (need,) = needs(read_settings(**places))
    # A driver of 2 and three executors of 4.
    assert (need.quota, need.at_most) == (SERVERLESS, 14)
    assert judge_quotas([need], {SERVERLESS: 16}, "eu-west-3")[0] == "ok"
    state, found, remedy = judge_quotas(needs(read_settings(**places, max_executors=4)), {SERVERLESS: 16}, "eu-west-3")
    assert state == "failed"
    assert "a job takes 18" in found
    assert "--service-code emr-serverless --quota-code L-D05C8A75 --desired-value 18" in remedy


def test_glue_has_quotas_of_its_own() -> None:
    assert needs(read_settings(deployment="glue", images="s3://data/Test", store="s3://data")) == []


def test_only_the_quota_that_is_too_small_is_asked_for() -> None:
    state, found, remedy = judge_quotas(needs(read_settings(spot=True)), {ON_DEMAND: 5, SPOT: 8}, "eu-west-3")
    assert state == "warning"
    assert "5 vCPUs On-Demand (L-1216C47A), a cluster takes 4;" in found
    assert SPOT in remedy
    assert ON_DEMAND not in remedy


def test_the_nodes_of_databricks_are_instances_of_the_account() -> None:
    (need,) = needs(read_settings(deployment="databricks", images="s3://data/Test", store="s3://data"))
    # A driver and three workers of four vCPUs.
    assert (need.quota, need.at_start, need.at_most) == (ON_DEMAND, 16, 16)
