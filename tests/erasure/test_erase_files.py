"""Files that were changed, brought back, linked or put in place around an erasure: what was not meant stays."""

import os
from pathlib import Path

import dagster as dg
import pytest

from spark_steps.erasure.carry_out import decide, erase_file
from spark_steps.erasure.plan import plan_erasure, read_request
from spark_steps.errors import FruitsError
from spark_steps.storage import locations
from spark_steps.storage.local import LocalFiles
from spark_steps.storage.s3_client import client
from spark_steps.store.store import Store
from tests.support.aws.s3_server import S3
from tests.support.erasing import all_versions, erase_all
from tests.support.small_store import TIME, Photo, make_photos, rows_of, write_photos, write_rows


@pytest.fixture
def some(images: str, store: Store) -> list[Photo]:
    """Six photos in two folders, as old as their rows say."""
    photos = make_photos(images, ["Fig", "Plum"], 3)
    write_photos(photos)
    write_rows(store, photos, audited=True)
    for photo in photos:
        os.utime(photo.location, (TIME.timestamp(),) * 2)
    return photos


def test_a_new_photo_under_an_old_name_does_not_go_by_the_age_of_the_old_one(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    Path(some[0].location).write_bytes(b"taken today")
    Path(some[1].location).unlink()
    (plan,), _ = erase_all(images, store, instance, older_than=30)
    assert len(plan.image_ids) == 5
    assert Path(some[0].location).read_bytes() == b"taken today"
    # One whose file is gone is as old as its row.
    assert [row["path"] for row in rows_of(store)["raw_images"].to_pylist()] == [some[0].path]


def test_a_photo_that_came_back_from_a_backup_goes_again_when_its_id_and_its_path_are_given(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    asked = {"paths": [some[0].location], "image_ids": [some[0].image_id]}
    erase_all(images, store, instance, **asked)
    write_photos(some[:1])
    (plan,), _ = erase_all(images, store, instance, **asked)
    assert (plan.files, [*plan.image_ids], [*plan.erased_before]) == ([some[0].location], [some[0].image_id], [])
    assert not Path(some[0].location).exists()


@pytest.fixture
def linked(images: str, some: list[Photo], tmp_path: Path) -> str:
    """A photo in a folder elsewhere, by the link to that folder among the photos."""
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "x.jpg").write_bytes(b"somebody's")
    Path(images, "link").symlink_to(tmp_path / "album")
    return f"{images}/link/x.jpg"


def test_a_photo_in_a_folder_that_a_link_leads_to_is_refused_until_it_is_deleted_there(
    images: str, store: Store, linked: str, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    photo = Photo(images, "link", "x.jpg", b"somebody's")
    write_rows(store, [photo])
    for wanted in ({"paths": [linked]}, {"image_ids": [photo.image_id]}):
        with pytest.raises(FruitsError, match=r"link/x.jpg lies in .*album, where a link leads.*Delete it there"):
            erase_all(images, store, instance, **wanted)
    assert (tmp_path / "album" / "x.jpg").read_bytes() == b"somebody's"
    (tmp_path / "album" / "x.jpg").unlink()
    erase_all(images, store, instance, image_ids=[photo.image_id])
    assert photo.path not in [row["path"] for row in rows_of(store)["raw_images"].to_pylist()]


def test_a_note_that_names_a_photo_behind_a_link_is_refused(
    images: str, store: Store, linked: str, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    decide(store, plan_erasure(store, read_request([], [linked], images), images))
    with pytest.raises(FruitsError, match=r"link/x.jpg lies in .*album, where a link leads"):
        erase_all(images, store, instance)
    assert (tmp_path / "album" / "x.jpg").exists()


def test_an_images_folder_that_is_a_link_itself_is_the_images_folder(
    images: str, store: Store, some: list[Photo], tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    Path(images).rename(tmp_path / "elsewhere")
    Path(images).symlink_to(tmp_path / "elsewhere")
    erase_all(images, store, instance, paths=[some[0].location])
    assert not Path(some[0].location).exists()


def test_in_s3_what_was_put_today_does_not_go_by_its_age(s3: S3, instance: dg.DagsterInstance) -> None:
    images, store = f"{s3.bucket}/Test", Store(s3.bucket)
    photos = make_photos(images, ["Fig"], 2)
    write_photos(photos[:1])
    write_rows(store, photos, audited=True)
    (plan,), _ = erase_all(images, store, instance, older_than=30)
    assert (plan.files, sorted(plan.image_ids)) == ([], [photos[1].image_id])


def test_a_photo_that_is_put_in_place_while_the_old_one_is_read_stays(
    images: str, some: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = LocalFiles.sha256

    def slow(files: LocalFiles, location: str) -> str | None:
        found = sha256(files, location)
        if found == some[0].image_id:
            Path(location).write_bytes(b"put in place")
        return found

    monkeypatch.setattr(LocalFiles, "sha256", slow)
    erase_file(some[0].location, [some[0].image_id])
    assert Path(some[0].location).read_bytes() == b"put in place"


@pytest.mark.parametrize("moment", ["before-call.s3.GetObject", "before-call.s3.DeleteObjects"])
def test_in_s3_a_photo_that_is_put_in_place_during_an_erasure_stays(s3: S3, moment: str) -> None:
    bucket = s3.bucket.removeprefix("s3://")
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    (photo,) = make_photos(f"{s3.bucket}/Test", ["Fig"], 1)
    write_photos([Photo(photo.images, "Fig", photo.name, b"before it was cropped"), photo])
    key = photo.location.removeprefix(f"{s3.bucket}/")

    def put(**_: object) -> None:
        s3.put(key, b"put in place")

    events = client().meta.events
    events.register(moment, put)
    try:
        erase_file(photo.location, [photo.image_id])
    finally:
        events.unregister(moment, put)
    assert locations.read_bytes(photo.location) == b"put in place"
    assert set(all_versions(s3).values()) == {b"put in place"}
