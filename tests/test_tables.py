"""Tables: what is written is what is read, by Spark and by anybody."""

from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import LongType, StringType, StructField, StructType

from spark_steps.tables import DataFile, FolderTable, contiguous_shares
from tests.test_images import HOSTILE_FOLDERS

SCHEMA = StructType([StructField("path", StringType()), StructField("length", LongType())])


@pytest.fixture
def table(tmp_path: Path) -> FolderTable:
    return FolderTable(str(tmp_path / "odd [root] of * tables"), SCHEMA)


def frame(spark: SparkSession, *rows: tuple[str, int, str]) -> DataFrame:
    return spark.createDataFrame(list(rows), "path string, length bigint, folder string")


def test_hostile_folder_names_come_back_from_spark_arrow_and_pandas(spark: SparkSession, table: FolderTable) -> None:
    table.write(frame(spark, *((f"p{n}", n, f) for n, f in enumerate(HOSTILE_FOLDERS))), HOSTILE_FOLDERS)
    expected = sorted((f, n) for n, f in enumerate(HOSTILE_FOLDERS))
    assert table.folders() == sorted(HOSTILE_FOLDERS)
    assert sorted((r["folder"], r["length"]) for r in table.read(spark).collect()) == expected
    arrow = table.arrow(["folder", "length"]).to_pydict()
    assert sorted(zip(arrow["folder"], arrow["length"], strict=True)) == expected
    plain = pd.read_parquet(table.root)
    assert sorted(zip(plain["folder"].astype(str), plain["length"], strict=True)) == expected


def test_only_the_named_folders_are_replaced(spark: SparkSession, table: FolderTable) -> None:
    table.write(frame(spark, ("a", 1, "A"), ("b", 1, "B")), ["A", "B"])
    table.write(frame(spark, ("a", 2, "A"), ("aa", 2, "A")), ["A"])
    assert sorted((r["path"], r["length"]) for r in table.read(spark).collect()) == [("a", 2), ("aa", 2), ("b", 1)]


def test_a_folder_without_rows_any_more_loses_its_old_ones(spark: SparkSession, table: FolderTable) -> None:
    table.write(frame(spark, ("a", 1, "A"), ("b", 1, "B")), ["A", "B"])
    table.write(frame(spark, ("b", 2, "B")), ["A", "B"])
    assert table.folders() == ["B"]


def test_a_table_can_be_rewritten_from_itself(spark: SparkSession, table: FolderTable) -> None:
    table.write(frame(spark, ("a", 1, "A"), ("b", 1, "B")), ["A", "B"])
    table.write(table.read(spark, ["A"]).selectExpr("path", "length + 1 AS length", "folder"), ["A"])
    assert sorted((r["path"], r["length"]) for r in table.read(spark).collect()) == [("a", 2), ("b", 1)]


def test_a_table_that_is_not_there_is_empty(spark: SparkSession, table: FolderTable) -> None:
    assert table.folders() == []
    assert table.files() == []
    assert table.read(spark, ["A"]).count() == 0
    assert table.arrow(["path"]).num_rows == 0


def test_row_counts_come_from_the_footers(spark: SparkSession, table: FolderTable) -> None:
    table.write(frame(spark, *((f"p{n}", n, "A") for n in range(10))).coalesce(1), ["A"])
    (file,) = table.files(["A"])
    assert (file.folder, file.rows) == ("A", 10)
    assert file.size == Path(file.path).stat().st_size


def test_files_are_cut_into_even_runs_in_their_order() -> None:
    files = [DataFile(f"f{n}", "A", 1, rows) for n, rows in enumerate([5, 5, 5, 5, 20, 1, 1, 1, 1, 16])]
    shares = contiguous_shares(files, 3)
    assert [file for share in shares for file in share] == files
    assert [sum(file.rows for file in share) for share in shares] == [20, 20, 20]


def test_there_are_no_more_shares_than_files() -> None:
    assert len(contiguous_shares([DataFile("f", "A", 1, 1000)], 8)) == 1
    assert contiguous_shares([], 8) == []
