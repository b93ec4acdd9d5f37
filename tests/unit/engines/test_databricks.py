"""The request for a run on Databricks, its cluster policy, and what is said of a run that failed."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fruits_assets.aws import workspace as workspace_module
from fruits_assets.aws.sessions import is_transient
from fruits_assets.aws.workspace import check_workspace_region, translate_workspace_errors, workspace
from fruits_assets.engines.databricks.failures import known_cause
from fruits_assets.engines.databricks.policy import definition_of, problems
from fruits_assets.engines.databricks.run_request import idempotency_token, run_request
from fruits_assets.engines.databricks.runs import state_of
from fruits_assets.engines.engine import JobRequest, JobState, run_of
from fruits_assets.engines.staging import StepStaging
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import FruitsError
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


def test_a_request_is_one_of_the_sdks_own_model() -> None:
    from databricks.sdk.service.jobs import SubmitTask

    (task,) = asked_for()["tasks"]
    assert SubmitTask.from_dict(task).as_dict() == task


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


class Answers(BaseHTTPRequestHandler):
    """Answers every request with what its server was given."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        status, document = self.server.answer  # type: ignore[attr-defined]
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server that stands for a workspace, whose answer a test sets."""
    made: Any = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    made.asked, made.answer = [], (200, {})
    threading.Thread(target=made.serve_forever, daemon=True).start()
    monkeypatch.setenv("DATABRICKS_HOST", f"http://127.0.0.1:{made.server_port}")
    monkeypatch.setenv("DATABRICKS_TOKEN", "secret")
    monkeypatch.setattr(workspace_module, "_RETRY_SECONDS", 1)
    yield made
    made.shutdown()
    made.server_close()


def zones_of(region: str) -> tuple[int, dict[str, Any]]:
    return 200, {"zones": [f"{region}a", f"{region}b"], "default_zone": f"{region}a"}


def test_a_client_is_made_without_a_request_and_the_zones_tell_where_the_workspace_lies(server: Any) -> None:
    client = workspace()
    assert server.asked == []
    server.answer = zones_of("eu-west-3")
    assert check_workspace_region(client, "eu-west-3") == "eu-west-3"
    assert server.asked == ["/api/2.1/clusters/list-zones"]


def test_a_workspace_outside_the_eu_or_elsewhere_than_the_buckets_is_refused(server: Any) -> None:
    server.answer = zones_of("us-east-1")
    with pytest.raises(FruitsError, match="lies in us-east-1, outside the European Union"):
        check_workspace_region(workspace(), "eu-west-3")
    server.answer = zones_of("eu-west-1")
    with pytest.raises(FruitsError, match="Set FRUITS_REGION=eu-west-1"):
        check_workspace_region(workspace(), "eu-west-3")
    server.answer = (200, {"zones": []})
    with pytest.raises(FruitsError, match="Databricks on AWS alone"):
        check_workspace_region(workspace(), "eu-west-3")


@pytest.mark.parametrize(
    ("status", "code", "told", "passes"),
    [
        (401, "UNAUTHENTICATED", "does not accept DATABRICKS_TOKEN", False),
        (403, "PERMISSION_DENIED", "denies to look.*administrator", False),
        (429, "REQUEST_LIMIT_EXCEEDED", "throttled every attempt to look", True),
        (500, "INTERNAL_ERROR", "Databricks failed to look", True),
        (400, "INVALID_PARAMETER_VALUE", "refused to look", False),
    ],
)
def test_an_error_of_the_workspace_is_a_sentence_with_a_remedy(
    server: Any, status: int, code: str, told: str, passes: bool
) -> None:
    server.answer = (status, {"error_code": code, "message": "no"})
    with pytest.raises(FruitsError, match=told) as refusal, translate_workspace_errors("look"):
        workspace().clusters.list_zones()
    assert is_transient(refusal.value) is passes
    assert "secret" not in str(refusal.value)


def test_a_workspace_that_cannot_be_reached_or_is_not_named_is_told(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "http://127.0.0.1:9")
    with (
        pytest.raises(FruitsError, match="could not be reached to look") as refusal,
        translate_workspace_errors("look"),
    ):
        workspace().clusters.list_zones()
    assert is_transient(refusal.value)
    monkeypatch.delenv("DATABRICKS_TOKEN")
    with pytest.raises(FruitsError, match="DATABRICKS_HOST and DATABRICKS_TOKEN are not set"):
        workspace()


def test_the_sdk_is_imported_by_nobody_who_uses_no_workspace() -> None:
    modules = "fruits_assets.definitions, fruits_assets.commands.cli, fruits_assets.money.account"
    code = f"import sys, {modules}; print('databricks.sdk' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
