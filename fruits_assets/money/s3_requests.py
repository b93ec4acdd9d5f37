"""What a run asks of S3, counted by the files that it writes and how often they are read."""

import math
from dataclasses import dataclass

from spark_steps.photos.limits import PHOTOS_PER_TASK

# US dollars in eu-west-3, as commonly quoted in 2026-09, not read from the Price List API. A HEAD costs as a GET, and a
# deletion nothing.
USD_PER_1000_PUT_OR_LIST, USD_PER_1000_GET = 0.0053, 0.00042
KEYS_PER_LISTING = 1000
# How often each file of a table is read in a run of all assets and checks, as tests/s3/test_growth.py counts it. Steps
# are processes of their own on the cluster, and know nothing of what another has read. store_report reads all of each.
READINGS = {"raw_images": 4, "mobilenet_features": 6, "reduced_features": 3}
# A small file comes by one request; of a large one there are the status, the footer and two pieces.
SMALL_FILE_BYTES, GETS_OF_LARGE_FILE = 256 * 1024, 4
FEATURE_BYTES_PER_IMAGE = 1280 * 4 + 300
# Each table is listed as a whole once, for what is to be deleted; each folder of photos by its asset and by the check.
LISTINGS_OF_TABLE, LISTINGS_OF_FOLDER = 1, 2


@dataclass(frozen=True)
class Requests:
    """Requests to S3.

    Attributes:
        gets: GET and HEAD.
        puts: PUT and COPY.
        lists: LIST.
        lists_in_turn: Those among them that come one after the other, each for the next 1,000 names of one location.
        files: Files of the three tables.
    """

    gets: int
    puts: int
    lists: int
    lists_in_turn: int
    files: int

    @property
    def usd(self) -> float:
        """What they cost."""
        return ((self.puts + self.lists) * USD_PER_1000_PUT_OR_LIST + self.gets * USD_PER_1000_GET) / 1000


def requests_of_run(images: int, folders: int, cores: int) -> Requests:
    """Returns what a run of all assets and checks asks of S3, for photos that are all new.

    The logs of the tables are left out: they take tens of requests for each step, however many photos there are.

    Args:
        images: Photos.
        folders: Folders that they lie in.
        cores: Cores of the cluster, each of which writes a run of folders in its projection.
    """
    files = {
        "raw_images": folders,
        "mobilenet_features": folders + math.ceil(images / PHOTOS_PER_TASK),
        "reduced_features": folders + cores,
    }
    large = images * FEATURE_BYTES_PER_IMAGE / files["mobilenet_features"] > SMALL_FILE_BYTES
    gets_per_file = {name: GETS_OF_LARGE_FILE if large and name == "mobilenet_features" else 1 for name in files}
    # The folders are found by a listing of the whole root.
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
