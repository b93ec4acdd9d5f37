"""Tables: what is written is what is read, by Spark and by anybody."""

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import expr

from spark_steps import storage
from spark_steps.tables import DataFile, FolderTable, contiguous_shares
from spark_steps.task_rows import TaskRows
from tests.test_images import HOSTILE_FOLDERS

# Of a replacement that comes after the table's first.
ID, NOTE = "0123" * 8, "000000000002.json"
SCHEMA = pa.schema([("path", pa.string()), ("length", pa.int64())])


@pytest.fixture
def table(tmp_path: Path) -> FolderTable:
    return FolderTable(str(tmp_path / "odd [root] of * tables"), SCHEMA)


def frame(spark: SparkSession, *rows: tuple[str, int, str]) -> DataFrame:
    return spark.createDataFrame(list(rows), "path string, length bigint, folder string")


def waiting_files(table: FolderTable) -> list[str]:
    return [str(file) for file in (Path(table.root) / "_replacing").rglob("*.parquet")]


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


def test_the_files_of_many_folders_are_those_of_each_by_itself(spark: SparkSession, table: FolderTable) -> None:
    folders = [*HOSTILE_FOLDERS, *(f"F{number}" for number in range(70))]
    table.write(frame(spark, *((f"p{n}", n, f) for n, f in enumerate(folders))).coalesce(2), folders)
    Path(table.directory("F1"), "notes.txt").touch()
    Path(table.directory("F1"), "deeper").mkdir()
    Path(table.directory("F1"), "deeper", "other.parquet").touch()
    alone = [file for folder in sorted(folders) for file in table.files([folder])]
    assert table.files() == table.files(folders) == alone
    assert [file.folder for file in alone] == sorted(folders)
    assert all(file.size == Path(file.path).stat().st_size for file in alone)
    assert table.scan(spark, folders).collect() == table.read(spark, folders).orderBy("folder").collect()


def test_files_are_cut_into_even_runs_in_their_order() -> None:
    files = [DataFile(f"f{n}", "A", size) for n, size in enumerate([5, 5, 5, 5, 20, 1, 1, 1, 1, 16])]
    shares = contiguous_shares(files, 3)
    assert [file for share in shares for file in share] == files
    assert [sum(file.size for file in share) for share in shares] == [20, 20, 20]


def test_there_are_no_more_shares_than_files() -> None:
    assert len(contiguous_shares([DataFile("f", "A", 1000)], 8)) == 1
    assert contiguous_shares([], 8) == []


def test_a_write_that_fails_leaves_the_old_rows_and_nothing_else(spark: SparkSession, table: FolderTable) -> None:
    table.write(frame(spark, ("a", 1, "A")), ["A"])
    rows = frame(spark, *((f"p{n}", n, "A") for n in range(10))).repartition(2)
    with pytest.raises(Exception, match="too much"):
        table.write(rows.withColumn("length", expr("if(length = 9, raise_error('too much'), length)")), ["A"])
    assert [(r["path"], r["length"]) for r in table.read(spark).collect()] == [("a", 1)]
    assert waiting_files(table) == []


def test_what_tasks_compute_is_written_by_them_in_one_file_for_each_folder_of_a_task(
    spark: SparkSession, table: FolderTable
) -> None:
    def writers(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            processes = pa.array([os.getpid()] * batch.num_rows, pa.int64())
            yield pa.RecordBatch.from_arrays(
                [batch["path"], processes, batch["folder"]], names=["path", "length", "folder"]
            )

    source = frame(spark, *((f"p{n}", 0, "AB"[n // 6]) for n in range(12))).coalesce(1)
    table.write(TaskRows(source, writers), ["A", "B"])
    files = table.files()
    assert [(file.folder, table.open(file).metadata.num_rows) for file in files] == [("A", 6), ("B", 6)]
    processes = set(table.arrow(["length"])["length"].to_pylist())
    assert len(processes) == 1
    assert os.getpid() not in processes
    assert sorted(row["path"] for row in table.read(spark).collect()) == sorted(f"p{n}" for n in range(12))


def test_a_computation_that_fails_leaves_the_old_rows_and_nothing_else(spark: SparkSession, table: FolderTable) -> None:
    table.write(frame(spark, ("a", 1, "A")), ["A"])

    def fail(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from batches
        raise ValueError("no more of this")

    with pytest.raises(Exception, match="no more of this"):
        table.write(TaskRows(frame(spark, ("b", 2, "A")), fail), ["A"])
    assert [(r["path"], r["length"]) for r in table.read(spark).collect()] == [("a", 1)]
    assert waiting_files(table) == []


@pytest.mark.parametrize("moved", [0, 1, 2])
@pytest.mark.parametrize("deleted", [0, 1])
def test_a_process_that_dies_while_files_come_and_go_leaves_each_row_once(
    spark: SparkSession, table: FolderTable, tmp_path: Path, moved: int, deleted: int
) -> None:
    """The state that a death leaves is made by hand: the new files, the note, and some of what it asks for done."""
    table.write(frame(spark, ("a", 1, "A"), ("b", 1, "B"), ("c", 1, "C")).coalesce(1), ["A", "B", "C"])
    old = {folder: Path(path) for folder, path in table.paths(["A", "B", "C"])}
    come: dict[str, list[str]] = {folder: [] for folder in old}
    other = FolderTable(str(tmp_path / "other"), SCHEMA)
    other.write(frame(spark, ("a", 2, "A"), ("b", 2, "B")).coalesce(1), ["A", "B"])
    new = Path(table.root) / "_replacing" / ID
    for number, (folder, path) in enumerate(other.paths()):
        come[folder].append(Path(path).name)
        target = Path(table.directory(folder)) if number < moved else new / f"folder={folder}"
        target.mkdir(parents=True, exist_ok=True)
        Path(path).rename(target / Path(path).name)
    if deleted:
        old["A"].unlink()
    (new.parent / NOTE).write_text(json.dumps({"id": ID, "folders": come}))
    assert table.arrow(["path", "length"]).to_pylist() == [{"path": "a", "length": 2}, {"path": "b", "length": 2}]
    assert table.folders() == ["A", "B"]
    assert sorted((r["path"], r["length"]) for r in table.read(spark).collect()) == [("a", 2), ("b", 2)]
    assert waiting_files(table) == []
    assert not (new.parent / NOTE).exists()


def test_a_note_whose_files_are_lost_is_void_and_the_old_rows_stay(spark: SparkSession, table: FolderTable) -> None:
    table.write(frame(spark, ("a", 1, "A")), ["A"])
    note = Path(table.root) / "_replacing" / NOTE
    note.write_text(json.dumps({"id": ID, "folders": {"A": ["gone.parquet"], "B": ["gone.parquet"]}}))
    assert table.folders() == ["A"]
    assert table.arrow(["path", "length"]).to_pylist() == [{"path": "a", "length": 1}]
    assert not note.exists()


def test_only_an_empty_folder_loses_its_directory(tmp_path: Path) -> None:
    for name in ("empty", "full"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "of another.parquet").touch()
    for name in ("empty", "full", "not there"):
        storage.delete_empty_directory(str(tmp_path / name))
    assert [one.name for one in tmp_path.iterdir()] == ["full"]


def test_a_write_deletes_what_killed_writes_left_a_day_ago(spark: SparkSession, table: FolderTable) -> None:
    replacing = Path(table.root) / "_replacing"
    for name, hours in (("killed", 25), ("busy", 23)):
        file = replacing / name / "folder=A" / "1.parquet"
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (time.time() - hours * 3600,) * 2)
    (replacing / "old.json.0123.partial").touch()
    os.utime(replacing / "old.json.0123.partial", (0, 0))
    assert table.folders() == []
    table.write(frame(spark, ("a", 1, "A")), ["A"])
    assert sorted(one.name for one in replacing.iterdir() if one.suffix not in (".done", ".lock")) == [
        ".lock",
        "busy",
        "old.json.0123.partial",
    ]


def test_many_rows_of_a_folder_stay_in_one_file_of_large_row_groups(spark: SparkSession, table: FolderTable) -> None:
    rows = spark.range(20_000).selectExpr("string(id) AS path", "id AS length", "'A' AS folder").coalesce(1)
    table.write(rows, ["A"])
    (file,) = table.files()
    assert table.open(file).metadata.num_rows == 20_000
    assert pq.ParquetFile(file.path).num_row_groups == 3
