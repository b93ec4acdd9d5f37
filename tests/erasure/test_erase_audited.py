"""Photos of an audited store erased: their split and their findings go with all else that tells of them."""

import dagster as dg

from spark_steps.store.store import Store
from spark_steps.store.versions import history
from tests.support.erasing import erase_all, receipts
from tests.support.small_store import contents_below, files_that_say, make_photos, rows_of, write_photos, write_rows


def test_an_erased_photo_leaves_nothing_in_the_tables_of_an_audit(
    images: str, store: Store, instance: dg.DagsterInstance
) -> None:
    photos = make_photos(images, ["Fig", "Plum"], 3)
    write_photos(photos)
    write_rows(store, photos, audited=True)
    before = rows_of(store)
    assert {name for name, rows in before.items() if rows.num_rows == 6} == set(store.tables)
    erase_all(images, store, instance, paths=[photos[0].location])
    assert files_that_say(contents_below(store.root, images), photos[0].needles()) == {}
    for name, rows in rows_of(store).items():
        assert rows.to_pylist() == [row for row in before[name].to_pylist() if row["path"] != photos[0].path]
    (receipt,) = receipts(store)
    assert receipt["rows"] == dict.fromkeys(store.tables, 1)


def test_a_store_without_an_audit_is_erased_from_and_has_a_history_without_one(
    images: str, store: Store, instance: dg.DagsterInstance
) -> None:
    photos = make_photos(images, ["Fig"], 3)
    write_photos(photos)
    write_rows(store, photos)
    erase_all(images, store, instance, paths=[photos[0].location])
    (receipt,) = receipts(store)
    of_a_run = {"raw_images": 1, "mobilenet_features": 1, "reduced_features": 1}
    assert receipt["rows"] == {**of_a_run, "photo_splits": 0, "photo_audit": 0}
    assert {one.table for one in history(store)} == set(of_a_run)
    assert [table.snapshot().version for table in (store.photo_splits, store.photo_audit)] == [-1, -1]
