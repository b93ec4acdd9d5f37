"""The log of a table: a change is committed as it was planned, once, or not at all; and no log names a photo."""

import errno
import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from spark_steps.errors import FruitsError
from spark_steps.photos.listing import plan_raw_images
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import FolderTable, TableChangedError
from spark_steps.tables.maintenance import compact
from spark_steps.tables.schemas import RAW_IMAGES_SCHEMA
from tests.support.small_store import contents_below, files_that_say, make_photos, write_rows
from tests.support.tables import addition, paths, removal, rows, versions


@pytest.fixture
def table(tmp_path: Path) -> FolderTable:
    return FolderTable(str(tmp_path / "a store of é" / "raw_images"), RAW_IMAGES_SCHEMA)


def test_a_change_of_a_folder_that_another_process_has_changed_is_not_committed_and_leaves_no_file(
    table: FolderTable,
) -> None:
    planned = addition(table, "A/1.jpg", "B/1.jpg")
    table.write(addition(table, "A/2.jpg"))
    before = table.listing()
    with pytest.raises(TableChangedError):
        table.write(planned)
    assert paths(table) == ["A/2.jpg"]
    assert table.listing() == before


def test_a_change_of_other_folders_than_another_process_has_changed_is_committed_after_it(table: FolderTable) -> None:
    table.write(addition(table, "B/1.jpg"))
    planned, other = addition(table, "A/1.jpg"), removal(table, "B")
    table.write(other)
    assert table.write(planned) == 3
    assert paths(table) == ["A/1.jpg"]


def test_another_commit_between_the_check_and_the_commit_is_seen(table: FolderTable) -> None:
    others = [addition(table, "B/1.jpg"), addition(table, "A/2.jpg")]

    def others_are_first() -> None:
        if others:
            table.write(others.pop(0))

    with pytest.raises(TableChangedError):
        table.write(addition(table, "A/1.jpg"), check=others_are_first)
    assert others == []
    assert paths(table) == ["A/2.jpg", "B/1.jpg"]


def test_of_two_processes_that_add_the_same_photos_one_plans_anew_and_finds_nothing_to_do(table: FolderTable) -> None:
    found = {"A": rows("A/1.jpg", "A/2.jpg")}
    first, second = plan_raw_images(table, found), plan_raw_images(table, found)
    table.write(first)
    with pytest.raises(TableChangedError):
        table.write(second)
    assert plan_raw_images(table, found).is_empty
    assert paths(table) == ["A/1.jpg", "A/2.jpg"]


def test_threads_that_commit_at_once_make_a_version_each(table: FolderTable) -> None:
    changes = [addition(table, f"{number}/1.jpg") for number in range(8)]
    writers = [threading.Thread(target=table.write, args=(change,)) for change in changes]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert versions(table) == list(reversed(range(9)))
    assert paths(table) == [f"{number}/1.jpg" for number in range(8)]


@pytest.mark.parametrize("error", [CommitFailedError("Failed to commit transaction: 0"), OSError("no answer")])
def test_a_commit_whose_answer_is_lost_is_made_once_whatever_others_do_before_it_is_looked_for(
    table: FolderTable, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the file of B, which is the table, would be deleted as one of a change that came to nothing."""
    real = DeltaTable.create_write_transaction

    def without_answer(*args: Any, **options: Any) -> None:
        real(*args, **options)
        monkeypatch.setattr(DeltaTable, "create_write_transaction", real)
        table.write(removal(table, "A"))
        raise error

    monkeypatch.setattr(DeltaTable, "create_write_transaction", without_answer)
    assert table.write(addition(table, "A/1.jpg", "B/1.jpg")) == 1
    assert versions(table) == [2, 1, 0]
    assert paths(table) == ["B/1.jpg"]


def test_a_commit_that_was_not_made_is_told_and_its_files_stay_for_nobody_knows(
    table: FolderTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **options: Any) -> None:
        raise OSError("Generic LocalFileSystem error: Unable to write")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", fails)
    with pytest.raises(FruitsError, match=r"The log of .* cannot be written: Generic LocalFileSystem error"):
        table.write(addition(table, "A/1.jpg"))
    assert paths(table) == []
    assert len(table.listing()) == 1


def test_what_was_planned_before_plans_were_outdated_is_planned_anew_and_what_is_planned_then_is_not(
    table: FolderTable,
) -> None:
    table.write(addition(table, "A/1.jpg"))
    before = addition(table, "B/1.jpg")
    table.log.outdate_plans()
    after = addition(table, "B/2.jpg")
    with pytest.raises(TableChangedError):
        table.write(before)
    table.write(after)
    assert paths(table) == ["A/1.jpg", "B/2.jpg"]


def test_a_property_is_not_set_where_another_process_has_set_it(table: FolderTable) -> None:
    table.log.create()
    assert table.log.set_property("fruits.images", "/photos", None)
    assert table.log.set_property("fruits.images", "/photos", None)
    assert not table.log.set_property("fruits.images", "/others", None)
    assert table.snapshot().property("fruits.images") == "/photos"


def test_the_history_says_what_each_commit_has_done_and_who_made_it(table: FolderTable) -> None:
    began = datetime.now(UTC).replace(microsecond=0)
    table.write(addition(table, "A/1.jpg", "A/2.jpg"), {"run_id": "r1", "asset": "raw_images"})
    table.write(removal(table, "A"), {"run_id": "r2"})
    removed, added, created = table.log.history()
    assert (added.version, added.files_added, added.files_removed) == (1, 1, 0)
    assert added.about == {"run_id": "r1", "asset": "raw_images", "rows_added": "2", "rows_removed": "0"}
    assert (removed.about["rows_removed"], removed.files_removed) == ("2", 1)
    assert began <= created.at <= added.at <= removed.at <= datetime.now(UTC)
    assert table.log.snapshot(1).paths("A")


def test_no_log_checkpoint_or_statistic_has_a_path_or_an_id_of_a_photo(tmp_path: Path) -> None:
    store, photos = Store(str(tmp_path / "store")), make_photos(str(tmp_path / "images"), ["A", "B"], 6)
    write_rows(store, photos, audited=True)
    for table in store.tables.values():
        for _ in range(6):
            compact(table, table.files(["A"]), {})
            table.write(table.replacement(DriverRows({"B": [rows_of_folder(table, "B")]}), ["B"]))
        log = contents_below(f"{table.root}/_delta_log")
        assert [name for name in log if name.endswith(".checkpoint.parquet")]
        assert files_that_say(log, (needle for photo in photos for needle in photo.needles())) == {}
        assert DeltaTable(table.root).get_add_actions(flatten=True).num_rows == 2


def rows_of_folder(table: FolderTable, folder: str) -> pa.Table:
    return table.arrow(table.schema.names, [folder])


def test_a_log_that_names_a_file_elsewhere_is_told(table: FolderTable) -> None:
    table.write(addition(table, "A/1.jpg"))
    log = Path(table.root, "_delta_log", f"{1:020}.json")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "add" in line:
            line["add"]["path"] = "../../etc/passwd"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(FruitsError, match="which lies elsewhere"):
        table.files()


def test_a_location_that_deltalake_cannot_work_in_is_told(tmp_path: Path) -> None:
    with pytest.raises(FruitsError, match="Give the store another name"):
        FolderTable(str(tmp_path / "a%41b"), RAW_IMAGES_SCHEMA).log.create()


def test_a_file_system_without_hard_links_is_told_before_there_is_a_table(
    table: FolderTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", refuses)
    with pytest.raises(FruitsError, match=r"makes no hard links \(Operation not permitted\)"):
        table.write(addition(table, "A/1.jpg"))
    assert list(Path(table.root).iterdir()) == []
