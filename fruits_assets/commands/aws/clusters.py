"""The command ``fruits clusters``: lists clusters and jobs with their costs, and ends them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from fruits_assets.aws import clock
from fruits_assets.aws.infrastructure import STACK_TAG
from fruits_assets.aws.sessions import client, console_link, error_code, translate_errors
from fruits_assets.engines.emr.cluster import Cluster, idle_since
from fruits_assets.engines.emr.end_schedules import EndSchedules
from fruits_assets.engines.emr.steps import steps_of
from fruits_assets.engines.engine import Engine, Job, JobState
from fruits_assets.engines.registry import entry_of, runs_jobs_alone
from fruits_assets.money.account import account_spend
from fruits_assets.money.prices import read_prices
from fruits_assets.money.spend import ENDED_STATES, LIVING_STATES, ClusterSpend, JobSpend, Spend, tags_of
from fruits_assets.settings import Settings, read_settings
from fruits_assets.terminal.problems import reports_problems
from spark_steps.errors import FruitsError

_JUPYTERHUB_PORT = 9443
_ENDING = "TERMINATING"


@dataclass(frozen=True)
class Running:
    """A cluster that can be ended.

    Attributes:
        id: ``j-...``.
        name: The cluster's name.
        state: EMR's state of the cluster.
        stack: The stack it belongs to, None for clusters of others.
    """

    id: str
    name: str
    state: str
    stack: str | None

    def __str__(self) -> str:
        whose = f"stack {self.stack}" if self.stack else "not started by fruits"
        return f"{self.id} ({self.name}, {self.state.lower()}, {whose})"


def duration(time: timedelta) -> str:
    """Returns a duration as text: ``2 h 05 min``, or ``3 d 4 h``."""
    minutes = int(time.total_seconds()) // 60
    if minutes >= 48 * 60:
        return f"{minutes // 1440} d {minutes % 1440 // 60} h"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def details(emr: Any, cluster: ClusterSpend) -> dict[str, str]:
    """Returns the URL of a cluster's JupyterHub, if it has one, and since when the cluster is idle, if it is.

    Args:
        emr: boto3's client of EMR.
        cluster: A running cluster.
    """
    with translate_errors(f"look at {cluster.id}"):
        described = emr.describe_cluster(ClusterId=cluster.id)["Cluster"]
    links = {}
    names = {one["Name"].lower() for one in described.get("Applications", [])}
    if "jupyterhub" in names and (master := described.get("MasterPublicDnsName")):
        links["jupyterhub"] = f"https://{master}:{_JUPYTERHUB_PORT}"
    found = Cluster.of(described)
    if found.state == "WAITING" and (since := idle_since(found, steps_of(emr, cluster.id))):
        links["idle_since"] = since.astimezone(UTC).isoformat()
    return links


def describe(emr: Any, spend: Spend, region: str, everything: bool) -> list[dict[str, Any]]:
    """Returns the clusters to show, as JSON documents.

    Args:
        emr: boto3's client of EMR.
        spend: The month's costs.
        region: Region of the clusters.
        everything: Whether to include clusters that have ended.
    """
    return [
        {
            "id": cluster.id,
            "name": cluster.name,
            "state": cluster.state,
            "stack": cluster.stack,
            "nodes": cluster.nodes,
            "created": cluster.created.astimezone(UTC).isoformat(),
            "age_seconds": cluster.age(spend.until).total_seconds(),
            "eur": cluster.eur,
            "eur_per_hour": cluster.hourly.total,
            "console": console_link(region, cluster.id),
            **(details(emr, cluster) if cluster.running else {}),
        }
        for cluster in spend.clusters
        if everything or cluster.state not in ENDED_STATES
    ]


def as_text(shown: Sequence[dict[str, Any]], spend: Spend, settings: Settings) -> str:
    """Returns the listing as the command prints it.

    Args:
        shown: The clusters, as ``describe`` returns them.
        spend: The month's costs.
        settings: Region and budget.
    """
    lines: list[str] = []
    if all(cluster["state"] in ENDED_STATES for cluster in shown):
        lines += [f"No cluster runs in {settings.region}."]
    for one in shown:
        whose = f"stack {one['stack']}" if one["stack"] else "not started by fruits"
        nodes = f"{one['nodes']} node{'' if one['nodes'] == 1 else 's'}"
        lines.append(
            f"{one['id']}  {one['name']}  {one['state'].lower()}  {duration(timedelta(seconds=one['age_seconds']))}  "
            f"{nodes}  {one['eur']:.2f} EUR this month  ({whose})"
        )
        if idle := one.get("idle_since"):
            since = datetime.fromisoformat(idle)
            lines.append(f"    idle since {since:%H:%M} UTC, {duration(spend.until - since)}")
        if one["state"] not in ENDED_STATES:
            lines += [f"    {one[location]}" for location in ("jupyterhub", "console") if location in one]
    lines += [_job_line(job) for job in spend.jobs if job.running]
    left = settings.budget_eur - spend.total_eur
    over = f"{left:.2f} EUR left" if left >= 0 else f"{-left:.2f} EUR over"
    lines += [
        "",
        f"{spend.month:%B %Y}: {spend.total_eur:.2f} EUR of {settings.budget_eur:.2f} EUR, {over}. An upper bound of "
        f"what ran in {settings.region}, whoever started it; other regions and accounts cannot be seen from here.",
        f"Prices: {spend.prices}.",
    ]
    return "\n".join(lines)


def _job_line(job: JobSpend) -> str:
    whose = f"stack {job.stack}" if job.stack else "not started by fruits"
    return f"job {job.id} of {job.kind} {job.application}  {job.name}  {job.state.lower()}  ({whose})"


def running_clusters(emr: Any) -> list[Running]:
    """Returns all clusters of the region that run and are not being ended, also those that fruits did not start.

    No prices are read, so that a cluster can be ended even where prices are not known.
    """
    states = [state for state in LIVING_STATES if state != _ENDING]
    with translate_errors("list the clusters"):
        pages = emr.get_paginator("list_clusters").paginate(ClusterStates=states)
        listed = [one for page in pages for one in page["Clusters"]]
        return [
            Running(one["Id"], one["Name"], one["Status"]["State"], tags_of(emr, one["Id"]).get(STACK_TAG))
            for one in listed
        ]


def choose(running: Sequence[Running], wanted: Sequence[str], stack: str) -> tuple[list[Running], list[Running]]:
    """Returns the clusters to end, and the clusters of others that are not to be ended.

    Args:
        running: All running clusters.
        wanted: Ids of clusters to end, of any stack or none; if empty, the clusters of the stack are ended.
        stack: Name of the stack.
    """
    if wanted:
        return [one for one in running if one.id in wanted], []
    return [one for one in running if one.stack == stack], [one for one in running if one.stack != stack]


def check_exist(emr: Any, ids: Iterable[str], region: str) -> None:
    """Checks that clusters with these ids exist or have existed.

    Raises:
        FruitsError: There is no cluster with one of the ids.
    """
    for cluster_id in ids:
        with translate_errors(f"describe the cluster {cluster_id}"):
            try:
                emr.describe_cluster(ClusterId=cluster_id)
            except emr.exceptions.ClientError as error:
                if error_code(error) not in ("InvalidRequestException", "ValidationException"):
                    raise
                raise FruitsError(
                    f"There is no cluster {cluster_id} in {region}. fruits clusters lists those that run. A job is "
                    "ended where FRUITS_DEPLOYMENT is its engine."
                ) from error


@click.command("clusters")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="This month's that have ended too.")
@click.option("--terminate", is_flag=True, help="End the stack's clusters and jobs, or what has these ids.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@reports_problems
def clusters_command(ids: tuple[str, ...], everything: bool, terminate: bool, yes: bool, as_json: bool) -> None:
    """List the clusters of the region with age and cost so far, or end them.

    Jobs are those of the deployment (FRUITS_DEPLOYMENT), where it has jobs without a cluster that stays.

    \b
    Examples:
      fruits clusters
      fruits clusters --terminate
      fruits clusters --terminate j-2AXXXXXXGAPLF --yes
    """
    if ids and not terminate:
        raise click.UsageError("Ids go with --terminate.")
    settings = read_settings()
    emr = client("emr", settings.region)
    if terminate:
        _terminate(emr, ids, settings, yes, as_json)
        return
    spend = account_spend(settings, read_prices(settings), clock.now(), emr)
    shown = describe(emr, spend, settings.region, everything)
    if as_json:
        totals = {"month": f"{spend.month:%Y-%m}", "eur": spend.total_eur, "budget_eur": settings.budget_eur}
        jobs = [
            {"id": job.id, "application": job.application, "name": job.name, "state": job.state, "eur": job.eur}
            for job in spend.jobs
            if everything or job.running
        ]
        document = {**totals, "prices": spend.prices, "clusters": shown, "jobs": jobs}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        click.echo(as_text(shown, spend, settings))


def _terminate(emr: Any, wanted: Sequence[str], settings: Settings, yes: bool, as_json: bool) -> None:
    running = running_clusters(emr)
    elsewhere = [one for one in dict.fromkeys(wanted) if one not in {cluster.id for cluster in running}]
    engine, jobs, problems = _jobs_to_end(settings, elsewhere) if elsewhere or not wanted else (None, [], [])
    unknown = [one for one in elsewhere if one not in {job.ref.id for job in jobs}]
    check_exist(emr, unknown, settings.region)
    for cluster_id in unknown:
        click.echo(f"{cluster_id} has ended already.", err=True)
    chosen, others = choose(running, wanted, settings.stack)
    for one in others:
        click.echo(f"{one} is left alone. Give its id to end it.", err=True)
    if not yes:
        _ask([*map(str, chosen), *(str(job.ref) for job in jobs)])
    ended, refused = _end(emr, chosen, settings.region)
    problems += refused
    if engine:
        cancelled, refused = _cancel(engine, jobs)
        ended, problems = ended + cancelled, problems + refused
    if as_json:
        click.echo(json.dumps({"terminated": ended}, indent=2))
    elif not chosen and not jobs:
        what = "cluster and no job" if engine else "cluster"
        click.echo(f"No {what} of stack {settings.stack} runs in {settings.region}: nothing to end.")
    elif ended:
        click.echo(f"{', '.join(ended)} {'is' if len(ended) == 1 else 'are'} being ended; it takes a minute or two.")
    if problems:
        raise FruitsError("\n".join(problems))


def _jobs_to_end(settings: Settings, wanted: Sequence[str]) -> tuple[Engine | None, list[Job], list[str]]:
    """Returns the deployment's engine, where its jobs do not end with a cluster, the jobs to end, and what went wrong.

    Where jobs cannot be listed, clusters are ended all the same.
    """
    if not runs_jobs_alone(settings.deployment):
        return None, [], []
    try:
        engine = entry_of(settings.deployment).make_engine(settings)
        living = [job for job in engine.unfinished_jobs() if job.state != JobState.ENDING]
    except FruitsError as error:
        return None, [], [str(error)]
    return engine, [job for job in living if not wanted or job.ref.id in wanted], []


def _ask(chosen: Sequence[str]) -> None:
    if chosen:
        click.echo("\n".join(chosen), err=True)
        question = "End this" if len(chosen) == 1 else f"End these {len(chosen)}"
        click.confirm(f"{question}, and what runs there", abort=True, err=True)


def _cancel(engine: Engine, jobs: Sequence[Job]) -> tuple[list[str], list[str]]:
    """Cancels jobs, and returns the ids of those that are being ended, and what went wrong."""
    ended, problems = [], []
    for job in jobs:
        try:
            engine.cancel(job.ref)
            ended.append(job.ref.id)
        except FruitsError as error:
            problems.append(str(error))
    return ended, problems


def _end(emr: Any, chosen: Sequence[Running], region: str) -> tuple[list[str], list[str]]:
    """Ends clusters, and returns the ids of those that are being ended, and what went wrong."""
    scheduler = client("scheduler", region)
    ended, problems = [], []
    # One request for each cluster: EMR's refusal to end one, such as for its termination protection, must not keep the
    # others running.
    for one in chosen:
        try:
            with translate_errors(f"end {one.id}"):
                emr.terminate_job_flows(JobFlowIds=[one.id])
            ended.append(one.id)
            if one.stack:
                EndSchedules(scheduler, one.stack).remove(one.id, lambda line: click.echo(line, err=True))
        except FruitsError as error:
            problems.append(str(error))
    return ended, problems
