"""What was spent this month: of clusters, added up from EMR's records of their instances, and of serverless jobs.

AWS's own billing figures are hours late, which is too late for a budget check. Every cluster of the account and region
is counted, also those that this platform did not start. Clusters of other accounts and regions cannot be seen.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fruits_assets.aws.infrastructure import MAX_AGE_TAG, STACK_TAG, WORST_CASE_TAG
from fruits_assets.aws.sessions import translate_errors
from fruits_assets.money.costs import MINUTES_BEYOND_AGE, Euros
from fruits_assets.money.forgotten import Life, cost_of_forgotten
from fruits_assets.money.prices import Prices

ENDED_STATES = ("TERMINATED", "TERMINATED_WITH_ERRORS")
ENDED_JOBS = ("SUCCESS", "FAILED", "CANCELLED")
# Of runs of Glue jobs.
ENDED_RUNS = ("SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR", "EXPIRED")
LIVING_STATES = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING")
# The state of an instance that was requested and does not exist yet: it costs nothing.
_NOT_THERE = "AWAITING_FULFILLMENT"
_LEAST_SECONDS = 60.0
# A cluster that was started by hand may run for months, so clusters created before the month are read too.
_LOOK_BACK = timedelta(days=62)


@dataclass(frozen=True)
class ClusterSpend:
    """What one cluster has cost in the month.

    Attributes:
        id: ``j-...``.
        name: The cluster's name.
        state: EMR's state of the cluster.
        stack: The stack that it belongs to, None for clusters of others.
        created: When it was requested.
        ended: When it ended, None before.
        nodes: Number of its present nodes; for a cluster that has ended, of all nodes that it had.
        cost: Cost in the month, in parts.
        hourly: What its present nodes cost for an hour, in parts.
        worst_case_eur: The most that it costs from its creation to its end; None where its tags do not say so.
    """

    id: str
    name: str
    state: str
    stack: str | None
    created: datetime
    ended: datetime | None
    nodes: int
    cost: Euros
    hourly: Euros
    worst_case_eur: float | None = None

    @property
    def eur(self) -> float:
        """Cost in the month, in euros."""
        return self.cost.total

    @property
    def ours(self) -> bool:
        """Whether a stack of this platform started it."""
        return self.stack is not None

    @property
    def running(self) -> bool:
        """Whether it will cost more; a cluster that is terminating counts as ended."""
        return self.state not in (*ENDED_STATES, "TERMINATING")

    def age(self, now: datetime) -> timedelta:
        """Returns its age; for a cluster that has ended, its age at the end."""
        return (self.ended or now) - self.created


@dataclass(frozen=True)
class JobSpend:
    """What one job has cost in the month.

    Attributes:
        id: The job's id.
        application: The application, or the job, that it belongs to.
        name: The job's name.
        state: The service's state of it.
        stack: The stack that started it, None for jobs of others.
        created: When it was submitted.
        eur: Cost so far, in euros.
        rest_eur: The most that it may still cost.
        kind: What it belongs to, for people.
    """

    id: str
    application: str
    name: str
    state: str
    stack: str | None
    created: datetime
    eur: float
    rest_eur: float
    kind: str = "application"

    @property
    def running(self) -> bool:
        """Whether it may cost more."""
        return self.state not in (*ENDED_JOBS, *ENDED_RUNS)


@dataclass(frozen=True)
class Spend:
    """What all clusters and serverless jobs have cost in a month.

    Attributes:
        month: First moment of the month, UTC.
        until: Time at which the costs were added up.
        clusters: The clusters that lived in the month, the newest first.
        prices: The source of the prices.
        jobs: The serverless jobs of the month, the newest first.
    """

    month: datetime
    until: datetime
    clusters: tuple[ClusterSpend, ...]
    prices: str
    jobs: tuple[JobSpend, ...] = ()

    @property
    def cost(self) -> Euros:
        """Cost of all clusters, in parts."""
        return sum((cluster.cost for cluster in self.clusters), Euros())

    @property
    def total_eur(self) -> float:
        """Cost of all clusters and jobs, in euros."""
        return self.cost.total + sum(job.eur for job in self.jobs)


def month_start(now: datetime) -> datetime:
    """Returns the first moment of the month in UTC, by which AWS bills."""
    return now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def cost_of_instances(instances: Iterable[Mapping[str, Any]], prices: Prices, start: datetime, now: datetime) -> Euros:
    """Returns what instances have cost within a period, as an upper bound.

    Each second counts from the request of the instance by EMR, although EC2 bills from the start of the instance and
    EMR from when the cluster is ready. Spot has the price of on demand. One minute is the least.

    Args:
        instances: Instances as ListInstances returns them.
        prices: Prices of their types.
        start: Begin of the period.
        now: End of the period; instances without an end have lived until then.

    Raises:
        FruitsError: The price of a type is not known.
    """
    cost = Euros()
    for instance in instances:
        if seconds := _seconds(instance, start, now):
            cost += prices.node_hour(instance["InstanceType"]) * (seconds / 3600)
    return cost


def _seconds(instance: Mapping[str, Any], start: datetime, now: datetime) -> float:
    status = instance["Status"]
    timeline = status.get("Timeline", {})
    if status["State"] == _NOT_THERE or "CreationDateTime" not in timeline:
        return 0.0
    created = timeline["CreationDateTime"]
    ended = max(min(timeline.get("EndDateTime") or now, now), created + timedelta(seconds=_LEAST_SECONDS))
    return max(0.0, (ended - max(created, start)).total_seconds()) if ended > start else 0.0


def month_spend(emr_client: Any, prices: Prices, now: datetime) -> Spend:
    """Adds up what all clusters of the account and region have cost in the month so far.

    Args:
        emr_client: boto3's client of EMR.
        prices: Prices of the region; those of other instance types are read where clusters use them.
        now: The present time, with a time zone.

    Raises:
        FruitsError: EMR, or the price of an instance type that a cluster uses, cannot be read.
    """
    month = month_start(now)
    with translate_errors("add up what EMR clusters cost this month"):
        found = [
            (summary, _instances(emr_client, summary["Id"]), tags_of(emr_client, summary["Id"]))
            for summary in _clusters(emr_client, month)
        ]
    prices = prices.including({one["InstanceType"] for _, instances, _ in found for one in instances})
    clusters = [_cluster(summary, instances, tags, prices, month, now) for summary, instances, tags in found]
    return Spend(month, now, tuple(sorted(clusters, key=lambda one: one.created, reverse=True)), prices.computed_from)


def _clusters(emr_client: Any, month: datetime) -> list[Mapping[str, Any]]:
    """Returns the clusters that lived in a month: those that still live, of any age, and those that ended in it."""
    paginator = emr_client.get_paginator("list_clusters")
    questions: list[dict[str, Any]] = [{"CreatedAfter": month - _LOOK_BACK}, {"ClusterStates": list(LIVING_STATES)}]
    found = {
        one["Id"]: one for question in questions for page in paginator.paginate(**question) for one in page["Clusters"]
    }
    return [one for one in found.values() if (ended := _ended(one)) is None or ended > month]


def _ended(summary: Mapping[str, Any]) -> datetime | None:
    if summary["Status"]["State"] not in ENDED_STATES:
        return None
    ended: datetime | None = summary["Status"]["Timeline"].get("EndDateTime")
    return ended


def _instances(emr_client: Any, cluster_id: str) -> list[dict[str, Any]]:
    pages = emr_client.get_paginator("list_instances").paginate(ClusterId=cluster_id)
    return [one for page in pages for one in page["Instances"]]


def tags_of(emr_client: Any, cluster_id: str) -> dict[str, str]:
    """Returns the tags of a cluster; that of the stack is missing on clusters of others."""
    tags = emr_client.describe_cluster(ClusterId=cluster_id)["Cluster"].get("Tags", [])
    return {tag["Key"]: tag.get("Value", "") for tag in tags}


def worst_case_of(tags: Mapping[str, str]) -> tuple[float, timedelta] | None:
    """Returns the most that a cluster costs, and the time that this is for; None where its tags do not say so.

    Args:
        tags: Tags of the cluster, which somebody may have changed by hand.
    """
    try:
        eur, minutes = float(tags[WORST_CASE_TAG]), int(tags[MAX_AGE_TAG]) + MINUTES_BEYOND_AGE
    except (KeyError, ValueError):
        return None
    return (eur, timedelta(minutes=minutes)) if 0 < eur < math.inf and minutes > 0 else None


def _cluster(
    summary: Mapping[str, Any],
    instances: list[dict[str, Any]],
    tags: Mapping[str, str],
    prices: Prices,
    month: datetime,
    now: datetime,
) -> ClusterSpend:
    ended, over = _ended(summary), summary["Status"]["State"] in ENDED_STATES
    alive = [one for one in instances if one["Status"]["State"] not in ("TERMINATED", _NOT_THERE)]
    hourly = Euros() if over else sum((prices.node_hour(one["InstanceType"]) for one in alive), Euros())
    created, stack = summary["Status"]["Timeline"]["CreationDateTime"], tags.get(STACK_TAG)
    worst_case = worst_case_of(tags) if stack else None
    life = Life(created, ended, float(summary.get("NormalizedInstanceHours", 0)), worst_case)
    return ClusterSpend(
        id=summary["Id"],
        name=summary["Name"],
        state=summary["Status"]["State"],
        stack=stack,
        created=created,
        ended=ended,
        nodes=len(instances) if over else len(alive),
        # Up to the cluster's end: EMR may list instances without an end, but none outlives its cluster.
        cost=cost_of_instances(instances, prices, month, min(ended or now, now))
        + cost_of_forgotten(life, instances, prices, month, now),
        hourly=hourly,
        worst_case_eur=worst_case[0] if worst_case else None,
    )
