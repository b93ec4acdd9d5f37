"""A backfill from the UI on each engine, under the role that launches."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fruits_assets.assets import raw_images
from fruits_assets.instance.partitions import IMAGE_FOLDERS
from fruits_assets.settings import Settings
from tests.emr_emulator import Emulator
from tests.support.aws.emr_runs import (
    DATA,
    LOCKS,
    OF_STORE,
    STAGING,
    clusters,
    empty_data_bucket,
    keys,
    unpacked,
    wait_until,
)
from tests.support.aws.engines import OVER, Bench
from tests.support.small_store import contents_below, files_that_say
from tests.support.ways_in import Place, Ui


def check_metadata(instance: dg.DagsterInstance, folders: list[str], engine: Bench) -> None:
    """Each folder has one materialization, with what it has cost and where its logs are."""
    records = instance.fetch_materializations(raw_images.key, limit=100).records
    assert sorted(str(record.partition_key) for record in records) == sorted(folders)
    for record in records:
        metadata: Any = record.asset_materialization.metadata  # type: ignore[union-attr]
        assert metadata["run_cost_eur"].value > 0
        assert {"run_cost_ec2_eur", "run_cost_emr_eur", "run_cost_ebs_eur", "cost_computed_from"} <= set(metadata)
        assert metadata[engine.console].value.startswith(engine.console_at)
        assert metadata["log"].value.startswith(engine.log)


def contents_of_buckets(aws: Emulator) -> dict[str, bytes]:
    left = {}
    for bucket in (STAGING, DATA, LOCKS):
        for key in keys(aws, bucket):
            # The guard, which has just been stopped, may have deleted a lock since the listing.
            with suppress(aws.client("s3").exceptions.NoSuchKey):
                left[key] = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return left


def wait_until_nothing_runs(engine: Bench, before: set[str]) -> None:
    """Waits for the end of the one cluster, where there is one: jobs are over when the backfill is."""
    new = [cluster for cluster in clusters(engine.aws) if cluster["id"] not in before]
    assert len(new) == (1 if engine.deployment == "emr" else 0)
    for cluster in new:
        # The guard sensor runs in the daemon. It leaves a cluster that has been idle for less than half a minute.
        engine.aws.age(cluster["id"], days=1 / 1440)
    wait_until(
        lambda: all(one["state"] == "TERMINATED" for one in clusters(engine.aws) if one["id"] not in before), 240
    )
    wait_until(lambda: all(job["state"] in OVER for job in engine.jobs()))


@pytest.mark.timeout(600)
def test_a_backfill_from_the_ui_under_the_launcher_role_leaves_no_cluster_and_no_secret(
    engine: Bench, settings: Settings, tmp_path: Path, network_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = engine.aws
    role = aws.environ_of_role("arn:aws:iam::123456789012:role/fruits-launcher-eu-west-3") | engine.environ
    monkeypatch.setenv("DAGSTER_HOME", "")
    empty_data_bucket(aws, OF_STORE)
    place = Place(tmp_path / "emr", network_file)
    # Only below Results the role of a job may write.
    place.use(role | settings.model_copy(update={"store": f"s3://{DATA}"}).as_environment())
    before = {cluster["id"] for cluster in clusters(aws)}
    aws.enforce_iam(True)
    place.run("dagster", "job", "execute", "-m", "fruits_assets.definitions", "-j", "sync_image_folders")
    ui = Ui(place)
    try:
        with place.instance() as instance:
            folders = list(instance.get_dynamic_partitions(IMAGE_FOLDERS))
        assert len(folders) == 8
        state = ui.backfill(["raw_images"], folders)
        assert state["status"] == "COMPLETED_SUCCESS", state
        wait_until_nothing_runs(engine, before)
    finally:
        ui.stop()
        aws.enforce_iam(False)

    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    with place.instance() as instance:
        check_metadata(instance, folders, engine)
    # Of the role that launched: in the Dagster home with its logs, in what was staged, and in what the steps wrote.
    secrets = [value.encode() for name, value in role.items() if name.endswith(("SECRET_ACCESS_KEY", "_TOKEN"))]
    left = contents_below(tmp_path / "emr" / "home") | contents_of_buckets(aws) | engine.logs_elsewhere()
    assert {name.rpartition("/")[2] for name in left} >= {"code.zip", "step.json", "000001.json"}
    assert [name for name in left if name.endswith(("stdout.gz", "-driver", "driver/stdout"))] != []
    assert files_that_say(unpacked(left), secrets) == {}
