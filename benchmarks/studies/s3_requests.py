"""How many requests to S3 ``fruits run`` makes: the first time, with nothing to do, and after a few photos were added.

``python -m benchmarks.studies.s3_requests --checkout BEFORE --checkout AFTER``. The S3 is moto on the same machine,
behind a proxy that counts. Photos and store of a checkout lie in a bucket of its own, the photos below ``Test/``. A
request that is made again after a failure counts again. Times are not told: they would be moto's.
"""

import io
import logging
import re
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import boto3
import click
import numpy as np
from moto.server import ThreadedMotoServer
from PIL import Image

from benchmarks.studies.checkouts import (
    Checkout,
    checkout_option,
    heading,
    json_option,
    pipeline,
    this_checkout,
    weights_option,
    write_json,
)
from benchmarks.studies.latency_proxy import LatencyServer, Request, forward_to
from benchmarks.studies.store_files import TABLES
from fruits_assets.terminal.problems import reports_problems

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "LIST")
PLACES = ("photos", *TABLES, "other")
_IMAGES = "Test"
_REGION: Final = "eu-west-3"
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
_OF_A_LISTING = {"list-type", "prefix", "delimiter", "versions"}

Counted = Counter[tuple[str, str]]


def method_of(request: Request) -> str:
    """Returns the method of a request to S3; LIST for a GET that lists objects."""
    key, asked = _asked(request)
    return "LIST" if request.method == "GET" and not key and _OF_A_LISTING & asked.keys() else request.method


def place_of(request: Request) -> str:
    """Returns what a request touches: the photos, a table by its name, or another place."""
    key, asked = _asked(request)
    keys = [key, *asked.get("prefix", [])]
    if "delete" in asked:
        keys += re.findall("<Key>(.*?)</Key>", request.raw.decode(errors="replace"))
    parts = {part for one in keys for part in one.split("/")}
    if any(one.split("/")[0] == _IMAGES for one in keys):
        return "photos"
    return next((table for table in TABLES if table in parts), "other")


def _asked(request: Request) -> tuple[str, dict[str, list[str]]]:
    path, _, query = request.target.partition("?")
    return unquote(path).lstrip("/").partition("/")[2], parse_qs(query, keep_blank_values=True)


@dataclass
class Counting:
    """Counts requests before another server answers them.

    Attributes:
        answer: What asks that server.
        counted: The requests so far, by place and method.
    """

    answer: Callable[[Request], Awaitable[bytes]]
    counted: Counted = field(default_factory=Counter)

    async def __call__(self, request: Request) -> bytes:
        """Returns the other server's answer."""
        self.counted[place_of(request), method_of(request)] += 1
        return await self.answer(request)


@dataclass(frozen=True)
class Outcome:
    """The requests of one run.

    Attributes:
        checkout: Whose.
        run: Which.
        counted: By place and method.
    """

    checkout: str
    run: str
    counted: Counted

    @property
    def by_method(self) -> list[int]:
        """The requests of each method."""
        return [sum(count for (_, method), count in self.counted.items() if method == one) for one in METHODS]

    @property
    def by_place(self) -> list[int]:
        """The requests to each place."""
        return [sum(count for (place, _), count in self.counted.items() if place == one) for one in PLACES]

    def as_json(self) -> dict[str, Any]:
        """Returns it as JSON takes it."""
        by_place = {place: {to: n for (at, to), n in sorted(self.counted.items()) if at == place} for place in PLACES}
        return {"checkout": self.checkout, "run": self.run, "requests": by_place}


@dataclass
class Bucket:
    """A bucket with the photos and the store of a checkout.

    Attributes:
        checkout: Whose.
        name: Of the bucket.
        home: The Dagster home of the store.
        environment: With what the command reaches the bucket, through the proxy.
        client: boto3's, past the proxy.
        photos: Put there so far.
    """

    checkout: Checkout
    name: str
    home: Path
    environment: Mapping[str, str]
    client: Any
    photos: int = 0

    def put_photos(self, folders: Iterable[int]) -> None:
        """Puts a photo into each of some folders, unlike all that are there."""
        for folder in folders:
            key = f"{_IMAGES}/Fruit {folder:05d}/{self.photos:06d}.jpg"
            self.client.put_object(Bucket=self.name, Key=key, Body=_photo(self.photos))
            self.photos += 1

    def run(self, weights: str) -> None:
        """Runs the whole pipeline on the photos."""
        images, store = f"s3://{self.name}/{_IMAGES}", f"s3://{self.name}"
        self.checkout.run(pipeline(images, store, weights), self.home, self.environment)

    def check(self) -> None:
        """Raises a FruitsError unless the store has all photos."""
        self.checkout.check_photos(f"s3://{self.name}", self.photos, self.home, self.environment)


def _photo(seed: int) -> bytes:
    encoded = io.BytesIO()
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    Image.fromarray(colours).resize((32, 32)).save(encoded, format="jpeg")
    return encoded.getvalue()


@contextmanager
def buckets_of(checkouts: Sequence[Checkout], work: Path) -> Iterator[tuple[list[Bucket], Counting]]:
    """Makes an empty bucket for each checkout, and what counts the requests to all of them.

    Args:
        checkouts: The checkouts.
        work: Directory for their Dagster homes.
    """
    # It tells of each request.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    counting = Counting(forward_to(host, port))
    client = boto3.client(
        "s3",
        _REGION,
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106
    )
    try:
        with LatencyServer(counting) as proxy:
            environment = {
                **_CREDENTIALS,
                "AWS_ENDPOINT_URL": proxy.address,
                "AWS_CONFIG_FILE": str(work / "no-config"),
                "AWS_SHARED_CREDENTIALS_FILE": str(work / "no-credentials"),
            }
            buckets = [
                Bucket(checkout, f"checkout-{number}", work / f"home-{number}", environment, client)
                for number, checkout in enumerate(checkouts)
            ]
            for bucket in buckets:
                client.create_bucket(Bucket=bucket.name, CreateBucketConfiguration={"LocationConstraint": _REGION})
            yield buckets, counting
    finally:
        moto.stop()


def measure(
    buckets: Sequence[Bucket], counting: Counting, weights: str, folders: int, photos: int, added: int
) -> Iterator[Outcome]:
    """Yields the outcomes of three runs of each checkout, which take turns.

    Args:
        buckets: Empty ones.
        counting: What counts the requests to them.
        weights: As of ``fruits run``.
        folders: Folders of photos.
        photos: Photos of each.
        added: Photos that come before the last run, each to another folder.

    Raises:
        FruitsError: A run failed, or has left photos out.
    """
    runs = {
        "the first": [number % folders for number in range(folders * photos)],
        "nothing has changed": [],
        f"{added:,} photos added": [number % folders for number in range(added)],
    }
    for run, new in runs.items():
        for bucket in buckets:
            bucket.put_photos(new)
            counting.counted = Counter()
            bucket.run(weights)
            outcome = Outcome(bucket.checkout.name, run, counting.counted)
            bucket.check()
            yield outcome


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """Returns the requests by method, and by what they touch."""
    return f"{_table(outcomes, METHODS, lambda one: one.by_method)}\n\n" + _table(
        outcomes, PLACES, lambda one: one.by_place
    )


def _table(outcomes: Sequence[Outcome], names: Sequence[str], counts: Callable[[Outcome], list[int]]) -> str:
    lines = [f"| run | checkout | {' | '.join(names)} | all |", f"|---|---|{'--:|' * (len(names) + 1)}"]
    for outcome in outcomes:
        of_each = counts(outcome)
        told = " | ".join(f"{count:,}" for count in [*of_each, sum(of_each)])
        lines.append(f"| {outcome.run} | {outcome.checkout} | {told} |")
    return "\n".join(lines)


@click.command(help=(__doc__ or "").partition("\n\n")[0])
@checkout_option
@click.option("--folders", default=300, show_default=True, type=click.IntRange(1))
@click.option("--photos", default=2, show_default=True, type=click.IntRange(1), help="Photos of each folder.")
@click.option("--added", default=3, show_default=True, type=click.IntRange(1), help="Photos added, to a folder each.")
@weights_option
@json_option
@reports_problems
def main(
    checkouts: tuple[Checkout, ...], folders: int, photos: int, added: int, weights: str, json_file: Path | None
) -> None:
    """Counts the requests of all checkouts."""
    outcomes = []
    with (
        tempfile.TemporaryDirectory() as work,
        buckets_of(checkouts or (this_checkout(),), Path(work)) as (buckets, counting),
    ):
        for outcome in measure(buckets, counting, weights, folders, photos, added):
            click.echo(f"{outcome.checkout}, {outcome.run}: {outcome.counted.total():,} requests", err=True)
            outcomes.append(outcome)
    click.echo(heading("Requests to S3 of `fruits run`", f"{folders:,} folders of {photos:,} photos."))
    click.echo(as_markdown(outcomes))
    write_json(
        json_file, folders=folders, photos=photos, added=added, outcomes=[outcome.as_json() for outcome in outcomes]
    )


if __name__ == "__main__":
    main()
