"""Rows shared out among tasks: all of them once, in order, and the last tasks small."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from spark_steps.spans import cut, rows_of_spans, task_sizes

from spark_steps.tables import DataFile, FolderTable
from spark_steps.task_rows import rows_as_they_are


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


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 4), st.integers(1, 17))
def test_each_row_of_each_file_is_in_one_task_in_order(lengths: list[int], cores: int, most: int) -> None:
    files = [(DataFile(f"{number}.parquet", f"F{number}", 1), length) for number, length in enumerate(lengths)]
    sizes = task_sizes(sum(lengths), cores, most)
    tasks = cut(files, sizes)
    assert [sum(span.rows for span in task) for task in tasks] == sizes
    rows = [(span.file.path, span.first + row) for task in tasks for span in task for row in range(span.rows)]
    assert rows == [(file.path, row) for file, length in files for row in range(length)]


@pytest.mark.parametrize("most", [1, 3, 7, 100])
def test_tasks_read_their_rows_of_files_of_several_row_groups(spark: SparkSession, tmp_path: Path, most: int) -> None:
    table = FolderTable(str(tmp_path), pa.schema([("length", pa.int64())]))
    for folder, numbers in {"A": range(10), "B é": range(10, 11), "C": range(11, 25)}.items():
        Path(table.directory(folder)).mkdir()
        rows = pa.table({"length": pa.array(numbers, pa.int64())})
        pq.write_table(rows, f"{table.directory(folder)}/1.parquet", row_group_size=4)
    counted = [(file, {"A": 10, "B é": 1, "C": 14}[file.folder]) for file in table.files()]
    spans = rows_of_spans(spark, table, cut(counted, task_sizes(25, 2, most)), rows_as_they_are)
    read = [(row["length"], row["folder"]) for row in spans.frame("length bigint, folder string").collect()]
    assert read == [(number, "A" if number < 10 else "B é" if number == 10 else "C") for number in range(25)]
