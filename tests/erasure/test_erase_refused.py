"""What cannot be erased, and when nothing is."""

import os
import shutil
from pathlib import Path

import dagster as dg
import pytest

from fruits_assets.definitions import build_definitions
from spark_steps.errors import FruitsError
from spark_steps.storage import locations
from spark_steps.store.store import Store
from tests.support.erasing import all_but_the_lock, erase_all, settings_of
from tests.support.pipeline import run_pipeline
from tests.support.small_store import (
    Photo,
    contents_below,
    files_that_say,
)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"image_ids": ["abc"]}, "'abc' is no image id. Give the 64 hexadecimal digits"),
        ({"image_ids": ["0" * 64]}, "No photo of the store has the image id 0000.*give the path of its file"),
        ({"paths": ["/etc/passwd"]}, "/etc/passwd does not lie below .*images"),
        ({"paths": ["../../x.jpg"]}, "x.jpg does not lie below .*images"),
        ({"paths": ["Fig"]}, "Fig is a folder. Give its photos, one by one or in a list"),
        ({"paths": ["Fig/link.jpg"]}, "link.jpg is a link to .*elsewhere.jpg"),
        ({"paths": ["Fig/pipe.jpg"]}, r"pipe.jpg is a pipe or a device, and only files are erased\. Delete it"),
        ({"listed": "/nowhere/list.txt"}, "The list /nowhere/list.txt cannot be read"),
    ],
)
def test_what_cannot_be_erased_is_refused_in_a_sentence_and_nothing_changes(
    wanted: dict[str, object], says: str, images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    Path(images, "..", "elsewhere.jpg").write_bytes(b"x")
    Path(images, "Fig", "link.jpg").symlink_to(Path(images, "..", "elsewhere.jpg"))
    os.mkfifo(Path(images, "Fig", "pipe.jpg"))
    before = all_but_the_lock(store, images)
    with pytest.raises(FruitsError, match=says) as refused:
        erase_all(images, store, instance, **wanted)
    assert "\n" not in str(refused.value)
    assert all_but_the_lock(store, images) == before


def test_photos_of_another_images_folder_are_refused(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    with pytest.raises(FruitsError, match=r"holds the photos of .*images, and not those of .*Fig"):
        erase_all(f"{images}/Fig", store, instance, image_ids=[some[0].image_id])


def test_nothing_is_erased_while_a_run_is_under_way(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    definitions = build_definitions(settings_of(images, store))
    job = definitions.resolve_job_def("fit_pca")
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    before = contents_below(store.root, images)
    with pytest.raises(FruitsError, match=r"Run \w+ of fit_pca is under way.*erase again when it has ended"):
        erase_all(images, store, instance, paths=[some[0].location])
    assert contents_below(store.root, images) == before


def test_nothing_is_erased_while_another_machine_writes(
    images: str, store: Store, some: list[Photo], instance: dg.DagsterInstance
) -> None:
    table = store.mobilenet_features
    being_written = Path(table.root, "part-of-another-machine.parquet")
    shutil.copyfile(f"{table.root}/{table.files()[0].path}", being_written)
    with pytest.raises(FruitsError, match=r"Something writes to .*mobilenet_features, last at"):
        erase_all(images, store, instance, paths=[some[0].location])
    # An hour later it is what a killed process has left, and goes with the rows that it holds.
    an_hour_ago = being_written.stat().st_mtime - 3600
    os.utime(being_written, (an_hour_ago, an_hour_ago))
    erase_all(images, store, instance, paths=[some[0].location])
    assert files_that_say(contents_below(store.root), some[0].needles()) == {}


def test_no_run_begins_while_an_erasure_is_unfinished(
    images: str, store: Store, some: list[Photo], home: dg.DagsterInstance
) -> None:
    locations.write_json(f"{store.erasures}/unfinished/20260101T000000Z-0.json", {})
    settings = settings_of(images, store)
    with pytest.raises(FruitsError, match="under way or was interrupted"):
        run_pipeline(settings, home, say=lambda _: None)
    done = build_definitions(settings).resolve_job_def("reduce_folders")
    with home:
        home.add_dynamic_partitions("image_folders", ["Fig"])
        result = done.execute_in_process(instance=home, partition_key="Fig", raise_on_error=False)
    assert not result.success
