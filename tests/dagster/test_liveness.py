"""Runs of processes that were killed: told from those that go on, and ended."""

import subprocess
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterInstance

from fruits_assets.automation.sensors import killed_runs_sensor
from fruits_assets.engines.in_flight import others_in_flight
from fruits_assets.instance.in_flight import partitions_in_flight, unfinished_runs
from fruits_assets.instance.liveness import PROCESS_TAG, end_runs_of_killed_processes, tagged_as_alive
from tests.support.runs import create_run

_DIES = """
import os, sys
import dagster as dg
from tests.support.runs import create_run
from fruits_assets.instance.liveness import tagged_as_alive
with dg.DagsterInstance.local_temp(sys.argv[1]) as instance, tagged_as_alive(instance) as tags:
    create_run(instance, tags=tags, status=dg.DagsterRunStatus.STARTED)
    os.kill(os.getpid(), 9)
"""


def test_the_run_of_a_process_that_was_killed_is_ended_and_keeps_no_partition(tmp_path: Path) -> None:
    died = subprocess.run([sys.executable, "-c", _DIES, str(tmp_path)], check=False)
    assert died.returncode == -9
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        (run,) = instance.get_runs()
        assert partitions_in_flight(instance, ["A", "B"]) == {"A", "B"}
        assert end_runs_of_killed_processes(instance) == [run.run_id]
        assert partitions_in_flight(instance, ["A", "B"]) == set()
        (failed,) = instance.get_runs()
        assert failed.status == dg.DagsterRunStatus.FAILURE
        assert end_runs_of_killed_processes(instance) == []


def test_the_runs_of_this_process_of_the_ui_and_of_other_machines_are_left_alone(instance: DagsterInstance) -> None:
    with tagged_as_alive(instance) as tags:
        create_run(instance, tags=tags, status=dg.DagsterRunStatus.STARTED)
        create_run(instance, status=dg.DagsterRunStatus.STARTED)
        create_run(instance, tags={PROCESS_TAG: "another-machine 0123"}, status=dg.DagsterRunStatus.STARTED)
        assert end_runs_of_killed_processes(instance) == []
    assert set(tags) == {PROCESS_TAG}
    # What is not ended when its process has ended well is not going on either.
    assert len(end_runs_of_killed_processes(instance)) == 1


def test_the_sensor_that_frees_the_queue_runs_from_the_start_and_names_what_it_ended(tmp_path: Path) -> None:
    assert killed_runs_sensor.default_status == dg.DefaultSensorStatus.RUNNING
    subprocess.run([sys.executable, "-c", _DIES, str(tmp_path)], check=False)
    with DagsterInstance.local_temp(str(tmp_path)) as instance, dg.build_sensor_context(instance=instance) as context:
        (run,) = instance.get_runs()
        told = [str(killed_runs_sensor(context)), str(killed_runs_sensor(context))]
    assert f"Marked as failed, because their processes were killed: {run.run_id[:8]}." in told[0]
    assert "Every unfinished run has its process." in told[1]


def test_a_run_of_whole_pipeline_keeps_no_cluster_from_being_ended(instance: DagsterInstance) -> None:
    create_run(instance, job_name="whole_pipeline", status=dg.DagsterRunStatus.STARTED)
    assert not others_in_flight(instance, timedelta(hours=1))
    own = create_run(instance, job_name="fit_pca", status=dg.DagsterRunStatus.STARTED)
    assert others_in_flight(instance, timedelta(hours=1))
    assert not others_in_flight(instance, timedelta(hours=1), own.run_id)


def test_a_run_that_ends_well_between_two_looks_at_it_is_left_alone(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = ExitStack()
    tags = process.enter_context(tagged_as_alive(instance))
    run = create_run(instance, tags=tags, status=dg.DagsterRunStatus.STARTED)

    def list_then_sleep(of: DagsterInstance) -> list[dg.DagsterRun]:
        listed = unfinished_runs(of)
        ended = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_SUCCESS.value, run.job_name)
        instance.report_dagster_event(ended, run.run_id)
        process.close()
        return listed

    monkeypatch.setattr("fruits_assets.instance.liveness.unfinished_runs", list_then_sleep)
    assert end_runs_of_killed_processes(instance) == []
    (after,) = instance.get_runs()
    assert after.status == dg.DagsterRunStatus.SUCCESS
