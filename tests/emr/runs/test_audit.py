"""The audit on EMR: the same job, its steps on a cluster."""

import dagster as dg
import pytest

from fruits_assets.definitions import build_definitions
from fruits_assets.instance.partitions import IMAGE_FOLDERS, partition_tags
from fruits_assets.instance.runs import run_in_process
from fruits_assets.settings import Settings
from spark_steps.audit.version import audit_is_outdated
from spark_steps.store.store import Store
from tests.emr_emulator import Emulator
from tests.support.aws.emr_runs import failure_of, steps
from tests.support.small_store import make_photos, write_rows

FOLDERS = ["Banana", "Lemon"]


@pytest.mark.usefixtures("no_other_cluster")
def test_the_audit_runs_on_a_cluster(aws: Emulator, emr: Settings, instance: dg.DagsterInstance) -> None:
    store, before = Store(emr.store), len(steps(aws))
    write_rows(store, make_photos(emr.images, FOLDERS, 3))
    instance.add_dynamic_partitions(IMAGE_FOLDERS, FOLDERS)
    job = build_definitions(emr).resolve_job_def("audit_photos")
    result = run_in_process(job, {}, partition_tags(FOLDERS, FOLDERS), instance)
    assert result.success, failure_of(result)
    assert len(steps(aws)) == before + 2
    rows = store.photo_splits.arrow(["path", "split"]).to_pylist()
    assert {row["path"] for row in rows} == {f"{folder}/{number} é.jpg" for folder in FOLDERS for number in range(3)}
    assert not audit_is_outdated(store, emr.audit)
