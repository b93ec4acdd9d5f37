"""One store, worked on by every engine after each other, and by this machine."""

import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from fruits_assets.definitions import build_definitions
from fruits_assets.instance.partitions import IMAGE_FOLDERS, partition_tags
from fruits_assets.instance.runs import run_in_process
from fruits_assets.jobs import pipeline
from fruits_assets.jobs.look import NOTHING_NEW
from fruits_assets.jobs.pipeline import Runs
from fruits_assets.settings import Settings, read_settings
from spark_steps.audit.version import audit_is_outdated
from spark_steps.store.store import Store
from tests.emr_emulator import Emulator
from tests.support.aws.emr_runs import DATA, empty_data_bucket, failure_of, rows, upload
from tests.support.aws.engines import benches

EVERYTHING = Runs(full_refresh=True)
# Those that run elsewhere: the network is converted by the launching process, and reports are made there.
STEPS = {"raw_images", "mobilenet_features", "pca_model", "reduced_features", "photo_splits", "photo_audit"}


def run_everything(settings: Settings, instance: dg.DagsterInstance) -> None:
    """Computes every table of a store anew, those of the audit too."""
    pipeline.run_pipeline(settings, instance, build_definitions, report=lambda _: None, runs=EVERYTHING)
    folders = list(instance.get_dynamic_partitions(IMAGE_FOLDERS))
    anew = {"ops": {"photo_splits": {"config": {"full_refresh": True}}}}
    job = build_definitions(settings).resolve_job_def("audit_photos")
    result = run_in_process(job, anew, partition_tags(folders, folders), instance)
    assert result.success, failure_of(result)


def audit_of(store: Store) -> tuple[list[Any], list[Any]]:
    """Returns what the audit says of each photo; scores to the digits that the order of sums leaves alone."""
    splits = store.photo_splits.arrow(["folder", "path", "group", "split", "audit"]).to_pylist()
    found = store.photo_audit.arrow(["folder", "path", "kind", "severity", "score"]).to_pylist()
    return (
        sorted((row["folder"], row["path"], row["group"], row["split"], row["audit"]) for row in splits),
        sorted(
            (row["folder"], row["path"], row["kind"], row["severity"], round(row["score"] or 0, 3)) for row in found
        ),
    )


def check_rows(there: Store, images: str, reference: Store, photos: str) -> None:
    """The rows are those of the reference, features and what follows from them to what another order of sums makes."""
    assert rows(there, images, "raw_images") == rows(reference, photos, "raw_images")
    for table in ("mobilenet_features", "reduced_features"):
        ours, theirs = rows(reference, photos, table), rows(there, images, table)
        assert [row[:3] for row in theirs] == [row[:3] for row in ours]
        np.testing.assert_allclose([row[3] for row in theirs], [row[3] for row in ours], atol=1e-4)
    assert there.existing_pca_model().version == reference.existing_pca_model().version
    assert audit_of(there) == audit_of(reference)


def versions_of(store: Store) -> dict[str, int]:
    """Returns the version of each table; -1 of one that is not there."""
    return {name: table.snapshot().version if table.folders() else -1 for name, table in store.tables.items()}


@pytest.mark.usefixtures("executors")
@pytest.mark.timeout(900)
def test_each_engine_after_the_other_writes_all_tables_of_one_store_as_a_run_on_this_machine_does(
    aws: Emulator, photos: Path, tmp_path: Path, network_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(photos / "Lemon" / "000.jpg", photos / "Plum" / "copy.jpg")
    here = read_settings(images=str(photos), store=str(tmp_path / "store"), weights=str(network_file), cores="2")
    with dg.DagsterInstance.ephemeral() as instance:
        run_everything(here, instance)
    role = aws.environ_of_role("arn:aws:iam::123456789012:role/fruits-launcher-eu-west-3")
    for name, value in role.items():
        monkeypatch.setenv(name, value)
    empty_data_bucket(aws)
    reference, store, images = Store(here.store), Store(f"s3://{DATA}"), f"s3://{DATA}/Photos"
    with dg.DagsterInstance.ephemeral() as instance:
        for bench in benches(aws).values():
            for name, value in bench.environ.items():
                monkeypatch.setenv(name, value)
            # Photos that were written again are new to the next engine.
            upload(aws, photos, "Photos")
            before, versions = {job["id"] for job in bench.jobs()}, versions_of(store)
            aws.enforce_iam(True)
            run_everything(bench.settings_for(images, store.root, network_file), instance)
            aws.enforce_iam(False)
            assert {job["name"].partition(" run ")[0] for job in bench.jobs() if job["id"] not in before} >= STEPS
            # Findings that are the same are found again, and not written again.
            same = {name for name, version in versions_of(store).items() if version == versions[name]}
            assert same <= {"photo_audit"}
            assert len(audit_of(store)[1]) > 1
            check_rows(store, images, reference, str(photos))
            bench.clean()
        # Nor does this machine find anything to be done again.
        told: list[str] = []
        again = read_settings(images=images, store=store.root, weights=str(network_file), cores="2")
        pipeline.run_pipeline(again, instance, build_definitions, report=told.append)
        assert NOTHING_NEW in told
        assert not audit_is_outdated(store, again.audit)
