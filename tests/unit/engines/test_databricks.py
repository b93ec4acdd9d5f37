"""The request for a run on Databricks, its cluster policy, and what is said of a run that failed."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from fruits_assets.engines.databricks.failures import known_cause
from fruits_assets.engines.databricks.policy import definition_of, problems
from fruits_assets.engines.databricks.run_request import idempotency_token, run_request
from fruits_assets.engines.databricks.runs import state_of
from fruits_assets.engines.engine import JobRequest, JobState, run_of
from fruits_assets.engines.staging import StepStaging
from fruits_assets.settings import Settings, read_settings
from spark_steps.step_main import code_of, given
from tests.emr_emulator.databricks.policies import problem
from tests.support.aws.cluster import ENVIRONMENT, INFRASTRUCTURE

RUN = "0" * 36


def settings(**given: Any) -> Settings:
    return read_settings(deployment="databricks", images="s3://data/Test", store="s3://data", **given)


def request(attempt: int = 0, **given: Any) -> JobRequest:
    environment = replace(ENVIRONMENT, init_script="environment/databricks.sh")
    staging = StepStaging(None, "staging", RUN, "raw_images", attempt)
    return JobRequest("raw_images", RUN, attempt, settings(**given), environment, staging, {})


def asked_for(attempt: int = 0, **given: Any) -> dict[str, Any]:
    return run_request(request(attempt, **given), INFRASTRUCTURE, "ABC")


def cluster_of(asked: dict[str, Any]) -> dict[str, Any]:
    cluster: dict[str, Any] = asked["tasks"][0]["new_cluster"]
    return cluster


def test_a_run_has_a_cluster_of_its_own_with_bounds_and_no_second_attempt() -> None:
    asked = asked_for(max_executors=3, step_minutes=30)
    # A node for each executor, and one more for the driver, which Databricks adds.
    assert (cluster_of(asked)["num_workers"], cluster_of(asked)["node_type_id"]) == (3, "m5.xlarge")
    # Fifteen minutes more are for the start of the cluster.
    assert asked["timeout_seconds"] == asked["tasks"][0]["timeout_seconds"] == 45 * 60
    assert asked["tasks"][0]["max_retries"] == 0
    assert cluster_of(asked)["policy_id"] == "ABC"
    assert cluster_of(asked)["spark_version"] == "15.4.x-scala2.12"
    assert cluster_of(asked)["aws_attributes"]["instance_profile_arn"] == INFRASTRUCTURE.databricks_profile_arn
    assert cluster_of(asked)["custom_tags"]["fruits-stack"] == "fruits"


def test_the_nodes_get_the_environment_by_an_init_script_and_write_logs_of_the_run() -> None:
    cluster = cluster_of(asked_for())
    script = {"s3": {"destination": "s3://staging/environment/databricks.sh", "region": "eu-west-3"}}
    assert cluster["init_scripts"] == [script]
    variables = {"FRUITS_ENVIRONMENT": "s3://staging/environment/a.tar.gz", "FRUITS_REGION": "eu-west-3"}
    assert cluster["spark_env_vars"] == variables
    place = f"s3://staging/logs/databricks/raw_images-run-{RUN}-attempt-1"
    assert cluster["cluster_log_conf"]["s3"]["destination"] == place


def test_a_step_fetches_its_code_itself_and_finds_its_document() -> None:
    parameters = asked_for()["tasks"][0]["spark_python_task"]["parameters"]
    folder = f"s3://staging/steps/{RUN}/raw_images/0"
    assert given(parameters) == (f"{folder}/step.json", "eu-west-3")
    assert code_of(parameters) == f"{folder}/code.zip"
    assert code_of(["s3://staging/steps/step.json", "eu-west-3"]) == ""


def test_the_same_attempt_has_the_same_token_and_the_next_one_another() -> None:
    assert idempotency_token(request(0)) == idempotency_token(request(0))
    assert idempotency_token(request(0)) != idempotency_token(request(1))
    assert re.fullmatch(r"[0-9a-f]{64}", idempotency_token(request(0)))
    assert run_of(asked_for()["run_name"]) == RUN


def test_a_cluster_keeps_to_the_policy_and_a_larger_one_does_not() -> None:
    definition = definition_of(settings(), INFRASTRUCTURE)
    assert problem(definition, cluster_of(asked_for())) == ""
    assert "num_workers" in problem(definition, cluster_of(asked_for(max_executors=4)))
    assert "node_type_id" in problem(definition, cluster_of(asked_for(instance_type="m5.4xlarge")))
    other = {**cluster_of(asked_for()), "init_scripts": [{"s3": {"destination": "s3://theirs/a.sh"}}]}
    assert "init_scripts.0.s3.destination" in problem(definition, other)


def test_a_policy_that_differs_from_the_settings_is_told() -> None:
    definition = definition_of(settings(), INFRASTRUCTURE)
    assert problems(json.loads(json.dumps(definition)), definition) == []
    (told,) = problems(definition, definition_of(settings(max_executors=8), INFRASTRUCTURE))
    assert told == "num_workers is minValue 1 maxValue 3, not minValue 1 maxValue 8"
    without = {path: rule for path, rule in definition.items() if path != "cluster_type"}
    assert problems(without, definition) == ["cluster_type is free, not job"]


@pytest.mark.parametrize(
    ("state", "code", "wanted"),
    [
        ("QUEUED", "", JobState.QUEUED),
        ("PENDING", "", JobState.STARTING),
        ("RUNNING", "", JobState.RUNNING),
        ("TERMINATING", "SUCCESS", JobState.ENDING),
        ("TERMINATED", "SUCCESS", JobState.SUCCEEDED),
        ("TERMINATED", "USER_CANCELED", JobState.CANCELLED),
        ("TERMINATED", "CANCELED", JobState.FAILED),
        ("TERMINATED", "RUN_EXECUTION_ERROR", JobState.FAILED),
    ],
)
def test_each_state_of_a_run_is_one_of_the_launchers(state: str, code: str, wanted: JobState) -> None:
    assert state_of({"status": {"state": state, "termination_details": {"code": code}}}) == wanted


@pytest.mark.parametrize(
    ("code", "message", "cause", "remedy", "is_transient"),
    [
        ("CANCELED", "Run timed out", "more than 45 minutes", "FRUITS_STEP_MINUTES", False),
        ("CANCELED", "Run was skipped", "was cancelled", "Start the run again", False),
        ("USER_CANCELED", "Run cancelled.", "was cancelled", "Start the run again", False),
        (
            "CLUSTER_ERROR",
            "Reason: INIT_SCRIPT_FAILURE",
            "could not be put onto the nodes",
            "deploy --databricks",
            False,
        ),
        ("CLOUD_FAILURE", "InsufficientInstanceCapacity", "no room for the nodes", "FRUITS_MAX_EXECUTORS", True),
        (
            "CLUSTER_ERROR",
            "not authorized to perform iam:PassRole",
            "may not start the nodes",
            "docs/engines.md",
            False,
        ),
        ("CLUSTER_ERROR", "Spot instance lost", "cluster was lost", "Another attempt", True),
        ("INVALID_CLUSTER_REQUEST", "no such node type", "refuses the cluster", "fruits doctor", False),
        ("WORKSPACE_RUN_LIMIT_EXCEEDED", "", "as many runs or clusters", "fewer things at once", True),
        ("STORAGE_ACCESS_ERROR", "403", "could not read what was sent", "deploy --databricks", False),
        ("INTERNAL_ERROR", "", "Databricks itself has failed", "Another attempt", True),
    ],
)
def test_what_databricks_tells_of_a_failure_is_told_with_a_remedy(
    code: str, message: str, cause: str, remedy: str, is_transient: bool
) -> None:
    found = known_cause(code, message, 45)
    assert found is not None
    assert cause in found.message
    assert remedy in found.message
    assert found.is_transient is is_transient


def test_where_databricks_tells_nothing_output_and_logs_have_to() -> None:
    assert known_cause("RUN_EXECUTION_ERROR", "Workload failed, see run output for details.", 45) is None
