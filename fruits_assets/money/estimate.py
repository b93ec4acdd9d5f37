"""How long so many photos take on the cluster and what they cost, with every assumption said."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import click

from fruits_assets.money.budget import MINUTES_BEYOND_AGE, worst_case_eur
from fruits_assets.money.costs import CORES_PER_NODE
from fruits_assets.money.prices import Prices, read_prices, table_prices, xlarges
from fruits_assets.money.s3_requests import USD_PER_1000_GET, USD_PER_1000_PUT_OR_LIST, Requests, requests_of_run
from fruits_assets.settings import Settings, read_settings
from fruits_assets.terminal.problems import reports_problems
from spark_steps.photos.limits import PHOTOS_PER_TASK

# Measured: 100x100 photos from files to Parquet, end to end, on a machine of 2 cores.
IMAGES_PER_SECOND_PER_CORE = 45.0
SMALL_MEGAPIXELS = 0.01
# Measured: decode() of noisy JPEGs of 12 megapixels takes 32 ms (1.5 MB) to 61 ms (3.5 MB).
DECODING_SECONDS_PER_MEGAPIXEL = 0.005
BYTES_PER_MEGAPIXEL, LEAST_BYTES = 300_000, 5_000
# Measured (DESIGN, section 4): 100,000 rows take 7.2 s longer to fit than 10,000 on 2 cores; a projection is no dearer.
PCA_CORE_SECONDS_PER_IMAGE = 1.6e-4
# FIELD_NOTES: start-up takes 5 to 10 minutes. The rest of this block is assumed, not measured.
START_UP_SECONDS = 7 * 60.0
ENDING_SECONDS = 60.0
STEP_OVERHEAD_SECONDS = 30.0
# An answer of S3 takes 20 to 50 ms; LISTs of one location come one after the other, requests for files 16 at a time.
SECONDS_PER_REQUEST, REQUESTS_AT_A_TIME = 0.03, 16
# An m5.xlarge has 1.25 Gbit/s for as long as it likes, and more only for bursts.
NODE_BYTES_PER_SECOND = 156e6
# Assumed: what each folder of a run takes besides its photos and requests, nearly all of it Dagster's records.
SECONDS_PER_FOLDER = 0.03
IMAGES_PER_FOLDER = 500
# As commonly quoted for eu-west-3 in 2026-09, not read from the Price List API.
S3_USD_PER_GIGABYTE_MONTH = 0.024
TABLE_BYTES_PER_IMAGE = 1280 * 4 + 600
MOST_CORE_NODES = 4
# Dagster's documentation gives 100,000 partitions of an asset as the most.
PRACTICAL_FOLDERS = 100_000
# raw_images, mobilenet_features and the check of the features; pca_model and reduced_features.
_PARTS_OF_FOLDERS = 3
_WHOLE_STEPS = 2


@dataclass(frozen=True)
class Estimate:
    """What so many photos take.

    Attributes:
        images: Photos.
        folders: They lie in.
        megapixels: Of each.
        nodes: Master and core nodes.
        instance_type: Of all nodes.
        images_per_second: Of all core nodes together, in mobilenet_features.
        seconds: By what they are spent on.
        sessions: Clusters that are needed one after the other, because each ends at its greatest age.
        parts: Ranges of folders that raw_images and mobilenet_features are to be run in.
        cluster_eur: Nodes, from their creation to their end.
        work_eur: The same without start-up and end.
        requests: Requests to S3.
        requests_eur: What they cost.
        table_gigabytes: Of the tables.
        storage_eur_per_month: Photos and tables in S3.
        worst_case_eur: What one cluster could cost at most, which must be free in the budget.
        budget_eur: For the month.
        assumptions: All that this rests on.
    """

    images: int
    folders: int
    megapixels: float
    nodes: int
    instance_type: str
    images_per_second: float
    seconds: dict[str, float]
    sessions: int
    parts: int
    cluster_eur: float
    work_eur: float
    requests: Requests
    requests_eur: float
    table_gigabytes: float
    storage_eur_per_month: float
    worst_case_eur: float
    budget_eur: float
    assumptions: tuple[str, ...]

    @property
    def total_seconds(self) -> float:
        """From the first request for a cluster to the last cluster's end."""
        return sum(self.seconds.values())

    @property
    def total_eur(self) -> float:
        """All but storage."""
        return self.cluster_eur + self.requests_eur

    @property
    def fits(self) -> bool:
        """Whether the month's budget, untouched, allows it all; what the last cluster could cost at most included."""
        # What is counted of the last session is its worst case, so all before it and that must fit.
        before = self.cluster_eur * (self.sessions - 1) / self.sessions
        return max(self.cluster_eur, before + self.worst_case_eur) <= self.budget_eur

    def as_json(self) -> dict[str, Any]:
        """Returns it for scripts."""
        return {
            **asdict(self),
            "total_seconds": self.total_seconds,
            "total_eur": self.total_eur,
            "eur_per_1000_images": self.total_eur / self.images * 1000,
            "fits": self.fits,
        }


def estimate(
    images: int,
    core_nodes: int,
    prices: Prices,
    settings: Settings,
    megapixels: float = SMALL_MEGAPIXELS,
    images_per_second_per_core: float | None = None,
    folders: int | None = None,
) -> Estimate:
    """Estimates time and cost of the whole pipeline on a new cluster, for photos that are all new.

    Args:
        images: Photos.
        core_nodes: Core nodes of the cluster; managed scaling may add more.
        prices: Of the region.
        settings: Instance type, limits of time, and the budget.
        megapixels: Of each photo.
        images_per_second_per_core: Rate of the network with decoding, where it is known; else from ours.
        folders: Folders that they lie in; left out, one for 500 photos.

    Raises:
        FruitsError: The price of the instance type is not known.
    """
    size = xlarges(settings.instance_type)
    cores = core_nodes * CORES_PER_NODE * size
    photo_bytes = max(LEAST_BYTES, megapixels * BYTES_PER_MEGAPIXEL)
    decoding = max(0.0, megapixels - SMALL_MEGAPIXELS) * DECODING_SECONDS_PER_MEGAPIXEL
    per_core = images_per_second_per_core or 1 / (1 / IMAGES_PER_SECOND_PER_CORE + decoding)
    fetched = core_nodes * NODE_BYTES_PER_SECOND * size / photo_bytes
    rate = min(per_core * cores, fetched)
    folders = min(images, folders or math.ceil(images / IMAGES_PER_FOLDER))
    requests = requests_of_run(images, folders, math.ceil(cores))
    # The requests of the driver: all but those for photos, which the workers make while they compute.
    others = requests.gets - images + requests.puts + requests.lists - requests.lists_in_turn
    waiting = (requests.lists_in_turn + others / REQUESTS_AT_A_TIME) * SECONDS_PER_REQUEST
    listing = waiting + folders * SECONDS_PER_FOLDER
    features = images / rate
    pca = 2 * images * PCA_CORE_SECONDS_PER_IMAGE / cores

    parts = math.ceil(max(listing, features) / max(1.0, settings.step_minutes * 60 - STEP_OVERHEAD_SECONDS)) or 1
    ends = START_UP_SECONDS + ENDING_SECONDS
    sessions, overhead = _sessions(listing + features + pca, parts, settings.max_age_minutes * 60 - ends)
    parts = max(parts, sessions)
    seconds = {
        "start_up": sessions * START_UP_SECONDS,
        "step_overhead": overhead,
        "folders_and_files": listing,
        "mobilenet_features": features,
        "pca_model_and_reduced_features": pca,
        "ending": sessions * ENDING_SECONDS,
    }
    eur_per_second = (1 + core_nodes) * prices.node_hour_eur(settings.instance_type) / 3600
    stored = images * (photo_bytes + TABLE_BYTES_PER_IMAGE) / 1e9 * S3_USD_PER_GIGABYTE_MONTH
    return Estimate(
        images=images,
        folders=folders,
        megapixels=megapixels,
        nodes=1 + core_nodes,
        instance_type=settings.instance_type,
        images_per_second=rate,
        seconds=seconds,
        sessions=sessions,
        parts=parts,
        cluster_eur=sum(seconds.values()) * eur_per_second,
        work_eur=(sum(seconds.values()) - sessions * ends) * eur_per_second,
        requests=requests,
        requests_eur=requests.usd * prices.usd_to_eur,
        table_gigabytes=images * TABLE_BYTES_PER_IMAGE / 1e9,
        storage_eur_per_month=stored * prices.usd_to_eur,
        worst_case_eur=worst_case_eur(settings, prices),
        budget_eur=settings.budget_eur,
        assumptions=_assumptions(per_core, images_per_second_per_core, fetched < per_core * cores, prices, photo_bytes),
    )


def _sessions(work: float, parts: int, session: float) -> tuple[int, float]:
    """Returns how many clusters the work takes, and the seconds that its steps need besides.

    Args:
        work: Seconds of work.
        parts: Ranges of folders that it is at least cut into.
        session: Seconds that a cluster has for steps.
    """
    sessions = 1
    while True:
        steps = _WHOLE_STEPS + _PARTS_OF_FOLDERS * max(parts, sessions)
        overhead = steps * STEP_OVERHEAD_SECONDS
        if work + overhead <= sessions * session:
            return sessions, overhead
        # With each session come three steps more, which a session of the shortest age (15 minutes) still gains on.
        sessions += max(1, math.ceil((work + overhead) / session) - sessions)


def _assumptions(
    per_core: float, given: float | None, network_bound: bool, prices: Prices, photo_bytes: float
) -> tuple[str, ...]:
    if given:
        rate = f"{per_core:g} images/s a core, as given"
    else:
        rate = (
            f"{per_core:.1f} images/s a core, from {IMAGES_PER_SECOND_PER_CORE:g} measured with 100x100 photos on a "
            f"machine of 2 cores and {DECODING_SECONDS_PER_MEGAPIXEL * 1000:g} ms more for each megapixel; that a vCPU "
            "is as fast was not measured"
        )
    bound = "; here they are what limits the rate" if network_bound else ""
    return (
        rate,
        f"{CORES_PER_NODE} cores and {NODE_BYTES_PER_SECOND / 1e6:g} MB/s for an xlarge, all core nodes busy to the "
        f"end; {photo_bytes / 1e6:g} MB a photo{bound}",
        f"start-up {START_UP_SECONDS / 60:g} min (5 to 10 are reported), the end {ENDING_SECONDS / 60:g} min, "
        f"{STEP_OVERHEAD_SECONDS:g} s besides its work for each step: assumed",
        f"{SECONDS_PER_REQUEST * 1000:g} ms for each request of the driver, LISTs one after the other and others "
        f"{REQUESTS_AT_A_TIME} at a time; {SECONDS_PER_FOLDER * 1000:g} ms more for each folder: assumed",
        f"PCA and reduction {PCA_CORE_SECONDS_PER_IMAGE * 1e6:g} us of a core for each photo and step: measured on 2 "
        "cores",
        f"S3: {USD_PER_1000_PUT_OR_LIST} USD for 1,000 PUT or LIST, {USD_PER_1000_GET} for 1,000 GET, "
        f"{S3_USD_PER_GIGABYTE_MONTH} a GB and month (eu-west-3, as commonly quoted); a GET for each photo; table "
        f"files of one folder and at most {PHOTOS_PER_TASK} photos; {TABLE_BYTES_PER_IMAGE} bytes of tables a photo",
        f"nodes: {prices.told}; from their creation, with their disks; Spot would cost less",
        "all photos are new, the cluster is not shared, and it ends when the work does",
    )


def as_text(estimated: Estimate, settings: Settings) -> str:
    """Returns an estimate as the command prints it.

    Args:
        estimated: What to tell.
        settings: That it was made with.
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
    # The network is what nodes make faster, and nearly all of the time.
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
    prices = read_prices(settings) if live_prices else table_prices(settings.usd_to_eur, settings.region)
    told = estimate(
        images, core_nodes or settings.core_nodes, prices, settings, megapixels, images_per_second_per_core, folders
    )
    click.echo(json.dumps(told.as_json(), indent=2) if as_json else as_text(told, settings))
