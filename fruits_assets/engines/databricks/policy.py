"""The cluster policy of a stack: what the job cluster of a run may be, whoever asks for it.

``fruits deploy --databricks`` makes it, and ``fruits doctor`` compares it with the settings. A policy bounds nodes, and
each run has a time limit; both together bound what a run can cost.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fruits_assets.aws.infrastructure import STACK_TAG, Infrastructure
from fruits_assets.aws.workspace import translate_workspace_errors
from fruits_assets.money.dbus.workers import size_of
from fruits_assets.settings import Settings

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

# Spark 3.5.0 and Python 3.11; 16.4 has Python 3.12.
RUNTIME = "15.4.x-scala2.12"
# A cluster that somebody starts by hand under the policy ends when it has been idle for so long; Databricks takes no
# less than ten minutes.
LEAST_IDLE_MINUTES, MOST_IDLE_MINUTES = 10, 60


def definition_of(settings: Settings, infrastructure: Infrastructure) -> dict[str, Any]:
    """Returns the rules of the policy, by the path of what they bound.

    Args:
        settings: Instance type, number of executors, stack and region.
        infrastructure: The outputs of the stack.
    """
    size = size_of(settings)
    environment = f"s3://{infrastructure.staging_bucket}/environment/"
    return {
        # No cluster of notebooks: only one that ends with its run.
        "cluster_type": _fixed("job"),
        "spark_version": _fixed(RUNTIME),
        "node_type_id": _fixed(size.node_type),
        "driver_node_type_id": _fixed(size.node_type),
        "num_workers": {"type": "range", "minValue": 1, "maxValue": size.workers},
        "autoscale.max_workers": {"type": "forbidden"},
        "autotermination_minutes": {
            "type": "range",
            "minValue": LEAST_IDLE_MINUTES,
            "maxValue": MOST_IDLE_MINUTES,
            "isOptional": True,
        },
        "instance_pool_id": {"type": "forbidden"},
        "driver_instance_pool_id": {"type": "forbidden"},
        "data_security_mode": _fixed("SINGLE_USER"),
        "aws_attributes.instance_profile_arn": _fixed(infrastructure.databricks_profile_arn),
        # Any zone of the workspace's region, which is one of the European Union.
        "aws_attributes.zone_id": _fixed("auto"),
        "init_scripts.0.s3.destination": {"type": "regex", "pattern": f"{environment}.*"},
        "init_scripts.0.s3.region": _fixed(settings.region),
        f"custom_tags.{STACK_TAG}": _fixed(settings.stack),
        "custom_tags.Project": _fixed("fruits"),
    }


def _fixed(value: str) -> dict[str, str]:
    return {"type": "fixed", "value": value}


def problems(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Returns in what a policy differs from the rules that it should have, a phrase each.

    Args:
        found: The rules of the policy in the workspace.
        wanted: Those of ``definition_of``.
    """
    return [
        f"{path} is {_told(found.get(path))}, not {_told(rule)}"
        for path, rule in wanted.items()
        if found.get(path) != rule
    ]


def _told(rule: Mapping[str, Any] | None) -> str:
    if rule is None:
        return "free"
    if rule.get("type") == "fixed":
        return str(rule.get("value"))
    return " ".join(f"{name} {value}" for name, value in rule.items() if name != "type") or str(rule.get("type"))


def policy_of(client: "WorkspaceClient", stack: str) -> tuple[str, dict[str, Any]] | None:
    """Returns id and rules of a stack's policy, None where the workspace has none or the token may not use it.

    Args:
        client: The workspace.
        stack: Name of the stack, which is the policy's too.

    Raises:
        FruitsError: The workspace cannot be asked.
    """
    with translate_workspace_errors("list the cluster policies"):
        found = next((one for one in client.cluster_policies.list() if one.name == stack), None)
    return None if found is None else (str(found.policy_id), json.loads(found.definition or "{}"))


def put_policy(client: "WorkspaceClient", settings: Settings, infrastructure: Infrastructure) -> str:
    """Makes the policy of a stack, or changes it to what it should be, and returns what was done.

    Args:
        client: The workspace.
        settings: Instance type, number of executors, stack and region.
        infrastructure: The outputs of the stack.

    Raises:
        FruitsError: The token may not do so.
    """
    wanted = definition_of(settings, infrastructure)
    there = policy_of(client, settings.stack)
    with translate_workspace_errors(f"make the cluster policy {settings.stack}"):
        if there is None:
            client.cluster_policies.create(name=settings.stack, definition=json.dumps(wanted))
            return f"The cluster policy {settings.stack} is made."
        if problems(there[1], wanted):
            client.cluster_policies.edit(there[0], name=settings.stack, definition=json.dumps(wanted))
            return f"The cluster policy {settings.stack} is brought up to date."
    return f"The cluster policy {settings.stack} is up to date."


def put_instance_profile(client: "WorkspaceClient", infrastructure: Infrastructure) -> str:
    """Has the workspace know the stack's instance profile, and returns what was done.

    Args:
        client: The workspace.
        infrastructure: The outputs of the stack.

    Raises:
        FruitsError: The token may not do so, or the workspace may not use the profile.
    """
    arn = infrastructure.databricks_profile_arn
    if has_instance_profile(client, infrastructure):
        return f"The workspace has the instance profile {arn}."
    with translate_workspace_errors(f"add the instance profile {arn}"):
        client.instance_profiles.add(arn, iam_role_arn=infrastructure.databricks_role_arn)
    return f"The instance profile {arn} is added to the workspace."


def has_instance_profile(client: "WorkspaceClient", infrastructure: Infrastructure) -> bool:
    """Returns whether the workspace knows the stack's instance profile, and the token may use it.

    Args:
        client: The workspace.
        infrastructure: The outputs of the stack.

    Raises:
        FruitsError: The workspace cannot be asked.
    """
    with translate_workspace_errors("list the instance profiles"):
        found = {one.instance_profile_arn for one in client.instance_profiles.list()}
    return infrastructure.databricks_profile_arn in found
