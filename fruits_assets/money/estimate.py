"""Estimated time and cost of a number of photos on the cluster, with a list of all assumptions."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fruits_assets.money.budget import worst_case_eur
from fruits_assets.money.costs import CORES_PER_NODE
from fruits_assets.money.prices import Prices, xlarges
from fruits_assets.money.s3_requests import USD_PER_1000_GET, USD_PER_1000_PUT_OR_LIST, Requests, requests_of_run
from fruits_assets.settings import Settings
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
# A request to S3 takes 20 to 50 ms. LISTs of one location follow each other; 16 requests for files run at a time.
SECONDS_PER_REQUEST, REQUESTS_AT_A_TIME = 0.03, 16
# An m5.xlarge has 1.25 Gbit/s sustained, and more only in bursts.
NODE_BYTES_PER_SECOND = 156e6
# Assumed: time for each folder of a run besides its photos and requests, nearly all of it for Dagster's records.
SECONDS_PER_FOLDER = 0.03
IMAGES_PER_FOLDER = 500
# As commonly quoted for eu-west-3 in 2026-09, not read from the Price List API.
S3_USD_PER_GIGABYTE_MONTH = 0.024
TABLE_BYTES_PER_IMAGE = 1280 * 4 + 600
MOST_CORE_NODES = 4
# Dagster's documentation recommends at most 100,000 partitions of an asset.
PRACTICAL_FOLDERS = 100_000
# Steps of each range of folders: raw_images, mobilenet_features and the check of the features. Steps of the whole
# store: pca_model and reduced_features.
_PARTS_OF_FOLDERS = 3
_WHOLE_STEPS = 2

_ENDS_SECONDS = START_UP_SECONDS + ENDING_SECONDS


@dataclass(frozen=True)
class Estimate:
    """Estimated time and cost of a number of photos.

    Attributes:
        images: Number of photos.
        folders: Number of folders with photos.
        megapixels: Megapixels of each photo.
        nodes: Number of nodes, the master included.
        instance_type: Instance type of all nodes.
        images_per_second: Rate of all core nodes together in mobilenet_features.
        seconds: Durations, by kind of work.
        sessions: Clusters that are needed one after the other, because each ends at its maximum age.
        parts: Ranges of folders that raw_images and mobilenet_features are to be run in.
        cluster_eur: Cost of the nodes, from their creation to their end.
        work_eur: The same without start-up and end.
        requests: Requests to S3.
        requests_eur: Cost of the requests.
        table_gigabytes: Size of the tables.
        storage_eur_per_month: Cost of photos and tables in S3.
        worst_case_eur: The most that one cluster could cost, which must be left in the budget.
        budget_eur: The month's budget.
        assumptions: All assumptions of the estimate.
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
        """Cost of clusters and requests, without storage."""
        return self.cluster_eur + self.requests_eur

    @property
    def fits(self) -> bool:
        """Whether a month's whole budget is enough, with the last cluster counted at its worst case."""
        # Before a cluster is created, its worst case must be left in the budget. So the cost of all sessions but the
        # last plus one worst case must not exceed the budget.
        before = self.cluster_eur * (self.sessions - 1) / self.sessions
        return max(self.cluster_eur, before + self.worst_case_eur) <= self.budget_eur

    def as_json(self) -> dict[str, Any]:
        """Returns the estimate as a JSON document for scripts."""
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
        images: Number of photos.
        core_nodes: Core nodes of the cluster; managed scaling may add more.
        prices: Prices of the region.
        settings: Instance type, time limits, and the budget.
        megapixels: Megapixels of each photo.
        images_per_second_per_core: Rate of decoding and network, where it was measured; else this project's.
        folders: Number of folders; None for one for 500 photos.

    Raises:
        FruitsError: The price of the instance type is not known.
    """
    pace = pace_of(core_nodes * xlarges(settings.instance_type), megapixels, images_per_second_per_core)
    folders = min(images, folders or math.ceil(images / IMAGES_PER_FOLDER))
    requests = requests_of_run(images, folders, math.ceil(pace.cores))
    sessions, parts, seconds = _in_sessions(work_of(pace, images, folders, requests), settings)
    eur_per_second = (1 + core_nodes) * prices.node_hour_eur(settings.instance_type) / 3600
    stored = images * (pace.photo_bytes + TABLE_BYTES_PER_IMAGE) / 1e9 * S3_USD_PER_GIGABYTE_MONTH
    return Estimate(
        images=images,
        folders=folders,
        megapixels=megapixels,
        nodes=1 + core_nodes,
        instance_type=settings.instance_type,
        images_per_second=pace.rate,
        seconds=seconds,
        sessions=sessions,
        parts=parts,
        cluster_eur=sum(seconds.values()) * eur_per_second,
        work_eur=(sum(seconds.values()) - sessions * _ENDS_SECONDS) * eur_per_second,
        requests=requests,
        requests_eur=requests.usd * prices.rate.eur_per_usd,
        table_gigabytes=images * TABLE_BYTES_PER_IMAGE / 1e9,
        storage_eur_per_month=stored * prices.rate.eur_per_usd,
        worst_case_eur=worst_case_eur(settings, prices),
        budget_eur=settings.budget_eur,
        assumptions=_assumptions(pace, images_per_second_per_core, prices),
    )


@dataclass(frozen=True)
class Pace:
    """How fast a cluster works.

    Attributes:
        cores: Cores of all core nodes.
        photo_bytes: Bytes of a photo.
        per_core: Photos a second that a core decodes and runs through the network.
        rate: Photos a second of all core nodes together.
    """

    cores: float
    photo_bytes: float
    per_core: float
    rate: float

    @property
    def is_bound_by_network(self) -> bool:
        """Whether the nodes' network bandwidth limits the rate."""
        return self.rate < self.per_core * self.cores


def pace_of(machines: float, megapixels: float, given: float | None) -> Pace:
    """Returns how fast machines work together.

    Args:
        machines: Their number, in xlarges.
        megapixels: Megapixels of each photo.
        given: Rate of decoding and network of a core, where it was measured; else this project's.
    """
    cores = machines * CORES_PER_NODE
    photo_bytes = max(LEAST_BYTES, megapixels * BYTES_PER_MEGAPIXEL)
    decoding = max(0.0, megapixels - SMALL_MEGAPIXELS) * DECODING_SECONDS_PER_MEGAPIXEL
    per_core = given or 1 / (1 / IMAGES_PER_SECOND_PER_CORE + decoding)
    fetched = machines * NODE_BYTES_PER_SECOND / photo_bytes
    return Pace(cores, photo_bytes, per_core, min(per_core * cores, fetched))


def work_of(pace: Pace, images: int, folders: int, requests: Requests) -> dict[str, float]:
    """Returns the seconds of the work itself, by what they are spent on."""
    return {
        "folders_and_files": _listing_seconds(images, folders, requests),
        "mobilenet_features": images / pace.rate,
        "pca_model_and_reduced_features": 2 * images * PCA_CORE_SECONDS_PER_IMAGE / pace.cores,
    }


def _listing_seconds(images: int, folders: int, requests: Requests) -> float:
    # The requests of the driver: all requests but those for photos, which the workers make while they compute.
    others = requests.gets - images + requests.puts + requests.lists - requests.lists_in_turn
    waiting = (requests.lists_in_turn + others / REQUESTS_AT_A_TIME) * SECONDS_PER_REQUEST
    return waiting + folders * SECONDS_PER_FOLDER


def _in_sessions(work: Mapping[str, float], settings: Settings) -> tuple[int, int, dict[str, float]]:
    """Returns how many clusters the work takes, in how many ranges of folders it runs, and the seconds of all parts."""
    longest = max(work["folders_and_files"], work["mobilenet_features"])
    parts = math.ceil(longest / max(1.0, settings.step_minutes * 60 - STEP_OVERHEAD_SECONDS)) or 1
    sessions, overhead = _sessions(sum(work.values()), parts, settings.max_age_minutes * 60 - _ENDS_SECONDS)
    seconds = {"start_up": sessions * START_UP_SECONDS, "step_overhead": overhead, **work}
    return sessions, max(parts, sessions), seconds | {"ending": sessions * ENDING_SECONDS}


def _sessions(work: float, parts: int, session: float) -> tuple[int, float]:
    """Returns how many clusters the work takes, and the overhead of its steps in seconds.

    Args:
        work: Seconds of work.
        parts: Least number of ranges of folders that the work is cut into.
        session: Seconds that a cluster has for steps.
    """
    sessions = 1
    while True:
        steps = _WHOLE_STEPS + _PARTS_OF_FOLDERS * max(parts, sessions)
        overhead = steps * STEP_OVERHEAD_SECONDS
        if work + overhead <= sessions * session:
            return sessions, overhead
        # Each session adds three steps. Even a session of the shortest age (15 minutes) is longer than their overhead,
        # so the loop ends.
        sessions += max(1, math.ceil((work + overhead) / session) - sessions)


def _assumptions(pace: Pace, given: float | None, prices: Prices) -> tuple[str, ...]:
    if given:
        rate = f"{pace.per_core:g} images/s a core, as given"
    else:
        rate = (
            f"{pace.per_core:.1f} images/s a core, from {IMAGES_PER_SECOND_PER_CORE:g} measured with 100x100 photos on "
            f"a machine of 2 cores and {DECODING_SECONDS_PER_MEGAPIXEL * 1000:g} ms more for each megapixel; that a "
            "vCPU is as fast was not measured"
        )
    bound = "; here they are what limits the rate" if pace.is_bound_by_network else ""
    return (
        rate,
        f"{CORES_PER_NODE} cores and {NODE_BYTES_PER_SECOND / 1e6:g} MB/s for an xlarge, all core nodes busy to the "
        f"end; {pace.photo_bytes / 1e6:g} MB a photo{bound}",
        f"start-up {START_UP_SECONDS / 60:g} min (5 to 10 are reported), the end {ENDING_SECONDS / 60:g} min, "
        f"{STEP_OVERHEAD_SECONDS:g} s besides its work for each step: assumed",
        f"{SECONDS_PER_REQUEST * 1000:g} ms for each request of the driver, LISTs one after the other and others "
        f"{REQUESTS_AT_A_TIME} at a time; {SECONDS_PER_FOLDER * 1000:g} ms more for each folder: assumed",
        f"PCA and reduction {PCA_CORE_SECONDS_PER_IMAGE * 1e6:g} us of a core for each photo and step: measured on 2 "
        "cores",
        f"S3: {USD_PER_1000_PUT_OR_LIST} USD for 1,000 PUT or LIST, {USD_PER_1000_GET} for 1,000 GET, "
        f"{S3_USD_PER_GIGABYTE_MONTH} a GB and month (eu-west-3, as commonly quoted); a GET for each photo; table "
        f"files of one folder and at most {PHOTOS_PER_TASK} photos; {TABLE_BYTES_PER_IMAGE} bytes of tables a photo",
        f"nodes: {prices.computed_from}; from their creation, with their disks; Spot would cost less",
        "all photos are new, the cluster is not shared, and it ends when the work does",
    )
