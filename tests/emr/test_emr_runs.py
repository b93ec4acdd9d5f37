"""The graph on EMR: an emulator really runs each step's own spark-submit, its executors processes of their own."""

import gzip
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import numpy as np
import pytest

from fruits_assets.assets import raw_images
from fruits_assets.aws.environment import read_environment
from fruits_assets.engines.emr.cluster import Clusters
from fruits_assets.instance.partitions import IMAGE_FOLDERS
from fruits_assets.jobs.erasure_service import ErasureRequest, erase
from fruits_assets.resources import emr_resources
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import FruitsError
from spark_steps.storage import locations
from spark_steps.store.store import Store
from tests.emr_emulator import Emulator
from tests.support.pipeline import run_pipeline
from tests.support.project import PROJECT
from tests.support.small_store import contents_below, files_that_say, make_photos, write_photos, write_rows
from tests.support.ways_in import ALL_ASSETS as ASSET_NAMES
from tests.support.ways_in import BIN, Place, Ui

DATA, STAGING = "fruits-data-123456789012-eu-west-3", "fruits-staging-123456789012-eu-west-3"
# What fits the emulator's workers; the defaults are those of an m5.xlarge.
SMALL = {"executor_cores": 1, "executor_memory": "512m", "executor_overhead": "512m", "idle_minutes": 5}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    started = Emulator.start(tmp_path_factory.mktemp("emulator"), stack=True)
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def no_cluster_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "aws" in request.fixturenames:
        aws: Emulator = request.getfixturevalue("aws")
        aws.enforce_iam(False)
        alive = [cluster["id"] for cluster in clusters(aws) if not cluster["state"].startswith("TERMINATED")]
        if alive:
            aws.client("emr").terminate_job_flows(JobFlowIds=alive)


@pytest.fixture
def emr(aws: Emulator, photos: Path, network_file: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings for generated photos in the data bucket, a new store there, and this process's way to the emulator."""
    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    mark = uuid.uuid4().hex[:8]
    upload(aws, photos, f"Test/{mark}")
    return read_settings(
        deployment="emr",
        images=f"s3://{DATA}/Test/{mark}",
        store=f"s3://{DATA}/stores/{mark}",
        weights=str(network_file),
        **SMALL,
    )


def upload(aws: Emulator, photos: Path, prefix: str) -> None:
    s3 = aws.client("s3")
    for file in photos.rglob("*.*"):
        s3.upload_file(str(file), DATA, f"{prefix}/{file.relative_to(photos)}")


def keys(aws: Emulator, bucket: str) -> list[str]:
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [item["Key"] for page in pages for item in page.get("Contents", []) if "environment/" not in item["Key"]]


def unpacked(files: dict[str, bytes]) -> dict[str, bytes]:
    """Files by name, logs as what they say."""
    return {name: gzip.decompress(one) if name.endswith(".gz") else one for name, one in files.items()}


def clusters(aws: Emulator) -> list[dict[str, Any]]:
    return [{"id": cluster_id, **cluster} for cluster_id, cluster in aws.state()["clusters"].items()]


def steps(aws: Emulator) -> list[dict[str, Any]]:
    return [{"id": step_id, **step} for cluster in clusters(aws) for step_id, step in cluster["steps"].items()]


def wait_until(condition: Callable[[], Any], seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.2)
    raise AssertionError("it did not come to that in time")


def materialize_raw_images(settings: Settings, instance: dg.DagsterInstance, folder: str = "Banana") -> Any:
    instance.add_dynamic_partitions(IMAGE_FOLDERS, [folder])
    return dg.materialize(
        [raw_images],
        instance=instance,
        resources=emr_resources(settings),
        partition_key=folder,
        raise_on_error=False,
    )


def failure_of(result: Any) -> str:
    return "\n".join(str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure)


def in_background(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def running_step(aws: Emulator) -> str:
    """Waits for a step that runs, and returns its id."""

    def found() -> str | None:
        return next((one["id"] for one in steps(aws) if one["state"] == "RUNNING"), None)

    return str(wait_until(found))


def rows(store: Store, images: str, table: str) -> list[tuple[Any, ...]]:
    """Returns the rows of a table, paths relative to the images, floats as they are."""
    columns = {"raw_images": ["folder", "path", "length", "label", "error"]}.get(table, ["folder", "path", "image_id"])
    numbers = {"mobilenet_features": ["features"], "reduced_features": ["reduced"]}.get(table, [])
    found = store.tables[table].arrow([*columns, *numbers]).to_pylist()
    return sorted(
        (
            (*(str(row[name]).removeprefix(images) for name in columns), *(tuple(row[name] or ()) for name in numbers))
            for row in found
        ),
        key=lambda row: row[:2],
    )


def test_a_backfill_from_the_ui_under_the_launcher_role_takes_one_cluster_and_leaves_none(
    aws: Emulator, tmp_path: Path, settings: Settings, network_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dg.DagsterInstance.ephemeral() as local:
        run_pipeline(settings, local, say=lambda _: None)
    upload(aws, Path(settings.images), "Test")
    role = aws.environ_of_role("arn:aws:iam::123456789012:role/fruits-launcher-eu-west-3")
    monkeypatch.setenv("DAGSTER_HOME", "")
    place = Place(tmp_path / "emr", network_file)
    place.use(
        role
        | {
            "FRUITS_DEPLOYMENT": "emr",
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
        new = [cluster for cluster in clusters(aws) if cluster["id"] not in before]
        assert len(new) == 1
        # The guard sensor runs in the daemon.
        wait_until(lambda: all(one["state"] == "TERMINATED" for one in clusters(aws) if one["id"] not in before), 240)
    finally:
        ui.stop()
        aws.enforce_iam(False)

    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    there, here = Store(f"s3://{DATA}"), Store(settings.store)
    for table in there.tables:
        ours, theirs = rows(here, settings.images, table), rows(there, f"s3://{DATA}/Test", table)
        if table == "raw_images":
            assert theirs == ours
            continue
        assert [row[:3] for row in theirs] == [row[:3] for row in ours]
        np.testing.assert_allclose([row[3] for row in theirs], [row[3] for row in ours], atol=1e-4)
    with place.instance() as instance:
        for asset in ("raw_images", "mobilenet_features", "reduced_features"):
            records = instance.fetch_materializations(dg.AssetKey(asset), limit=100).records
            assert {record.partition_key for record in records} == set(folders)
            for record in records:
                metadata: Any = record.asset_materialization.metadata  # type: ignore[union-attr]
                assert metadata["run_cost_eur"].value > 0
                assert {"run_cost_ec2_eur", "run_cost_emr_eur", "run_cost_ebs_eur", "cost_computed_from"} <= set(
                    metadata
                )
                assert "console.aws.amazon.com" in metadata["emr_console"].value
                assert metadata["log"].value.startswith("s3://")
                assert "spark_history" in metadata
    # Of the role that launched: in the Dagster home with its logs, in what was staged, and in what the steps wrote.
    secrets = [role[name].encode() for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
    left = contents_below(tmp_path / "emr" / "home")
    for bucket in (STAGING, DATA):
        for key in keys(aws, bucket):
            # The guard, which has just been stopped, may have deleted a lock since the listing.
            with suppress(aws.client("s3").exceptions.NoSuchKey):
                left[key] = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert {name.rpartition("/")[2] for name in left} >= {"code.zip", "step.json", "000001.json", "stdout.gz"}
    assert files_that_say(unpacked(left), secrets) == {}


def test_fruits_run_takes_one_cluster_for_its_three_runs_and_ends_it(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    before = len(clusters(aws))
    told: list[str] = []
    # No neighbours in the order of registration.
    run_pipeline(emr, instance, ["Banana", "Lemon"], told.append)
    assert len(clusters(aws)) == before + 1
    # What a step says on the cluster is said here, once.
    assert capfd.readouterr().err.count("raw_images: 8 photos, folders: 2") == 1
    assert clusters(aws)[-1]["state"].startswith("TERMINAT"), told
    store = Store(emr.store)
    assert store.reduced_features.folders() == ["Banana", "Lemon"]
    assert instance.get_materialized_partitions(dg.AssetKey("reduced_features")) == {"Banana", "Lemon"}
    assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS] * 3
    model = instance.get_latest_materialization_event(dg.AssetKey("pca_model"))
    assert model is not None
    assert model.asset_materialization is not None
    # The versions of inputs are those that this instance knows; else the UI would call everything stale at once.
    made_from = model.asset_materialization.tags or {}
    assert made_from["dagster/input_event_pointer/mobilenet_model"].isdigit()
    assert made_from["dagster/input_data_version/mobilenet_features"] != "INITIAL"
    # And its own is that which the asset gave it on the cluster.
    assert made_from["dagster/data_version"] == model.asset_materialization.metadata["version"].value
    told_of_all = instance.get_latest_materialization_event(dg.AssetKey("store_report"))
    assert told_of_all is not None
    assert told_of_all.asset_materialization is not None
    assert told_of_all.asset_materialization.metadata["photos"].value == 8
    assert told_of_all.asset_materialization.metadata["cost_so_far_eur"].value > 0  # type: ignore[operator]
    assert any("is being created" in line for line in told) or told


def test_a_retry_succeeds_after_a_driver_that_was_killed_and_nothing_is_recorded_twice(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance
) -> None:
    killed: list[str] = []

    def kill() -> None:
        killed.append(running_step(aws))
        aws.kill_step(killed[0], "driver")

    thread = in_background(kill)
    result = materialize_raw_images(emr, instance)
    thread.join(10)
    assert result.success, failure_of(result)
    assert killed
    records = instance.fetch_materializations(raw_images.key, limit=10).records
    assert len(records) == 1
    assert [step["state"] for step in steps(aws)][-2:] == ["FAILED", "COMPLETED"]
    assert len(Store(emr.store).raw_images.arrow(["path"])) == 4


def test_cancelling_the_run_cancels_the_step_within_15_seconds_and_ends_the_cluster(
    aws: Emulator, emr: Settings, tmp_path: Path
) -> None:
    run = start_command(emr, tmp_path)
    step = running_step(aws)
    run.send_signal(signal.SIGINT)
    asked = time.monotonic()
    wait_until(lambda: next(one for one in steps(aws) if one["id"] == step)["state"] == "CANCELLED", 15)
    assert time.monotonic() - asked < 15
    run.wait(60)
    wait_until(lambda: all(one["state"].startswith("TERMINATED") for one in clusters(aws)), 60)


def start_command(settings: Settings, tmp_path: Path) -> "subprocess.Popen[bytes]":
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text((PROJECT / "fruits_assets" / "dagster.yaml").read_text())
    environment = {**os.environ, **settings.as_environment(), "DAGSTER_HOME": str(home)}
    command = [str(BIN / "fruits"), "run"]
    log = (tmp_path / "run.log").open("wb")
    return subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=log, stderr=log)


def test_a_launching_process_that_is_killed_leaves_nothing_running_after_the_guards_time(
    tmp_path: Path, photos: Path, network_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Five idle minutes pass in ten seconds.
    hasty = Emulator.start(tmp_path / "hasty", clock_speed=30, stack=True)
    try:
        for name, value in hasty.environ.items():
            monkeypatch.setenv(name, value)
        upload(hasty, photos, "Test")
        given = {"images": f"s3://{DATA}/Test", "store": f"s3://{DATA}", "weights": str(network_file)}
        run = start_command(read_settings(deployment="emr", **given, **SMALL), tmp_path)
        running_step(hasty)
        run.kill()
        wait_until(lambda: all(one["state"] == "TERMINATED" for one in clusters(hasty)), 180)
        assert all(one["processes"] == 0 for one in clusters(hasty))
    finally:
        hasty.stop()


def test_a_module_that_is_not_on_the_cluster_is_named(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    import spark_steps

    monkeypatch.setattr("fruits_assets.engines.staging._PACKAGES", (spark_steps,))
    told = failure_of(materialize_raw_images(emr, instance))
    assert "an import failed on the cluster: fruits_assets is not there" in told


def test_a_driver_that_is_killed_again_and_again_is_told_as_most_often_for_memory(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance
) -> None:
    in_background(lambda: aws.kill_step(running_step(aws), "driver"))
    told = failure_of(materialize_raw_images(emr.model_copy(update={"step_retries": 0}), instance))
    assert "it was killed (exit code 137), most often for memory" in told


def test_a_cluster_that_is_terminated_under_way_is_told_and_not_made_again(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance
) -> None:
    before = len(clusters(aws))

    def terminate() -> None:
        running_step(aws)
        aws.client("emr").terminate_job_flows(JobFlowIds=[clusters(aws)[-1]["id"]])

    in_background(terminate)
    told = failure_of(materialize_raw_images(emr, instance))
    assert "the cluster was terminated while the step was under way" in told
    assert len(clusters(aws)) == before + 1
    assert not instance.fetch_materializations(raw_images.key, limit=10).records


def test_a_cluster_lost_with_its_master_is_replaced_by_another_for_the_retry(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance
) -> None:
    def lose() -> None:
        running_step(aws)
        aws.lose_node(clusters(aws)[-1]["id"], "master")

    in_background(lose)
    before = len(clusters(aws))
    result = materialize_raw_images(emr, instance)
    assert result.success, failure_of(result)
    assert len(clusters(aws)) == before + 2
    assert len(instance.fetch_materializations(raw_images.key, limit=10).records) == 1


def test_a_step_outlives_throttling_and_a_creation_that_is_throttled_for_good_says_so(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance
) -> None:
    aws.throttle("RunJobFlow", 1000)
    told = failure_of(materialize_raw_images(emr, instance))
    assert "AWS throttled every attempt to create a cluster" in told
    aws.throttle("RunJobFlow", 0)
    aws.throttle("DescribeStep", 4)
    result = materialize_raw_images(emr, instance)
    assert result.success, failure_of(result)


def test_two_runs_that_start_together_take_one_cluster(aws: Emulator, emr: Settings) -> None:
    before = len(clusters(aws))
    taken: list[str] = []

    def submit() -> None:
        step = {"Name": "nothing", "ActionOnFailure": "CONTINUE"}
        jar = {"Jar": "command-runner.jar", "Args": ["true"]}
        found = Clusters(emr)
        environment = read_environment(found.s3, found.infrastructure.staging_bucket)
        taken.append(found.submit(environment, lambda _: {**step, "HadoopJarStep": jar}, lambda _: None)[0])

    threads = [in_background(submit) for _ in range(4)]
    for thread in threads:
        thread.join(120)
    assert len(taken) == 4
    assert len(set(taken)) == 1
    assert len(clusters(aws)) == before + 1


def test_a_budget_that_does_not_fit_refuses_before_any_cluster_exists(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance
) -> None:
    before = len(clusters(aws))
    told = failure_of(materialize_raw_images(emr.model_copy(update={"budget_eur": 0.5}), instance))
    assert "No cluster is created: the budget of 0.50 EUR" in told
    assert len(clusters(aws)) == before


def test_a_bucket_outside_the_eu_is_refused_before_data_moves(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance
) -> None:
    aws.client("s3", "us-east-1").create_bucket(Bucket="photos-in-virginia")
    before = len(clusters(aws))
    told = failure_of(materialize_raw_images(emr.model_copy(update={"images": "s3://photos-in-virginia/a"}), instance))
    assert "photos-in-virginia" in told
    assert "us-east-1" in told
    assert len(clusters(aws)) == before
    with pytest.raises(FruitsError, match="photos stay in the European Union"):
        read_settings(region="us-east-1")


def test_without_credentials_there_is_one_clear_sentence(emr: Settings, tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {**clean, **emr.as_environment(), "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    done = subprocess.run(
        [str(BIN / "fruits"), "run"], env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    *places, sentence = done.stderr.strip().splitlines()
    assert sentence.startswith("Error: There are no AWS credentials")
    assert [line.partition(" ")[0] for line in places] == ["Images", "Store"]


def test_the_launcher_role_may_erase_a_photo_for_good_and_deletes_no_receipt(
    aws: Emulator, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aws.root_environ.items():
        monkeypatch.setenv(name, value)
    store, photos = Store(f"s3://{DATA}"), make_photos(f"s3://{DATA}/Test", ["Aardvark"], 2)
    write_photos([*photos, *photos])
    write_rows(store, photos, model=False)
    role = f"arn:aws:iam::123456789012:role/fruits-launcher-{aws.environ['AWS_REGION']}"
    session = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", session["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", session["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", session["SessionToken"])
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    aws.enforce_iam(True)
    settings = read_settings(images=f"s3://{DATA}/Test", store=store.root)
    erase(settings, instance, ErasureRequest(paths=[one.path for one in photos]), lambda _: True, lambda _: None)
    listing = aws.client("s3").list_object_versions(Bucket=DATA, Prefix="Test/Aardvark/")
    assert not listing.get("Versions")
    assert not listing.get("DeleteMarkers")
    assert "Aardvark" not in store.raw_images.folders()
    receipt = locations.list_files(store.erasures)[0]
    with pytest.raises(FruitsError, match="AWS denies access"):
        locations.delete_files(store.erasures, [receipt.base_name])
