"""What instances have cost, and in which month."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from fruits_assets.money.costs import Euros
from fruits_assets.money.spend import cost_of_instances, month_start
from tests.support.aws.money import MONTH, NOW, ROUND


def instance(created: datetime, ended: datetime | None = None, state: str = "RUNNING", kind: str = "m5.xlarge") -> Any:
    """An instance as ListInstances gives it."""
    timeline = {"CreationDateTime": created, "ReadyDateTime": created + timedelta(minutes=6)}
    return {
        "Id": "ci-1",
        "Ec2InstanceId": "i-1",
        "InstanceType": kind,
        "Market": "ON_DEMAND",
        "Status": {
            "State": state,
            "StateChangeReason": {},
            "Timeline": timeline | ({"EndDateTime": ended} if ended else {}),
        },
    }


def test_instances_cost_each_second_from_creation_to_end() -> None:
    hours = [
        instance(NOW - timedelta(hours=3), NOW - timedelta(hours=1), "TERMINATED"),
        instance(NOW - timedelta(minutes=30)),
    ]
    cost = cost_of_instances(hours, ROUND, MONTH, NOW)
    # 2 h + 0.5 h at 0.40, 0.08 and 0.02 EUR.
    assert (cost.ec2, cost.emr, cost.ebs) == pytest.approx((1.0, 0.2, 0.05))
    assert cost.total == pytest.approx(1.25)


def test_an_instance_of_seconds_costs_a_minute() -> None:
    short = instance(NOW - timedelta(seconds=10), NOW - timedelta(seconds=5), "TERMINATED")
    assert cost_of_instances([short], ROUND, MONTH, NOW).total == pytest.approx(0.5 / 60)


def test_only_the_part_inside_the_month_counts() -> None:
    across = instance(MONTH - timedelta(hours=5), MONTH + timedelta(hours=1), "TERMINATED")
    before = instance(MONTH - timedelta(hours=5), MONTH - timedelta(hours=1), "TERMINATED")
    assert cost_of_instances([across, before], ROUND, MONTH, NOW).total == pytest.approx(0.5)


def test_an_instance_that_was_asked_for_and_has_not_come_costs_nothing() -> None:
    waiting = instance(NOW - timedelta(hours=1), state="AWAITING_FULFILLMENT")
    assert cost_of_instances([waiting], ROUND, MONTH, NOW) == Euros()


def test_the_month_is_that_of_utc() -> None:
    paris = datetime.fromisoformat("2026-12-01T00:30:00+01:00")
    assert month_start(paris) == MONTH
