"""What instances have cost, and in which month."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fruits_assets.money.costs import Euros
from fruits_assets.money.forgotten import Life, cost_of_forgotten
from fruits_assets.money.prices import NodePrice
from fruits_assets.money.spend import cost_of_instances, month_start, worst_case_of
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


LAST_DAY = datetime(2026, 12, 31, 12, tzinfo=UTC)
DECEMBER = month_start(LAST_DAY)


def forgotten(life: Life, *instances: Any, now: datetime = LAST_DAY) -> float:
    return cost_of_forgotten(life, instances, ROUND, month_start(now), now).total


def test_on_the_31st_the_normalized_hours_of_the_1st_still_count() -> None:
    # Three m5.xlarge, two hours begun: 48 normalized hours are six of an xlarge.
    life = Life(DECEMBER + timedelta(hours=1), DECEMBER + timedelta(hours=2.5), 48)
    assert forgotten(life) == pytest.approx(6 * 0.5)
    # Two days before, EMR lists its instances.
    assert forgotten(life, now=LAST_DAY - timedelta(days=2)) == 0
    assert forgotten(Life(DECEMBER + timedelta(days=2), DECEMBER + timedelta(days=3), 48)) == 0
    november = Life(DECEMBER - timedelta(hours=5), DECEMBER - timedelta(hours=1), 48)
    assert forgotten(november) == 0


def test_a_forgotten_cluster_of_this_platform_had_all_its_nodes_all_the_time() -> None:
    # At most 5.00 EUR in 130 minutes; it lived for 65, of which 26 were in the month before.
    tagged = (5.0, timedelta(minutes=130))
    life = Life(DECEMBER, DECEMBER + timedelta(minutes=65), 0, tagged)
    assert forgotten(life) == pytest.approx(2.5)
    across = Life(DECEMBER - timedelta(minutes=26), DECEMBER + timedelta(minutes=39), 0, tagged)
    assert forgotten(across) == pytest.approx(1.5)


def test_of_a_cluster_that_still_runs_what_its_listed_nodes_do_not_explain_was_forgotten() -> None:
    created = LAST_DAY - timedelta(hours=1000)
    still_there = instance(created)
    # A second node was there for ten hours, of which nobody knows when.
    life = Life(created, None, (1000 + 10) * 8)
    assert forgotten(life, still_there) == pytest.approx(10 * 0.5)
    assert forgotten(Life(created, None, 1000 * 8), still_there) == 0


def test_the_dearest_known_price_holds_for_an_hour_of_an_unknown_type() -> None:
    nodes = {**ROUND.nodes, "r5.2xlarge": NodePrice(1.6, 0.32, 146)}
    life = Life(DECEMBER, DECEMBER + timedelta(minutes=30), 8)
    cost = cost_of_forgotten(life, (), replace(ROUND, nodes=nodes), DECEMBER, LAST_DAY)
    assert cost.total == pytest.approx((1.6 + 0.32 + 146 * 0.2 / 730) / 2)


@pytest.mark.parametrize(
    ("eur", "minutes", "read"),
    [
        ("6.4000", "120", (6.4, timedelta(minutes=130))),
        (None, "120", None),
        ("6.4", None, None),
        ("much", "120", None),
        ("inf", "120", None),
        ("nan", "120", None),
        ("-1", "120", None),
        ("6.4", "-20", None),
    ],
)
def test_tags_of_a_cluster_say_what_it_costs_at_most_unless_somebody_has_spoilt_them(
    eur: str | None, minutes: str | None, read: Any
) -> None:
    tags = {"fruits-worst-case-eur": eur, "fruits-max-age-minutes": minutes}
    assert worst_case_of({name: value for name, value in tags.items() if value is not None}) == read


def test_the_month_is_that_of_utc() -> None:
    paris = datetime.fromisoformat("2026-12-01T00:30:00+01:00")
    assert month_start(paris) == MONTH
