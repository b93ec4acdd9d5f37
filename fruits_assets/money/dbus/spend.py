"""What runs of a Databricks workspace have cost in a month, from their times and the nodes of their clusters.

Databricks' own table of what was billed is hours late, which is too late for a budget check. A run counts with all
nodes of its cluster from its submission to its end: an upper bound, because the nodes come minutes later. A run that is
under way counts with its whole worst case, by its own time limit. Clusters that are no run's own, such as those of
notebooks, are not counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fruits_assets.aws.infrastructure import STACK_TAG
from fruits_assets.aws.workspace import address, translate_workspace_errors, workspace
from fruits_assets.money.dbus.prices import DbuPrices
from fruits_assets.money.dbus.workers import Size, most_eur
from fruits_assets.money.spend import JobSpend
from fruits_assets.settings import Settings

_OVER = "TERMINATED"
# A run without a time limit may be older, and is found because it is under way.
_LOOK_BACK = timedelta(days=8)
# Of a run of others one hour more counts, as of their clusters: the check is repeated before every new run.
_MINUTES_OF_OTHERS = 60


def run_spend(settings: Settings, prices: DbuPrices, month: datetime, now: datetime) -> tuple[JobSpend, ...]:
    """Returns the runs of the workspace that have cost something in the month, the newest first.

    Args:
        settings: Whether a workspace is used; where none is, no request is made.
        prices: Prices of the region.
        month: First moment of the month.
        now: The present time.

    Raises:
        FruitsError: The workspace cannot be read.
    """
    if not settings.uses_databricks:
        return ()
    client, since = workspace(), int((month - _LOOK_BACK).timestamp() * 1000)
    with translate_workspace_errors("add up what runs of the workspace cost this month"):
        listed = {
            run.run_id: run.as_dict()
            for which in ({"active_only": True}, {"start_time_from": since})
            for run in client.jobs.list_runs(expand_tasks=True, **which)  # type: ignore[arg-type]
        }
    sized = [(run, sizes) for run in listed.values() if (sizes := sizes_of_run(run)) and _counts(run, month)]
    prices = prices.including({size.node_type for _, sizes in sized for size in sizes})
    found = [_spent(run, sizes, prices, address(client), now) for run, sizes in sized]
    return tuple(sorted(found, key=lambda one: one.created, reverse=True))


def sizes_of_run(run: Mapping[str, Any]) -> list[Size]:
    """Returns the clusters of a run's own, of which one of this platform has one.

    Args:
        run: The run as GetRun describes it, with its tasks.
    """
    return [_size(asked) for asked in _clusters(run) if asked.get("node_type_id")]


def _size(asked: Mapping[str, Any]) -> Size:
    workers = asked["autoscale"]["max_workers"] if "autoscale" in asked else asked.get("num_workers", 0)
    return Size(str(asked["node_type_id"]), 1 + int(workers))


def _clusters(run: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yields the requests for the clusters of a run: those of single tasks, and those that tasks share."""
    for one in [*run.get("tasks", []), *run.get("job_clusters", [])]:
        if asked := one.get("new_cluster"):
            yield asked


def stack_of_run(run: Mapping[str, Any]) -> str | None:
    """Returns the stack that a run belongs to, by a tag of its cluster; None for runs of others."""
    tags = [asked.get("custom_tags", {}) for asked in _clusters(run)]
    return next((str(one[STACK_TAG]) for one in tags if STACK_TAG in one), None)


def state_of_run(run: Mapping[str, Any]) -> str:
    """Returns the state of a run: of its life, or for one that is over SUCCESS, CANCELLED or FAILED."""
    status = run.get("status", {})
    if status.get("state") != _OVER:
        return str(status.get("state", ""))
    code = str(status.get("termination_details", {}).get("code", ""))
    return {"SUCCESS": "SUCCESS", "USER_CANCELED": "CANCELLED"}.get(code, "FAILED")


def used_eur(run: Mapping[str, Any], sizes: Sequence[Size], prices: DbuPrices, now: datetime) -> float:
    """Returns the most that a run has cost so far; nothing where no cluster was requested for it.

    Args:
        run: The run as GetRun describes it.
        sizes: Its clusters.
        prices: Prices of the region.
        now: The present time.
    """
    if not any(task.get("cluster_instance", {}).get("cluster_id") for task in run.get("tasks", [])):
        return 0.0
    ended = run.get("end_time") or now.timestamp() * 1000
    hours = max(0.0, float(ended - run["start_time"]) / 3_600_000)
    return sum(prices.node_hour(size.node_type).total * size.nodes for size in sizes) * hours


def _counts(run: Mapping[str, Any], month: datetime) -> bool:
    return not run.get("end_time") or _time(run["end_time"]) > month


def _spent(run: Mapping[str, Any], sizes: Sequence[Size], prices: DbuPrices, host: str, now: datetime) -> JobSpend:
    stack, used = stack_of_run(run), used_eur(run, sizes, prices, now)
    over = run.get("status", {}).get("state") == _OVER
    minutes = max((task.get("timeout_seconds", 0) / 60 for task in run.get("tasks", [])), default=0.0)
    if stack is None or not minutes:
        minutes = (now - _time(run["start_time"])) / timedelta(minutes=1) + _MINUTES_OF_OTHERS
    return JobSpend(
        id=str(run["run_id"]),
        application=host,
        name=str(run.get("run_name", "")),
        state=state_of_run(run),
        stack=stack,
        created=_time(run["start_time"]),
        eur=used,
        rest_eur=0.0 if over else max(0.0, sum(most_eur(minutes, size, prices) for size in sizes) - used),
        kind="workspace",
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
