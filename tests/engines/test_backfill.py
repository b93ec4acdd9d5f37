"""A backfill from the UI on each engine, under the role that launches."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from fruits_assets.instance.partitions import IMAGE_FOLDERS
from fruits_assets.settings import Settings, read_settings
from spark_steps.store.store import Store
from tests.emr_emulator import Emulator
from tests.support.aws.emr_runs import (
    DATA,
    SMALL,
    STAGING,
    clusters,
    keys,
    rows,
    unpacked,
    upload,
    wait_until,
)
from tests.support.aws.engines import OVER, Bench
from tests.support.pipeline import run_pipeline
from tests.support.small_store import contents_below, files_that_say
from tests.support.ways_in import ALL_ASSETS as ASSET_NAMES
from tests.support.ways_in import Place, Ui


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator whose steps have two executors, as those of a cluster with two core nodes."""
    started = Emulator.start(tmp_path_factory.mktemp("emulator"), stack=True, log_seconds=3)
    yield started
    started.stop()


def check_rows(here: Store, images: str) -> None:
    """The rows are those of a store on this machine, the features to what another order of sums makes of them."""
    there = Store(f"s3://{DATA}")
    # The store on this machine was not audited.
    for table in ("raw_images", "mobilenet_features", "reduced_features"):
        ours, theirs = rows(here, images, table), rows(there, f"s3://{DATA}/Test", table)
        if table == "raw_images":
            assert theirs == ours
            continue
        assert [row[:3] for row in theirs] == [row[:3] for row in ours]
        np.testing.assert_allclose([row[3] for row in theirs], [row[3] for row in ours], atol=1e-4)


def check_metadata(instance: dg.DagsterInstance, folders: list[str], engine: Bench) -> None:
    """Each folder has one materialization, with what it has cost and where its logs are."""
    for asset in ("raw_images", "mobilenet_features", "reduced_features"):
        records = instance.fetch_materializations(dg.AssetKey(asset), limit=100).records
        assert {record.partition_key for record in records} == set(folders)
        for record in records:
            metadata: Any = record.asset_materialization.metadata  # type: ignore[union-attr]
            assert metadata["run_cost_eur"].value > 0
            assert {"run_cost_ec2_eur", "run_cost_emr_eur", "run_cost_ebs_eur", "cost_computed_from"} <= set(metadata)
            assert metadata[engine.console].value.startswith(engine.console_at)
            assert metadata["log"].value.startswith(engine.log)


def contents_of_buckets(aws: Emulator) -> dict[str, bytes]:
    left = {}
    for bucket in (STAGING, DATA):
        for key in keys(aws, bucket):
            # The guard, which has just been stopped, may have deleted a lock since the listing.
            with suppress(aws.client("s3").exceptions.NoSuchKey):
                left[key] = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return left


@pytest.fixture
def here(photos: Path, tmp_path: Path, network_file: Path) -> Settings:
    """Settings for the photos and a store on this machine."""
    return read_settings(images=str(photos), store=str(tmp_path / "store"), weights=str(network_file), cores="2")


def empty_the_buckets(aws: Emulator) -> None:
    """Deletes what another engine has left, with all its versions."""
    s3 = aws.client("s3")
    for bucket in (STAGING, DATA):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                if "environment/" not in one["Key"]:
                    s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])


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


@pytest.mark.timeout(900)
def test_a_backfill_from_the_ui_under_the_launcher_role_takes_one_cluster_at_most_and_leaves_none(
    engine: Bench, tmp_path: Path, here: Settings, network_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws, settings = engine.aws, here
    empty_the_buckets(aws)
    # A process keeps tables in S3 open; those of this store are others than those of the engine before.
    monkeypatch.setattr("spark_steps.tables.open_tables._KEPT", {})
    with dg.DagsterInstance.ephemeral() as local:
        run_pipeline(settings, local, say=lambda _: None)
    upload(aws, Path(settings.images), "Test")
    role = aws.environ_of_role("arn:aws:iam::123456789012:role/fruits-launcher-eu-west-3") | engine.environ
    monkeypatch.setenv("DAGSTER_HOME", "")
    place = Place(tmp_path / "emr", network_file)
    place.use(
        role
        | {
            "FRUITS_DEPLOYMENT": engine.deployment,
            "FRUITS_MAX_EXECUTORS": "2",
            "FRUITS_IMAGES": f"s3://{DATA}/Test",
            "FRUITS_STORE": f"s3://{DATA}",
            **{f"FRUITS_{name.upper()}": str(value) for name, value in SMALL.items()},
        }
    )
    before = {cluster["id"] for cluster in clusters(aws)}
    aws.enforce_iam(True)
    place.run("dagster", "job", "execute", "-m", "fruits_assets.definitions", "-j", "sync_image_folders")
    ui = Ui(place)
    try:
        with place.instance() as instance:
            folders = list(instance.get_dynamic_partitions(IMAGE_FOLDERS))
        assert len(folders) == 8
        state = ui.backfill(ASSET_NAMES, folders)
        assert state["status"] == "COMPLETED_SUCCESS", state
        wait_until_nothing_runs(engine, before)
    finally:
        ui.stop()
        aws.enforce_iam(False)

    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    check_rows(Store(settings.store), settings.images)
    with place.instance() as instance:
        check_metadata(instance, folders, engine)
    # Of the role that launched: in the Dagster home with its logs, in what was staged, and in what the steps wrote.
    secrets = [value.encode() for name, value in role.items() if name.endswith(("SECRET_ACCESS_KEY", "_TOKEN"))]
    left = contents_below(tmp_path / "emr" / "home") | contents_of_buckets(aws) | engine.logs_elsewhere()
    assert {name.rpartition("/")[2] for name in left} >= {"code.zip", "step.json", "000001.json"}
    assert [name for name in left if name.endswith(("stdout.gz", "-driver", "driver/stdout"))] != []
    assert files_that_say(unpacked(left), secrets) == {}
