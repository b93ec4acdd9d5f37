"""The number of requests to S3 of a run, computed from the files that it writes and how often they are read."""

import math
from dataclasses import dataclass

from spark_steps.photos.limits import PHOTOS_PER_TASK

# US dollars in eu-west-3, as commonly quoted in 2026-09, not read from the Price List API. A HEAD has the price of a
# GET, and a DELETE is free.
USD_PER_1000_PUT_OR_LIST, USD_PER_1000_GET = 0.0053, 0.00042
KEYS_PER_LISTING = 1000
# How often each file of a table is read in a run of all assets and checks, as tests/s3/test_growth.py counts it. Each
# step on the cluster is a process of its own, without the caches of other steps. store_report reads every file of each
# table.
READINGS = {"raw_images": 4, "mobilenet_features": 6, "reduced_features": 3}
# A small file is read by one request. A large file takes four: its status, its footer and two pieces.
SMALL_FILE_BYTES, GETS_OF_LARGE_FILE = 256 * 1024, 4
FEATURE_BYTES_PER_IMAGE = 1280 * 4 + 300
# Each table is listed as a whole once, to find files to delete. Each folder of photos is listed twice: by raw_images
# and by its check. In a store with features, the look before a run lists it once or twice more.
LISTINGS_OF_TABLE, LISTINGS_OF_FOLDER = 1, 2


@dataclass(frozen=True)
class Requests:
    """Requests to S3.

    Attributes:
        gets: Number of GET and HEAD requests.
        puts: Number of PUT and COPY requests.
        lists: Number of LIST requests.
        lists_in_turn: Number of LIST requests that follow each other, each for the next 1,000 names of one location.
        files: Number of files of the three tables.
    """

    gets: int
    puts: int
    lists: int
    lists_in_turn: int
    files: int

    @property
    def usd(self) -> float:
        """The cost of the requests, in dollars."""
        return ((self.puts + self.lists) * USD_PER_1000_PUT_OR_LIST + self.gets * USD_PER_1000_GET) / 1000


def requests_of_run(images: int, folders: int, cores: int) -> Requests:
    """Returns the requests to S3 of a run of all assets and checks, for photos that are all new.

    The transaction logs of the tables are left out: they take tens of requests for each step, independent of the number
    of photos.

    Args:
        images: Number of photos.
        folders: Number of folders.
        cores: Cores of the cluster; in the projection each core writes the files of consecutive folders.
    """
    files = {
        "raw_images": folders,
        "mobilenet_features": folders + math.ceil(images / PHOTOS_PER_TASK),
        "reduced_features": folders + cores,
    }
    large = images * FEATURE_BYTES_PER_IMAGE / files["mobilenet_features"] > SMALL_FILE_BYTES
    gets_per_file = {name: GETS_OF_LARGE_FILE if large and name == "mobilenet_features" else 1 for name in files}
    # The folders are found by listing the whole images root.
    in_turn = math.ceil(images / KEYS_PER_LISTING)
    in_turn += sum(LISTINGS_OF_TABLE * math.ceil(count / KEYS_PER_LISTING) for count in files.values())
    total = sum(files.values())
    return Requests(
        gets=images + sum(count * READINGS[name] * gets_per_file[name] for name, count in files.items()),
        puts=total,
        lists=in_turn + LISTINGS_OF_FOLDER * (folders + images // KEYS_PER_LISTING),
        lists_in_turn=in_turn,
        files=total,
    )
