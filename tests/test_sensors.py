"""The sensor: it asks when folders have changed, and only then."""

import shutil
from pathlib import Path

import dagster as dg

from fruits_assets.definitions import build_definitions
from fruits_assets.partitions import IMAGE_FOLDERS
from fruits_assets.sensors import image_folders_sensor
from fruits_assets.settings import Settings
from spark_steps.store import Store
from tests.conftest import save_photo


def evaluate(settings: Settings, instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    context = dg.build_sensor_context(
        instance=instance, resources={"settings": settings, "store": Store(settings.store)}
    )
    outcome = image_folders_sensor(context)
    assert isinstance(outcome, dg.RunRequest | dg.SkipReason)
    return outcome


def synchronise(settings: Settings, instance: dg.DagsterInstance) -> None:
    job = build_definitions(settings).resolve_job_def("sync_image_folders")
    assert job.execute_in_process(instance=instance).success


def test_it_is_shipped_stopped() -> None:
    assert image_folders_sensor.default_status == dg.DefaultSensorStatus.STOPPED


def test_it_asks_for_the_job_until_the_partitions_are_those_of_the_folders(
    settings: Settings, photos: Path, instance: dg.DagsterInstance
) -> None:
    assert isinstance(evaluate(settings, instance), dg.RunRequest)
    synchronise(settings, instance)
    assert len(instance.get_dynamic_partitions(IMAGE_FOLDERS)) == 8
    assert isinstance(evaluate(settings, instance), dg.SkipReason)
    for _ in range(2):
        # The same folder comes and goes twice, and is asked for each time.
        save_photo(photos / "Kiwi" / "1.jpg")
        assert isinstance(evaluate(settings, instance), dg.RunRequest)
        synchronise(settings, instance)
        shutil.rmtree(photos / "Kiwi")
        assert isinstance(evaluate(settings, instance), dg.RunRequest)
        synchronise(settings, instance)
    assert "Kiwi" not in instance.get_dynamic_partitions(IMAGE_FOLDERS)


def test_a_listing_that_fails_or_finds_nothing_changes_nothing(
    settings: Settings, photos: Path, instance: dg.DagsterInstance
) -> None:
    synchronise(settings, instance)
    shutil.rmtree(photos)
    gone = evaluate(settings, instance)
    assert isinstance(gone, dg.SkipReason)
    assert "does not exist" in str(gone.skip_message)
    photos.mkdir()
    empty = evaluate(settings, instance)
    assert isinstance(empty, dg.SkipReason)
    assert "no photo" in str(empty.skip_message)
