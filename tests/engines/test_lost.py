"""Steps whose driver or whose launching process is lost, on each engine."""

import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from fruits_assets.assets import raw_images
from fruits_assets.commands.aws.clusters import clusters_command
from fruits_assets.engines.guards import guard_sensor
from fruits_assets.engines.registry import entry_of
from fruits_assets.instance.liveness import end_runs_of_killed_processes
from fruits_assets.settings import Settings
from spark_steps.store.store import Store
from tests.support.aws.emr_runs import failure_of, in_background, wait_until
from tests.support.aws.engines import CANCELLED, DONE, OVER, Bench, empty_request
from tests.support.project import PROJECT
from tests.support.ways_in import BIN


def test_a_retry_succeeds_after_a_driver_that_was_killed_and_nothing_is_recorded_twice(
    engine: Bench, settings: Settings, instance: dg.DagsterInstance
) -> None:
    before = {job["id"] for job in engine.jobs()}
    thread = in_background(lambda: engine.aws.kill_step(engine.running_job(), "driver"))
    result = engine.materialize(settings, instance)
    thread.join(10)
    assert result.success, failure_of(result)
    (told,) = [one.step_retry_data.error for one in result.all_events if one.is_step_up_for_retry]
    assert "it was killed (exit code 137), most often for memory" in str(told)
    assert len(instance.fetch_materializations(raw_images.key, limit=10).records) == 1
    states = [job["state"] for job in engine.jobs() if job["id"] not in before]
    assert states[0] == "FAILED"
    assert len(states) == 2
    assert states[1] in DONE
    assert len(Store(settings.store).raw_images.arrow(["path"])) == 4


def start_command(settings: Settings, tmp_path: Path) -> "subprocess.Popen[bytes]":
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text((PROJECT / "fruits_assets" / "instance" / "dagster.yaml").read_text())
    environment = {**os.environ, **settings.as_environment(), "DAGSTER_HOME": str(home)}
    log = (tmp_path / "run.log").open("wb")
    return subprocess.Popen([str(BIN / "fruits"), "run"], env=environment, cwd=PROJECT, stdout=log, stderr=log)


def test_cancelling_the_run_cancels_the_step_within_15_seconds_and_leaves_nothing_that_runs(
    engine: Bench, settings: Settings, tmp_path: Path
) -> None:
    run = start_command(settings, tmp_path)
    job = engine.running_job()
    run.send_signal(signal.SIGINT)
    asked = time.monotonic()
    wait_until(lambda: engine.state(job) in CANCELLED, 15)
    assert time.monotonic() - asked < 15
    run.wait(60)
    wait_until(lambda: engine.processes() == 0, 60)


def test_the_step_of_a_launching_process_that_was_killed_is_found_and_cancelled(
    engine: Bench, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start_command(settings, tmp_path)
    job = engine.running_job()
    run.kill()
    run.wait(10)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    with dg.DagsterInstance.get() as instance:
        assert len(end_runs_of_killed_processes(instance)) == 1
        context = dg.build_sensor_context(instance=instance, resources={"settings": settings})
        told = guard_sensor(context)
        assert isinstance(told, dg.SkipReason)
        assert f"{job} of" in str(told.skip_message)
        assert "is cancelled: its run is over." in str(told.skip_message)
    wait_until(lambda: engine.state(job) in OVER, 30)


@pytest.mark.usefixtures("without_spark")
@pytest.mark.timeout(120)
def test_a_request_that_is_sent_again_gives_the_same_job(engine: Bench, settings: Settings) -> None:
    there = entry_of(settings.deployment).make_engine(settings)
    request = empty_request(there, settings, uuid.uuid4().hex)
    first = there.submit(request, lambda _: None)
    assert there.submit(request, lambda _: None) == first
    assert [job.run_id for job in there.unfinished_jobs() if job.ref == first] in ([request.run_id], [])
    there.cancel(first)
    wait_until(lambda: there.state(first).is_over, 60)
    # Cancelled once more, nothing is said.
    there.cancel(first)


@pytest.mark.usefixtures("without_spark")
@pytest.mark.timeout(120)
def test_the_command_that_ends_clusters_ends_a_job_that_nobody_waits_for(
    engine: Bench, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    there = entry_of(settings.deployment).make_engine(settings)
    job = there.submit(empty_request(there, settings, uuid.uuid4().hex), lambda _: None)
    what = job.place if engine.deployment == "emr" else job.id
    told = CliRunner().invoke(clusters_command, ["--terminate", "--yes"])
    assert told.exit_code == 0, told.output
    assert f"{what} is being ended" in told.output
    wait_until(lambda: there.state(job).is_over, 60)
    again = CliRunner().invoke(clusters_command, ["--terminate", "--yes"])
    assert "nothing to end" in again.output, again.output
