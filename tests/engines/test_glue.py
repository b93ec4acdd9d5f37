"""What is Glue's own: its turn, its limits, its bill, its logs, its environment."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from botocore.exceptions import ClientError

from fruits_assets.aws.environment import CURRENT
from fruits_assets.engines.engine import JobState
from fruits_assets.engines.glue import engine as engine_module
from fruits_assets.engines.glue.engine import GlueEngine
from fruits_assets.instance.tags import BILLED_TAG
from fruits_assets.money.account import account_spend
from fruits_assets.money.dpus.prices import read_dpu_prices
from fruits_assets.money.prices import read_prices
from fruits_assets.settings import Settings
from tests.emr_emulator import Emulator
from tests.support.aws.emr_runs import STAGING, failure_of, in_background, wait_until
from tests.support.aws.engines import CANCELLED, DONE, OVER, Bench, benches


@pytest.fixture
def glue(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The engine, with this process's way to its emulator."""
    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    bench = benches(aws)["glue"]
    yield bench
    aws.set_clock_speed(1.0)
    aws.enforce_iam(False)
    if left := [job["id"] for job in bench.jobs() if job["state"] not in OVER]:
        aws.client("glue").batch_stop_job_run(JobName="fruits", JobRunIds=left)
    bench.clean()


@pytest.fixture
def settings(glue: Bench, photos: Path, network_file: Path) -> Settings:
    return glue.settings(photos, network_file)


def start_by_hand(glue: Bench, count: int) -> list[str]:
    """Starts runs of the stack's job that do nothing for a while, as somebody might in the console."""
    s3 = glue.aws.client("s3")
    s3.put_object(Bucket=STAGING, Key="steps/by-hand.py", Body=b"import time; time.sleep(600)")
    script = {"--scriptLocation": f"s3://{STAGING}/steps/by-hand.py"}
    service = glue.aws.client("glue")
    return [str(service.start_job_run(JobName="fruits", Arguments=script)["JobRunId"]) for _ in range(count)]


def test_a_run_beyond_as_many_as_the_job_may_have_waits_for_its_turn(
    glue: Bench, settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_TURN_SECONDS", 1.0)
    # The stack's GlueRuns.
    others = start_by_hand(glue, 3)
    service = glue.aws.client("glue")

    def make_room() -> None:
        wait_until(lambda: glue.aws.state()["calls"].get("glue:StartJobRun", 0) >= before + 2)
        service.batch_stop_job_run(JobName="fruits", JobRunIds=others)

    before = glue.aws.state()["calls"]["glue:StartJobRun"]
    in_background(make_room)
    result = glue.materialize(settings, instance)
    assert result.success, failure_of(result)
    assert [glue.state(other) for other in others] == ["STOPPED"] * 3
    assert glue.jobs()[-1]["state"] in DONE


def test_a_run_whose_time_is_up_is_ended_by_glue_and_told(
    glue: Bench, settings: Settings, instance: dg.DagsterInstance
) -> None:
    def hurry() -> None:
        glue.running_job()
        glue.aws.set_clock_speed(3_000.0)

    in_background(hurry)
    told = failure_of(glue.materialize(settings.model_copy(update={"step_minutes": 5}), instance))
    assert "it ran for more than 5 minutes, and Glue has ended it. Raise FRUITS_STEP_MINUTES" in told
    assert glue.processes() == 0


def test_an_environment_without_an_interpreter_is_told(
    glue: Bench, settings: Settings, instance: dg.DagsterInstance
) -> None:
    s3 = glue.aws.client("s3")
    current = s3.get_object(Bucket=STAGING, Key=CURRENT)["Body"].read()
    before = glue.created()
    gone = current.replace(b"environment/fruits-standalone", b"environment/gone-standalone")
    s3.put_object(Bucket=STAGING, Key=CURRENT, Body=gone)
    try:
        told = failure_of(glue.materialize(settings, instance))
        assert "the environment with its interpreter is not there. Run fruits deploy --glue" in told
        assert glue.created() == before + 1
        s3.put_object(Bucket=STAGING, Key=CURRENT, Body=current.replace(b'"standalone"', b'"bootstrap"'))
        told = failure_of(glue.materialize(settings, instance, folder="Lemon"))
        assert "There is no Python environment with its own interpreter" in told
        assert "fruits deploy --environment-only --glue" in told
        assert glue.created() == before + 1
    finally:
        s3.put_object(Bucket=STAGING, Key=CURRENT, Body=current)


def test_a_run_is_billed_by_its_dpu_seconds_and_counts_with_its_worst_case_until_it_is_over(
    glue: Bench, settings: Settings, instance: dg.DagsterInstance
) -> None:
    assert read_dpu_prices(settings).source.startswith("Price List API")
    (by_hand,) = start_by_hand(glue, 1)
    spend = account_spend(settings, read_prices(settings), datetime.now(UTC))
    (running,) = [job for job in spend.jobs if job.id == by_hand]
    assert running.running
    # Two workers of a DPU for an hour, as one of others: nothing tells that it is the stack's.
    assert running.eur + running.rest_eur == pytest.approx(2 * 62 / 60 * 0.44 * 0.92 * 1.2, rel=0.02)
    glue.aws.client("glue").batch_stop_job_run(JobName="fruits", JobRunIds=[by_hand])
    assert glue.materialize(settings, instance).success
    (run,) = instance.get_runs()
    last = glue.aws.client("glue").get_job_run(JobName="fruits", RunId=glue.jobs()[-1]["id"])["JobRun"]
    assert float(run.tags[BILLED_TAG]) == pytest.approx(last["DPUSeconds"] / 3600 * 0.44 * 0.92 * 1.2, rel=1e-3)
    spend = account_spend(settings, read_prices(settings), datetime.now(UTC))
    assert [job.stack for job in spend.jobs if job.id == last["Id"]] == ["fruits"]
    assert [job.rest_eur for job in spend.jobs if not job.running and job.rest_eur] == []


def test_a_run_that_was_stopped_in_the_console_is_told_as_cancelled(
    glue: Bench, settings: Settings, instance: dg.DagsterInstance
) -> None:
    def stop() -> None:
        glue.aws.client("glue").batch_stop_job_run(JobName="fruits", JobRunIds=[glue.running_job()])

    in_background(stop)
    told = failure_of(glue.materialize(settings, instance))
    assert "the step was cancelled. Start the run again if that was not intended." in told
    assert glue.jobs()[-1]["state"] in CANCELLED


def test_the_log_of_a_driver_is_found_in_cloudwatch_under_the_launchers_role(
    glue: Bench, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = glue.aws.client("s3")
    s3.put_object(Bucket=STAGING, Key="steps/says.py", Body=b"raise SystemExit('no fruit in it')")
    script = {"--scriptLocation": f"s3://{STAGING}/steps/says.py"}
    run_id = glue.aws.client("glue").start_job_run(JobName="fruits", Arguments=script)["JobRunId"]
    wait_until(lambda: glue.state(run_id) == "FAILED")
    for name, value in glue.aws.environ_of_role("arn:aws:iam::123456789012:role/fruits-launcher-eu-west-3").items():
        monkeypatch.setenv(name, value)
    glue.aws.enforce_iam(True)
    engine = GlueEngine(settings)
    job = engine.runs.ref(run_id)
    assert engine.state(job) == JobState.FAILED
    evidence = engine.evidence(job, None, lambda _: None)
    assert "no fruit in it" in evidence.log
    assert evidence.log_uri == f"/fruits/glue/output/{run_id}"


def test_a_run_has_its_roles_rights_and_no_others(glue: Bench, settings: Settings) -> None:
    role = glue.aws.environ_of_role(GlueEngine(settings).infrastructure.glue_role_arn)
    clients: dict[str, Any] = {name: glue.aws.client(name, environ=role) for name in ("glue", "s3", "logs")}
    glue.aws.enforce_iam(True)
    with pytest.raises(ClientError, match="glue:StartJobRun"):
        clients["glue"].start_job_run(JobName="fruits")
    with pytest.raises(ClientError, match=r"s3:PutObject|AccessDenied"):
        clients["s3"].put_object(Bucket=STAGING, Key="environment/mine", Body=b"x")
    with pytest.raises(ClientError, match="logs:CreateLogStream"):
        clients["logs"].create_log_stream(logGroupName="/elsewhere", logStreamName="mine")
