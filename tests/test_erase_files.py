"""Files that were changed, brought back, linked or put in place around an erasure: what was not meant stays."""

import os
from pathlib import Path

import dagster as dg
import pytest

from spark_steps.store import Store
from tests.s3_server import S3
from tests.small_store import TIME, Photo, make_photos, rows_of, write_photos, write_rows
from tests.test_erase import erase_all

pytest_plugins = ["tests.s3_server"]


@pytest.fixture
def images(tmp_path: Path) -> str:
    return str(tmp_path / "images")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def some(images: str, store: Store) -> list[Photo]:
    """Six photos in two folders, as old as their rows say."""
    photos = make_photos(images, ["Fig", "Plum"], 3)
    write_photos(photos)
    write_rows(store, photos)
    for photo in photos:
        os.utime(photo.path, (TIME.timestamp(),) * 2)
    return photos


def test_a_new_photo_under_an_old_name_does_not_go_by_the_age_of_the_old_one(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    Path(some[0].path).write_bytes(b"taken today")
    Path(some[1].path).unlink()
    (plan,), _ = erase_all(images, store, instance, older_than=30)
    assert len(plan.image_ids) == 5
    assert Path(some[0].path).read_bytes() == b"taken today"
    # One whose file is gone is as old as its row.
    assert [row["path"] for row in rows_of(store)["raw_images"].to_pylist()] == [some[0].path]


def test_a_photo_that_came_back_from_a_backup_goes_again_when_its_id_and_its_path_are_given(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    asked = {"paths": [some[0].path], "image_ids": [some[0].image_id]}
    erase_all(images, store, instance, **asked)
    write_photos(some[:1])
    (plan,), _ = erase_all(images, store, instance, **asked)
    assert (plan.files, [*plan.image_ids], [*plan.erased_before]) == ([some[0].path], [some[0].image_id], [])
    assert not Path(some[0].path).exists()


def test_in_s3_what_was_put_today_does_not_go_by_its_age(s3: S3, instance: dg.DagsterInstance) -> None:
    images, store = f"{s3.bucket}/Test", Store(s3.bucket)
    photos = make_photos(images, ["Fig"], 2)
    write_photos(photos[:1])
    write_rows(store, photos)
    (plan,), _ = erase_all(images, store, instance, older_than=30)
    assert (plan.files, sorted(plan.image_ids)) == ([], [photos[1].image_id])
