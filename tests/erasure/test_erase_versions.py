"""Photos erased out of former versions of the tables, out of files that were never committed, and against writers."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from spark_steps.erasure.carry_out import finished, refuse_after_erasing
from spark_steps.errors import FruitsError
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import DriverRows, write_file
from spark_steps.tables.folder_table import FolderTable, TableChange, TableChangedError
from spark_steps.tables.open_tables import LOG
from spark_steps.tables.schemas import with_folder
from tests.support.erasing import erase_all, receipts
from tests.support.small_store import (
    Photo,
    contents_below,
    files_that_say,
    make_photos,
    rows_of,
    write_model,
    write_photos,
    write_rows,
)


def paths_at(table: FolderTable, version: int, folders: list[str] | None = None) -> list[str]:
    return sorted(replace(table, version=version).arrow(["path"], folders)["path"].to_pylist())


def leave_to_former_versions(store: Store, photos: list[Photo]) -> None:
    """Takes photos away as somebody does who deletes their folder, and runs again."""
    for table in store.tables.values():
        table.drop({photo.folder for photo in photos})
    for photo in photos:
        Path(photo.location).unlink()


@pytest.mark.parametrize("by", ["image_ids", "paths"])
def test_a_photo_that_only_former_versions_hold_is_erased_by_its_id_and_by_its_path(
    by: str, images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    leave_to_former_versions(store, some[:3])
    before = rows_of(store)
    assert files_that_say(contents_below(store.root), some[0].needles())
    asked = {"image_ids": [some[0].image_id], "paths": [some[0].location]}
    (plan,), _ = erase_all(images, store, instance, **{by: asked[by]})
    assert plan.image_ids == {some[0].image_id}
    assert plan.files == []
    assert [len(found.former) for found in plan.rows.values()] == [1] * 5
    assert files_that_say(contents_below(store.root), some[0].needles()) == {}
    assert rows_of(store) == before
    # Files of former versions that did not hold it stay.
    assert files_that_say(contents_below(store.root), [some[1].path.encode()])
    (receipt,) = receipts(store)
    assert receipt["rows"] == dict.fromkeys(store.tables, 0)


def test_former_versions_that_held_an_erased_photo_cannot_be_read_any_more_and_the_others_can(
    images: str, store: Store, instance: dg.DagsterInstance
) -> None:
    plums, figs = make_photos(images, ["Plum"], 3), make_photos(images, ["Fig"], 3)
    write_photos([*plums, *figs])
    write_rows(store, plums, audited=True)
    only_plums = {name: table.snapshot().version for name, table in store.tables.items()}
    write_rows(store, figs, audited=True)
    with_figs = {name: table.snapshot().version for name, table in store.tables.items()}
    erase_all(images, store, instance, paths=[figs[0].location])
    for name, table in store.tables.items():
        assert paths_at(table, only_plums[name]) == [photo.path for photo in plums]
        assert paths_at(table, with_figs[name], ["Plum"]) == [photo.path for photo in plums]
        with pytest.raises(FruitsError, match=r"Version \d+ of .* can no longer be read.*photos that have been erased"):
            paths_at(table, with_figs[name])


def test_a_model_fitted_on_a_photo_that_only_former_versions_hold_may_have_seen_it(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    leave_to_former_versions(store, some[:3])
    current = write_model(store, some[3:])
    erase_all(images, store, instance, image_ids=[some[0].image_id])
    (receipt,) = receipts(store)
    seen: dict[str, object]
    (seen,) = receipt["pca_models_that_saw_a_photo"]  # type: ignore[misc]
    assert seen["certain"] is seen["current"] is False
    assert seen["version"] != current


def test_what_killed_writers_have_left_goes_with_the_rows_that_it_holds(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    table = store.mobilenet_features
    whole = Path(table.root, table.files()[0].path).read_bytes()
    # One that was whole, one that was cut short, and one that an erasure was writing.
    left = [Path(table.root, name) for name in ("part-1.parquet", "part-2.parquet", "part-erasing-3.parquet")]
    for file, size in zip(left, (len(whole), len(whole) // 2, len(whole)), strict=True):
        file.write_bytes(whole[:size])
        os.utime(file, (time.time() - 3600,) * 2)
    rows = rows_of(store)
    assert [rows[name].num_rows for name in store.tables] == [6] * 5
    erase_all(images, store, instance, paths=[some[0].location])
    assert [file.exists() for file in left] == [False] * 3
    assert [table.num_rows for table in rows_of(store).values()] == [5] * 5
    assert files_that_say(contents_below(store.root), some[0].needles()) == {}


def test_a_photo_that_only_a_killed_writer_has_left_is_erased_by_its_id(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    photo, table = Photo(images, "Fig", "new.jpg", b"was never committed"), store.mobilenet_features
    left = write_file(table.root, "Fig", rows_of_photos(table, "mobilenet_features", [photo]).to_batches())
    os.utime(f"{table.root}/{left.path}", (time.time() - 3600,) * 2)
    before = rows_of(store)
    erase_all(images, store, instance, image_ids=[photo.image_id])
    assert files_that_say(contents_below(store.root), photo.needles()) == {}
    assert rows_of(store) == before


def test_neither_log_nor_checkpoint_nor_any_other_file_tells_of_an_erased_photo(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    others = make_photos(images, [f"Lime {number}" for number in range(12)], 1)
    write_photos(others)
    for photo in others:
        write_rows(store, [photo], model=False, audited=True)
    erase_all(images, store, instance, paths=[some[0].location])
    for table in store.tables.values():
        # Of the version before the erasure's too.
        table.drop(["Lime 0"])
        assert list(Path(table.root, LOG).glob("*.checkpoint.parquet"))
    assert files_that_say(contents_below(store.root), [*some[0].needles(), some[0].name.encode()]) != {}
    assert files_that_say(contents_below(store.root), some[0].needles()) == {}
    for table in store.tables.values():
        # Nor of any photo that is still there.
        log = contents_below(f"{table.root}/{LOG}")
        assert files_that_say(log, [photo.name.encode() for photo in some] + [b".jpg"]) == {}


def rows_of_photos(table: FolderTable, name: str, photos: list[Photo]) -> pa.Table:
    rows = pa.Table.from_pylist([photo.row(name) for photo in photos], with_folder(table.schema))
    return rows.drop_columns(["folder"])


def write_of(store: Store, name: str, photos: list[Photo]) -> tuple[FolderTable, TableChange]:
    """A change planned by a run that has looked at the table, and has rows of photos in memory."""
    table = store.tables[name]
    rows = rows_of_photos(table, name, photos)
    return table, table.replacement(DriverRows({photos[0].folder: [rows]}), [photos[0].folder])


def age_files(store: Store) -> None:
    for table in store.tables.values():
        for path in table.listing():
            os.utime(f"{table.root}/{path}", (time.time() - 3600,) * 2)


@pytest.fixture
def erase_while_asleep(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> Callable[[], None]:
    """Erases the first photo, once, while the writer that calls this is asleep for an hour."""
    times: list[None] = []

    def erase() -> None:
        if times:
            return
        times.append(None)
        age_files(store)
        erase_all(images, store, instance, paths=[some[0].location])

    return erase


@pytest.mark.parametrize("name", ["raw_images", "mobilenet_features", "reduced_features"])
@pytest.mark.parametrize("folder", ["Fig", "Lime"])
def test_a_writer_that_checked_before_an_erasure_and_commits_after_it_brings_nothing_back(
    name: str, folder: str, store: Store, some: list[Photo], erase_while_asleep: Callable[[], None]
) -> None:
    # In the photo's own folder, which the erasure changes, and as a copy in another, which it does not.
    photos = some[:3] if folder == "Fig" else [Photo(some[0].images, "Lime", "copy.jpg", some[0].content)]
    table, change = write_of(store, name, photos)
    with pytest.raises(FruitsError, match=r"Run again"):
        table.write(change, check=erase_while_asleep)
    assert [rows.num_rows for rows in rows_of(store).values()] == [5] * 5
    assert files_that_say(contents_below(store.root), some[0].needles()) == {}


def test_a_run_that_checked_before_an_erasure_has_to_check_again_and_is_refused(
    store: Store, some: list[Photo], erase_while_asleep: Callable[[], None]
) -> None:
    looked = finished(store)
    table, change = write_of(store, "raw_images", [Photo(some[0].images, "Lime", "other.jpg", b"another")])

    def check() -> None:
        refuse_after_erasing(store, looked)
        erase_while_asleep()

    with pytest.raises(FruitsError, match=r"Run again"):
        table.write(change, check=check)
    assert [rows.num_rows for rows in rows_of(store).values()] == [5] * 5


def test_a_compaction_that_was_planned_before_an_erasure_is_committed_no_more(
    store: Store, some: list[Photo], erase_while_asleep: Callable[[], None]
) -> None:
    # Of another folder than the photo's, whose files are those that it was planned on.
    table, folder = store.mobilenet_features, some[3].folder
    base, merged = table.snapshot(), table.files([folder])
    rows = rows_of_photos(table, "mobilenet_features", some[3:])
    new = write_file(table.root, folder, rows.to_batches())
    erase_while_asleep()
    with pytest.raises(TableChangedError, match=r"Run again"):
        table.commit([new], TableChange(base, None, merged, frozenset([folder])))
    assert table.files([folder]) == merged
    assert [rows.num_rows for rows in rows_of(store).values()] == [5] * 5


def test_every_table_has_a_version_more_after_an_erasure_whatever_it_held(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    new = Photo(images, "Fig", "new.jpg", b"never run")
    write_photos([new])
    before = {name: table.snapshot() for name, table in store.tables.items()}
    erase_all(images, store, instance, paths=[new.location])
    after = {name: table.snapshot() for name, table in store.tables.items()}
    assert all(after[name].version > before[name].version for name in before)
    assert all(after[name].files == before[name].files for name in before)


def test_rows_that_other_programs_have_added_go_too(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    import deltalake

    # Into a directory of the folder, whose name the log spells in its own way.
    copy = Photo(images, "Red Fruit/Açaí", "50% copy.jpg", some[0].content)
    rows = pa.Table.from_pylist([copy.row("raw_images")], with_folder(store.raw_images.schema))
    deltalake.write_deltalake(store.raw_images.root, rows, mode="append", partition_by=["folder"])
    assert rows_of(store)["raw_images"].num_rows == 7
    erase_all(images, store, instance, paths=[some[0].location, copy.location])
    assert [rows.num_rows for rows in rows_of(store).values()] == [5] * 5
    assert files_that_say(contents_below(store.root), [*some[0].needles(), *copy.needles()]) == {}


def test_a_table_whose_log_is_lost_does_not_hide_a_photo(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    shutil.rmtree(f"{store.reduced_features.root}/{LOG}")
    age_files(store)
    erase_all(images, store, instance, paths=[some[0].location])
    assert files_that_say(contents_below(store.root), some[0].needles()) == {}
