"""The checks of the audit, as Dagster evaluates them: what would spoil a training is told in a sentence."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fruits_assets.assets.audit_checks import ALL_AUDIT_CHECKS
from fruits_assets.settings import Settings, read_settings
from spark_steps.store.store import Store
from tests.support.audit.audited_store import Row, audited_store, features, finding, split

SOUND = [
    split(f"{label}/{number}.jpg", 10 * place + number, name)
    for place, label in enumerate(("Fig", "Plum"))
    for number, name in enumerate(("train", "validation", "test"))
]


@dg.asset
def photo_splits() -> None:
    """Stands for the asset, whose table the tests write."""


@dg.asset
def photo_audit() -> None:
    """Stands for the asset, whose table the tests write."""


def evaluations(
    store: Store, instance: dg.DagsterInstance, settings: Settings | None = None
) -> dict[str, dg.AssetCheckEvaluation]:
    resources: dict[str, Any] = {"store": store, "settings": settings or read_settings(store=store.root)}
    definitions = dg.Definitions(
        assets=[photo_splits, photo_audit],
        asset_checks=ALL_AUDIT_CHECKS,
        resources={name: dg.ResourceDefinition.hardcoded_resource(value) for name, value in resources.items()},
    )
    done = definitions.get_implicit_global_asset_job_def().execute_in_process(instance=instance, raise_on_error=False)
    return {one.check_name: one for one in done.get_asset_check_evaluations()}


def failed(found: dict[str, dg.AssetCheckEvaluation]) -> dict[str, tuple[str, str]]:
    """Severity and description of each check that failed."""
    return {name: (one.severity.value, one.description or "") for name, one in found.items() if not one.passed}


def test_a_sound_audit_passes_all_checks_of_both_assets(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    store = audited_store(tmp_path, SOUND, [finding("Fig/0.jpg", "dark")])
    found = evaluations(store, instance)
    assert failed(found) == {}
    assert {one.asset_key.to_user_string(): 0 for one in found.values()} == {"photo_splits": 0, "photo_audit": 0}
    assert {name: one.description for name, one in found.items()} == {
        "every_photo_with_features_has_a_split": "All 6 photos with features have a split.",
        "no_near_duplicates_across_the_split": "Each of the 0 groups of near-duplicates, with 0 photos, is in one "
        "split.",
        "every_label_is_in_every_split": "All 2 labels have photos in each split.",
        "no_exact_copy_under_two_labels": "No photo has the same bytes as a photo of another label.",
        "almost_every_photo_fits_its_label": "0 of 6 photos have neighbours that nearly all have another label (0%; a "
        "warning comes above 1%).",
    }


def test_the_same_bytes_under_two_labels_are_an_error(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    rows = [finding("Fig/0.jpg", "exact_copy", "error"), finding("Plum/0.jpg", "exact_copy", "error")]
    store = audited_store(tmp_path, SOUND, [*rows, finding("Fig/1.jpg", "exact_copy")])
    assert failed(evaluations(store, instance)) == {
        "no_exact_copy_under_two_labels": (
            "ERROR",
            "2 photos have the same bytes as a photo of another label. Find them with fruits audit, delete the wrong "
            "ones, and run again.",
        )
    }


@pytest.mark.parametrize("given", [{"group": 0}, {"image_id": SOUND[0]["image_id"]}], ids=["group", "bytes"])
def test_near_duplicates_and_copies_in_two_splits_are_an_error(
    tmp_path: Path, instance: dg.DagsterInstance, given: Row
) -> None:
    splits = [*SOUND[:2], {**SOUND[2], **given}, *SOUND[3:]]
    of_features = [features(row["path"], image_id=row["image_id"]) for row in splits]
    found = failed(evaluations(audited_store(tmp_path, splits, of_features=of_features), instance))
    ((name, (severity, description)),) = found.items()
    assert (name, severity) == ("no_near_duplicates_across_the_split", "ERROR")
    assert "so a score on test would be too good" in description


def test_a_split_of_other_photos_than_those_with_features_is_an_error(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    of_features = [*(features(row["path"]) for row in SOUND), features("New/1.jpg")]
    found = failed(evaluations(audited_store(tmp_path, SOUND, of_features=of_features), instance))
    assert found == {
        "every_photo_with_features_has_a_split": (
            "ERROR",
            "The photos of photo_splits are not those with features in folder 'New'. Audit again: fruits audit, or "
            "the job audit_photos.",
        )
    }


def test_a_label_that_a_split_lacks_is_a_warning_with_its_name(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    store = audited_store(tmp_path, [*SOUND, split("Lone/1.jpg", 99)])
    (severity, description) = failed(evaluations(store, instance))["every_label_is_in_every_split"]
    assert severity == "WARN"
    assert description.startswith("validation has no photo of 'Lone'; test has no photo of 'Lone'. Add photos")


def test_label_candidates_warn_above_the_share_of_the_setting(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    store = audited_store(tmp_path, SOUND, [finding("Fig/0.jpg", "label_candidate", "warning")])
    (severity, description) = failed(evaluations(store, instance))["almost_every_photo_fits_its_label"]
    assert severity == "WARN"
    assert description.startswith("1 of 6 photos have neighbours that nearly all have another label (16.7%; a warning")
    bearable = read_settings(store=store.root, candidates_warning=0.2)
    assert failed(evaluations(store, instance, bearable)) == {}


def test_checks_without_an_audit_fail_with_the_remedy(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    found = evaluations(Store(str(tmp_path)), instance)
    assert "no_exact_copy_under_two_labels" in found
    assert "every_label_is_in_every_split" not in found
