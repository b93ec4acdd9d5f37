"""The sensors: what they ask for, what they say, and that what they ask for really runs."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fruits_assets.automation.sensors import FAILURES_IN_A_ROW, image_folders_sensor, keep_up_to_date_sensor
from fruits_assets.definitions import build_definitions
from fruits_assets.instance.internals import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PartitionBackfill,
)
from fruits_assets.instance.partitions import IMAGE_FOLDERS
from fruits_assets.instance.tags import AUTOMATIC_KEY_TAG, AUTOMATIC_TAG, BECAUSE_TAG, tagged_folders
from fruits_assets.money import prices
from fruits_assets.money.budget_gate import check_automatic_run
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import FruitsError
from spark_steps.queries.report import read_report
from spark_steps.storage import locations
from spark_steps.store.store import Store
from tests.support.aws.s3_server import S3
from tests.support.photos import save_photo

Ask = dg.RunRequest | dg.SkipReason


class Automation:
    """The sensors of a store, evaluated as the daemon does, and the runs they ask for."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings, self.instance = settings, instance
        self.definitions = build_definitions(settings)
        self.cursor: str | None = None

    def tick(self, sensor: Any) -> Ask:
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={"settings": self.settings, "store": Store(self.settings.store)},
        )
        outcome = sensor(self.settings)(context)
        self.cursor = context.cursor
        assert isinstance(outcome, dg.RunRequest | dg.SkipReason)
        return outcome

    def folders(self) -> Ask:
        return self.tick(image_folders_sensor)

    def upkeep(self) -> Ask:
        return self.tick(keep_up_to_date_sensor)

    def run(self, job: str, tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
        definition = self.definitions.resolve_job_def(job)
        return definition.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False)

    def do(self, asked: Ask) -> str:
        """Executes what was asked for, and returns the job and its folders, those of a range by its ends."""
        assert isinstance(asked, dg.RunRequest), asked
        assert asked.job_name
        assert self.run(asked.job_name, dict(asked.tags)).success
        if listed := tagged_folders(asked.tags):
            return f"{asked.job_name} {', '.join(listed)}"
        ends = [asked.tags.get(tag) for tag in (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)]
        return f"{asked.job_name} {ends[0]}...{ends[1]}" if any(ends) else asked.job_name

    def under_way(self, job: str, **tags: str) -> None:
        """Leaves a run in the state of one that is at work."""
        definition = self.definitions.resolve_job_def(job)
        named = {f"dagster/{name}": value for name, value in tags.items()}
        self.instance.create_run_for_job(definition, status=dg.DagsterRunStatus.STARTED, tags=named)


def told(outcome: Ask) -> str:
    assert isinstance(outcome, dg.SkipReason), outcome
    return str(outcome.skip_message)


@pytest.fixture
def few(settings: Settings, photos: Path) -> Path:
    """The images root with three folders of two photos."""
    for folder in photos.iterdir():
        if folder.name not in ("Banana", "Lemon", "Plum"):
            shutil.rmtree(folder)
    for photo in [*photos.glob("*/*")]:
        if not photo.stem.endswith(("0", "1")):
            photo.unlink()
    return photos


@pytest.fixture
def automation(settings: Settings, few: Path, instance: dg.DagsterInstance) -> Automation:
    return Automation(settings, instance)


@pytest.fixture
def registered(automation: Automation) -> Automation:
    automation.instance.add_dynamic_partitions(IMAGE_FOLDERS, ["Banana", "Lemon", "Plum"])
    return automation


def test_they_are_shipped_stopped(settings: Settings) -> None:
    status = {sensor.name: sensor.default_status for sensor in build_definitions(settings).sensors or []}
    # It starts nothing.
    assert status.pop("killed_runs_sensor") == dg.DefaultSensorStatus.RUNNING
    stopped = dg.DefaultSensorStatus.STOPPED
    assert status == {"image_folders_sensor": stopped, "keep_up_to_date_sensor": stopped}


def test_nothing_is_asked_for_and_no_folder_dropped_while_an_erasure_is_unfinished(
    automation: Automation, settings: Settings
) -> None:
    locations.write_json(f"{Store(settings.store).erasures}/unfinished/one.json", {})
    for ask in (automation.folders, automation.upkeep):
        assert "is under way or was interrupted (one.json)" in told(ask())
    assert not automation.run("sync_image_folders").success


def test_partitions_are_asked_for_until_they_are_those_of_the_folders(automation: Automation, few: Path) -> None:
    asked = automation.folders()
    assert isinstance(asked, dg.RunRequest)
    assert asked.tags[BECAUSE_TAG] == "3 folders are new, 0 are gone."
    automation.run("sync_image_folders")
    assert len(automation.instance.get_dynamic_partitions(IMAGE_FOLDERS)) == 3
    assert "The 3 partitions are those" in told(automation.folders())
    for _ in range(2):
        # The same folder comes and goes twice, and is asked for each time.
        save_photo(few / "Kiwi" / "1.jpg")
        assert isinstance(automation.folders(), dg.RunRequest)
        automation.run("sync_image_folders")
        shutil.rmtree(few / "Kiwi")
        assert isinstance(automation.folders(), dg.RunRequest)
        automation.run("sync_image_folders")
    assert "Kiwi" not in automation.instance.get_dynamic_partitions(IMAGE_FOLDERS)


def test_a_listing_that_fails_or_finds_nothing_changes_nothing(registered: Automation, few: Path) -> None:
    shutil.rmtree(few)
    assert "does not exist" in told(registered.folders())
    assert "does not exist" in told(registered.upkeep())
    few.mkdir()
    assert "no photo" in told(registered.folders())
    assert not registered.run("sync_image_folders").success
    assert len(registered.instance.get_dynamic_partitions(IMAGE_FOLDERS)) == 3


RANGE = {"asset_partition_range_start": "Banana", "asset_partition_range_end": "Lemon"}


@pytest.mark.parametrize(
    ("job", "tags", "kept"),
    [
        ("extract_features", {"partition": "Lemon"}, {"Lemon"}),
        ("extract_features", RANGE, {"Banana", "Lemon"}),
        # It reads the features of all folders.
        ("fit_pca", {}, {"Banana", "Lemon", "Plum"}),
        ("sync_image_folders", {}, set()),
    ],
)
def test_a_partition_with_a_run_in_flight_is_not_dropped(
    registered: Automation, few: Path, job: str, tags: dict[str, str], kept: set[str]
) -> None:
    registered.under_way(job, **tags)
    for folder in [*few.iterdir()]:
        shutil.rmtree(folder)
    save_photo(few / "Kiwi" / "1.jpg")
    assert registered.run("sync_image_folders").success
    assert set(registered.instance.get_dynamic_partitions(IMAGE_FOLDERS)) == {"Kiwi", *kept}


def test_a_partition_of_an_unfinished_backfill_is_not_dropped(registered: Automation, few: Path) -> None:
    instance = registered.instance
    instance.add_backfill(
        PartitionBackfill.from_asset_partitions(
            backfill_id="abc",
            asset_graph=registered.definitions.resolve_asset_graph(),
            partition_names=["Plum"],
            asset_selection=[dg.AssetKey("raw_images")],
            backfill_timestamp=1.0,
            tags={},
            dynamic_partitions_store=instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
    )
    shutil.rmtree(few / "Plum")
    assert "Gone, but kept while a run works on them: Plum" in told(registered.folders())
    shutil.rmtree(few / "Lemon")
    assert isinstance(registered.folders(), dg.RunRequest)
    assert registered.run("sync_image_folders").success
    assert list(instance.get_dynamic_partitions(IMAGE_FOLDERS)) == ["Banana", "Plum"]
    assert told(registered.upkeep()) == "Backfill abc is under way."


def test_the_store_follows_its_photos_one_run_at_a_time(registered: Automation, few: Path) -> None:
    first = registered.upkeep()
    assert registered.upkeep() == first
    assert isinstance(first, dg.RunRequest)
    assert first.run_key == first.tags[AUTOMATIC_KEY_TAG]
    assert first.tags[AUTOMATIC_TAG] == "keep_up_to_date_sensor"
    assert (
        first.tags[BECAUSE_TAG] == "Photos have come, gone or changed in 3 folders such as 'Banana', 'Lemon', 'Plum'."
    )
    assert registered.do(first) == "extract_features Banana...Plum"
    assert registered.do(registered.upkeep()) == "fit_pca"
    assert registered.do(registered.upkeep()) == "reduce_folders Banana...Plum"
    version = read_report(registered.settings.store).pca_model
    quiet = told(registered.upkeep())
    assert "of all 3 partitions" in quiet
    assert "6 usable photos, 6 when the PCA model was fitted: 0.0% of change (limit 10.0%)" in quiet
    assert quiet.endswith(f"The reduced features are of PCA model {version}.")
    assert told(registered.upkeep()) == quiet

    # A photo that is no photo: the folder is looked at again; the model and what it has reduced stay.
    (few / "Lemon" / "letter.jpg").write_text("not a photo")
    assert registered.do(registered.upkeep()) == "extract_features Lemon...Lemon"
    assert "6 usable photos, 6 when" in told(registered.upkeep())

    # A folder that is no partition yet waits for it; then one run takes it, and the changed one before it.
    save_photo(few / "Kiwi" / "1.jpg", colour=90)
    assert "Not partitions yet: folder 'Kiwi'" in told(registered.upkeep())
    registered.run("sync_image_folders")
    (few / "Lemon" / "letter.jpg").unlink()
    assert registered.do(registered.upkeep()) == "extract_features Lemon, Kiwi"
    asked = registered.upkeep()
    assert isinstance(asked, dg.RunRequest)
    assert "7 usable photos, 6 when the PCA model was fitted: 16.7% of change" in asked.tags[BECAUSE_TAG]
    assert registered.do(asked) == "fit_pca"
    assert registered.do(registered.upkeep()) == "reduce_folders Banana...Kiwi"
    report = read_report(registered.settings.store)
    assert (report.photos, report.usable, report.reduced) == (7, 7, 7)
    assert report.pca_model != version
    assert str(report.pca_model) in told(registered.upkeep())


def test_what_is_under_way_is_waited_for(registered: Automation) -> None:
    registered.under_way("reduce_folders", partition="Lemon")
    assert "of reduce_folders is under way" in told(registered.upkeep())


def test_a_run_that_failed_is_not_asked_for_again_before_something_changes(registered: Automation, few: Path) -> None:
    broken = Automation(
        read_settings(**registered.settings.model_dump() | {"weights": "/nowhere.h5"}), registered.instance
    )
    for number in range(FAILURES_IN_A_ROW):
        save_photo(few / "Lemon" / f"more{number}.jpg")
        asked = broken.upkeep()
        assert isinstance(asked, dg.RunRequest)
        assert not broken.run("extract_features", dict(asked.tags)).success
        again = told(broken.upkeep())
        assert "ended as FAILURE: it is not asked for again" in again
    save_photo(few / "Lemon" / "last.jpg")
    assert f"{FAILURES_IN_A_ROW} automatic runs of extract_features have failed" in told(broken.upkeep())
    # A run that somebody starts, and that succeeds, sets it going again.
    assert registered.run("extract_features", {"dagster/partition": "Banana"}).success
    assert isinstance(registered.upkeep(), dg.RunRequest)


def test_a_folder_that_is_gone_is_left_out_when_its_neighbours_are_featurised(
    registered: Automation, few: Path
) -> None:
    shutil.rmtree(few / "Lemon")
    assert registered.do(registered.upkeep()) == "extract_features Banana, Plum"


@pytest.fixture
def on_emr(s3: S3, few: Path) -> Iterator[Settings]:
    """Settings of the emr deployment, with photos in S3; AWS has no cluster and no Price List API."""
    s3.put_folder(few, "Test")
    prices._of_the_day.cache_clear()
    yield read_settings(deployment="emr", images=f"{s3.bucket}/Test", store=s3.bucket, weights="random:0")
    prices._of_the_day.cache_clear()


def test_on_emr_a_run_is_asked_for_only_as_far_as_the_months_budget_goes(
    on_emr: Settings, instance: dg.DagsterInstance
) -> None:
    instance.add_dynamic_partitions(IMAGE_FOLDERS, ["Banana", "Lemon", "Plum"])
    poor = on_emr.model_copy(update={"budget_eur": 1.0})
    refused = told(Automation(poor, instance).upkeep())
    assert refused.startswith("No cluster is created: the budget of 1.00 EUR")
    assert "Raise FRUITS_BUDGET_EUR" in refused
    asked = Automation(on_emr, instance).upkeep()
    assert isinstance(asked, dg.RunRequest)
    assert asked.tags[ASSET_PARTITION_RANGE_END_TAG] == "Plum"


def test_on_emr_more_photos_than_the_rest_of_the_budget_pays_for_are_left_to_a_person(on_emr: Settings) -> None:
    expected = check_automatic_run(on_emr, images=100_000, image_bytes=5_000)
    assert expected
    assert 0 < expected.total_eur < on_emr.budget_eur
    with pytest.raises(FruitsError, match=r"50,000,000 new photos are expected to cost \d+\.\d\d EUR, and 10\.00 EUR"):
        check_automatic_run(on_emr, images=50_000_000, image_bytes=5_000)


def test_on_this_machine_nothing_is_paid_for_and_nobody_is_asked(settings: Settings) -> None:
    assert check_automatic_run(settings.model_copy(update={"budget_eur": 0.0}), images=50_000_000) is None
