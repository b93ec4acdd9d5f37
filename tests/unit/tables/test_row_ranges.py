"""Rows shared out among tasks: all of them once, in order, and the last tasks small; and which rows of a table stay."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_steps.tables.folder_table import DataFile, FolderTable
from spark_steps.tables.row_ranges import FileRows, compare, split, task_sizes


@given(st.integers(0, 100_000), st.integers(1, 64), st.integers(1, 600))
def test_tasks_get_all_rows_and_none_more_than_the_most(rows: int, cores: int, most: int) -> None:
    sizes = task_sizes(rows, cores, most)
    assert sum(sizes) == rows
    assert all(0 < size <= most for size in sizes)
    assert sizes == sorted(sizes, reverse=True)


def test_the_last_tasks_are_small_and_add_few() -> None:
    sizes = task_sizes(20_000, 2, 512)
    assert sizes[:36] == [512] * 36
    # A task that begins when all others end keeps a core waiting for so many photos.
    assert sizes[-2:] == [32, 21]
    assert len(sizes) <= 20_000 / 512 + 10
    assert task_sizes(5, 2, 512) == [5]


@given(st.lists(st.sets(st.integers(0, 60)), max_size=12), st.integers(1, 4), st.integers(1, 17))
def test_each_row_is_in_one_task_in_order(numbers: list[set[int]], cores: int, most: int) -> None:
    files = [FileRows(DataFile(f"{one}.parquet", f"F{one}", 1, 61), sorted(rows)) for one, rows in enumerate(numbers)]
    sizes = task_sizes(sum(map(len, numbers)), cores, most)
    tasks = split(files, sizes)
    assert [sum(len(one.rows) for one in task) for task in tasks] == sizes
    rows = [(one.file.path, row) for task in tasks for one in task for row in one.rows]
    assert rows == [(one.file.path, row) for one in files for row in one.rows]


_KEYS = st.integers(0, 30)


@given(st.lists(_KEYS, unique=True), st.lists(st.lists(_KEYS), max_size=5))
def test_rows_that_stay_and_rows_that_come_are_together_the_wanted_ones_each_once(
    wanted: list[int], files: list[list[int]]
) -> None:
    difference = compare(wanted, files)
    kept = [keys[number] for keys, numbers in zip(files, difference.kept, strict=True) for number in numbers]
    new = [wanted[number] for number in difference.new]
    assert sorted(kept + new) == sorted(wanted)
    assert set(new).isdisjoint(key for keys in files for key in keys)


@pytest.mark.parametrize("rows", [[0], [3, 4], [2, 3, 4, 5, 10], range(11), [10]])
def test_some_rows_of_a_file_of_several_row_groups_are_read_by_their_numbers(tmp_path: Path, rows: list[int]) -> None:
    table = FolderTable(str(tmp_path), pa.schema([("length", pa.int64()), ("path", pa.string())]))
    columns = {"length": pa.array(range(11), pa.int64()), "path": [f"p{number}" for number in range(11)]}
    pq.write_table(pa.table(columns), tmp_path / "1.parquet", row_group_size=4)
    read = list(FileRows(DataFile("1.parquet", "B é", 1, 11), rows).read(table, ["path"]))
    assert [path for batch in read for path in batch["path"].to_pylist()] == [f"p{row}" for row in rows]
    assert {folder for batch in read for folder in batch["folder"].to_pylist()} == {"B é"}
    assert all(batch.num_rows for batch in read)
    assert all(batch.schema.names == ["path", "folder"] for batch in read)


def test_all_rows_of_a_file_are_those_that_the_log_counts() -> None:
    assert list(FileRows.all_of(DataFile("1.parquet", "A", 1, 3)).rows) == [0, 1, 2]


@pytest.mark.parametrize("rows", [range(2500), range(2040, 2060), range(3000, 5000), [0, 2047, 2048, 4999]])
def test_rows_of_a_file_that_is_read_in_several_batches_are_read_by_their_numbers(
    tmp_path: Path, rows: Sequence[int]
) -> None:
    pq.write_table(pa.table({"path": [str(number) for number in range(5000)]}), tmp_path / "1.parquet")
    table = FolderTable(str(tmp_path), pa.schema([("path", pa.string())]))
    read = FileRows(DataFile("1.parquet", "B", 1, 5000), rows).read(table)
    assert [int(path) for batch in read for path in batch["path"].to_pylist()] == list(rows)
