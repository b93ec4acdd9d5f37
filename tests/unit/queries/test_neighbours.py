"""The photos nearest to a photo: all of them are compared with, and few of them are in memory."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spark_steps.queries.comparable import ComparableFile
from spark_steps.queries.neighbours import find_neighbours
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import write_file
from spark_steps.tables.schemas import REDUCED_SCHEMA
from tests.support.reduced_store import COMPONENTS, model

# Of a row group, as the store's own files have them.
GROUP = 8192


def test_of_photos_that_are_equally_far_away_the_first_by_path_are_the_neighbours(tmp_path: Path) -> None:
    names = [f"{number:02d}" for number in reversed(range(40))]
    file = file_of(tmp_path, names, np.repeat([0, 1], [1, 39])[:, np.newaxis].repeat(COMPONENTS, axis=1))

    (near,) = find_neighbours([file], np.zeros((1, COMPONENTS), np.float32), 4)

    assert [neighbour.path for neighbour in near.neighbours] == ["Apple/39", "Apple/00", "Apple/01", "Apple/02"]
    assert [neighbour.distance for neighbour in near.neighbours] == [0, 2, 2, 2]


def test_the_neighbours_are_those_of_all_row_groups(tmp_path: Path) -> None:
    rows = np.arange(3 * GROUP)
    file = file_of(tmp_path, list(map(str, rows)), np.eye(COMPONENTS)[0] * rows[:, np.newaxis])
    queries = np.array([[GROUP - 0.5], [2 * GROUP]], np.float32)

    near = find_neighbours([file], np.eye(COMPONENTS, dtype=np.float32)[:1] * queries, 2)

    found = [{neighbour.path for neighbour in one.neighbours} for one in near]
    assert found[0] == {f"Apple/{GROUP - 1}", f"Apple/{GROUP}"}
    assert f"Apple/{2 * GROUP}" in found[1]


def test_ten_times_the_photos_take_no_more_memory(tmp_path: Path) -> None:
    few, many = (peak_bytes(tmp_path / str(groups), groups) for groups in (2, 20))

    assert many < 1.5 * few


def peak_bytes(root: Path, groups: int) -> int:
    """Returns the most that Arrow holds at once while a photo is looked up among so many."""
    rows = groups * GROUP
    file = file_of(root, list(map(str, range(rows))), np.random.default_rng(0).normal(size=(rows, COMPONENTS)))
    before = pa.default_memory_pool()
    counted = pa.proxy_memory_pool(before)
    pa.set_memory_pool(counted)
    try:
        find_neighbours([file], np.zeros((1, COMPONENTS), np.float32), 10)
    finally:
        pa.set_memory_pool(before)
    return counted.max_memory() or 0


def file_of(root: Path, names: Sequence[str], numbers: NDArray[np.float64]) -> ComparableFile:
    columns = {
        "image_id": [f"{row:064x}" for row in range(len(names))],
        "path": [f"Apple/{name}" for name in names],
        "label": ["Apple"] * len(names),
        "reduced": list(numbers.astype(np.float32)),
        "pca_model": [model().version] * len(names),
    }
    table = Store(str(root)).reduced_features
    parts = pa.table(columns, REDUCED_SCHEMA).to_batches(max_chunksize=GROUP)
    return ComparableFile(table, write_file(table.root, "Apple", parts), model())
