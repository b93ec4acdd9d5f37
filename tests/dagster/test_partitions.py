"""Partitions: what to add, what to drop, what to leave alone."""

from pathlib import Path

import dagster as dg
import pytest
from pyspark.sql import SparkSession

from fruits_assets.instance.in_flight import partitions_of_tags
from fruits_assets.instance.partitions import (
    IMAGE_FOLDERS,
    FolderChanges,
    contiguous_ranges,
    folder_changes,
    is_partition_key,
    partition_tags,
    synchronise,
)
from fruits_assets.instance.tags import tagged_folders
from spark_steps.errors import FruitsError
from spark_steps.photos.listing import ImageFolders, list_image_folders
from spark_steps.store.store import Store
from tests.support.photos import save_photo
from tests.support.steps import write_raw_images


def test_new_folders_are_added_and_gone_ones_dropped() -> None:
    assert folder_changes(["B", "C", "A"], ["B", "D"]) == FolderChanges(add=["A", "C"], drop=["D"])


def test_a_name_that_dagster_refuses_is_set_apart() -> None:
    changes = folder_changes(["A", "B...C", "new\nline"], [])
    assert (changes.add, changes.refused) == (["A"], ["B...C", "new\nline"])


def test_the_names_refused_are_those_that_dagster_refuses_as_static_partitions() -> None:
    for name in ("A", "a/b", "k=v", "50%", "é", "a,b", "[x]", "a..b"):
        assert is_partition_key(name)
        dg.StaticPartitionsDefinition([name])
    for name in ("a...b", "a\nb", "a\tb"):
        assert not is_partition_key(name)
        with pytest.raises(dg.DagsterInvalidDefinitionError):
            dg.StaticPartitionsDefinition([name])


def test_wanted_partitions_become_runs_of_neighbours_in_the_order_of_registration() -> None:
    registered = ["C", "A", "B", "E", "D"]
    assert contiguous_ranges(registered, registered) == [("C", "D")]
    assert contiguous_ranges({"A", "B", "D"}, registered) == [("A", "B"), ("D", "D")]
    assert contiguous_ranges(set(), registered) == []


def store_with(spark: SparkSession, images: Path, root: Path) -> Store:
    store = Store(str(root))
    write_raw_images(store, images)
    return store


def test_a_folder_that_is_gone_loses_its_rows_and_the_others_keep_theirs(
    spark: SparkSession, photos: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    store = store_with(spark, photos, tmp_path / "store")
    synchronise(instance, store, str(photos), list_image_folders(str(photos)))
    kept = store.raw_images.files(["Lemon"])
    for file in (photos / "Banana").iterdir():
        file.unlink()
    changes = synchronise(instance, store, str(photos), list_image_folders(str(photos)))
    assert changes.drop == ["Banana"]
    assert "Banana" not in store.raw_images.folders()
    assert "Banana" not in instance.get_dynamic_partitions(IMAGE_FOLDERS)
    assert store.raw_images.files(["Lemon"]) == kept


def test_an_images_root_without_any_photo_drops_nothing(
    spark: SparkSession, photos: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    store = store_with(spark, photos, tmp_path / "store")
    synchronise(instance, store, str(photos), list_image_folders(str(photos)))
    with pytest.raises(FruitsError, match="Nothing is dropped"):
        synchronise(instance, store, str(photos), ImageFolders())
    assert len(store.raw_images.folders()) == 8


def test_a_store_of_other_photos_is_left_alone(
    spark: SparkSession, photos: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    store = store_with(spark, photos, tmp_path / "store")
    elsewhere = tmp_path / "elsewhere"
    save_photo(elsewhere / "Pear" / "1.jpg")
    with pytest.raises(FruitsError, match=r"holds the photos of .* 0 lie below .*Use another store"):
        synchronise(instance, store, str(elsewhere), list_image_folders(str(elsewhere)))
    assert len(store.raw_images.folders()) == 8


def test_the_parent_of_the_images_root_and_its_subfolder_are_other_roots(
    spark: SparkSession, photos: Path, tmp_path: Path
) -> None:
    save_photo(photos / "Nested" / "Deeper" / "1.jpg")
    store = store_with(spark, photos, tmp_path / "store")
    store.check_images(str(photos))
    for other in (photos.parent, photos / "Nested"):
        for refuse in (store.check_images, store.use_images):
            with pytest.raises(FruitsError, match="Use another store"):
                refuse(str(other))


def test_a_run_of_folders_that_are_no_neighbours_names_them_and_works_on_no_other() -> None:
    registered = ["D", "A", "B", "C", "E"]
    neighbours = partition_tags(["A", "B"], registered)
    assert tagged_folders(neighbours) is None
    assert partitions_of_tags(neighbours, registered) == {"A", "B"}
    scattered = partition_tags(["D", "B", "C"], registered)
    assert scattered["dagster/asset_partition_range_start"] == "B"
    assert scattered["dagster/asset_partition_range_end"] == "C"
    assert tagged_folders(scattered) == ["D", "B", "C"]
    assert partitions_of_tags(scattered, registered) == {"B", "C", "D"}
