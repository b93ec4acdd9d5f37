"""What is EMR Serverless' own: its capacity, its limits, its bill, its environment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from botocore.exceptions import ClientError

from fruits_assets.aws.environment import CURRENT
from fruits_assets.engines.emr_serverless.engine import ServerlessEngine
from fruits_assets.instance.tags import BILLED_TAG
from fruits_assets.settings import Settings
from tests.emr_emulator import Emulator
from tests.support.aws.emr_runs import STAGING, failure_of, in_background
from tests.support.aws.engines import Bench, benches


@pytest.fixture
def serverless(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The engine, with this process's way to its emulator."""
    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    bench = benches(aws)["emr-serverless"]
    yield bench
    aws.set_clock_speed(1.0)
    aws.bill_after(0)
    bench.clean()


@pytest.fixture
def settings(serverless: Bench, photos: Path, network_file: Path) -> Settings:
    return serverless.settings(photos, network_file)


def test_a_job_beyond_the_applications_capacity_is_told(
    serverless: Bench, settings: Settings, instance: dg.DagsterInstance
) -> None:
    large = settings.model_copy(update={"executor_cores": 8, "executor_memory": "20g", "executor_overhead": "12g"})
    application: Any = serverless.aws.client("emr-serverless").get_application(
        applicationId=ServerlessEngine(settings).application
    )["application"]
    assert application["maximumCapacity"] == {"cpu": "16 vCPU", "memory": "64 GB"}
    assert serverless.materialize(large, instance).success
    # An executor of 60 GB and a driver of 8.
    larger = large.model_copy(update={"executor_memory": "48g"})
    told = failure_of(serverless.materialize(larger, instance, folder="Lemon"))
    assert "the application's maximum capacity is too small for the job" in told
    assert "ServerlessMemory" in told


def test_a_job_whose_time_is_up_is_ended_by_the_service_and_told(
    serverless: Bench, settings: Settings, instance: dg.DagsterInstance
) -> None:
    def hurry() -> None:
        serverless.running_job()
        serverless.aws.set_clock_speed(3_000.0)

    in_background(hurry)
    told = failure_of(serverless.materialize(settings.model_copy(update={"step_minutes": 5}), instance))
    assert "it ran for more than 5 minutes, and the service has ended it. Raise FRUITS_STEP_MINUTES" in told
    assert serverless.processes() == 0


def test_an_environment_without_an_interpreter_is_told(
    serverless: Bench, settings: Settings, instance: dg.DagsterInstance
) -> None:
    s3 = serverless.aws.client("s3")
    current = s3.get_object(Bucket=STAGING, Key=CURRENT)["Body"].read()
    before = serverless.created()
    s3.put_object(
        Bucket=STAGING, Key=CURRENT, Body=current.replace(b"environment/fruits-standalone", b"gone/standalone")
    )
    try:
        told = failure_of(serverless.materialize(settings, instance))
        assert "the environment with its interpreter is not there. Run fruits deploy --serverless" in told
        assert serverless.created() == before + 1
        text = current.replace(b'"standalone"', b'"bootstrap"')
        s3.put_object(Bucket=STAGING, Key=CURRENT, Body=text)
        told = failure_of(serverless.materialize(settings, instance, folder="Lemon"))
        assert "There is no Python environment with its own interpreter" in told
        assert serverless.created() == before + 1
    finally:
        s3.put_object(Bucket=STAGING, Key=CURRENT, Body=current)


def test_a_bill_that_comes_later_is_not_waited_for(
    serverless: Bench, settings: Settings, instance: dg.DagsterInstance
) -> None:
    serverless.aws.bill_after(3_600)
    assert serverless.materialize(settings, instance).success
    (run,) = instance.get_runs()
    assert BILLED_TAG not in run.tags
    serverless.aws.bill_after(0)
    engine = ServerlessEngine(settings)
    billed = engine.billed_eur(engine._ref(serverless.jobs()[-1]["id"]))
    assert billed is not None
    assert billed > 0


def test_a_job_has_its_roles_rights_and_no_others(serverless: Bench, settings: Settings) -> None:
    role = serverless.aws.environ_of_role(ServerlessEngine(settings).infrastructure.job_role_arn)
    service = serverless.aws.client("emr-serverless", environ=role)
    serverless.aws.enforce_iam(True)
    try:
        with pytest.raises(ClientError, match="emr-serverless:ListApplications"):
            service.list_applications()
        with pytest.raises(ClientError, match=r"s3:PutObject|AccessDenied"):
            serverless.aws.client("s3", environ=role).put_object(Bucket=STAGING, Key="environment/mine", Body=b"x")
    finally:
        serverless.aws.enforce_iam(False)
