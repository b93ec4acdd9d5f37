"""Features: one row for each photo, and only new photos are run."""

import hashlib
import os
import resource
import shutil
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from spark_steps.errors import FruitsError
from spark_steps.features.extractor import FeatureExtractor
from spark_steps.features.mobilenet import FeatureUpdate
from spark_steps.features.weights import MobileNetModel
from spark_steps.photos.decoding import decode
from spark_steps.photos.measures import Measures
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.schemas import FEATURES_SCHEMA
from tests.support.photos import save_photo
from tests.support.steps import write_features, write_raw_images


class Platform:
    """A store brought up to date by the plain steps."""

    def __init__(self, spark: SparkSession, images: Path, root: Path, network: MobileNetModel) -> None:
        self.spark, self.images, self.network = spark, images, network
        self.store = Store(str(root))

    def update(self, *folders: str, full_refresh: bool = False) -> FeatureUpdate:
        self.list_photos(*folders)
        return self.featurise(*folders, full_refresh=full_refresh)

    def list_photos(self, *folders: str) -> None:
        write_raw_images(self.store, self.images, folders)

    def featurise(self, *folders: str, full_refresh: bool = False) -> FeatureUpdate:
        return write_features(self.spark, self.store, self.images, self.network, folders, full_refresh=full_refresh)

    def files(self, *folders: str) -> list[str]:
        return [file.path for file in self.store.mobilenet_features.files(folders or None)]

    def rows(self) -> dict[str, dict[str, object]]:
        columns = self.store.mobilenet_features.schema.names
        return {Path(r["path"]).name: r for r in self.store.mobilenet_features.arrow(columns).to_pylist()}


@pytest.fixture
def platform(spark: SparkSession, tmp_path: Path, network: MobileNetModel) -> Platform:
    for number in range(3):
        save_photo(tmp_path / "images" / "Apple" / f"a{number}.jpg", colour=80 * number)
        save_photo(tmp_path / "images" / "Pear" / f"p{number}.png", colour=80 * number + 40)
    return Platform(spark, tmp_path / "images", tmp_path / "store", network)


def test_each_photo_gets_the_features_the_network_gives_it(platform: Platform) -> None:
    update = platform.update("Apple", "Pear")
    assert update.inferences.value == 6
    extractor = FeatureExtractor(platform.network.flatbuffer)
    rows = platform.rows()
    assert len(rows) == 6
    for row in rows.values():
        data = (platform.images / str(row["path"])).read_bytes()
        assert row["error"] is None
        assert (row["width"], row["height"], row["length"]) == (60, 40, len(data))
        assert row["model"] == platform.network.fingerprint
        np.testing.assert_array_equal(np.array(row["features"], np.float32), extractor.extract(decode(data, 10**8)))


def test_folders_without_features_get_the_rows_that_a_comparison_gives(platform: Platform) -> None:
    (platform.images / "Apple" / "text.jpg").write_text("a letter")
    (platform.images / "Pear" / "empty.jpg").touch()
    (platform.images / "Fig").mkdir()
    (platform.images / "Fig" / "gone.jpg").touch()
    first = platform.update("Apple", "Fig", "Pear")
    at_once = platform.rows()
    compared = platform.featurise("Apple", "Fig", "Pear", full_refresh=True)
    assert platform.rows() == at_once
    assert first.change.folders == compared.change.folders == {"Apple", "Fig", "Pear"}
    assert (first.inferences.value, first.done.value) == (compared.inferences.value, compared.done.value) == (6, 9)


def test_rows_of_a_folder_are_in_the_order_of_their_paths_however_large_their_files_are(platform: Platform) -> None:
    # Spark lists the largest first; so many photos are several tasks'.
    for number in range(80):
        save_photo(platform.images / "Fig" / f"{number:03}.bmp", colour=number, size=(4 + number * 7 % 80, 20))
    platform.update("Apple", "Fig", "Pear")
    assert len(platform.store.mobilenet_features.files(["Fig"])) > 1
    rows = platform.store.mobilenet_features.arrow(["folder", "path"]).to_pylist()
    assert rows == sorted(rows, key=lambda row: (row["folder"], row["path"]))
    assert len(rows) == 86


def test_no_room_for_the_network_on_the_disk_is_one_sentence(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    smallest, largest = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As on a full disk, a file cannot grow.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, largest))
    try:
        with pytest.raises(FruitsError, match=r"cannot keep the network in its temporary directory.*Make room"):
            platform.update("Apple")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (smallest, largest))
    assert "Traceback" not in capsys.readouterr().err


def test_unusable_photos_carry_their_reason_and_do_not_disturb_their_neighbours(platform: Platform) -> None:
    apple = platform.images / "Apple"
    (apple / "text.jpg").write_text("a letter")
    (apple / "half.jpg").write_bytes(save_photo(apple / "whole.jpg", size=(400, 300)).read_bytes()[:3000])
    (apple / "empty.jpg").touch()
    update = platform.update("Apple")
    rows = platform.rows()
    reasons = {name: str(row["error"]).split(":")[0] for name, row in rows.items() if row["error"]}
    assert reasons == {"text.jpg": "not an image", "half.jpg": "truncated", "empty.jpg": "empty"}
    assert all((row["features"] is None) == (row["error"] is not None) for row in rows.values())
    assert rows["text.jpg"]["image_id"] is not None
    assert rows["empty.jpg"]["image_id"] is None
    assert update.inferences.value == 4


def test_a_second_run_computes_nothing_and_writes_nothing(platform: Platform) -> None:
    (platform.images / "Apple" / "text.jpg").write_text("a letter")
    (platform.images / "Apple" / "empty.jpg").touch()
    platform.update("Apple", "Pear")
    tables = platform.store.raw_images, platform.store.mobilenet_features
    before = [table.snapshot() for table in tables]
    update = platform.update("Apple", "Pear")
    assert update.change.is_empty
    assert update.inferences.value == 0
    assert [table.snapshot() for table in tables] == before


def test_only_new_and_changed_photos_are_run(platform: Platform) -> None:
    platform.update("Apple", "Pear")
    before = platform.rows()
    save_photo(platform.images / "Apple" / "new.jpg", colour=7)
    save_photo(platform.images / "Apple" / "a1.jpg", colour=9, size=(64, 64))
    (platform.images / "Apple" / "a2.jpg").unlink()
    update = platform.update("Apple", "Pear")
    assert update.change.folders == {"Apple"}
    assert (update.work["Apple"].kept, update.work["Apple"].computed, update.work["Apple"].outdated) == (1, 2, 2)
    assert update.inferences.value == 2
    after = platform.rows()
    assert set(after) == {"a0.jpg", "a1.jpg", "new.jpg", "p0.png", "p1.png", "p2.png"}
    assert after["a0.jpg"] == before["a0.jpg"]
    assert after["a1.jpg"]["image_id"] != before["a1.jpg"]["image_id"]


def test_a_folder_that_has_lost_all_its_photos_has_no_rows(platform: Platform) -> None:
    platform.update("Apple", "Pear")
    for file in (platform.images / "Apple").iterdir():
        file.unlink()
    platform.update("Apple", "Pear")
    assert platform.store.mobilenet_features.folders() == ["Pear"]


def test_another_network_or_a_full_refresh_computes_everything_again(platform: Platform) -> None:
    platform.update("Pear")
    assert platform.update("Pear", full_refresh=True).inferences.value == 3
    platform.network = replace(platform.network, fingerprint="another" * 9)
    assert platform.update("Pear").inferences.value == 3
    assert {row["model"] for row in platform.rows().values()} == {platform.network.fingerprint}


def test_a_photo_that_vanished_is_tried_again_and_a_broken_one_is_not(
    platform: Platform,
) -> None:
    apple = platform.images / "Apple"
    (apple / "text.jpg").write_text("a letter")
    platform.list_photos("Apple")
    moved, stat = platform.images / "a0.jpg", (apple / "a0.jpg").stat()
    (apple / "a0.jpg").rename(moved)
    platform.featurise("Apple")
    assert str(platform.rows()["a0.jpg"]["error"]).startswith("vanished:")
    moved.rename(apple / "a0.jpg")
    os.utime(apple / "a0.jpg", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    update = platform.update("Apple")
    assert update.work["Apple"].computed == 1
    assert platform.rows()["a0.jpg"]["error"] is None


def test_a_photo_that_changes_after_it_was_listed_has_the_features_that_its_id_says_and_is_computed_again(
    platform: Platform,
) -> None:
    photo = platform.images / "Apple" / "a0.jpg"
    platform.list_photos("Apple")
    save_photo(photo, colour=222, size=(64, 64))
    platform.featurise("Apple")
    assert platform.rows()["a0.jpg"]["image_id"] == hashlib.sha256(photo.read_bytes()).hexdigest()
    update = platform.update("Apple")
    assert update.work["Apple"].computed == 1
    assert platform.rows()["a0.jpg"]["length"] == photo.stat().st_size


def test_a_photo_replaced_by_one_of_its_length_and_time_is_noticed_by_a_full_refresh_alone(platform: Platform) -> None:
    photo = save_photo(platform.images / "Apple" / "same.bmp", colour=10)
    status = photo.stat()
    platform.update("Apple")
    before = platform.rows()["same.bmp"]["image_id"]
    save_photo(photo, colour=200)
    os.utime(photo, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert photo.stat().st_size == status.st_size
    assert platform.update("Apple").change.is_empty
    platform.update("Apple", full_refresh=True)
    assert platform.rows()["same.bmp"]["image_id"] != before


def test_rows_are_the_same_in_any_order_of_folders(platform: Platform, tmp_path: Path) -> None:
    platform.update("Apple", "Pear")
    other = Platform(platform.spark, platform.images, tmp_path / "other", platform.network)
    other.update("Pear")
    other.update("Apple")
    assert other.rows() == platform.rows()


def test_a_folder_gets_few_files_however_many_tasks_there_are(platform: Platform) -> None:
    for folder in range(12):
        for number in range(6):
            save_photo(platform.images / f"F{folder:02d}" / f"{number}.jpg", colour=number)
    folders = [f"F{folder:02d}" for folder in range(12)]
    platform.update(*folders)
    tasks = platform.spark.sparkContext.defaultParallelism
    assert len(platform.files()) <= len(folders) + tasks


def test_photos_that_come_are_added_in_files_of_their_own_and_no_other_file_is_written(platform: Platform) -> None:
    platform.update("Apple", "Pear")
    before = platform.files()
    save_photo(platform.images / "Apple" / "new.jpg", colour=7)
    platform.update("Apple", "Pear")
    (new,) = [file for file in platform.store.mobilenet_features.files() if file.path not in before]
    assert (new.folder, new.rows) == ("Apple", 1)
    assert set(before) < set(platform.files())


def test_a_photo_that_goes_rewrites_only_the_file_that_held_it(platform: Platform) -> None:
    platform.update("Apple")
    save_photo(platform.images / "Apple" / "new.jpg", colour=7)
    platform.update("Apple")
    files, rows = {file.path: file for file in platform.store.mobilenet_features.files()}, platform.rows()
    (platform.images / "Apple" / "new.jpg").unlink()
    update = platform.update("Apple")
    assert update.inferences.value == 0
    (gone,) = set(files) - set(platform.files())
    assert files[gone].rows == 1
    rows.pop("new.jpg")
    assert platform.rows() == rows


def test_a_photo_with_another_time_and_the_same_bytes_is_read_and_not_run(platform: Platform) -> None:
    (platform.images / "Apple" / "text.jpg").write_text("a letter")
    platform.update("Apple")
    before = platform.rows()
    for name in ("a0.jpg", "text.jpg"):
        os.utime(platform.images / "Apple" / name, (1_700_000_000, 1_700_000_000))
    update = platform.update("Apple")
    assert (update.inferences.value, update.done.value, update.work["Apple"].computed) == (0, 2, 2)
    after = platform.rows()
    for name, row in after.items():
        assert {**row, "modification_time": None} == {**before[name], "modification_time": None}
    assert after["a0.jpg"]["modification_time"].timestamp() == 1_700_000_000  # type: ignore[attr-defined]
    assert platform.update("Apple").change.is_empty


def test_a_photo_with_another_time_and_other_bytes_of_the_same_length_is_run(platform: Platform) -> None:
    photo = save_photo(platform.images / "Apple" / "same.bmp", colour=10)
    platform.update("Apple")
    before = platform.rows()
    save_photo(photo, colour=200)
    os.utime(photo, (1_700_000_000, 1_700_000_000))
    assert platform.update("Apple").inferences.value == 1
    after = platform.rows()
    assert after["same.bmp"]["image_id"] == hashlib.sha256(photo.read_bytes()).hexdigest()
    assert after["same.bmp"]["features"] != before.pop("same.bmp")["features"]
    assert {name: after[name] for name in before} == before


def test_photos_that_have_moved_to_another_place_are_not_run_again(platform: Platform, tmp_path: Path) -> None:
    platform.update("Apple", "Pear")
    before = platform.rows()
    # As a copy without its times.
    for file in platform.images.rglob("*.*"):
        copy = tmp_path / "moved" / file.relative_to(platform.images)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
        os.utime(copy, (1_700_000_000, 1_700_000_000))
    shutil.rmtree(platform.images)
    told = platform.store.use_images(str(tmp_path / "moved"))
    assert told is not None
    assert f"have moved from {platform.images} to {tmp_path / 'moved'}: of 6 looked for, 6 lie there" in told
    platform.images = tmp_path / "moved"
    assert platform.update("Apple", "Pear").inferences.value == 0
    after = platform.rows()
    assert {name: row["features"] for name, row in after.items()} == {
        name: row["features"] for name, row in before.items()
    }


MEASURES = [field.name for field in fields(Measures)]


def measures_of(row: dict[str, object]) -> dict[str, object]:
    return {name: row[name] for name in MEASURES}


def test_each_photo_with_features_has_its_measures_and_a_refused_one_has_none(platform: Platform) -> None:
    (platform.images / "Apple" / "text.jpg").write_text("a letter")
    (platform.images / "Apple" / "empty.jpg").touch()
    platform.update("Apple", "Pear")
    for row in platform.rows().values():
        if row["error"]:
            assert measures_of(row) == dict.fromkeys(MEASURES)
        else:
            data = (platform.images / str(row["path"])).read_bytes()
            assert measures_of(row) == pytest.approx(asdict(decode(data, 10**8).measures), rel=1e-6)


def test_a_photos_row_is_the_same_among_others_and_alone(platform: Platform, tmp_path: Path) -> None:
    platform.update("Apple", "Pear")
    alone = Platform(platform.spark, tmp_path / "one", tmp_path / "store of one", platform.network)
    (alone.images / "Apple").mkdir(parents=True)
    shutil.copy2(platform.images / "Apple" / "a1.jpg", alone.images / "Apple")
    alone.update("Apple")
    assert alone.rows() == {"a1.jpg": platform.rows()["a1.jpg"]}


def without_measures(platform: Platform) -> FolderTable:
    """Writes the features anew as an earlier release has written them, before photos were measured."""
    features = platform.store.mobilenet_features
    schema = pa.schema([field for field in FEATURES_SCHEMA if field.name not in MEASURES])
    rows = {folder: [features.arrow(schema.names, [folder])] for folder in features.folders()}
    shutil.rmtree(features.root)
    old = FolderTable(features.root, schema)
    old.write(old.replacement(DriverRows(rows), list(rows)))
    return old


def test_a_store_from_before_the_measures_is_read_and_gets_them_for_every_photo_that_is_computed(
    platform: Platform,
) -> None:
    platform.update("Apple", "Pear")
    measured = platform.rows()
    without_measures(platform)
    unmeasured = {name: {**row, **dict.fromkeys(MEASURES)} for name, row in measured.items()}
    assert platform.rows() == unmeasured
    assert platform.store.mobilenet_features.scan(platform.spark).where("brightness IS NULL").count() == 6
    assert platform.update("Apple", "Pear").change.is_empty
    # One file is written again with rows that stay, rows that are compared by their bytes, and a new one.
    save_photo(platform.images / "Apple" / "new.jpg", colour=7)
    (platform.images / "Apple" / "a0.jpg").unlink()
    os.utime(platform.images / "Apple" / "a1.jpg", (1_700_000_000, 1_700_000_000))
    assert platform.update("Apple", "Pear").inferences.value == 1
    rows = platform.rows()
    assert [name for name, row in rows.items() if row["brightness"] is not None] == ["new.jpg"]
    assert rows["a2.jpg"] == unmeasured["a2.jpg"]
    # Another fingerprint, as that of other preprocessing, has all photos computed again.
    platform.network = replace(platform.network, fingerprint="another" * 9)
    platform.update("Apple", "Pear")
    rows = platform.rows()
    assert all(measures_of(rows[name]) == measures_of(measured[name]) for name in ("a1.jpg", "a2.jpg", "p0.png"))
    assert not [name for name, row in rows.items() if row["brightness"] is None]
