"""Drivers, clusters and launching processes that are lost while a step runs."""

import os
import signal
import subprocess
import time
from pathlib import Path

import dagster as dg
import pytest

from fruits_assets.assets import raw_images
from fruits_assets.aws import sessions
from fruits_assets.settings import Settings
from spark_steps.store.store import Store
from tests.emr_emulator import Emulator
from tests.support.aws.emr_runs import (
    clusters,
    failure_of,
    in_background,
    materialize_raw_images,
    running_step,
    steps,
    wait_until,
)
from tests.support.project import PROJECT
from tests.support.ways_in import BIN


def test_a_retry_succeeds_after_a_driver_that_was_killed_and_nothing_is_recorded_twice(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance
) -> None:
    killed: list[str] = []

    def kill() -> None:
        killed.append(running_step(aws))
        aws.kill_step(killed[0], "driver")

    thread = in_background(kill)
    result = materialize_raw_images(aws, emr, instance, keep_cluster=True)
    thread.join(10)
    assert result.success, failure_of(result)
    assert killed
    records = instance.fetch_materializations(raw_images.key, limit=10).records
    assert len(records) == 1
    assert [step["state"] for step in steps(aws)][-2:] == ["FAILED", "COMPLETED"]
    assert len(Store(emr.store).raw_images.arrow(["path"])) == 4


@pytest.mark.usefixtures("no_other_cluster")
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
    (home / "dagster.yaml").write_text((PROJECT / "fruits_assets" / "instance" / "dagster.yaml").read_text())
    environment = {**os.environ, **settings.as_environment(), "DAGSTER_HOME": str(home)}
    command = [str(BIN / "fruits"), "run"]
    log = (tmp_path / "run.log").open("wb")
    return subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=log, stderr=log)


def test_a_driver_that_is_killed_again_and_again_is_told_as_most_often_for_memory(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance
) -> None:
    in_background(lambda: aws.kill_step(running_step(aws), "driver"))
    told = failure_of(
        materialize_raw_images(aws, emr.model_copy(update={"step_retries": 0}), instance, keep_cluster=True)
    )
    assert "it was killed (exit code 137), most often for memory" in told


@pytest.mark.usefixtures("no_other_cluster")
def test_a_cluster_that_is_terminated_under_way_is_told_and_not_made_again(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance
) -> None:
    before = len(clusters(aws))

    def terminate() -> None:
        running_step(aws)
        aws.client("emr").terminate_job_flows(JobFlowIds=[clusters(aws)[-1]["id"]])

    in_background(terminate)
    told = failure_of(materialize_raw_images(aws, emr, instance))
    assert "the cluster was terminated while the step was under way" in told
    assert len(clusters(aws)) == before + 1
    assert not instance.fetch_materializations(raw_images.key, limit=10).records


@pytest.mark.usefixtures("no_other_cluster")
def test_a_cluster_lost_with_its_master_is_replaced_by_another_for_the_retry(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance
) -> None:
    def lose() -> None:
        running_step(aws)
        aws.lose_node(clusters(aws)[-1]["id"], "master")

    in_background(lose)
    before = len(clusters(aws))
    result = materialize_raw_images(aws, emr, instance)
    assert result.success, failure_of(result)
    assert len(clusters(aws)) == before + 2
    assert len(instance.fetch_materializations(raw_images.key, limit=10).records) == 1


@pytest.mark.usefixtures("no_other_cluster")
def test_a_creation_that_is_throttled_for_good_says_so(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_WAITS", (0.1, 0.1, 0))
    calls = aws.state()["calls"].get("elasticmapreduce:RunJobFlow", 0)
    aws.throttle("RunJobFlow", 1000)
    told = failure_of(materialize_raw_images(aws, emr, instance))
    aws.throttle("RunJobFlow", 0)
    assert "AWS throttled every attempt to create a cluster" in told
    assert aws.state()["calls"]["elasticmapreduce:RunJobFlow"] == calls + 3


def test_a_step_outlives_throttling(aws: Emulator, emr: Settings, instance: dg.DagsterInstance) -> None:
    aws.throttle("DescribeStep", 4)
    result = materialize_raw_images(aws, emr, instance, keep_cluster=True)
    assert result.success, failure_of(result)
