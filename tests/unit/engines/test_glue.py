"""The request for a run of the Glue job, what is said of one that failed, and what the job must be like."""

from dataclasses import replace
from typing import Any

import pytest

from fruits_assets.engines.engine import JobRequest, run_of
from fruits_assets.engines.glue.failures import known_cause
from fruits_assets.engines.glue.job import problems
from fruits_assets.engines.glue.run_request import run_request
from fruits_assets.engines.staging import StepStaging
from fruits_assets.settings import Settings, read_settings
from spark_steps.step_main import given
from tests.emr_emulator.checks import ApiError
from tests.emr_emulator.glue.shapes import check_shape
from tests.support.aws.cluster import ENVIRONMENT, INFRASTRUCTURE

RUN = "0" * 36


def settings(**given: Any) -> Settings:
    return read_settings(deployment="glue", images="s3://data/Test", store="s3://data", **given)


def asked_for(attempt: int = 0, **given: Any) -> dict[str, Any]:
    environment = replace(ENVIRONMENT, standalone="environment/s.tar.gz")
    staging = StepStaging(None, "staging", RUN, "raw_images", attempt)
    request = JobRequest("raw_images", RUN, attempt, settings(**given), environment, staging, {})
    return run_request(request, INFRASTRUCTURE)


def conf_of(asked: dict[str, Any]) -> dict[str, str]:
    return dict(one.split("=", 1) for one in asked["Arguments"]["--conf"].split(" --conf "))


def test_a_run_has_bounds_and_an_interpreter_of_its_own() -> None:
    asked = asked_for(max_executors=3, step_minutes=30)
    # A worker for each executor, and one for the driver.
    assert (asked["WorkerType"], asked["NumberOfWorkers"], asked["Timeout"]) == ("G.1X", 4, 30)
    assert asked["JobName"] == INFRASTRUCTURE.glue_job
    assert asked["Arguments"]["--python-virtual-env"] == "s3://staging/environment/s.tar.gz"
    folder = f"s3://staging/steps/{RUN}/raw_images/0"
    assert asked["Arguments"]["--scriptLocation"] == f"{folder}/step_main.py"
    assert asked["Arguments"]["--extra-py-files"] == f"{folder}/code.zip"


def test_a_request_is_one_of_the_services_own_model() -> None:
    check_shape("StartJobRun", asked_for())
    with pytest.raises(ApiError, match="NumberOfWorkers"):
        check_shape("StartJobRun", {**asked_for(), "NumberOfWorkers": "four"})
    with pytest.raises(ApiError, match='Unknown parameter in input: "ClientToken"'):
        check_shape("StartJobRun", {**asked_for(), "ClientToken": "a"})


def test_an_executor_has_all_memory_of_its_worker() -> None:
    conf = conf_of(asked_for(executor_memory="4g", executor_overhead="5g"))
    assert conf["spark.executor.memory"] == "4g"
    # Three quarters of the 16 GB of a G.1X.
    assert conf["spark.executor.memoryOverhead"] == f"{8 * 1024}m"
    assert conf["spark.executor.cores"] == "4"


def test_the_same_attempt_has_the_same_name_and_the_next_one_another_and_both_tell_their_run() -> None:
    first, again, second = (asked_for(attempt)["Arguments"]["--fruits-run"] for attempt in (0, 0, 1))
    assert first == again != second
    assert run_of(first) == run_of(second) == RUN


def test_a_step_finds_its_document_among_the_arguments_that_the_engine_adds() -> None:
    arguments = asked_for()["Arguments"]
    words = [word for pair in {"--JOB_NAME": "fruits", **arguments}.items() for word in pair]
    document = f"s3://staging/steps/{RUN}/raw_images/0/step.json"
    # A flag without a value stands among them.
    assert given(["--enable-metrics", *words]) == (document, "eu-west-3")
    assert given([document, "eu-west-3"]) == (document, "eu-west-3")


@pytest.mark.parametrize(
    ("state", "message", "cause", "remedy", "is_transient"),
    [
        ("TIMEOUT", "", "more than 30 minutes", "FRUITS_STEP_MINUTES", False),
        ("EXPIRED", "", "waited for its turn", "fewer things at once", True),
        ("ERROR", "Internal service error", "Glue itself has failed", "Another attempt", True),
        ("FAILED", "Resource unavailable: retry later", "no room for the run's workers", "FRUITS_MAX_EXECUTORS", True),
        ("FAILED", "Failed to assume role arn:aws:iam::1:role/x", "may not use the role", "fruits deploy", False),
        ("ERROR", "Unable to assume role", "may not use the role", "fruits deploy", False),
        ("FAILED", "s3://b/environment/fruits-standalone-x does not exist", "is not there", "--glue", False),
        ("STOPPED", "", "was cancelled", "Start the run again", False),
    ],
)
def test_what_glue_tells_of_a_failure_is_told_with_a_remedy(
    state: str, message: str, cause: str, remedy: str, is_transient: bool
) -> None:
    found = known_cause(state, message, 30)
    assert found is not None
    assert cause in found.message
    assert remedy in found.message
    assert found.is_transient is is_transient


def test_where_glue_tells_nothing_the_logs_have_to() -> None:
    assert known_cause("FAILED", "Command failed with exit code 1", 30) is None


def test_a_job_of_another_version_or_one_that_retries_is_told() -> None:
    arguments = {"--enable-auto-scaling": "true", "--custom-logGroup-prefix": "/fruits/glue"}
    good = {"GlueVersion": "5.1", "MaxRetries": 0, "DefaultArguments": arguments}
    assert problems(good, "/fruits/glue") == []
    assert "its version is 6.0" in problems({**good, "GlueVersion": "6.0"}, "/fruits/glue")[0]
    assert "retries by itself" in problems({**good, "MaxRetries": 1}, "/fruits/glue")[0]
    wrong = problems({**good, "DefaultArguments": {}}, "/fruits/glue")
    assert ["scale" in wrong[0], "logs" in wrong[1], len(wrong)] == [True, True, 2]
