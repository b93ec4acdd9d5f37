"""What growth costs: time for each photo and peak memory as photos and folders grow, and what one huge folder does.

``python -m benchmarks.studies.growth --source PHOTOS --weights FILE`` runs ``fruits run`` on hard links of real photos,
each case in a process and a store of its own, and writes Markdown and JSON below ``benchmarks/results``.
"""

import json
import os
import platform
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa

from benchmarks.harness.photos import even, link_folders
from benchmarks.harness.processes import tree_of
from benchmarks.studies.checkouts import Checkout, checkout_option, pipeline, source_option, this_checkout, work_option
from benchmarks.studies.store_files import is_data, table_files
from spark_steps.features.weights import load_model
from spark_steps.tables.folder_table import FolderTable

RESULTS = Path(__file__).parent.parent / "results"
_KEPT = RESULTS / "growth.json"
_SAMPLE_SECONDS = 0.5
# What a step says at its end: "mobilenet_features: 600 photos, folders: 200, 600 of them new or changed; 22.1 s".
_STEP = re.compile(r"^\s+(raw_images|mobilenet_features|reduced_features): .*; ([\d.]+) s$")
_PCA_ROWS, _PCA_FOLDERS = 100_000, 2000


@dataclass(frozen=True)
class Case:
    """Photos to be run.

    Attributes:
        name: What it shows.
        folders: Photos of each folder.
    """

    name: str
    folders: tuple[int, ...]

    @property
    def photos(self) -> int:
        """Photos of all folders."""
        return sum(self.folders)


@dataclass
class Outcome:
    """What a case took.

    Attributes:
        case: Its name.
        photos: Photos.
        folders: Folders.
        largest: Photos of the largest folder.
        seconds: From the start of the command to its end.
        steps: Seconds of the steps that write a table, by its name.
        peak_mebibytes: Peak PSS of the command with all its processes, and of the kinds among them at any time.
        files: Files of mobilenet_features.
    """

    case: str
    photos: int
    folders: int
    largest: int
    seconds: float
    steps: dict[str, float]
    peak_mebibytes: dict[str, float]
    files: int

    @property
    def milliseconds_a_photo(self) -> float:
        """Of the whole command."""
        return self.seconds * 1000 / self.photos


@dataclass
class PeakMemory:
    """The most memory that a process and all below it have had, each shared page counted once.

    Attributes:
        mebibytes: By kind of process: ``java``, ``python``, and ``all`` of them at one time.
    """

    mebibytes: dict[str, float] = field(default_factory=dict)

    def sample(self, root: int) -> None:
        """Takes the present into account."""
        now: dict[str, float] = {"all": 0.0}
        for process in tree_of(root):
            size = _pss(process)
            now["all"] += size
            kind = "java" if _is_java(process) else "command" if process == root else "workers"
            now[kind] = now.get(kind, 0.0) + size
        self.mebibytes = {
            kind: max(size, self.mebibytes.get(kind, 0.0)) for kind, size in {**self.mebibytes, **now}.items()
        }


def _pss(process: int) -> float:
    try:
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    match = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(match.group(1)) / 1024 if match else 0.0


def _is_java(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip() == "java"
    except OSError:
        return False


@contextmanager
def sampled(process: int) -> Iterator[PeakMemory]:
    """Watches a process and all below it."""
    peak, over = PeakMemory(), threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            peak.sample(process)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def run_case(case: Case, source: Path, weights: str, work: Path, checkout: Checkout) -> Outcome:
    """Runs the whole pipeline of a checkout on a case's photos.

    Raises:
        RuntimeError: The command failed.
    """
    images, store = work / "photos", work / "store"
    link_folders(source, images, case.folders)
    command = [str(checkout.fruits), *pipeline(str(images), str(store), weights)]
    environment = checkout.environment(work / "home")
    started = time.perf_counter()
    with (work / "said").open("w") as said:
        process = subprocess.Popen(command, env=environment, cwd=work, stdout=said, stderr=said)
        with sampled(process.pid) as peak:
            failed = process.wait()
    seconds = time.perf_counter() - started
    told = (work / "said").read_text()
    if failed:
        raise RuntimeError(told[-2000:])
    steps = {match.group(1): float(match.group(2)) for line in told.splitlines() if (match := _STEP.match(line))}
    files = sum(map(is_data, table_files(store, "mobilenet_features")))
    return Outcome(case.name, case.photos, len(case.folders), max(case.folders), seconds, steps, peak.mebibytes, files)


def pca_over_folders(work: Path) -> dict[str, float]:
    """Returns the seconds to fit a PCA to the same rows in one folder and in many."""
    from fruits_assets.resources import LocalPySparkResource
    from spark_steps.features.weights import MobileNetModel
    from spark_steps.pca.model import PcaSettings, fit
    from spark_steps.spark.session import local_spark_config
    from spark_steps.tables.schemas import FEATURES_SCHEMA

    spark = LocalPySparkResource(spark_config=local_spark_config()).spark_session
    network = MobileNetModel(source="made up", weights_sha256="", fingerprint="made up", flatbuffer=b"")
    seconds = {}
    for name, folders, rows_a_file in (("one folder", 1, 512), (f"{_PCA_FOLDERS} folders", _PCA_FOLDERS, 50)):
        table = FolderTable(str(work / name), FEATURES_SCHEMA)
        _write_features(table, folders, rows_a_file, network.fingerprint)
        times = []
        for _ in range(3):
            started = time.perf_counter()
            fit(spark, table, network, PcaSettings())
            times.append(time.perf_counter() - started)
        seconds[name] = sorted(times)[1]
    spark.stop()
    return seconds


def _write_features(table: FolderTable, folders: int, rows_a_file: int, model: str) -> None:
    from spark_steps.tables.deferred_rows import write_file
    from spark_steps.tables.folder_table import TableChange

    random = np.random.default_rng(0)
    schema, written = table.schema, []
    for start in range(0, _PCA_ROWS, rows_a_file):
        rows = min(rows_a_file, _PCA_ROWS - start)
        numbers = pa.array(random.random(rows * 1280, np.float32))
        columns: dict[str, Any] = {field.name: pa.nulls(rows, field.type) for field in schema}
        columns["features"] = pa.ListArray.from_arrays(pa.array(range(0, rows * 1280 + 1, 1280), pa.int32()), numbers)
        columns["image_id"] = [f"{start + row:064x}" for row in range(rows)]
        columns["model"] = [model] * rows
        folder = f"Fruit {start // rows_a_file % folders:05d}"
        written.append(write_file(table.root, folder, pa.table(columns, schema=schema).to_batches()))
    table.commit(written, TableChange(table.snapshot()))


def as_markdown(outcomes: Sequence[Outcome], pca: dict[str, float], about: dict[str, str]) -> str:
    """Returns the results as the page shows them."""
    lines = [
        "| case | photos | folders | largest | seconds | ms a photo | mobilenet_features, ms a photo "
        "| peak PSS MiB: all | command | JVM | workers | files of features |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for one in outcomes:
        peak = one.peak_mebibytes
        memory = " | ".join(f"{peak.get(kind, 0):,.0f}" for kind in ("all", "command", "java", "workers"))
        features = one.steps.get("mobilenet_features", 0.0) * 1000 / one.photos
        lines.append(
            f"| {one.case} | {one.photos:,} | {one.folders:,} | {one.largest:,} | {one.seconds:.1f} | "
            f"{one.milliseconds_a_photo:.2f} | {features:.2f} | {memory} | {one.files:,} |"
        )
    if pca:
        told = ", ".join(f"{seconds:.1f} s in {name}" for name, seconds in pca.items())
        lines += ["", f"PCA of {_PCA_ROWS:,} rows, median of three fits in one session: {told}."]
    return "\n".join(
        ["# Growth", "", ", ".join(f"{key}: {value}" for key, value in about.items()) + ".", "", *lines, ""]
    )


def _machine() -> dict[str, str]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
    }


@click.command()
@source_option
@click.option("--weights", required=True, help="As of fruits run.")
@click.option("--photos", multiple=True, type=int, help="Photos in 18 folders; may be given again.")
@click.option("--folders", multiple=True, type=int, help="Folders of one to five photos; may be given again.")
@click.option("--skew", nargs=3, type=int, help="Photos of one folder; other folders, and photos of each.")
@click.option("--pca/--no-pca", default=False, help="Fit a PCA to 100,000 rows in one folder and in 2,000.")
@work_option
@checkout_option
def main(
    source: Path, weights: str, photos: tuple[int, ...], folders: tuple[int, ...], skew: tuple[int, int, int] | None,
    pca: bool, work: Path | None, checkouts: tuple[Checkout, ...],
) -> None:  # fmt: skip
    """Measure growth. Results of cases that were measured before are kept beside the new ones."""
    cases = [Case(f"{count:,} photos", even(count, 18)) for count in photos]
    cases += [Case(f"{count:,} folders", tuple(1 + number % 5 for number in range(count))) for count in folders]
    if skew:
        cases.append(Case("skew", (skew[0], *[skew[2]] * skew[1])))
    to_run = [(case, this_checkout()) for case in cases]
    if checkouts:
        to_run = [(replace(case, name=f"{case.name}, {one.name}"), one) for case in cases for one in checkouts]
    RESULTS.mkdir(exist_ok=True)
    known = json.loads(_KEPT.read_text()) if _KEPT.exists() else {"outcomes": [], "pca": {}}
    outcomes = {one["case"]: Outcome(**one) for one in known["outcomes"]}
    with tempfile.TemporaryDirectory(dir=work) as common:
        # Converted before: it takes half a minute once, whatever the number of photos.
        network = Path(common) / "network.tflite"
        network.write_bytes(load_model(weights, common).flatbuffer)
        for case, checkout in to_run:
            with tempfile.TemporaryDirectory(dir=work) as directory:
                outcomes[case.name] = run_case(case, source, str(network), Path(directory), checkout)
            click.echo(_write(list(outcomes.values()), known["pca"]))
        if pca:
            click.echo(_write(list(outcomes.values()), pca_over_folders(Path(common))))


def _write(outcomes: Sequence[Outcome], pca: dict[str, float]) -> str:
    about = _machine()
    document = {"about": about, "outcomes": [asdict(one) for one in outcomes], "pca": pca}
    _KEPT.write_text(json.dumps(document, indent=2) + "\n")
    told = as_markdown(outcomes, pca, about)
    (RESULTS / "growth.md").write_text(told)
    return told


if __name__ == "__main__":
    main()
