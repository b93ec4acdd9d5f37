"""The job audit_photos: every photo gets a split, findings are recorded, and a second run has nothing to do."""

import shutil
from pathlib import Path

import dagster as dg
from click.testing import CliRunner

from fruits_assets.commands.cli import main
from fruits_assets.definitions import build_definitions
from fruits_assets.instance.partitions import IMAGE_FOLDERS, partition_tags, synchronise
from fruits_assets.instance.runs import run_in_process
from fruits_assets.settings import Settings
from spark_steps.audit.version import audit_is_outdated
from spark_steps.photos.listing import list_image_folders
from spark_steps.store.store import Store
from tests.support.pipeline import run_pipeline


def audit(settings: Settings, instance: dg.DagsterInstance, folders: list[str]) -> None:
    job = build_definitions(settings).resolve_job_def("audit_photos")
    tags = partition_tags(folders, list(instance.get_dynamic_partitions(IMAGE_FOLDERS)))
    assert run_in_process(job, {}, tags, instance).success


def metadata_of(instance: dg.DagsterInstance, asset: str, folder: str) -> dict[str, object]:
    wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[folder])
    (record,) = instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization is not None
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def splits_of(store: Store) -> dict[str, str]:
    rows = store.photo_splits.arrow(["path", "split"])
    return dict(zip(rows["path"].to_pylist(), rows["split"].to_pylist(), strict=True))


def test_the_job_audits_the_whole_store_also_when_it_is_started_for_one_folder(
    settings: Settings, photos: Path, instance: dg.DagsterInstance
) -> None:
    store = Store(settings.store)
    shutil.copyfile(photos / "Lemon" / "000.jpg", photos / "Plum" / "copy.jpg")
    (photos / "Plum" / "text.jpg").write_text("a letter")
    run_pipeline(settings, instance, say=lambda _: None)
    folders = list(instance.get_dynamic_partitions(IMAGE_FOLDERS))
    assert audit_is_outdated(store, settings.audit)
    audit(settings, instance, ["Plum"])
    assert not audit_is_outdated(store, settings.audit)
    with_features = store.mobilenet_features.arrow(["path", "error"]).to_pylist()
    assert set(splits_of(store)) == {row["path"] for row in with_features if row["error"] is None}
    assert len(splits_of(store)) == 4 * len(folders) + 1
    found = store.photo_audit.arrow(["path", "kind", "severity"]).to_pylist()
    errors = {(one["path"], one["kind"]) for one in found if one["severity"] == "error"}
    assert errors == {
        (path, kind) for path in ("Lemon/000.jpg", "Plum/copy.jpg") for kind in ("exact_copy", "label_conflict")
    }
    for folder in folders:
        assert metadata_of(instance, "photo_splits", folder)["photos"] == 4 + (folder == "Plum")
    of_plum = metadata_of(instance, "photo_audit", "Plum")
    assert of_plum["photos"] == 5
    assert of_plum["dagster/partition_row_count"] == sum(one["path"].startswith("Plum/") for one in found)


def test_a_second_audit_writes_nothing_and_a_folder_that_is_gone_is_gone_from_it(
    settings: Settings, photos: Path, instance: dg.DagsterInstance
) -> None:
    store = Store(settings.store)
    run_pipeline(settings, instance, say=lambda _: None)
    folders = list(instance.get_dynamic_partitions(IMAGE_FOLDERS))
    audit(settings, instance, folders)
    versions = [table.snapshot().version for table in (store.photo_splits, store.photo_audit)]
    audit(settings, instance, folders)
    assert [table.snapshot().version for table in (store.photo_splits, store.photo_audit)] == versions
    assert metadata_of(instance, "photo_splits", folders[0])["nothing_new"]

    history = CliRunner().invoke(main, ["history", "--store", store.root])
    assert history.exit_code == 0
    assert "photo_splits" in history.output
    before = splits_of(store)
    shutil.rmtree(photos / folders[0])
    synchronise(instance, store, settings.images, list_image_folders(settings.images))
    kept = {path: split for path, split in before.items() if not path.startswith(f"{folders[0]}/")}
    assert splits_of(store) == kept
    assert folders[0] not in store.photo_audit.folders()
    audit(settings, instance, folders[1:])
    assert splits_of(store) == kept
    assert not audit_is_outdated(store, settings.audit)
