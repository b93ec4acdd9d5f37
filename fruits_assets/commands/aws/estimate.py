"""The command ``fruits estimate``: time and cost of a number of photos on the cluster."""

import json
import math

import click

from fruits_assets.money.costs import MINUTES_BEYOND_AGE, EuroRate
from fruits_assets.money.dbus.estimate import CLUSTER_START_UP_SECONDS, estimate_workspace
from fruits_assets.money.dbus.prices import read_dbu_prices, table_dbu_prices
from fruits_assets.money.dpus.estimate import RUN_START_UP_SECONDS, estimate_runs
from fruits_assets.money.dpus.prices import read_dpu_prices, table_dpu_prices
from fruits_assets.money.estimate import MOST_CORE_NODES, PRACTICAL_FOLDERS, SMALL_MEGAPIXELS, Estimate, estimate
from fruits_assets.money.jobs.estimate import JOB_START_UP_SECONDS, JobsEstimate, estimate_jobs
from fruits_assets.money.jobs.prices import read_worker_prices, table_worker_prices
from fruits_assets.money.prices import read_prices, table_prices
from fruits_assets.settings import Settings, read_settings
from fruits_assets.terminal.problems import reports_problems


def as_text(estimated: Estimate, settings: Settings) -> str:
    """Returns an estimate as the command prints it.

    Args:
        estimated: The estimate.
        settings: The settings that it was made with.
    """
    hourly = estimated.cluster_eur / estimated.total_seconds * 3600
    requests = estimated.requests
    lines = [
        f"{estimated.images:,} photos of {estimated.megapixels:g} megapixels in {estimated.folders:,} folders on "
        f"1 + {estimated.nodes - 1} {estimated.instance_type}, {estimated.images_per_second:,.0f} images/s:",
        "",
    ]
    for name, seconds in estimated.seconds.items():
        lines.append(f"  {name.replace('_', ' '):<32}{seconds / 60:>9.1f} min{hourly * seconds / 3600:>10.3f} EUR")
    lines += [
        f"  {'S3 requests':<32}{'':>13}{estimated.requests_eur:>10.3f} EUR",
        f"    {requests.gets:,} GET, {requests.puts:,} PUT, {requests.lists:,} LIST; {requests.files:,} table files",
        f"  {'total':<32}{estimated.total_seconds / 60:>9.1f} min{estimated.total_eur:>10.3f} EUR",
        f"  {'without start-up and end':<32}{'':>13}{estimated.work_eur:>10.3f} EUR",
        f"  {'for 1,000 photos':<32}{'':>13}{estimated.total_eur / estimated.images * 1000:>10.4f} EUR",
        f"  {'storage in S3, a month':<32}{'':>13}{estimated.storage_eur_per_month:>10.3f} EUR",
        "",
        *_limits(estimated, settings),
        "",
        "Assumptions:",
        *(f"  - {one}" for one in estimated.assumptions),
    ]
    return "\n".join(lines)


def comparison(
    estimated: Estimate, jobs: JobsEstimate, runs: JobsEstimate, clusters: JobsEstimate, settings: Settings
) -> str:
    """Returns the engines beside each other, a line each.

    Args:
        estimated: The photos on a cluster.
        jobs: The same photos as serverless jobs.
        runs: The same photos as runs of a Glue job.
        clusters: The same photos as runs of a Databricks workspace, each on a cluster of its own.
        settings: The settings that all were made with.
    """
    rows = [
        ("", "start-up", "in all", "cost", "ceiling", "left behind"),
        (
            "emr",
            f"{estimated.seconds['start_up'] / 60:.1f} min",
            f"{estimated.total_seconds / 60:.1f} min",
            f"{estimated.total_eur:.3f} EUR",
            f"{estimated.worst_case_eur:.2f} EUR a cluster",
            f"an idle cluster, {settings.idle_minutes} min",
        ),
        _row("emr-serverless", jobs, "job"),
        _row("glue", runs, "run"),
        _row("databricks", clusters, "run"),
    ]
    size = f"{jobs.executors} executors of {jobs.executor.vcpus} vCPU and {jobs.executor.gigabytes} GB"
    lines = [
        "By engine (FRUITS_DEPLOYMENT):",
        *("  " + "".join(f"{cell:<17}" for cell in row[:4]) + f"{row[4]:<20}{row[5]}" for row in rows),
        f"  emr-serverless: {jobs.jobs} jobs of a driver and {size}, all of them busy to the end; their start-up of "
        f"{JOB_START_UP_SECONDS:g} s each is assumed, and not billed.",
        f"  glue: {runs.jobs} runs of a driver and {runs.executors} executors, each on a worker of "
        f"{runs.executor.vcpus} vCPU and {runs.executor.gigabytes} GB, all of them busy to the end; their start-up of "
        f"{RUN_START_UP_SECONDS:g} s each is assumed, and counted as billed.",
        f"  databricks: {clusters.jobs} runs, each on a cluster of 1 + {clusters.executors} {settings.instance_type}; "
        f"{settings.databricks_dbu_usd:g} USD a DBU (FRUITS_DATABRICKS_DBU_USD) besides what AWS bills; their "
        f"start-up of {CLUSTER_START_UP_SECONDS:g} s each is assumed, and counted as billed.",
    ]
    return "\n".join(lines)


def _row(engine: str, estimated: JobsEstimate, what: str) -> tuple[str, ...]:
    return (
        engine,
        f"{estimated.start_up_seconds / 60:.1f} min",
        f"{estimated.total_seconds / 60:.1f} min",
        f"{estimated.total_eur:.3f} EUR",
        f"{estimated.worst_case_eur:.2f} EUR a {what}",
        "nothing",
    )


def _limits(estimated: Estimate, settings: Settings) -> list[str]:
    fits = "This fits" if estimated.fits else "This does not fit: raise FRUITS_BUDGET_EUR"
    told = [
        f"Budget: {estimated.budget_eur:.2f} EUR a month. Before a cluster is created, {estimated.worst_case_eur:.2f} "
        f"EUR of it must be free, the most that it could cost (1 + {settings.max_core_nodes} nodes for "
        f"{settings.max_age_minutes + MINUTES_BEYOND_AGE} min: the greatest age, and {MINUTES_BEYOND_AGE} for boot and "
        f"end). {fits}; what was spent this month is left out (fruits clusters shows it)."
    ]
    if estimated.sessions > 1:
        told.append(
            f"A cluster ends itself after {settings.max_age_minutes} min (FRUITS_MAX_AGE_MINUTES), before the work is "
            f"done: it takes {estimated.sessions} clusters, one after the other."
        )
    if estimated.parts > 1:
        told.append(
            f"Run the folders in {estimated.parts} ranges of about {math.ceil(estimated.images / estimated.parts):,} "
            f"photos each: a step is cancelled after {settings.step_minutes} min (FRUITS_STEP_MINUTES), and what it "
            f"did is lost with it.{_more_nodes(estimated, settings)}"
        )
    if estimated.nodes - 1 > MOST_CORE_NODES:
        told.append(f"FRUITS_MAX_CORE_NODES goes to {MOST_CORE_NODES}: the platform starts no cluster of this size.")
    if estimated.folders > PRACTICAL_FOLDERS:
        told.append(
            f"{estimated.folders:,} folders are more partitions than Dagster is good for ({PRACTICAL_FOLDERS:,}): put "
            "more photos into a folder, or several stores side by side."
        )
    return told


def _more_nodes(estimated: Estimate, settings: Settings) -> str:
    # Computed from the time in mobilenet_features: it is nearly all of the time, and the part that more nodes shorten.
    wanted = math.ceil((estimated.nodes - 1) * estimated.seconds["mobilenet_features"] / (settings.step_minutes * 60))
    if not estimated.nodes - 1 < wanted <= MOST_CORE_NODES:
        return ""
    return f" With {wanted} core nodes (--core-nodes) it is about one range."


@click.command("estimate")
@click.option("--images", required=True, type=click.IntRange(1), help="Photos, all of them new.")
@click.option("--core-nodes", "--nodes", type=click.IntRange(1), help="Core nodes.  [env: FRUITS_CORE_NODES]")
@click.option("--folders", type=click.IntRange(1), help="Folders of photos.  [default: one for 500]")
@click.option(
    "--megapixels",
    default=SMALL_MEGAPIXELS,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Of a photo: 0.01 is 100x100, a phone's are 12.",
)
@click.option(
    "--images-per-second-per-core",
    type=click.FloatRange(0, min_open=True),
    help="Where you have measured it; else from our own measurement.",
)
@click.option("--live-prices", is_flag=True, help="Ask AWS's Price List API in place of the table.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@reports_problems
def estimate_command(
    images: int,
    core_nodes: int | None,
    folders: int | None,
    megapixels: float,
    images_per_second_per_core: float | None,
    live_prices: bool,
    as_json: bool,
) -> None:
    """Estimate time and cost of so many photos on the cluster, before there is one.

    \b
    Examples:
      fruits estimate --images 100000
      fruits estimate --images 20000 --megapixels 12 --core-nodes 4
    """
    settings = read_settings()
    prices = read_prices(settings) if live_prices else table_prices(EuroRate.of(settings), settings.region)
    told = estimate(
        images, core_nodes or settings.core_nodes, prices, settings, megapixels, images_per_second_per_core, folders
    )
    workers = read_worker_prices(settings) if live_prices else table_worker_prices(prices.rate, settings.region)
    jobs = estimate_jobs(images, workers, settings, megapixels, images_per_second_per_core, folders)
    dpus = read_dpu_prices(settings) if live_prices else table_dpu_prices(prices.rate, settings.region)
    runs = estimate_runs(images, dpus, settings, megapixels, images_per_second_per_core, folders)
    dbus = read_dbu_prices(settings) if live_prices else table_dbu_prices(settings)
    clusters = estimate_workspace(images, dbus, settings, megapixels, images_per_second_per_core, folders)
    if as_json:
        engines = {"emr_serverless": jobs, "glue": runs, "databricks": clusters}
        document = {**told.as_json(), **{name: one.as_json() for name, one in engines.items()}}
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(f"{as_text(told, settings)}\n\n{comparison(told, jobs, runs, clusters, settings)}")
