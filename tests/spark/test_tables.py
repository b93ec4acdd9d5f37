"""Tables: what is written is what is read, by Spark, by Arrow and by any program that reads Delta tables."""

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import expr

from spark_steps.tables.deferred_rows import DeferredRows
from spark_steps.tables.folder_table import FolderTable
from tests.support.names import HOSTILE_FOLDERS
from tests.support.tables import lengths_by_path

SCHEMA = pa.schema([("path", pa.string()), ("length", pa.int64())])


@pytest.fixture
def table(tmp_path: Path) -> FolderTable:
    return FolderTable(str(tmp_path / "odd [root] of * täbles"), SCHEMA)


def frame(spark: SparkSession, *rows: tuple[str, int, str]) -> DataFrame:
    return spark.createDataFrame(list(rows), "path string, length bigint, folder string")


def replace(table: FolderTable, rows: "DataFrame | DeferredRows", folders: list[str]) -> int:
    return table.write(table.replacement(rows, folders))


def test_hostile_folder_names_come_back_from_spark_arrow_and_deltalake(spark: SparkSession, table: FolderTable) -> None:
    replace(table, frame(spark, *((f"p{n}", n, f) for n, f in enumerate(HOSTILE_FOLDERS))), list(HOSTILE_FOLDERS))
    expected = sorted((f, n) for n, f in enumerate(HOSTILE_FOLDERS))
    assert table.folders() == sorted(HOSTILE_FOLDERS)
    assert sorted((row["folder"], row["length"]) for row in table.scan(spark).collect()) == expected
    for rows in (table.arrow(["folder", "length"]), DeltaTable(table.root).to_pyarrow_table()):
        assert sorted(zip(rows["folder"].to_pylist(), rows["length"].to_pylist(), strict=True)) == expected


def test_only_the_named_folders_are_replaced(spark: SparkSession, table: FolderTable) -> None:
    replace(table, frame(spark, ("a", 1, "A"), ("b", 1, "B")), ["A", "B"])
    replace(table, frame(spark, ("a", 2, "A"), ("aa", 2, "A")), ["A"])
    assert lengths_by_path(table) == {"a": 2, "aa": 2, "b": 1}


def test_a_folder_without_rows_any_more_loses_its_old_ones(spark: SparkSession, table: FolderTable) -> None:
    replace(table, frame(spark, ("a", 1, "A"), ("b", 1, "B")), ["A", "B"])
    replace(table, frame(spark, ("b", 2, "B")), ["A", "B"])
    assert table.folders() == ["B"]
    table.drop(["B", "C"])
    assert table.folders() == []


def test_a_table_can_be_rewritten_from_itself(spark: SparkSession, table: FolderTable) -> None:
    replace(table, frame(spark, ("a", 1, "A"), ("b", 1, "B")), ["A", "B"])
    replace(table, table.scan(spark, ["A"]).selectExpr("path", "length + 1 AS length", "folder"), ["A"])
    assert lengths_by_path(table) == {"a": 2, "b": 1}


def test_a_table_that_is_not_there_is_empty(spark: SparkSession, table: FolderTable) -> None:
    assert table.folders() == []
    assert table.files() == []
    assert table.scan(spark, ["A"]).count() == 0
    assert table.arrow(["path"]).num_rows == 0
    assert not Path(table.root).exists()


def test_a_change_of_nothing_makes_no_version(spark: SparkSession, table: FolderTable) -> None:
    version = replace(table, frame(spark, ("a", 1, "A")), ["A"])
    assert table.write(table.replacement(frame(spark), [])) == version
    assert table.snapshot().version == version


def test_a_write_that_fails_leaves_the_old_rows_and_nothing_else(spark: SparkSession, table: FolderTable) -> None:
    replace(table, frame(spark, ("a", 1, "A")), ["A"])
    before = table.listing()
    rows = frame(spark, *((f"p{n}", n, "A") for n in range(10))).repartition(2)
    with pytest.raises(Exception, match="too much"):
        replace(table, rows.withColumn("length", expr("if(length = 9, raise_error('too much'), length)")), ["A"])

    def fail(items: Iterator[str]) -> Iterator[pa.RecordBatch]:
        yield from (pa.RecordBatch.from_pylist([{"path": item, "length": 2, "folder": "A"}]) for item in items)
        raise ValueError("no more of this")

    with pytest.raises(Exception, match="no more of this"):
        replace(table, DeferredRows(spark.sparkContext, [["b"]], fail), ["A"])
    assert lengths_by_path(table) == {"a": 1}
    assert table.listing() == before


def test_what_tasks_compute_is_written_by_them_in_one_file_for_each_folder_of_a_task(
    spark: SparkSession, table: FolderTable
) -> None:
    def writers(items: Iterator[int]) -> Iterator[pa.RecordBatch]:
        rows = [{"path": f"p{n}", "length": os.getpid(), "folder": "AB"[n // 6]} for n in items]
        yield pa.RecordBatch.from_pylist(rows)

    replace(table, DeferredRows(spark.sparkContext, [range(12)], writers), ["A", "B"])
    assert [(file.folder, file.rows) for file in table.files()] == [("A", 6), ("B", 6)]
    assert all(file.size == Path(table.root, file.path).stat().st_size for file in table.files())
    (process,) = set(table.arrow(["length"])["length"].to_pylist())
    assert process != os.getpid()
    assert sorted(lengths_by_path(table)) == sorted(f"p{n}" for n in range(12))


def test_many_rows_of_a_folder_stay_in_one_file_of_large_row_groups(spark: SparkSession, table: FolderTable) -> None:
    rows = spark.range(20_000).selectExpr("string(id) AS path", "id AS length", "'A' AS folder").coalesce(1)
    replace(table, rows, ["A"])
    (file,) = table.files()
    with table.reading(file) as opened:
        assert (opened.metadata.num_rows, opened.num_row_groups) == (20_000, 3)
