"""How long ``fruits serve`` takes for photos of 12 megapixels, and its memory, beside ``fruits identify``.

Photos are sent at a fixed rate, whether answers have come or not, and each time is counted from the moment at which its
photo was due. At last come requests that are made to do harm: what is answered, and whether memory grows.
"""

import itertools
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import click
import numpy as np

from benchmarks.harness.large_stores import make_large_store
from benchmarks.harness.memory import proportional_bytes
from benchmarks.harness.photos import find_originals, make_phone_photos
from benchmarks.harness.processes import Watch, tree_of
from benchmarks.load.hostile import hostile_requests

_FRUITS = Path(sys.executable).with_name("fruits")
_IDENTIFIED = 3
_TIMEOUT_SECONDS = 120
_HOSTILE_ROUNDS = 4


@dataclass
class TreeWatch(Watch):
    """Samples the memory of a process and of all below it.

    Attributes:
        process: The process.
        peak: Most bytes at once.
    """

    process: int
    peak: int = 0
    _pause = 0.05

    def _sample(self) -> None:
        self.peak = max(self.peak, memory_of(self.process))


def memory_of(process: int) -> int:
    """Returns the bytes that a process and all below it hold now, shared pages counted once."""
    return sum(map(proportional_bytes, tree_of(process)))


@contextmanager
def server_of(store: str) -> Iterator[tuple[str, int, float]]:
    """Runs a server; yields its address, its process, and the seconds until it was ready."""
    start = time.perf_counter()
    command = [str(_FRUITS), "serve", "--store", store, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None  # noqa: S101
    try:
        address = process.stdout.readline().split()[2].rstrip(".")
        while status_of(f"{address}/readyz") != 200:
            time.sleep(0.05)
        yield address, process.pid, time.perf_counter() - start
    finally:
        process.terminate()
        process.wait(60)


def status_of(url: str, body: bytes | None = None, kind: str = "application/octet-stream") -> int:
    """Asks for a URL, and returns the status of the answer."""
    try:
        with urlopen(Request(url, body, {"content-type": kind}), timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            answer.read()
            return int(answer.status)
    except HTTPError as error:
        return error.code


def sent_at_a_rate(
    address: str, photos: Sequence[bytes], rate: float, seconds: float
) -> tuple[list[float], Counter[int]]:
    """Sends photos at a fixed rate; returns the seconds from when each was due to its answer, and the statuses."""
    start = time.perf_counter() + 0.5

    def send(number: int) -> tuple[float, int]:
        due = start + number / rate
        time.sleep(max(0, due - time.perf_counter()))
        status = status_of(f"{address}/identify", photos[number % len(photos)])
        return time.perf_counter() - due, status

    with ThreadPoolExecutor(64) as pool:
        answered = list(pool.map(send, range(round(rate * seconds))))
    return [took for took, _ in answered], Counter(status for _, status in answered)


def identified(photo: Path, store: str) -> tuple[float, int]:
    """Runs ``fruits identify`` some times; returns the median of its seconds, and the most memory that was sampled."""
    took, most = [], 0
    for _ in range(_IDENTIFIED):
        start = time.perf_counter()
        process = subprocess.Popen([str(_FRUITS), "identify", str(photo), "--store", store], stdout=subprocess.DEVNULL)
        with TreeWatch(process.pid) as watch:
            process.wait()
        took.append(time.perf_counter() - start)
        most = max(most, watch.peak)
    return statistics.median(took), most


def hostile(address: str, process: int, count: int) -> Iterator[str]:
    """Sends hostile requests in rounds; yields a line of each."""
    for number in range(_HOSTILE_ROUNDS):
        statuses = Counter(
            status_of(f"{address}/identify", body, kind)
            for kind, body in hostile_requests(number, count // _HOSTILE_ROUNDS)
        )
        alive = status_of(f"{address}/healthz") == 200
        yield (
            f"| {number + 1} | {json.dumps(dict(sorted(statuses.items())))} | {alive} | "
            f"{len(tree_of(process)) - 1} | {memory_of(process) / 1e6:.0f} MB |"
        )


def measured(store: str, photos: Sequence[Path], rate: float, seconds: float) -> str:
    """Returns a line about a store: start, times of answers, memory; and the same of ``fruits identify``."""
    contents = [photo.read_bytes() for photo in photos]
    with server_of(store) as (address, process, ready), TreeWatch(process) as watch:
        for photo in contents[:4]:
            status_of(f"{address}/identify", photo)
        took, statuses = sent_at_a_rate(address, contents, rate, seconds)
    p50, p99 = np.percentile(took, [50, 99]) * 1000
    cold, most = identified(photos[0], store)
    return (
        f"| {Path(store).name} | {ready:.1f} s | {json.dumps(dict(statuses))} | {p50:.0f} ms | {p99:.0f} ms | "
        f"{max(took) * 1000:.0f} ms | {watch.peak / 1e6:.0f} MB | {cold:.2f} s | {most / 1e6:.0f} MB |"
    )


@click.command()
@click.option("--store", required=True, help="A store of fruits run, of which the large ones are made.")
@click.option("--scratch", required=True, type=click.Path(path_type=Path), help="Where large stores and photos go.")
@click.option("--images", type=click.Path(exists=True, path_type=Path), help="Photos to make those of a phone from.")
@click.option("--sizes", default="1000,1000000", show_default=True, help="Photos of the stores.")
@click.option("--rate", default=5.0, show_default=True, help="Photos a second.")
@click.option("--seconds", default=60.0, show_default=True, help="How long they are sent.")
@click.option("--hostile", "harmful", default=1000, show_default=True, help="Hostile requests.")
def main(store: str, scratch: Path, images: Path | None, sizes: str, rate: float, seconds: float, harmful: int) -> None:
    """Measure fruits serve under load."""
    scratch.mkdir(parents=True, exist_ok=True)
    phone = make_phone_photos(find_originals(images, scratch), scratch)
    photos = list(itertools.islice(sorted(phone.rglob("*.jpg")), 16))
    click.echo(f"{rate:g} photos a second of {np.mean([one.stat().st_size for one in photos]) / 1e6:.1f} MB\n")
    click.echo("| store | ready | answers | p50 | p99 | most | memory of all processes | identify, cold | its memory |")
    click.echo("|---|---|---|---|---|---|---|---|---|")
    stores = [make_large_store(store, int(size), scratch) for size in sizes.split(",")]
    for one in stores:
        click.echo(measured(one, photos, rate, seconds))
    if harmful:
        click.echo(
            "\n| hostile requests, a round each | statuses | alive | processes | memory |\n|---|---|---|---|---|"
        )
        with server_of(stores[0]) as (address, process, _):
            for line in hostile(address, process, harmful):
                click.echo(line)


if __name__ == "__main__":
    main()
