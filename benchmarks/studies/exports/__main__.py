"""Makes stores of random features and splits, exports them, and prints a table."""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
import pyarrow as pa

from benchmarks.harness.feature_files import as_lists
from benchmarks.studies.checkouts import heading, json_option, work_option, write_json
from fruits_assets.terminal.problems import reports_problems
from spark_steps.errors import FruitsError
from spark_steps.features.weights import FEATURES
from spark_steps.queries.splits import PARTS
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import write_file
from spark_steps.tables.folder_table import FolderTable, TableChange
from spark_steps.tables.schemas import FEATURES_SCHEMA, SPLITS_SCHEMA
from spark_steps.tables.snapshots import DataFile

KINDS = ("csv", "npz", "parquet", "tfrecord", "huggingface")
_FOLDERS = 20
_ROWS_OF_BATCH = 2048


@dataclass(frozen=True)
class Outcome:
    """One export.

    Attributes:
        kind: Its format.
        photos: Rows.
        processor_seconds: Of its process.
        resident_bytes: Most memory of its process.
        written_bytes: Size of what it has written.
    """

    kind: str
    photos: int
    processor_seconds: float
    resident_bytes: int
    written_bytes: int


def make_store(photos: int, root: Path) -> Store:
    """Makes a store of features that nothing compresses, in folders of equal size, and of their splits."""
    store, random = Store(str(root)), np.random.default_rng(0)
    features: list[DataFile] = []
    splits: list[DataFile] = []
    for number, rows in enumerate(np.array_split(np.arange(photos), min(_FOLDERS, photos))):
        folder = f"Fruit {number:05d}"
        parts = (
            _features(folder, rows[at : at + _ROWS_OF_BATCH], random) for at in range(0, len(rows), _ROWS_OF_BATCH)
        )
        features.append(write_file(store.mobilenet_features.root, folder, parts))
        splits.append(write_file(store.photo_splits.root, folder, [_splits(folder, rows)]))
    for table, files in ((store.mobilenet_features, features), (store.photo_splits, splits)):
        _commit(table, files)
    return store


def _commit(table: FolderTable, files: Sequence[DataFile]) -> None:
    table.log.create()
    table.commit(files, TableChange(table.snapshot(), None, (), frozenset(file.folder for file in files)))


def _named(folder: str, rows: Sequence[int]) -> dict[str, pa.Array]:
    return {
        "image_id": pa.array([hashlib.sha256(str(row).encode()).hexdigest() for row in rows]),
        "path": pa.array([f"{folder}/IMG_{row:09d}.jpg" for row in rows]),
        "label": pa.array([folder] * len(rows)),
    }


def _features(folder: str, rows: Sequence[int], random: np.random.Generator) -> pa.RecordBatch:
    known = {
        **_named(folder, rows),
        "length": pa.array(np.full(len(rows), 5000)),
        "modification_time": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * len(rows), pa.timestamp("us", tz="UTC")),
        "features": as_lists(random.random((len(rows), FEATURES), np.float32)),
        "model": pa.array(["network"] * len(rows)),
    }
    return _of_schema(known, FEATURES_SCHEMA, len(rows))


def _splits(folder: str, rows: Sequence[int]) -> pa.RecordBatch:
    known = {
        **_named(folder, rows),
        "split": pa.array([PARTS[max(0, row % 10 - 7)] for row in rows]),
        "audit": pa.array(["audit"] * len(rows)),
    }
    return _of_schema(known, SPLITS_SCHEMA, len(rows))


def _of_schema(known: dict[str, pa.Array], schema: pa.Schema, rows: int) -> pa.RecordBatch:
    columns = [known.get(field.name, pa.nulls(rows, field.type)) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def measure(store: Store, photos: int, kinds: Sequence[str], work: Path) -> Iterator[Outcome]:
    """Yields the outcome of an export of each kind.

    Raises:
        FruitsError: An export failed, or does not have all photos.
    """
    for kind in kinds:
        target = work / f"export-{kind}"
        command = [sys.executable, "-m", "benchmarks.studies.exports.one", "--store", store.root]
        command += ["--features", "full", "--split", f"--{kind}", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FruitsError(f"The export of {kind} ended with code {done.returncode}:\n{done.stderr[-2000:]}")
        told = json.loads(done.stdout.splitlines()[-1])
        if told["photos"] != photos:
            raise FruitsError(f"The export of {kind} has {told['photos']:,} of {photos:,} photos.")
        files = [file for one in work.glob(f"{target.name}*") for file in (one, *one.rglob("*")) if file.is_file()]
        yield Outcome(kind, written_bytes=sum(file.stat().st_size for file in files), **told)
        for one in work.glob(f"{target.name}*"):
            shutil.rmtree(one) if one.is_dir() else one.unlink()


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """Returns a line for each export."""
    lines = ["| format | photos | processor seconds | peak memory, MB | written, MB |", "|---|--:|--:|--:|--:|"]
    for one in sorted(outcomes, key=lambda one: (KINDS.index(one.kind), one.photos)):
        memory, written = one.resident_bytes / 1e6, one.written_bytes / 1e6
        lines.append(f"| {one.kind} | {one.photos:,} | {one.processor_seconds:.1f} | {memory:,.0f} | {written:,.0f} |")
    return "\n".join(lines)


@click.command()
@click.option("--photos", "sizes", multiple=True, type=click.IntRange(1), default=(10_000, 100_000), show_default=True)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), default=KINDS, show_default=True)
@work_option
@json_option
@reports_problems
def main(sizes: tuple[int, ...], kinds: tuple[str, ...], work: Path | None, json_file: Path | None) -> None:
    """Measure fruits export --features full --split: memory and processor time against the number of photos."""
    outcomes: list[Outcome] = []
    for photos in sizes:
        with tempfile.TemporaryDirectory(dir=work) as directory:
            click.echo(f"Makes a store of {photos:,} photos", err=True)
            store = make_store(photos, Path(directory, "store"))
            outcomes += measure(store, photos, kinds, Path(directory))
    click.echo(heading("Exports of all features", "Random features of 1280 float32, with their split."))
    click.echo(as_markdown(outcomes))
    write_json(json_file, outcomes=[asdict(outcome) for outcome in outcomes])


if __name__ == "__main__":
    main()
