"""The graph on EMR: an emulator really runs each step's own spark-submit, its executors processes of their own."""

import os
import subprocess
from pathlib import Path

import boto3
import dagster as dg
import pytest

from fruits_assets.aws.environment import read_environment
from fruits_assets.engines.emr.cluster import Clusters
from fruits_assets.jobs.erasure_service import ErasureRequest, erase
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import FruitsError
from spark_steps.storage import locations
from spark_steps.store.store import Store
from tests.emr_emulator import Emulator
from tests.support.aws.emr_runs import DATA, clusters, empty_data_bucket, in_background
from tests.support.pipeline import run_pipeline
from tests.support.project import PROJECT
from tests.support.small_store import make_photos, write_photos, write_rows
from tests.support.ways_in import BIN


@pytest.mark.usefixtures("no_other_cluster", "executors")
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


@pytest.mark.usefixtures("no_other_cluster", "without_spark")
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
    empty_data_bucket(aws)
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
