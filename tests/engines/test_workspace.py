"""The client of a workspace: where it lies, its errors, and who imports it."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner

from fruits_assets.aws import workspace as workspace_module
from fruits_assets.aws.sessions import is_transient
from fruits_assets.aws.workspace import check_workspace_region, translate_workspace_errors, workspace
from fruits_assets.commands.aws.deploy import deploy_command
from spark_steps.errors import FruitsError


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
    threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
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


def test_deploying_to_a_workspace_that_is_not_named_says_so_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DATABRICKS_HOST", raising=False)
    # Nobody answers there: nothing of AWS is asked for.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    done = CliRunner().invoke(deploy_command, ["--databricks", "--yes"])
    assert done.exit_code == 1
    assert "DATABRICKS_HOST and DATABRICKS_TOKEN are not set" in done.output
