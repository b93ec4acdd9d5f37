"""The part of each photo: that of the last audit, and only where it is that of the photos."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from spark_steps.errors import FruitsError
from spark_steps.queries.splits import splits_of
from spark_steps.store.store import Moment, Store
from tests.support.small_store import Photo, replace_rows
from tests.support.stores.split_store import AUDIT, LABELS, part_of, split_store, write_splits


@pytest.fixture
def made(tmp_path: Path) -> tuple[Store, list[Photo]]:
    return split_store(tmp_path / "store")


def then(store: Store, splits: int) -> Store:
    """The store as it is, with another version of its splits."""
    tables = {**store.tables, "photo_splits": store.photo_splits}
    versions = {name: table.snapshot().version for name, table in tables.items()} | {"photo_splits": splits}
    return replace(store, as_of=Moment(datetime(2026, 7, 30, tzinfo=UTC), tuple(versions.items())))


def test_each_photo_with_features_has_its_part_and_others_have_none(made: tuple[Store, list[Photo]]) -> None:
    store, photos = made
    splits = splits_of(store)
    assert splits.audit == AUDIT
    for label in LABELS:
        found = splits.of_folder(f"of/{label}")
        assert found == {photo.path: found[photo.path] for photo in photos if photo.folder == f"of/{label}"}
        assert sorted(found.values()) == sorted(map(part_of, range(6)))
    assert splits.of_folder("nowhere") == {}


def test_a_store_without_a_split_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(FruitsError, match=rf"are in no split yet\. Audit it: fruits audit --store {tmp_path}/none"):
        splits_of(Store(str(tmp_path / "none")))


def test_a_split_of_other_photos_than_those_with_features_is_refused(made: tuple[Store, list[Photo]]) -> None:
    store, photos = made
    parts = {photo.path: "train" for photo in photos}
    del parts[photos[3].path]
    write_splits(store, parts)
    with pytest.raises(FruitsError, match=r"photos in folder 'of/007' have come, gone or changed since\. Audit it"):
        splits_of(store)


def test_photos_that_an_erasure_has_removed_from_both_tables_leave_the_split_as_good_as_it_was(
    made: tuple[Store, list[Photo]],
) -> None:
    store, photos = made
    for table in (store.mobilenet_features, store.photo_splits):
        rows = table.arrow(table.schema.names, [photos[0].folder])
        keeps = [path != photos[0].path for path in rows["path"].to_pylist()]
        replace_rows(table, photos[0].folder, rows.filter(pa.array(keeps)))
    assert photos[0].path not in splits_of(store).of_folder(photos[0].folder)


def test_folders_of_two_audits_are_refused_because_near_duplicates_may_be_in_two_parts(
    made: tuple[Store, list[Photo]],
) -> None:
    store, photos = made
    folders = sorted({photo.folder for photo in photos})
    write_splits(store, {photo.path: "train" for photo in photos}, {folder: folder for folder in folders})
    splits = splits_of(store)
    assert splits.of_folder(folders[0])
    with pytest.raises(FruitsError, match="were split by two audits"):
        splits.of_folder(folders[1])


def test_a_part_of_another_name_is_refused(made: tuple[Store, list[Photo]]) -> None:
    store, photos = made
    write_splits(store, {photo.path: "dev" for photo in photos})
    with pytest.raises(FruitsError, match="photos in 'dev', which is none of train, validation, test"):
        splits_of(store).of_folder(photos[0].folder)


def test_the_split_of_a_former_moment_is_read_and_its_absence_then_has_another_remedy(
    made: tuple[Store, list[Photo]],
) -> None:
    store, photos = made
    before = store.photo_splits.snapshot().version
    write_splits(store, {photo.path: "test" for photo in photos})
    assert set(splits_of(store).of_folder(photos[0].folder).values()) == {"test"}
    assert set(splits_of(then(store, before)).of_folder(photos[0].folder).values()) == {"train", "validation", "test"}
    with pytest.raises(FruitsError, match=r"At 2026-07-30 .* are in no split yet\. Give another moment; these are"):
        splits_of(then(store, -1))
