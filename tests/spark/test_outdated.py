"""The look before a run finds exactly what a run would change, whatever has happened to the photos."""

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_steps.features.weights import MobileNetModel, load_model, make_current
from spark_steps.pca.model import PcaSettings, fit, settings_for_next
from spark_steps.pca.model_store import asked_before, save
from spark_steps.pca.reduce import plan_reduced
from spark_steps.photos.listing import list_image_folders
from spark_steps.store import outdated
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import FolderTable
from tests.support.photos import save_photo
from tests.support.steps import LIMITS, write_features, write_raw_images, write_store

FOLDERS = ("Apple", "Fig", "Pear/deep")


class Pipeline:
    """A store and its photos, and what is asked for."""

    def __init__(self, spark: SparkSession, directory: Path, networks: list[Path]) -> None:
        self.spark, self.images, self.root = spark, directory / "photos", directory
        self.networks, self.asked = [str(network) for network in networks], PcaSettings(2)
        self.limits = LIMITS
        self.store = Store(str(directory / "store"))

    @property
    def weights(self) -> str:
        return self.networks[0]

    def folders(self) -> list[str]:
        return list(list_image_folders(str(self.images)).photos)

    def due(self) -> list[str]:
        return outdated.folders_to_featurise(self.store, str(self.images), self.folders(), self.weights, self.limits)

    def network(self, store: Store) -> MobileNetModel:
        return load_model(self.weights, store.mobilenet_models)

    def bring_up_to_date(self) -> None:
        """What ``fruits run`` does: only what the look finds is run."""
        for table in self.store.tables.values():
            table.drop(set(table.folders()) - set(self.folders()))
        self.featurise(self.store, self.due())
        if outdated.pca_is_outdated(self.store, self.asked):
            self.fit(self.store)
        self.reduce(self.store, outdated.folders_to_reduce(self.store))

    def from_scratch(self, name: str) -> Store:
        """A store of the same photos in which everything was run."""
        store = Store(str(self.root / name))
        write_store(self.spark, store, self.images, self.weights, self.asked, self.limits)
        return store

    def featurise(self, store: Store, folders: list[str]) -> None:
        write_raw_images(store, self.images, folders)
        network = self.network(store)
        make_current(network, store.mobilenet_models)
        write_features(self.spark, store, self.images, network, folders, limits=self.limits)

    def fit(self, store: Store) -> None:
        wanted, _ = settings_for_next(self.asked, asked_before(store.pca_models))
        save(fit(self.spark, store.mobilenet_features, self.network(store), wanted), store.pca_models)

    def reduce(self, store: Store, folders: list[str]) -> None:
        reduced, model = store.reduced_features, store.existing_pca_model()
        reduced.write(plan_reduced(self.spark, store.mobilenet_features, reduced, folders, model))


@pytest.fixture(scope="module")
def as_made(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, network_file: Path, other_network_file: Path
) -> Pipeline:
    """Photos and a store that is up to date, and a copy of their directory beside it."""
    directory = tmp_path_factory.mktemp("outdated") / "place"
    made = Pipeline(spark, directory, [network_file, other_network_file])
    for number, folder in enumerate(FOLDERS):
        for photo in range(3):
            save_photo(made.images / folder / f"{photo}.png", 40 * number + 9 * photo)
    made.bring_up_to_date()
    shutil.copytree(directory, f"{directory} as made")
    return made


@pytest.fixture
def pipeline(as_made: Pipeline) -> Pipeline:
    """The same photos and store in the same place, which the store has noted, whatever a test before has changed."""
    shutil.rmtree(as_made.root)
    shutil.copytree(f"{as_made.root} as made", as_made.root)
    return Pipeline(as_made.spark, as_made.root, [Path(network) for network in as_made.networks])


def some_photo(pipeline: Pipeline, chance: random.Random) -> Path:
    return chance.choice(sorted(pipeline.images.rglob("*.png")))


def add(pipeline: Pipeline, chance: random.Random) -> None:
    save_photo(pipeline.images / chance.choice(FOLDERS) / f"new {chance.random()}.png", chance.randrange(256))


def add_a_folder(pipeline: Pipeline, chance: random.Random) -> None:
    save_photo(pipeline.images / f"New {chance.randrange(1000)}" / "0.png", chance.randrange(256))


def remove(pipeline: Pipeline, chance: random.Random) -> None:
    some_photo(pipeline, chance).unlink()


def replace_by_an_older_photo(pipeline: Pipeline, chance: random.Random) -> None:
    photo = some_photo(pipeline, chance)
    save_photo(photo, chance.randrange(256))
    os.utime(photo, (1_500_000_000, 1_500_000_000))


def replace_at_the_same_time(pipeline: Pipeline, chance: random.Random) -> None:
    """Another length, and the modification time that the photo had."""
    photo = some_photo(pipeline, chance)
    before = photo.stat().st_mtime_ns
    save_photo(photo, chance.randrange(256), (chance.randrange(30, 60), 30))
    os.utime(photo, ns=(before, before))


def touch(pipeline: Pipeline, chance: random.Random) -> None:
    os.utime(some_photo(pipeline, chance), (chance.randrange(1, 2_000_000_000),) * 2)


def rename(pipeline: Pipeline, chance: random.Random) -> None:
    photo = some_photo(pipeline, chance)
    photo.rename(photo.with_name(f"renamed {chance.random()}.png"))


def move_to_another_folder(pipeline: Pipeline, chance: random.Random) -> None:
    photo = some_photo(pipeline, chance)
    photo.rename(pipeline.images / chance.choice(FOLDERS) / f"moved {chance.random()}.png")


def damage(pipeline: Pipeline, chance: random.Random) -> None:
    photo = some_photo(pipeline, chance)
    photo.write_bytes(photo.read_bytes()[: chance.choice([0, 40])])


def ask_for_other_components(pipeline: Pipeline, chance: random.Random) -> None:
    pipeline.asked = chance.choice([PcaSettings(1), PcaSettings(3), PcaSettings(variance=0.7)])


def other_weights(pipeline: Pipeline, chance: random.Random) -> None:
    pipeline.networks.reverse()


def save_large_photo(pipeline: Pipeline, chance: random.Random) -> Path:
    return save_photo(pipeline.images / chance.choice(FOLDERS) / "large.png", chance.randrange(256), (90, 90))


def decode_fewer_pixels(pipeline: Pipeline, chance: random.Random) -> None:
    """The new photo has too many; the others have at most 2,400."""
    save_large_photo(pipeline, chance)
    pipeline.limits = replace(LIMITS, max_pixels=chance.randrange(2_400, 8_100))


def decode_more_pixels(pipeline: Pipeline, chance: random.Random) -> None:
    pipeline.limits = replace(LIMITS, max_pixels=chance.randrange(10_000, 20_000))


def nothing(pipeline: Pipeline, chance: random.Random) -> None:
    pass


CHANGES: list[Callable[[Pipeline, random.Random], None]] = [
    add,
    add_a_folder,
    remove,
    replace_by_an_older_photo,
    replace_at_the_same_time,
    touch,
    rename,
    move_to_another_folder,
    damage,
    ask_for_other_components,
    other_weights,
    decode_fewer_pixels,
    decode_more_pixels,
    nothing,
]


def rows(table: FolderTable) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.arrow([*table.schema.names, "folder"]).to_pylist()
    return sorted(found, key=lambda row: (row["folder"], row["path"]))


def assert_equal(one: Store, other: Store) -> None:
    for name, table in one.tables.items():
        assert rows(table) == rows(other.tables[name]), name
    assert one.existing_pca_model().version == other.existing_pca_model().version


@pytest.mark.parametrize("seed", [1])
def test_what_the_look_leaves_out_is_what_a_run_from_scratch_would_make_alike(pipeline: Pipeline, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    changes = chance.sample(CHANGES, len(CHANGES))
    for number in range(0, len(changes), 2):
        for change in changes[number : number + 2]:
            change(pipeline, chance)
        pipeline.bring_up_to_date()
        assert_equal(pipeline.store, pipeline.from_scratch(f"scratch {number}"))
        assert pipeline.due() == []


def test_where_nothing_has_changed_nothing_is_due(pipeline: Pipeline) -> None:
    assert pipeline.due() == []
    assert not outdated.pca_is_outdated(pipeline.store, pipeline.asked)
    assert not outdated.pca_is_outdated(pipeline.store, None)
    assert outdated.folders_to_reduce(pipeline.store) == []


@pytest.mark.parametrize("lost", ["model.json", "components.parquet", "all", "cut"])
def test_a_pca_model_that_is_lost_or_damaged_is_fitted_again(pipeline: Pipeline, lost: str) -> None:
    before = pipeline.store.existing_pca_model()
    directory = Path(pipeline.store.pca_models, before.version)
    if lost == "all":
        shutil.rmtree(directory)
    elif lost == "cut":
        whole = (directory / "components.parquet").read_bytes()
        (directory / "components.parquet").write_bytes(whole[:100])
    else:
        (directory / lost).unlink()
    assert outdated.pca_is_outdated(pipeline.store, pipeline.asked)
    pipeline.bring_up_to_date()
    assert pipeline.store.existing_pca_model().version == before.version
    assert not outdated.pca_is_outdated(pipeline.store, pipeline.asked)


@pytest.mark.parametrize(
    "change",
    [remove, replace_by_an_older_photo, replace_at_the_same_time, touch, rename, damage],
    ids=lambda one: one.__name__,
)
def test_a_change_of_one_photo_makes_its_folder_due_and_no_other(
    pipeline: Pipeline, change: Callable[[Pipeline, random.Random], None]
) -> None:
    first, second = (random.Random(5) for _ in range(2))  # noqa: S311
    folder = str(some_photo(pipeline, first).parent.relative_to(pipeline.images))
    change(pipeline, second)
    assert pipeline.due() == [folder]


def test_another_limit_of_pixels_makes_those_folders_due_in_which_it_may_decide_otherwise(pipeline: Pipeline) -> None:
    large = save_large_photo(pipeline, random.Random(5))  # noqa: S311
    folder = str(large.parent.relative_to(pipeline.images))
    pipeline.bring_up_to_date()

    # All photos have a sixth of these pixels at most, so no kind of file with as many could be refused.
    pipeline.limits = replace(LIMITS, max_pixels=6 * 8_100)
    assert pipeline.due() == []
    for lower_or_higher in (8_099, 20_000):
        pipeline.limits = replace(LIMITS, max_pixels=lower_or_higher)
        assert folder in pipeline.due()
        pipeline.bring_up_to_date()
        assert pipeline.due() == []
    pipeline.limits = LIMITS
    assert pipeline.due() == []
    assert {row["error"] for row in rows(pipeline.store.mobilenet_features)} == {None}
