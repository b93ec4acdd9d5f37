"""What was spent this month, as EMR's API tells it; and prices where no API can be read."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.emr.models import emr_backends

from fruits_assets.money.costs import Euros
from fruits_assets.money.prices import (
    TABLE,
    read_prices,
)
from fruits_assets.money.spend import month_spend, month_start
from fruits_assets.settings import read_settings
from tests.support.aws.money import ROUND, TABLE_NODE, no_prices_remembered
from tests.support.aws.stack import ACCOUNT


@pytest.fixture(autouse=True)
def fresh_prices(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with no_prices_remembered(monkeypatch):
        yield


@mock_aws
def test_the_table_steps_in_where_the_api_cannot_be_read_and_the_prices_say_so() -> None:
    # moto knows no pricing: the call fails.
    prices = read_prices(read_settings())
    assert (prices.source, prices.date) == (TABLE, "2026-09")
    assert "as commonly quoted; the Price List API was not read" in prices.computed_from
    assert prices.node_hour_eur("m5.xlarge") == pytest.approx(TABLE_NODE)


def run_by_hand(emr: Any, name: str = "Somebody's cluster", core: int = 2, **asked: Any) -> str:
    groups = [
        {"InstanceRole": role, "InstanceType": "m5.xlarge", "InstanceCount": count}
        for role, count in (("MASTER", 1), ("CORE", core))
    ]
    started = emr.run_job_flow(
        Name=name,
        ReleaseLabel="emr-7.14.0",
        Instances={"InstanceGroups": groups, "KeepJobFlowAliveWhenNoSteps": True},
        JobFlowRole="EMR_EC2_DefaultRole",
        ServiceRole="EMR_DefaultRole",
        **asked,
    )
    cluster_id: str = started["JobFlowId"]
    return cluster_id


@mock_aws
def test_a_cluster_started_by_hand_counts_and_so_does_one_that_has_ended() -> None:
    emr = boto3.client("emr", region_name="eu-west-3")
    by_hand = run_by_hand(emr)
    ours = run_by_hand(emr, "fruits-fruits", 4, Tags=[{"Key": "fruits-stack", "Value": "fruits"}])
    emr.terminate_job_flows(JobFlowIds=[ours])
    start = emr.describe_cluster(ClusterId=by_hand)["Cluster"]["Status"]["Timeline"]["CreationDateTime"]
    now = start + timedelta(hours=2)
    # Around midnight before the first of a month, less than two hours of it are in the month, and of ours nothing.
    hours = (now - max(start, month_start(now))).total_seconds() / 3600
    minute = 1 / 60 if hours == 2 else 0.0
    spend = month_spend(emr, ROUND, now)
    found = {cluster.id: cluster for cluster in spend.clusters}
    assert found[by_hand].eur == pytest.approx(3 * hours * 0.5, abs=0.01)
    assert not found[by_hand].ours
    assert found[by_hand].running
    assert found[by_hand].hourly.total == pytest.approx(1.5)
    if minute:
        # Five instances of a minute at least.
        assert found[ours].eur == pytest.approx(5 * 0.5 * minute, abs=0.01)
        assert (found[ours].stack, found[ours].running, found[ours].hourly) == ("fruits", False, Euros())
    assert spend.total_eur == pytest.approx(3 * hours * 0.5 + 5 * 0.5 * minute, abs=0.02)


@mock_aws
def test_a_cluster_of_the_1st_counts_on_the_31st_though_emr_has_forgotten_its_instances() -> None:
    emr = boto3.client("emr", region_name="eu-west-3")
    tags = {"fruits-stack": "fruits", "fruits-worst-case-eur": "5.0000", "fruits-max-age-minutes": "120"}
    ours = run_by_hand(emr, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    by_hand = run_by_hand(emr)
    emr.terminate_job_flows(JobFlowIds=[ours, by_hand])
    # moto's times are without a zone.
    begin = datetime(2026, 12, 1, 6, tzinfo=UTC).replace(tzinfo=None)
    for cluster_id in (ours, by_hand):
        # As EMR has them a month later: moto forgets nothing.
        record = emr_backends[ACCOUNT]["eu-west-3"].clusters[cluster_id]
        record.creation_datetime, record.end_datetime = begin, begin + timedelta(minutes=65)
        record.normalized_instance_hours = 3 * 8 * 2
        record.ec2_instances = []
    spend = month_spend(emr, ROUND, datetime(2026, 12, 31, 20, tzinfo=UTC))
    assert {one.id: one.eur for one in spend.clusters} == pytest.approx({ours: 2.5, by_hand: 3.0})


@mock_aws
def test_all_pages_are_read() -> None:
    emr = boto3.client("emr", region_name="eu-west-3")
    ids = {run_by_hand(emr) for _ in range(60)}
    spend = month_spend(emr, ROUND, datetime.now(UTC) + timedelta(minutes=1))
    assert {cluster.id for cluster in spend.clusters} == ids


@mock_aws
def test_a_cluster_that_ended_before_the_month_does_not_count() -> None:
    emr = boto3.client("emr", region_name="eu-west-3")
    emr.terminate_job_flows(JobFlowIds=[run_by_hand(emr)])
    next_month = (month_start(datetime.now(UTC)) + timedelta(days=32)).replace(day=2)
    assert month_spend(emr, ROUND, next_month).clusters == ()
    living = run_by_hand(emr)
    later = month_spend(emr, ROUND, next_month + timedelta(days=100))
    assert [cluster.id for cluster in later.clusters] == [living]
