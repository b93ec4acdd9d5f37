"""A table kept in order: the rows stay as they are, and no file is deleted that anybody may still need."""

import os
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from spark_steps.storage import locations
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import DriverRows, write_file
from spark_steps.tables.folder_table import DataFile, FolderTable, TableChange, TableChangedError
from spark_steps.tables.footers import table_totals
from spark_steps.tables.maintenance import MaintenanceLimits, compact, maintain, uncommitted_files, vacuum
from spark_steps.tables.row_removal import RowPredicate, remove_rows
from spark_steps.tables.schemas import RAW_IMAGES_SCHEMA, by_folder
from tests.support.small_store import make_photos, write_rows
from tests.support.tables import addition, paths, removal, rows

_HOUR, _DAY = 3600, 86_400


@pytest.fixture
def table(tmp_path: Path) -> FolderTable:
    return FolderTable(str(tmp_path / "store" / "raw_images"), RAW_IMAGES_SCHEMA)


def make_older(table: FolderTable, seconds: int, *files: str) -> None:
    then = time.time() - seconds
    for file in files:
        os.utime(f"{table.root}/{file}", (then, then))


def replaced(table: FolderTable, seconds_ago: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Adds a file and removes it again some time ago; returns its path."""
    now = time.time()
    with monkeypatch.context() as then:
        then.setattr(time, "time", lambda: now - seconds_ago)
        table.write(addition(table, "Old/1.jpg"))
        (file,) = table.files(["Old"])
        table.write(removal(table, "Old"))
    make_older(table, seconds_ago + 1, file.path)
    return file.path


def totals_of(table: FolderTable) -> dict[str, tuple[object, ...]]:
    """Those of each folder; the sum of the features to six digits, for it depends on the order of the rows."""
    totals = table_totals(table, by_folder(table.files(), table.folders()))
    return {
        folder: (replace(one, sum=None), None if one.sum is None else [f"{number:.6g}" for number in one.sum])
        for folder, one in totals.items()
    }


def test_files_that_are_merged_or_lose_rows_keep_the_limits_under_which_their_photos_were_decoded(
    table: FolderTable,
) -> None:
    def limits() -> frozenset[int]:
        return table_totals(table, {"A": table.files(["A"])})["A"].max_pixels

    for limit, path in [(100, "A/1.jpg"), (200, "A/2.jpg")]:
        file = write_file(table.root, "A", rows(path).to_batches(), max_pixels=frozenset([limit]))
        table.commit([file], TableChange(table.snapshot(), None, [], frozenset("A")), {})
    assert compact(table, table.files(["A"]), {})
    assert len(table.files(["A"])) == 1
    assert limits() == {100, 200}
    remove_rows(table, RowPredicate(frozenset(), frozenset(["A/1.jpg"])))
    assert paths(table) == ["A/2.jpg"]
    assert limits() == {100, 200}


def test_a_compaction_keeps_all_rows_and_what_the_footers_tell_of_them(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    write_rows(store, make_photos(str(tmp_path / "images"), ["A", "B é"], 6), audited=True)
    for table in store.tables.values():
        columns = [*table.schema.names, "folder"]
        before = table.arrow(columns).sort_by("path")
        totals = totals_of(table)
        files = table.files(["A"])
        assert len(files) == 2
        assert compact(table, files, {"run_id": "r"})
        assert len(table.files(["A"])) == 1
        assert table.arrow(columns).sort_by("path").equals(before)
        assert totals_of(table) == totals
        assert DeltaTable(table.root).count() == DeltaTable(table.root).to_pyarrow_table().num_rows == before.num_rows
        about = table.log.history()[0].about
        assert about == {"run_id": "r", "change": "compact", "rows_added": "0", "rows_removed": "0"}


def test_files_that_were_replaced_since_they_were_listed_are_not_merged(table: FolderTable) -> None:
    """Else rows that are gone would be there again."""
    table.write(addition(table, "A/1.jpg"))
    table.write(addition(table, "A/2.jpg"))
    listed = table.files(["A"])
    table.write(removal(table, "A"))
    table.write(addition(table, "A/3.jpg"))
    assert not compact(table, listed, {})
    assert paths(table) == ["A/3.jpg"]
    assert uncommitted_files(table) == {}


def test_folders_of_many_small_files_are_merged_and_others_are_not(table: FolderTable) -> None:
    for number in range(4):
        table.write(addition(table, f"A/{number}.jpg"))
    for number in range(3):
        table.write(addition(table, f"B/{number}.jpg"))
    before = paths(table)
    maintain(table, ["A", "B"], MaintenanceLimits(most_files=3), {})
    assert [file.folder for file in table.files()] == ["A", "B", "B", "B"]
    assert paths(table) == before


def test_a_replaced_file_is_kept_for_as_long_as_former_versions_are(
    table: FolderTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.write(addition(table, "A/1.jpg"))
    older, younger = (replaced(table, days * _DAY, monkeypatch) for days in (8, 6))
    assert vacuum(table, timedelta(days=30)) == []
    assert vacuum(table, timedelta(days=7)) == [older]
    assert vacuum(table, timedelta(days=7)) == []
    assert younger in table.listing()
    assert vacuum(table, timedelta(0)) == [younger]
    assert paths(table) == ["A/1.jpg"]


def test_a_replaced_file_is_not_taken_for_one_of_a_killed_writer_however_long_it_is_kept(
    table: FolderTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint forgets removed files after a time, which has to be longer than they are kept."""
    table.write(addition(table, "A/1.jpg"))
    old = replaced(table, 20 * _DAY, monkeypatch)
    assert vacuum(table, timedelta(days=30)) == []
    DeltaTable(table.root).create_checkpoint()
    assert vacuum(table, timedelta(days=30)) == []
    assert old in table.listing()
    assert uncommitted_files(table) == {}


def test_what_a_killed_writer_has_left_is_deleted_after_a_day(table: FolderTable) -> None:
    table.write(addition(table, "A/1.jpg"))
    left = write_file(table.root, "A", rows("A/2.jpg").to_batches(), "part-killed").path
    locations.write_bytes(f"{table.root}/part-cut-off.parquet", b"PAR1")
    make_older(table, 25 * _HOUR, left)
    make_older(table, 23 * _HOUR, "part-cut-off.parquet")
    assert vacuum(table, timedelta(days=7)) == [left]
    assert list(uncommitted_files(table)) == ["part-cut-off.parquet"]
    assert paths(table) == ["A/1.jpg"]


def test_a_file_of_a_run_under_way_is_not_deleted_and_its_commit_is_made(table: FolderTable) -> None:
    table.write(addition(table, "A/1.jpg"))
    planned = addition(table, "A/2.jpg")
    assert planned.rows
    written = planned.rows.write_files(table.root, "part-run")
    make_older(table, 23 * _HOUR, written[0].path)
    table.write(addition(table, "B/1.jpg"))
    table.write(removal(table, "B"))
    assert len(vacuum(table, timedelta(0))) == 1
    table.commit(written, planned)
    assert paths(table) == ["A/1.jpg", "A/2.jpg"]


def test_a_run_that_sleeps_for_longer_than_a_day_plans_anew_and_commits_no_file_that_was_deleted(
    table: FolderTable,
) -> None:
    table.write(addition(table, "A/1.jpg"))
    planned = addition(table, "A/2.jpg")
    assert planned.rows
    written = planned.rows.write_files(table.root, "part-run")
    make_older(table, 25 * _HOUR, written[0].path)
    assert vacuum(table, timedelta(days=7)) == [written[0].path]
    with pytest.raises(TableChangedError):
        table.commit(written, planned)
    assert paths(table) == ["A/1.jpg"]


def test_a_file_of_a_compaction_that_an_erasure_finds_half_written_is_not_committed_after_that_has_deleted_it(
    table: FolderTable,
) -> None:
    table.write(addition(table, "A/1.jpg"))
    table.write(addition(table, "B/1.jpg"))
    begun: list[TableChange] = []
    listings: list[bool] = []

    class Compacted(FolderTable):
        """A table that is being compacted by the time its files are searched once more, when the rows are gone."""

        def listing(self) -> dict[str, datetime]:
            listings.append(paths(table) == ["B/1.jpg"])
            if sum(listings) == 2:
                base = table.snapshot()
                begun.append(TableChange(base, None, table.files(["B"]), frozenset("B")))
                locations.write_bytes(f"{table.root}/part-half.parquet", b"PAR1")
            return super().listing()

    remove_rows(Compacted(table.root, table.schema), RowPredicate(frozenset(), frozenset(["A/1.jpg"])))
    assert "part-half.parquet" not in table.listing()
    with pytest.raises(TableChangedError):
        table.commit([DataFile("part-half.parquet", "B", 4, 1)], begun[0])
    assert paths(table) == ["B/1.jpg"]


def _as_rows(of: list[str]) -> DriverRows:
    return DriverRows({"A": [rows(*of)]})
