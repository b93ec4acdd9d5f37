"""The permissions of the stack on the emulator: which a run asks for, and how one is taken away and given back."""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fruits_assets.aws.permissions import Permission
from tests.emr_emulator import Emulator
from tests.emr_emulator.iam.policies import as_list, like

_POLICIES = {
    "LauncherRole": "launcher",
    "NodeRole": "node",
    "ServiceRole": "pass-node-role",
    "GuardRole": "guard",
    "JobRole": "job",
    "GlueRole": "glue",
    "DatabricksRole": "databricks",
}
_DENIES = "denies"


def are_asked_for(
    permissions: Sequence[Permission], asked: Sequence[tuple[str, str, str]], values: Mapping[str, str]
) -> list[Permission]:
    """Returns the permissions that something was asked for which they allow.

    Args:
        permissions: Those of the template.
        asked: As ``Emulator.asked`` returns it.
        values: What stands for the variables of the template.
    """
    return [one for one in permissions if any(_allows(one.filled(values), *call, values) for call in asked)]


def _allows(permission: Permission, role: str, action: str, resource: str, values: Mapping[str, str]) -> bool:
    if values[f"{permission.role}.Arn"].rpartition("/")[2] != role or not like(permission.action, action, True):
        return False
    # EMR's role is asked for instances and groups beside the subnet, all by the same policy of AWS.
    return (
        permission.action.startswith("ec2:")
        or like(permission.resource, resource)
        or like(resource, permission.resource)
    )


@contextmanager
def taken_away(aws: Emulator, permissions: Sequence[Permission], values: Mapping[str, str]) -> Iterator[None]:
    """Takes permissions away from their roles, and gives them back."""
    iam = aws.client("iam")
    before: dict[tuple[str, str], dict[str, Any]] = {}
    for role in {one.role for one in permissions}:
        name, policy = values[f"{role}.Arn"].rpartition("/")[2], _POLICIES[role]
        document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        before[name, policy] = document
        changed = document
        for one in permissions:
            changed = without(changed, one.filled(values)) if one.role == role else changed
        _put(iam, name, policy, changed)
        managed = [one.action for one in permissions if one.role == role and one.action.startswith("ec2:")]
        if managed:
            # AWS' own policy cannot be changed.
            _put(iam, name, _DENIES, {"Statement": [{"Effect": "Deny", "Action": managed, "Resource": "*"}]})
    try:
        yield
    finally:
        for (name, policy), document in before.items():
            _put(iam, name, policy, document)
            if _DENIES in iam.list_role_policies(RoleName=name)["PolicyNames"]:
                iam.delete_role_policy(RoleName=name, PolicyName=_DENIES)


def _put(iam: Any, role: str, policy: str, document: Mapping[str, Any]) -> None:
    if not document["Statement"]:
        # IAM takes no policy without a statement.
        iam.delete_role_policy(RoleName=role, PolicyName=policy)
        return
    body = json.dumps({"Version": "2012-10-17", **document})
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=body)


def without(document: Mapping[str, Any], permission: Permission) -> dict[str, Any]:
    """Returns a policy that does not allow one action on one resource, and allows everything else that it did.

    Args:
        document: The policy, as IAM has it.
        permission: With the stack's names filled in.
    """
    changed: list[dict[str, Any]] = []
    for statement in copy.deepcopy(document["Statement"]):
        actions, resources = as_list(statement["Action"]), as_list(statement["Resource"])
        equal = statement.get("Condition", {}).get("StringEquals", {})
        is_it = statement["Effect"] == "Allow" and tuple(sorted(equal.items())) == permission.context
        if not is_it or permission.action not in actions or permission.resource not in resources:
            changed.append(statement)
            continue
        statement.pop("Sid", None)
        if others := [one for one in actions if one != permission.action]:
            changed.append({**statement, "Action": others})
        if elsewhere := [one for one in resources if one != permission.resource]:
            changed.append({**statement, "Action": permission.action, "Resource": elsewhere})
    return {**document, "Statement": changed}
