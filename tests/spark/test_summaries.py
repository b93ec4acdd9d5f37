"""What a folder of a table holds, from one pass over its files."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from spark_steps.store.summaries import REJECTED_SHOWN, Summary, summarise, total
from spark_steps.tables.folder_table import FolderTable

NAMES = ("path", "length", "error", "model")
SCHEMA = pa.schema([(name, pa.int64() if name == "length" else pa.string()) for name in NAMES])


@pytest.fixture
def table(spark: SparkSession, tmp_path: Path) -> FolderTable:
    """Folder A has 30 photos in several files, 25 of them not usable; folder B has one, which is."""
    made = FolderTable(str(tmp_path / "table"), SCHEMA)
    rows = [
        (f"a{n:02}", n, None if n < 5 else f"{'empty' if n % 2 else 'truncated'}: {n}", "m", "A") for n in range(30)
    ]
    frame = spark.createDataFrame([*rows, ("b", 7, None, "n", "B")], [*NAMES, "folder"])
    made.write(made.replacement(frame.repartition(4), ["A", "B"]))
    return made


def test_a_folder_is_told_in_counts_and_its_first_rejected_photos(table: FolderTable) -> None:
    found = summarise(table, ["A", "B", "not there"])
    assert {name: (one.rows, one.usable.count, one.photo_bytes) for name, one in found.items()} == {
        "A": (30, 5, 435),
        "B": (1, 1, 7),
        "not there": (0, 0, 0),
    }
    assert found["A"].reasons == {"empty": 13, "truncated": 12}
    assert found["A"].rejected[0] == ("a05", "empty: 5")
    assert [path for path, _ in found["A"].rejected] == [f"a{n:02}" for n in range(5, 5 + REJECTED_SHOWN)]
    assert found["A"].table_bytes == sum(file.size for file in table.files(["A"]))
    assert (set(found["A"].models), set(found["B"].models)) == ({"m"}, {"n"})
    assert total(found).rows == 31
    assert total({}) == Summary()


def test_the_same_photos_are_equal_in_any_order_and_number_of_files(spark: SparkSession, table: FolderTable) -> None:
    before = summarise(table)["A"]
    reversed_rows = table.scan(spark, ["A"]).orderBy("path", ascending=False).coalesce(1)
    table.write(table.replacement(reversed_rows, ["A"]))
    after = summarise(table)["A"]
    assert (after.photos, after.usable) == (before.photos, before.usable)
    assert before.files > after.files == 1
