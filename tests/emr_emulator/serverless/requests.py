"""Requests to EMR Serverless: which action a path is, and what IAM asks for it."""

from typing import Any
from urllib.parse import parse_qs, unquote

from tests.emr_emulator.cluster.world import ACCOUNT
from tests.emr_emulator.iam.policies import Question

SERVICE = "emr-serverless"
# By method, and what follows the ids in a path.
_ACTIONS = {
    ("GET", "applications"): "ListApplications",
    ("POST", "applications"): "CreateApplication",
    ("GET", "applications/*"): "GetApplication",
    ("PATCH", "applications/*"): "UpdateApplication",
    ("DELETE", "applications/*"): "DeleteApplication",
    ("POST", "applications/*/start"): "StartApplication",
    ("POST", "applications/*/stop"): "StopApplication",
    ("GET", "applications/*/jobruns"): "ListJobRuns",
    ("POST", "applications/*/jobruns"): "StartJobRun",
    ("GET", "applications/*/jobruns/*"): "GetJobRun",
    ("DELETE", "applications/*/jobruns/*"): "CancelJobRun",
    ("GET", "applications/*/jobruns/*/dashboard"): "GetDashboardForJobRun",
}


def read_path(method: str, path: str, query: str) -> tuple[str, dict[str, Any]]:
    """Returns the action, and the ids and options in path and query.

    Args:
        method: Of HTTP.
        path: Such as ``/applications/a1/jobruns``.
        query: The query string.
    """
    parts = [unquote(part) for part in path.strip("/").split("/")]
    shape = "/".join("*" if number in (1, 3) else part for number, part in enumerate(parts))
    given: dict[str, Any] = dict(zip(("applicationId", "jobRunId"), parts[1::2], strict=False))
    for name, values in parse_qs(query, keep_blank_values=True).items():
        given[name] = values if name == "states" else values[0]
    return _ACTIONS.get((method, shape), "Unknown"), given


def questions(name: str, region: str, body: dict[str, Any], context: dict[str, str | list[str]]) -> list[Question]:
    """Returns what must be permitted for a call.

    Args:
        name: The action, such as ``emr-serverless:StartJobRun``.
        region: Of the call.
        body: Its ids and fields.
        context: Condition keys that every call has.
    """
    application = f"arn:aws:emr-serverless:{region}:{ACCOUNT}:/applications/{body.get('applicationId', '*')}"
    if "jobRunId" in body:
        return [Question(name, f"{application}/jobruns/{body['jobRunId']}", context)]
    asked = [Question(name, application, context)]
    if name == "emr-serverless:StartJobRun":
        passed = {**context, "iam:PassedToService": "emr-serverless.amazonaws.com"}
        asked.append(Question("iam:PassRole", str(body.get("executionRoleArn", "")), passed))
        if body.get("tags"):
            asked.append(Question("emr-serverless:TagResource", f"{application}/jobruns/new", context))
    return asked
