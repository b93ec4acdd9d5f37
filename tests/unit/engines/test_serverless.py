"""The request for a job of EMR Serverless, and what is said of one that failed."""

import re
from dataclasses import replace
from typing import Any

import pytest

from fruits_assets.engines.emr_serverless.application import problems
from fruits_assets.engines.emr_serverless.failures import known_cause
from fruits_assets.engines.emr_serverless.job_request import client_token, job_request
from fruits_assets.engines.engine import JobRequest, job_name, run_of
from fruits_assets.engines.staging import StepStaging
from fruits_assets.settings import Settings, read_settings
from tests.support.aws.cluster import ENVIRONMENT, INFRASTRUCTURE

RUN = "0" * 36


def settings(**given: Any) -> Settings:
    return read_settings(deployment="emr-serverless", images="s3://data/Test", store="s3://data", **given)


def request(attempt: int = 0, **given: Any) -> JobRequest:
    environment = replace(ENVIRONMENT, standalone="environment/s.tar.gz")
    staging = StepStaging(None, "staging", RUN, "raw_images", attempt)
    return JobRequest("raw_images", RUN, attempt, settings(**given), environment, staging, {})


def conf_of(asked: dict[str, Any]) -> dict[str, str]:
    parameters = asked["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]
    return dict(one.split("=", 1) for one in re.findall(r"--conf (\S+)", parameters))


def test_a_job_has_bounds_an_interpreter_of_its_own_and_the_most_that_it_costs() -> None:
    asked = job_request(request(max_executors=3, step_minutes=30), INFRASTRUCTURE, 1.5)
    conf = conf_of(asked)
    assert conf["spark.dynamicAllocation.maxExecutors"] == "3"
    assert conf["spark.archives"] == "s3://staging/environment/s.tar.gz#environment"
    python = "./environment/bin/python"
    assert conf["spark.emr-serverless.driverEnv.PYSPARK_PYTHON"] == python
    assert conf["spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON"] == python
    assert conf["spark.executorEnv.PYSPARK_PYTHON"] == python
    assert asked["executionTimeoutMinutes"] == 30
    assert asked["tags"]["fruits-worst-case-eur"] == "1.5000"
    assert asked["applicationId"] == INFRASTRUCTURE.serverless_application
    assert asked["executionRoleArn"] == INFRASTRUCTURE.job_role_arn
    assert asked["jobDriver"]["sparkSubmit"]["entryPointArguments"][0].endswith(f"steps/{RUN}/raw_images/0/step.json")


def test_an_executors_memory_is_all_that_is_paid_for() -> None:
    conf = conf_of(
        job_request(request(executor_cores=8, executor_memory="4g", executor_overhead="5g"), INFRASTRUCTURE, 1)
    )
    # 8 vCPUs have 16 GB at least.
    assert conf["spark.executor.memory"] == "4g"
    assert conf["spark.executor.memoryOverhead"] == f"{12 * 1024}m"


def test_the_service_takes_no_limit_below_five_minutes() -> None:
    assert job_request(request(step_minutes=1), INFRASTRUCTURE, 1)["executionTimeoutMinutes"] == 5


def test_the_same_attempt_has_the_same_token_and_the_next_one_another() -> None:
    assert client_token(request(0)) == client_token(request(0))
    assert client_token(request(0)) != client_token(request(1))
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", client_token(request(0)))


def test_the_name_of_a_job_tells_its_run() -> None:
    assert run_of(job_name("raw_images", "mine", 0)) == "mine"
    assert run_of("typed by hand") is None


@pytest.mark.parametrize(
    ("state", "details", "cause", "remedy", "is_transient"),
    [
        ("FAILED", "ApplicationMaxCapacityExceededException: exceeded", "maximum capacity", "ServerlessVcpus", False),
        ("CANCELLED", "Job run timed out after 30 minutes", "more than 30 minutes", "FRUITS_STEP_MINUTES", False),
        ("FAILED", "ServiceQuotaExceededException: vCPU quota", "no room for the job's workers", "doctor", True),
        ("FAILED", "is not authorized to assume the role", "may not use the job's role", "fruits deploy", False),
        (
            "FAILED",
            "FileNotFoundException: s3://b/environment/fruits-standalone-x",
            "is not there",
            "--serverless",
            False,
        ),
        ("CANCELLED", "Job run was cancelled by user", "was cancelled", "Start the run again", False),
    ],
)
def test_what_the_service_tells_of_a_failure_is_told_with_a_remedy(
    state: str, details: str, cause: str, remedy: str, is_transient: bool
) -> None:
    found = known_cause(state, details, 30)
    assert found is not None
    assert cause in found.message
    assert remedy in found.message
    assert found.is_transient is is_transient


def test_where_the_service_tells_nothing_the_logs_have_to() -> None:
    assert known_cause("FAILED", "Job failed, please check complete logs. ExitCode: 1", 30) is None


def test_an_application_that_costs_while_idle_or_has_no_bound_is_told() -> None:
    good = {
        "maximumCapacity": {"cpu": "20 vCPU", "memory": "80 GB"},
        "autoStopConfiguration": {"enabled": True, "idleTimeoutMinutes": 15},
    }
    assert problems(good, settings()) == []
    assert "initial capacity" in problems({**good, "initialCapacity": {"Driver": {}}}, settings())[0]
    assert "does not stop" in problems({**good, "autoStopConfiguration": {"enabled": False}}, settings())[0]
    assert "no maximum capacity" in problems({**good, "maximumCapacity": None}, settings())[0]
    small = {**good, "maximumCapacity": {"cpu": "5 vCPU", "memory": "80 GB"}}
    assert problems(small, settings()) == ["its maximum cpu is 5 vCPU, and a driver with one executor needs 6"]
