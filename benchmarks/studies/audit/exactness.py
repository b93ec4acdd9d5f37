"""What the audit finds in cells, compared with all pairs."""

import tempfile
import time
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from benchmarks.studies.audit.made_up import jittered, real_features, sequences, write_store
from spark_steps.audit.cells import CellLimits, half_distance, train
from spark_steps.audit.neighbourhoods import Neighbourhoods, compare
from spark_steps.audit.photos import AuditedPhotos, read_photos, unit_rows
from spark_steps.audit.settings import AuditSettings
from spark_steps.store.store import Store
from spark_steps.tables.row_ranges import FileRows

_ROWS = 1000
Vectors = NDArray[np.float32]


def unit_features(store: Store, photos: AuditedPhotos) -> Vectors:
    """Returns the unit vectors of all distinct photos by number, of shape (D, 1280)."""
    files = [FileRows.all_of(file) for file in photos.files]
    found = list(unit_rows(store.mobilenet_features, files, photos.of_rows))
    numbers, rows = (np.concatenate(some) for some in zip(*found, strict=True))
    return rows[np.argsort(numbers)]


def all_pairs(unit: Vectors, labels: NDArray[np.int32], settings: AuditSettings) -> Neighbourhoods:
    """Returns the neighbourhoods by comparing all pairs, a thousand photos at a time."""
    count = len(unit)
    groups = np.arange(count)
    pairs = 0
    for start in range(0, count, _ROWS):
        rows, columns = np.nonzero(unit[start : start + _ROWS] @ unit.T >= settings.cosine)
        pairs += len(rows)
        ends = groups[rows + start], groups[columns]
        graph = coo_matrix((np.ones(len(rows), np.bool_), ends), shape=(count, count))
        groups = connected_components(graph, directed=False)[1][groups]
    click.echo(f"Pairs of near-duplicates: {(pairs - count) // 2:,}.")
    nearest, other = (np.empty(count, np.int32) for _ in range(2))
    nearest_cosine, other_cosine, agreement = (np.empty(count, np.float32) for _ in range(3))
    for start in range(0, count, _ROWS):
        some = slice(start, min(count, start + _ROWS))
        cosines = unit[some] @ unit.T
        every = np.arange(len(cosines))
        cosines[every, every + start] = -np.inf
        nearest[some], nearest_cosine[some] = cosines.argmax(axis=1), cosines.max(axis=1)
        others = np.where(labels[some][:, np.newaxis] == labels, -np.inf, cosines)
        other[some], other_cosine[some] = others.argmax(axis=1), others.max(axis=1)
        outside = np.where(groups[some][:, np.newaxis] == groups, -np.inf, cosines)
        near = np.argpartition(outside, -settings.neighbours, axis=1)[:, -settings.neighbours :]
        agreement[some] = (labels[near] == labels[some][:, np.newaxis]).mean(axis=1)
    return Neighbourhoods(
        groups.astype(np.int32), nearest, nearest_cosine, other, other_cosine, agreement, np.zeros(count, np.float32)
    )


def visits(unit: Vectors, settings: AuditSettings, limits: CellLimits) -> str:
    """Returns how many cells the photos visit, and how many are near to more than they may visit, as a sentence."""
    count = len(unit)
    random = np.random.default_rng(settings.seed)
    sample = unit[np.sort(random.choice(count, limits.sampled(count), replace=False))]
    cells = train(sample, limits.cells(count), settings.seed, limits)
    if cells.centroids is None:
        return "There is one cell."
    visited, near = [], []
    for start in range(0, count, _ROWS):
        part = unit[start : start + _ROWS]
        visited.append(np.bincount(cells.places(part, settings.cosine).rows, minlength=len(part)) - 1)
        near.append((cells.distances_to_borders(part) <= half_distance(settings.cosine)).sum(axis=1) - 1)
    of_photo, needed = np.concatenate(visited), np.concatenate(near)
    return (
        f"{cells.count} cells; a photo visits {of_photo.mean():.2f} besides its own, and {needed.mean():.2f} are near "
        f"enough for a near-duplicate; {np.mean(needed > limits.visits):.2%} of the photos are near to more than the "
        f"{limits.visits} that they may visit."
    )


def compared(found: Neighbourhoods, expected: Neighbourhoods) -> list[str]:
    """Returns the differences as sentences."""
    pairs = np.unique(np.stack([found.groups, expected.groups]), axis=1).shape[1]
    groups = [int(one.groups.max()) + 1 for one in (found, expected)]
    near = np.abs(found.nearest_cosine - expected.nearest_cosine) < 1e-5
    other = np.abs(found.other_cosine - expected.other_cosine) < 1e-5
    agrees = np.abs(found.agreement - expected.agreement)
    return [
        f"Groups: {groups[0]:,} found, {groups[1]:,} by all pairs, {pairs:,} pairs of a group found and one of all "
        f"pairs that share a photo{' (the same groups)' if pairs == groups[0] == groups[1] else ''}.",
        f"The nearest photo is that of all pairs for {near.mean():.3%} of the photos, the nearest of another label for "
        f"{other.mean():.3%}; its cosine is less by {np.nanmean(expected.other_cosine - found.other_cosine):.4f} on "
        f"average, of {np.nanmean(expected.other_cosine):.3f}.",
        f"The agreement of the neighbours outside of the group is the same for {np.mean(agrees < 1e-5):.2%}, and "
        f"differs by {np.nanmean(agrees):.4f} on average and by {np.nanmax(agrees):.1f} at most.",
    ]


@click.command()
@click.option("--photos", default=20_000, show_default=True, help="Number of photos.")
@click.option("--store", help="A store whose features are taken, with noise added; left out: made-up sequences.")
@click.option("--of-cell", default=CellLimits.photos, show_default=True, help="Photos of a cell on average.")
@click.option("--visits", "most", default=CellLimits.visits, show_default=True, help="Most cells that a photo visits.")
@click.option("--least", default=CellLimits.least_visits, show_default=True, help="Least cells that it visits.")
def exactness(photos: int, store: str | None, of_cell: int, most: int, least: int) -> None:
    """Compare the audit in cells with all pairs."""
    from fruits_assets.resources import LocalPySparkResource
    from spark_steps.spark.session import local_spark_config

    settings = AuditSettings()
    limits = CellLimits(photos=of_cell, visits=most, least_visits=least)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as directory:
        parts = jittered(photos, real_features(Store(store)), random) if store else sequences(photos, random)
        made = write_store(Path(directory) / "store", parts)
        audited = read_photos(made.mobilenet_features, made.mobilenet_features.files())
        spark = LocalPySparkResource(spark_config=local_spark_config()).spark_session
        started = time.perf_counter()
        found = compare(spark.sparkContext, made.mobilenet_features, audited, settings, limits)
        click.echo(f"{photos:,} photos in {time.perf_counter() - started:.0f} s.")
        spark.stop()
        unit = unit_features(made, audited)
    click.echo(visits(unit, settings, limits))
    for sentence in compared(found, all_pairs(unit, audited.labels, settings)):
        click.echo(sentence)
