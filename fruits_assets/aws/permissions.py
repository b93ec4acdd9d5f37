"""The permissions of the stack's roles, as the template has them, and whether IAM says that the roles have them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from typing import Any

import yaml

from fruits_assets.aws.infrastructure import TEMPLATE
from fruits_assets.aws.sessions import client, translate_errors

ROLES = {
    "LauncherRole": "the launcher role",
    "NodeRole": "the nodes' role",
    "ServiceRole": "EMR's role",
    "GuardRole": "the guard's role",
    "JobRole": "the role of EMR Serverless' jobs",
    "GlueRole": "the role of Glue's runs",
    "DatabricksRole": "the role of Databricks' nodes",
}
SIMULATE = "iam:SimulatePrincipalPolicy"
# What EMR's role needs of AWS' own policy to get a cluster's nodes; the rest of that policy is AWS' business.
_OF_MANAGED_POLICIES = {"AmazonEMRServicePolicy_v2": ("ec2:CreateFleet", "ec2:RunInstances")}
_PLACE = re.compile(r"^arn:aws:[\w-]+:\$\{AWS::Region\}:\$\{AWS::AccountId\}:")
# No resource of a stack: all stacks of the account share it.
_LOCK_BUCKET = "arn:aws:s3:::fruits-locks-${AWS::AccountId}-${AWS::Region}"
_VARIABLE = re.compile(r"\$\{([\w.:]+)\}")


class TemplateLoader(yaml.SafeLoader):
    """YAML with CloudFormation's short functions, each as the dictionary of its long form."""


def _long_form(loader: TemplateLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    return {suffix if suffix == "Ref" else f"Fn::{suffix}": value}


TemplateLoader.add_multi_constructor("!", _long_form)


@dataclass(frozen=True, order=True)
class Permission:
    """One action on one resource that a role of the stack is allowed.

    Attributes:
        role: Name of the role in the template, such as ``LauncherRole``.
        resource: ARN, or ``*``; with ``${...}`` for what is known once the stack is there.
        context: Keys and values of the request under which it is allowed.
        action: As IAM names it.
    """

    role: str
    resource: str
    context: tuple[tuple[str, str], ...]
    action: str

    def filled(self, values: Mapping[str, str]) -> "Permission":
        """Returns it for a stack.

        Args:
            values: What stands for each ``${...}``, by name.
        """
        context = tuple((key, _filled(value, values)) for key, value in self.context)
        return replace(self, resource=_filled(self.resource, values), context=context)

    @property
    def title(self) -> str:
        """The action and a short name of the resource, such as ``s3:PutObject on DataBucket/Results/*``."""
        short = _VARIABLE.sub(_short_name, _PLACE.sub("", self.resource).replace(_LOCK_BUCKET, "LockBucket"))
        return f"{self.action} on {short}"


def _short_name(variable: re.Match[str]) -> str:
    return "fruits" if variable[1] == "AWS::StackName" else variable[1].removesuffix(".Arn")


@cache
def read_template() -> dict[str, Any]:
    """Returns the template of the stack, CloudFormation's short functions in their long form."""
    # yaml.load takes unsafe loaders too, so a test forbids it everywhere.
    loader = TemplateLoader(TEMPLATE.read_text())
    template: dict[str, Any] = loader.get_single_data()
    loader.dispose()  # type: ignore[no-untyped-call]
    return template


def template_permissions() -> list[Permission]:
    """Returns what the template allows its roles; without resources that only some stacks have."""
    found = [
        Permission(role, resource, context, action)
        for role, statement in _statements()
        if statement["Effect"] == "Allow"
        for context in [_context(statement)]
        for resource in map(_text, _listed(statement["Resource"]))
        for action in _listed(statement["Action"])
    ]
    return sorted([*found, *_of_managed_policies()])


def _resources(kind: str) -> dict[str, dict[str, Any]]:
    found = read_template()["Resources"].items()
    return {name: one["Properties"] for name, one in found if one["Type"] == kind and "Condition" not in one}


def _statements() -> Iterator[tuple[str, dict[str, Any]]]:
    for policy in _resources("AWS::IAM::Policy").values():
        for role in policy["Roles"]:
            yield from ((role["Ref"], statement) for statement in policy["PolicyDocument"]["Statement"])


def _of_managed_policies() -> Iterator[Permission]:
    tag = (("aws:ResourceTag/for-use-with-amazon-emr-managed-policies", "true"),)
    subnet = "arn:aws:ec2:${AWS::Region}:${AWS::AccountId}:subnet/${Subnet}"
    for role, properties in _resources("AWS::IAM::Role").items():
        for arn in properties.get("ManagedPolicyArns", []):
            for action in _OF_MANAGED_POLICIES[arn.rpartition("/")[2]]:
                yield Permission(role, subnet, tag, action)


def _context(statement: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    equal = statement.get("Condition", {}).get("StringEquals", {})
    return tuple(sorted((key, _text(value)) for key, value in equal.items()))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    """Returns a text, or a function of CloudFormation as one with ``${...}``."""
    if isinstance(value, dict):
        ((function, argument),) = value.items()
        return str(argument) if function == "Fn::Sub" else f"${{{argument}}}"
    return str(value)


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: values[found[1]], text)


def values_of_stack(stack: str, region: str) -> dict[str, str]:
    """Returns what stands for each ``${...}`` of the template in a stack that is there.

    Raises:
        FruitsError: The stack cannot be read.
    """
    with translate_errors(f"read the stack {stack} in {region}"):
        described = client("cloudformation", region).describe_stacks(StackName=stack)["Stacks"][0]
    account = described["StackId"].split(":")[4]
    values = {"AWS::Region": region, "AWS::AccountId": account, "AWS::StackName": stack}
    values |= {name: str(one.get("Default", "")) for name, one in read_template()["Parameters"].items()}
    values |= {one["ParameterKey"]: one["ParameterValue"] for one in described.get("Parameters", [])}
    outputs = {one["OutputKey"]: one["OutputValue"] for one in described.get("Outputs", [])}
    values |= {f"{name}.Arn": f"arn:aws:s3:::{outputs[name]}" for name in ("DataBucket", "StagingBucket")}
    application = f"/applications/{outputs['ServerlessApplication']}"
    values |= {"Application.Arn": f"arn:aws:emr-serverless:{region}:{account}:{application}"}
    values |= {"Subnet": outputs["SubnetId"]}
    for name, properties in _resources("AWS::IAM::Role").items():
        values[f"{name}.Arn"] = f"arn:aws:iam::{account}:role/{_filled(_text(properties['RoleName']), values)}"
    return values


def missing_permissions(role: str, permissions: Sequence[Permission], values: Mapping[str, str]) -> list[Permission]:
    """Asks IAM which of its permissions a role lacks; policies of buckets and the trust in a role are not asked for.

    Args:
        role: Name of the role in the template.
        permissions: Those of the template.
        values: As ``values_of_stack`` returns them.

    Raises:
        FruitsError: IAM cannot be asked.
    """
    arn, region = values[f"{role}.Arn"], values["AWS::Region"]
    iam, missing = client("iam", region), []
    asked = sorted(one.filled(values) for one in permissions if one.role == role)
    for (resource, context), group in groupby(asked, lambda one: (one.resource, one.context)):
        actions = {one.action: one for one in group}
        entries = {"aws:RequestedRegion": region, **dict(context)}
        with translate_errors(f"ask what {ROLES[role]} may do"):
            answers = iam.get_paginator("simulate_principal_policy").paginate(
                PolicySourceArn=arn,
                ActionNames=list(actions),
                # One of the resources that a pattern stands for.
                ResourceArns=[resource if resource == "*" else resource.replace("*", "doctor")],
                ContextEntries=[
                    {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
                    for key, value in entries.items()
                ],
            )
            found = [one for page in answers for one in page["EvaluationResults"]]
        missing += [actions[one["EvalActionName"]] for one in found if one["EvalDecision"] != "allowed"]
    return missing
