"""The whole graph, in process: every photo accounted for, nothing done twice, every promise checked."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from dagster import AssetKey, DagsterInstance, RunsFilter
from deltalake import DeltaTable

from fruits_assets.assets import ALL_ASSETS
from fruits_assets.assets.checks import ALL_CHECKS, differing_folders
from fruits_assets.commands.support.report_text import as_text
from fruits_assets.definitions import build_definitions
from fruits_assets.instance.partitions import IMAGE_FOLDERS
from fruits_assets.instance.tags import tagged_folders
from fruits_assets.resources import local_resources
from fruits_assets.sample_photos import write_sample
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import FruitsError
from spark_steps.pca import model_store
from spark_steps.queries.report import read_report
from spark_steps.store.store import Store
from spark_steps.store.summaries import summarise, total
from spark_steps.tables.deferred_rows import DriverRows
from tests.support.photos import save_photo
from tests.support.pipeline import run_pipeline
from tests.support.runs import checks_of

TABLES = ("raw_images", "mobilenet_features", "reduced_features")


def run(settings: Settings, instance: DagsterInstance, *patterns: str) -> list[str]:
    told: list[str] = []
    run_pipeline(settings, instance, patterns or ("*",), told.append)
    return told


def metadata_of(instance: DagsterInstance, asset: str, folder: str | None = None) -> dict[str, object]:
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(AssetKey(asset), asset_partitions=[folder]) if folder else AssetKey(asset), limit=1
    ).records
    materialization = records[0].asset_materialization
    assert materialization is not None
    return {name: value.value for name, value in materialization.metadata.items()}


def worked_on(instance: DagsterInstance) -> dict[str, object]:
    """The folders of the last run of features, with the number of photos that it worked on."""
    last = instance.get_runs(RunsFilter(job_name="extract_features"), limit=1)[0]
    found = instance.fetch_materializations(AssetKey("mobilenet_features"), limit=100).records
    of_run = [one.asset_materialization for one in found if one.run_id == last.run_id]
    return {one.partition: one.metadata["photos_worked_on"].value for one in of_run if one and one.partition}


@dataclass(frozen=True)
class Ran:
    """What one run has left; tests only look at it, or copy it."""

    settings: Settings
    photos: Path
    instance: DagsterInstance

    def copied(self, directory: Path) -> Settings:
        """Returns settings for a copy of the store, which may be changed."""
        shutil.copytree(self.settings.store, directory / "copy of the store")
        return self.settings.model_copy(update={"store": str(directory / "copy of the store")})


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, network_file: Path) -> Iterator[Ran]:
    """A run of eight folders of four photos, one of them with a letter and notes."""
    root = tmp_path_factory.mktemp("ran")
    write_sample(root / "photos", photos_per_folder=4)
    (root / "photos" / "Lemon" / "letter.jpg").write_text("not a photo")
    (root / "photos" / "Lemon" / "notes.txt").write_text("x")
    settings = read_settings(
        images=str(root / "photos"), store=str(root / "store"), weights=str(network_file), cores="2"
    )
    with DagsterInstance.ephemeral() as instance:
        run(settings, instance)
        yield Ran(settings, root / "photos", instance)


def test_every_photo_is_accounted_for_only_new_work_is_done_and_a_folder_that_is_gone_disappears(
    settings: Settings, photos: Path, instance: DagsterInstance
) -> None:
    store = Store(settings.store)
    run(settings, instance)
    assert [total(summarise(store.tables[name])).rows for name in TABLES] == [32, 32, 32]
    first = read_report(settings.store)
    assert (first.folders, first.photos, first.usable, first.reduced, first.components) == (8, 32, 32, 32, 31)
    assert all(passed for passed, _ in checks_of(instance).values()), checks_of(instance)

    # Again, with the network that the store has: no run, and not a row written.
    snapshots, runs = [table.snapshot() for table in store.tables.values()], len(instance.get_runs())
    run(settings.model_copy(update={"weights": None}), instance)
    assert len(instance.get_runs()) == runs
    assert [table.snapshot() for table in store.tables.values()] == snapshots

    # A folder more, and three photos more in another: only those.
    for number in range(5):
        save_photo(photos / "Kiwi" / f"{number}.jpg", colour=30 * number)
    for number in range(3):
        save_photo(photos / "Lemon" / f"new{number}.png", colour=50 * number)
    run(settings, instance)
    assert worked_on(instance) == {"Kiwi": 5, "Lemon": 3}
    grown = read_report(settings.store)
    assert (grown.folders, grown.photos, grown.reduced) == (9, 40, 40)
    assert grown.pca_model != first.pca_model
    assert all(passed for passed, _ in checks_of(instance).values()), checks_of(instance)

    # Other programs read it all, without any of our code.
    reduced = DeltaTable(f"{settings.store}/PCA_Results/reduced_features").to_pandas()
    assert set(reduced.columns) == {"image_id", "path", "label", "reduced", "pca_model", "folder"}
    assert np.stack(reduced["reduced"].tolist()).shape == (40, grown.components)
    assert (reduced["label"] == reduced["folder"].astype(str)).all()
    features = DeltaTable(f"{settings.store}/Results/mobilenet_features").to_pandas(columns=["features", "error"])
    assert np.stack(features["features"].tolist()).shape == (40, 1280)
    model = json.loads(Path(settings.store, "PCA_Results", "pca_model", str(grown.pca_model), "model.json").read_text())
    assert model["k"] == grown.components

    # A folder less.
    shutil.rmtree(photos / "Plum")
    told = run(settings, instance)
    assert any("Plum" in line for line in told)
    assert all("Plum" not in store.tables[name].folders() for name in TABLES)
    assert read_report(settings.store).photos == 36


def test_a_share_of_the_variance_is_remembered_by_the_store_and_a_number_of_components_takes_its_place(
    ran: Ran, tmp_path: Path, instance: DagsterInstance
) -> None:
    settings = ran.copied(tmp_path)
    asked = build_definitions(settings.model_copy(update={"variance": 0.5})).resolve_job_def("fit_pca")
    assert asked.execute_in_process(instance=instance).success
    assert "nothing_new" not in metadata_of(instance, "pca_model")
    fit = build_definitions(settings).resolve_job_def("fit_pca")
    models = Store(settings.store).pca_models
    assert fit.execute_in_process(instance=instance).success
    assert model_store.load(models).asked_variance == 0.5
    assert "nothing_new" in metadata_of(instance, "pca_model")
    fitted_again = {"ops": {"pca_model": {"config": {"full_refresh": True}}}}
    assert fit.execute_in_process(fitted_again, instance=instance).success
    assert model_store.load(models).asked_variance == 0.5
    assert "nothing_new" not in metadata_of(instance, "pca_model")
    config = {"ops": {"pca_model": {"config": {"components": 3}}}}
    assert fit.execute_in_process(config, instance=instance).success
    assert fit.execute_in_process(instance=instance).success
    assert (model_store.load(models).asked_variance, model_store.load(models).k) == (None, 3)


def test_all_folders_go_through_one_run_and_each_tells_its_own_numbers(ran: Ran) -> None:
    instance, photos = ran.instance, ran.photos
    assert sorted(r.job_name for r in instance.get_runs()) == ["extract_features", "fit_pca", "reduce_folders"]
    lemon = metadata_of(instance, "mobilenet_features", "Lemon")
    assert (lemon["photos"], lemon["rejected"], lemon["photos_worked_on"]) == (5, 1, 5)
    assert lemon["rejected_by_reason"] == {"not an image": 1}
    (record,) = lemon["rejected_photos"].records  # type: ignore[attr-defined]
    assert record.data["path"] == "Lemon/letter.jpg"
    assert record.data["error"].startswith("not an image: ")
    plum = metadata_of(instance, "mobilenet_features", "Plum")
    assert (plum["photos"], plum["rejected"], plum["run_cost_eur"]) == (4, 0, 0.0)
    assert plum["equivalent_cluster_cost_eur"] > 0  # type: ignore[operator]
    assert "m5.xlarge" in str(plum["cost_computed_from"])
    assert plum["dagster/partition_row_count"] == 4
    reduced = metadata_of(instance, "reduced_features", "Plum")
    on_disk = sum(file.stat().st_size for file in (photos / "Plum").iterdir())
    assert reduced["photo_bytes"] == plum["photo_bytes"] == on_disk
    assert reduced["storage_saved"] == pytest.approx(1 - int(str(reduced["table_bytes"])) / on_disk, rel=1e-3)
    assert metadata_of(instance, "raw_images", "Lemon")["other_files_named"] == "notes.txt"
    pca = metadata_of(instance, "pca_model")
    assert pca["variance_kept"] == pytest.approx(1)
    assert str(pca["variance_curve"]).startswith("![variance kept against components](data:image/svg+xml;base64,")
    assert str(pca["photo_map"]).startswith("![photos by label](data:image/svg+xml;base64,")
    passed, told = checks_of(instance)["almost_every_photo_is_usable"]
    assert not passed
    assert (
        "In all 8 folders of the store: 1 of 33 photos are rejected (3.03%; a warning comes above 1%): 1 not an image."
        in told
    )
    whole = metadata_of(instance, "store_report")
    assert (whole["photos"], whole["rejected"], whole["folders"], whole["labels"]) == (33, 1, 8, 8)
    assert (whole["stale_folders"], whole["cost_so_far_eur"]) == (0, 0.0)
    assert "| Rejected | 1 not an image (3.03%) |" in str(whole["summary"])
    equivalent = [metadata_of(instance, name, "Plum")["equivalent_cluster_cost_eur"] for name in TABLES]
    assert whole["equivalent_cluster_cost_so_far_eur"] > sum(equivalent) > 0  # type: ignore[operator, arg-type]
    assert lemon["folder"] == "Lemon"
    assert pca["run_cost_eur"] == 0.0
    assert metadata_of(instance, "mobilenet_model")["weights_source"] == ran.settings.weights


def test_the_graph_materializes_in_process_one_partition_at_a_time(
    settings: Settings, instance: DagsterInstance
) -> None:
    instance.add_dynamic_partitions(IMAGE_FOLDERS, ["Lemon", "Plum"])
    for folder in ("Lemon", "Plum"):
        result = dg.materialize(
            ALL_ASSETS, instance=instance, resources=local_resources(settings), partition_key=folder
        )
        assert result.success
        # Plum has changed the PCA model, and so the reduced rows of Lemon.
        assert "nothing_new" not in metadata_of(instance, "reduced_features", folder)
    assert dg.materialize(
        ALL_ASSETS, instance=instance, resources=local_resources(settings), partition_key="Plum"
    ).success
    for asset in TABLES:
        assert "nothing_new" in metadata_of(instance, asset, "Plum")
    report = read_report(settings.store)
    assert report.photos_by_folder == {"Lemon": 4, "Plum": 4}
    # Lemon had been projected on the model of Lemon alone.
    version = metadata_of(instance, "pca_model")["version"]
    models = {folder: one.models for folder, one in summarise(Store(settings.store).reduced_features).items()}
    assert models == dict.fromkeys(["Lemon", "Plum"], frozenset([version]))
    recorded = dg.AssetRecordsFilter(AssetKey("reduced_features"), asset_partitions=["Lemon"])
    assert len(instance.fetch_materializations(recorded, limit=10).records) == 2


def test_folders_by_pattern_are_one_run_though_no_neighbours_and_all_are_projected_on_the_new_model(
    settings: Settings, instance: DagsterInstance
) -> None:
    run(settings, instance, "Banana", "[LP]*")
    features = ["Banana", "Lemon", "Plum"]
    assert [r.job_name for r in instance.get_runs()] == ["reduce_folders", "fit_pca", "extract_features"]
    # The tag is set before the run begins, so a run that fails or is interrupted has it too.
    assert [tagged_folders(one.tags) for one in instance.get_runs()] == [features, None, features]
    assert worked_on(instance) == read_report(settings.store).photos_by_folder == dict.fromkeys(features, 4)
    for asset in TABLES:
        assert set(instance.get_materialized_partitions(AssetKey(asset))) == set(features)
    assert checks_of(instance)["no_photo_lost"][0]
    assert sum("In all 3 folders of the store" in told for _, told in checks_of(instance).values()) == 6

    run(settings, instance, "Apple*")
    # Of five folders two were run: each check says what it has looked at, and rejects are counted in the whole store.
    told_of_run, told_of_store = (
        checks_of(instance)[name][1] for name in ("no_photo_lost", "almost_every_photo_is_usable")
    )
    assert told_of_run.startswith("In the 2 folders of this run, not in all 5 of the store: ")
    assert told_of_store == "In all 5 folders of the store: all 20 photos are usable."
    assert read_report(settings.store).reduced == 20
    passed, told = checks_of(instance)["one_pca_model"]
    assert passed, told


def test_a_lost_row_fails_the_check_that_promises_none_is_lost(
    ran: Ran, tmp_path: Path, instance: DagsterInstance
) -> None:
    settings = ran.copied(tmp_path)
    store = Store(settings.store)
    rows = store.mobilenet_features.arrow(store.mobilenet_features.schema.names, ["Lemon"])
    fewer = store.mobilenet_features.replacement(DriverRows({"Lemon": [rows.slice(1)]}), ["Lemon"])
    store.mobilenet_features.write(fewer)
    lost = dg.materialize(
        [*ALL_ASSETS, *ALL_CHECKS],
        instance=instance,
        resources=local_resources(settings),
        selection=dg.AssetSelection.checks(dg.AssetCheckKey(AssetKey("mobilenet_features"), "no_photo_lost")),
    )
    (evaluation,) = lost.get_asset_check_evaluations()
    assert not evaluation.passed
    assert "'Lemon'" in str(evaluation.description)
    # A folder that is missing altogether is no less lost.
    store.mobilenet_features.drop(["Plum"])
    assert differing_folders(store.raw_images, store.mobilenet_features, store.raw_images.folders()) == [
        "Lemon",
        "Plum",
    ]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ("empty", "There is no photo in a folder below"),
        ("only at the root", "1 lie at the root itself: move them into a folder"),
        ("missing", "does not exist"),
        ("a file", "is a file"),
        ("one photo", "at least 2 usable photos, and there is 1"),
        ("all alike", "All 3 usable photos have the same features"),
        ("all broken", "No photo has features"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    prepare: str, message: str, settings: Settings, tmp_path: Path, instance: DagsterInstance
) -> None:
    images = tmp_path / "images"
    if prepare != "missing":
        images.mkdir()
    if prepare == "only at the root":
        save_photo(images / "a.jpg")
    if prepare == "a file":
        images = save_photo(images / "a.jpg")
    if prepare == "one photo":
        save_photo(images / "Apple" / "a.jpg")
    if prepare == "all alike":
        for number in range(3):
            save_photo(images / "Apple" / f"{number}.jpg")
    if prepare == "all broken":
        (images / "Apple").mkdir()
        (images / "Apple" / "a.jpg").write_text("a letter")
    with pytest.raises(FruitsError, match=message):
        run(settings.model_copy(update={"images": str(images)}), instance)


def test_weights_that_are_not_there_stop_the_run(settings: Settings, instance: DagsterInstance) -> None:
    with pytest.raises(FruitsError, match=r"There is no weights file /nowhere\.h5"):
        run(settings.model_copy(update={"weights": "/nowhere.h5"}), instance)


def test_awkward_files_among_real_photos_have_a_row_each_and_crash_nothing(
    real_data: Path, real_network_file: Path, tmp_path: Path, instance: DagsterInstance
) -> None:
    images = tmp_path / "images"
    copy(real_data / "messy", images / "messy")
    for label in ("Banana", "Walnut"):
        copy(real_data / "fruits360" / label, images / label, at_most=40)
    settings = read_settings(
        images=str(images), store=str(tmp_path / "store"), weights=str(real_network_file), cores="2"
    )
    run(settings, instance)
    report = read_report(settings.store)
    assert report.photos_by_folder == {"Banana": 40, "Walnut": 40, "messy": 43}
    assert report.rejected == {"truncated": 3, "not an image": 2, "damaged": 1, "empty": 1}
    assert report.reduced == report.usable == 116
    # Real weights tell photos apart; random ones do not need half as many components.
    assert report.components_for["90%"] > 25
    assert report.weights["sha256"] == hashlib.sha256(real_network_file.read_bytes()).hexdigest()
    assert "116 usable" in as_text(report)


def copy(source: Path, target: Path, at_most: int | None = None) -> None:
    target.mkdir(parents=True)
    for file in sorted(source.iterdir())[:at_most]:
        (target / file.name).write_bytes(file.read_bytes())
