"""A table of an earlier release gets the columns of a later one, and its rows stay, whoever reads them."""

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import CommitFailedError
from deltalake.table import TableAlterer

from spark_steps.photos.listing import plan_raw_images
from spark_steps.store.versions import Change
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import FolderTable, TableChange
from spark_steps.tables.footers import table_totals
from spark_steps.tables.maintenance import compact
from spark_steps.tables.row_ranges import FileRows
from spark_steps.tables.row_removal import RowPredicate, remove_rows
from spark_steps.tables.schemas import RAW_IMAGES_SCHEMA, by_folder, with_folder
from tests.support.small_store import contents_below

OLD = pa.schema([("path", pa.string()), ("length", pa.int64()), ("features", pa.list_(pa.float32()))])
# As FEATURES_SCHEMA has them: some in the middle.
NEW = pa.schema([OLD.field(0), ("sharpness", pa.float32()), ("words", pa.list_(pa.string())), *list(OLD)[1:]])
OLD_PATHS = ["A/1.jpg", "A/2.jpg", "B/1.jpg"]


def addition(table: FolderTable, *paths: str) -> TableChange:
    """Plans rows with a value in each column, in the folders of their paths."""
    values: dict[str, Any] = {"length": 7, "features": [1.0, 2.0], "sharpness": 0.5, "words": ["é"]}
    tables: dict[str, list[pa.Table]] = {}
    for path in paths:
        rows = pa.Table.from_pylist([{**values, "path": path}], table.schema)
        tables.setdefault(path.partition("/")[0], []).append(rows)
    return TableChange(table.snapshot(), DriverRows(tables), (), frozenset(tables))


@pytest.fixture
def old(tmp_path: Path) -> FolderTable:
    """The table as the earlier release sees it."""
    table = FolderTable(str(tmp_path / "a store" / "rows"), OLD)
    for path in OLD_PATHS:
        table.write(addition(table, path))
    return table


@pytest.fixture
def table(old: FolderTable) -> FolderTable:
    """The same table as the later release sees it."""
    return replace(old, schema=NEW)


def columns_of(table: FolderTable) -> set[str]:
    return {field.name for field in DeltaTable(table.root).schema().fields}


def operations(table: FolderTable) -> Counter[str]:
    return Counter(commit.operation for commit in table.log.history())


def sharpness(rows: pa.Table) -> dict[str, float | None]:
    assert len(set(rows["path"].to_pylist())) == rows.num_rows
    return dict(zip(rows["path"].to_pylist(), rows["sharpness"].to_pylist(), strict=True))


def test_a_table_gets_the_columns_with_its_next_write_in_a_commit_of_their_own_and_keeps_all_else(
    old: FolderTable, table: FolderTable
) -> None:
    before, protocol = table.snapshot(), DeltaTable(table.root).protocol()
    assert dict(before.properties)["delta.dataSkippingNumIndexedCols"] == "0"
    version = table.write(addition(table, "A/3.jpg"))
    assert version == before.version + 2
    assert columns_of(table) == {*NEW.names, "folder"}
    after = table.snapshot()
    assert (after.version, after.properties) == (version, before.properties)
    assert set(before.files) < set(after.files)
    assert DeltaTable(table.root).protocol() == protocol
    assert DeltaTable(table.root).metadata().partition_columns == ["folder"]
    added = table.log.history()[1]
    assert (added.files_added, added.files_removed) == (0, 0)
    assert (Change("rows", added).what, Change("rows", added).rows_added) == ("columns added", 0)
    table.write(addition(table, "B/3.jpg"))
    assert operations(table)["ADD COLUMN"] == 1
    # A process of the earlier release goes on as before.
    old.write(addition(old, "C/1.jpg"))
    assert columns_of(table) == {*NEW.names, "folder"}
    assert sharpness(table.arrow(["path", "sharpness"]))["C/1.jpg"] is None


def test_a_new_table_has_all_columns_from_its_first_version(tmp_path: Path) -> None:
    table = FolderTable(str(tmp_path / "rows"), NEW)
    table.write(addition(table, "A/1.jpg"))
    assert operations(table) == {"CREATE TABLE": 1, "WRITE": 1}


def test_a_change_that_only_removes_rows_adds_no_column(table: FolderTable) -> None:
    table.drop(["B"])
    assert columns_of(table) == {*OLD.names, "folder"}
    assert table.folders() == ["A"]


@pytest.mark.parametrize("is_written", [False, True])
def test_rows_of_older_files_have_null_in_the_new_columns_wherever_they_are_read(
    table: FolderTable, is_written: bool
) -> None:
    if is_written:
        table.write(addition(table, "A/3.jpg"))
    expected = {**dict.fromkeys(OLD_PATHS), **({"A/3.jpg": 0.5} if is_written else {})}
    rows = table.arrow(with_folder(NEW).names)
    assert rows.schema == with_folder(NEW)
    assert sharpness(rows) == expected
    assert rows["features"].to_pylist() == [[1.0, 2.0]] * len(expected)
    unknown = table.arrow(["path"], ["A"], pc.field("sharpness").is_null())
    assert sorted(unknown["path"].to_pylist()) == ["A/1.jpg", "A/2.jpg"]
    batches = [batch for file in table.files() for batch in table.batches(file)]
    assert all(batch.schema.equals(NEW, check_metadata=True) for batch in batches)
    assert sharpness(pa.Table.from_batches(batches)) == expected
    for columns in (None, ["sharpness"], ["words", "path"]):
        read = [batch for file in table.files() for batch in FileRows.all_of(file).read(table, columns)]
        assert {tuple(batch.schema.names) for batch in read} == {(*(columns or NEW.names), "folder")}
        assert sum(batch.num_rows for batch in read) == len(expected)


def test_files_of_both_releases_are_merged_and_what_their_footers_tell_stays(table: FolderTable) -> None:
    table.write(addition(table, "A/3.jpg"))
    before = table_totals(table, by_folder(table.files(), ["A", "B"]))
    for folder in ("A", "B"):
        assert compact(table, table.files([folder]), {})
        assert len(table.files([folder])) == 1
    assert sharpness(table.arrow(["path", "sharpness"])) == {**dict.fromkeys(OLD_PATHS), "A/3.jpg": 0.5}
    after = table_totals(table, by_folder(table.files(), ["A", "B"]))
    for folder, totals in before.items():
        assert replace(after[folder], sum=None) == replace(totals, sum=None)
        assert list(after[folder].sum) == list(totals.sum)  # type: ignore[arg-type]


def test_a_merge_is_a_write_that_adds_the_columns_too(table: FolderTable) -> None:
    assert compact(table, table.files(["A"]), {})
    assert columns_of(table) == {*NEW.names, "folder"}
    assert sharpness(table.arrow(["path", "sharpness"])) == dict.fromkeys(OLD_PATHS)


def test_rows_are_erased_from_older_files_and_no_trace_of_them_stays(old: FolderTable, table: FolderTable) -> None:
    rows = pa.Table.from_pylist([{"path": f"D/{number}.jpg", "length": number} for number in range(3)], OLD)
    old.write(TableChange(old.snapshot(), DriverRows({"D": [rows]}), (), frozenset("D")))
    remove_rows(table, RowPredicate(frozenset(), frozenset(["D/1.jpg", "B/1.jpg"])))
    assert sharpness(table.arrow(["path", "sharpness"])) == dict.fromkeys(["A/1.jpg", "A/2.jpg", "D/0.jpg", "D/2.jpg"])
    assert not [name for name, content in contents_below(table.root).items() if b"D/1.jpg" in content]


def test_former_versions_are_read_as_they_were(table: FolderTable) -> None:
    then = table.snapshot().version
    table.write(addition(table, "A/3.jpg"))
    past = replace(table, version=then)
    assert sharpness(past.arrow(["path", "sharpness"])) == dict.fromkeys(OLD_PATHS)
    assert sorted(DeltaTable(table.root, version=then).to_pandas()["path"]) == OLD_PATHS
    assert "sharpness" not in DeltaTable(table.root, version=then).to_pandas()


def test_pandas_polars_and_duckdb_read_null_where_older_files_have_nothing(table: FolderTable) -> None:
    table.write(addition(table, "A/3.jpg"))
    expected = {**dict.fromkeys(OLD_PATHS), "A/3.jpg": 0.5}
    opened = DeltaTable(table.root)
    assert sharpness(pa.Table.from_pandas(opened.to_pandas())) == expected
    assert sharpness(opened.to_pyarrow_table()) == expected
    assert sharpness(pl.read_delta(table.root, use_pyarrow=True).to_arrow()) == expected
    database = duckdb.connect()
    database.register("rows", QueryBuilder().register("rows", opened).execute("SELECT * FROM rows").read_all())
    assert database.sql("SELECT path FROM rows WHERE sharpness IS NOT NULL").fetchall() == [("A/3.jpg",)]
    assert database.sql("SELECT count(*) FROM rows WHERE sharpness IS NULL").fetchall() == [(3,)]


def test_polars_own_reader_reads_null_too(tmp_path: Path) -> None:
    # It finds no file of a table whose location has a space.
    old = FolderTable(str(tmp_path / "rows"), OLD)
    old.write(addition(old, "A/1.jpg"))
    table = replace(old, schema=NEW)
    table.write(addition(table, "A/2.jpg"))
    assert sharpness(pl.read_delta(table.root).to_arrow()) == {"A/1.jpg": None, "A/2.jpg": 0.5}


def test_writers_that_find_the_columns_missing_at_the_same_time_all_commit_and_add_them_once(
    table: FolderTable,
) -> None:
    changes = [addition(table, f"{folder}/1.jpg") for folder in "FGHIJK"]
    barrier = threading.Barrier(len(changes))

    def write(change: TableChange) -> None:
        waited: list[int] = []
        # Each waits before its first attempt until all have found the columns missing.
        table.write(change, check=lambda: None if waited else waited.append(barrier.wait(timeout=60)))

    writers = [threading.Thread(target=write, args=(change,)) for change in changes]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert table.folders() == [*"AB", *"FGHIJK"]
    assert operations(table)["ADD COLUMN"] == 1


def test_a_write_that_the_earlier_release_has_planned_before_is_committed_after_the_columns_came(
    old: FolderTable, table: FolderTable
) -> None:
    planned = addition(old, "C/1.jpg")
    table.write(addition(table, "A/3.jpg"))
    old.write(planned)
    assert sharpness(table.arrow(["path", "sharpness"])) == {**dict.fromkeys([*OLD_PATHS, "C/1.jpg"]), "A/3.jpg": 0.5}


@pytest.mark.parametrize("error", [CommitFailedError("Failed to commit transaction: 0"), OSError("no answer")])
def test_columns_are_added_once_although_the_answer_is_lost(
    table: FolderTable, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TableAlterer.add_columns

    def without_answer(*args: Any, **options: Any) -> None:
        real(*args, **options)
        raise error

    monkeypatch.setattr(TableAlterer, "add_columns", without_answer)
    table.write(addition(table, "A/3.jpg"))
    assert operations(table)["ADD COLUMN"] == 1
    assert sharpness(table.arrow(["path", "sharpness"])) == {**dict.fromkeys(OLD_PATHS), "A/3.jpg": 0.5}


def test_a_listing_of_an_earlier_release_is_compared_and_completed(tmp_path: Path) -> None:
    old = FolderTable(str(tmp_path / "raw_images"), RAW_IMAGES_SCHEMA)
    found = [{"path": f"A/{number}.jpg", "length": 1} for number in range(3)]
    old.write(plan_raw_images(old, {"A": pa.Table.from_pylist(found[:2], old.schema)}))
    table = replace(old, schema=RAW_IMAGES_SCHEMA.append(pa.field("camera", pa.string())))
    same = pa.Table.from_pylist(found[:2], table.schema)
    assert plan_raw_images(table, {"A": same}).is_empty
    listed = pa.Table.from_pylist(found[1:], table.schema)
    table.write(plan_raw_images(table, {"A": listed}))
    assert sorted(table.arrow(["path"])["path"].to_pylist()) == ["A/1.jpg", "A/2.jpg"]
    assert columns_of(table) == {*table.schema.names, "folder"}
