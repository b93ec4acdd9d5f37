"""The CloudFormation template: read, made under moto, and asked what it allows."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import boto3
from moto import mock_aws

from fruits_assets.aws.infrastructure import TEMPLATE, Infrastructure
from fruits_assets.aws.permissions import read_template
from tests.emr_emulator.glue import job as job_of_cloudformation
from tests.emr_emulator.serverless import application as application_of_cloudformation

MANAGED_POLICY = "AmazonEMRServicePolicy_v2"
REGION, STACK, ACCOUNT, BUCKET = "eu-west-3", "fruits", "123456789012", "staging"


CLUSTER = f"arn:aws:elasticmapreduce:{REGION}:{ACCOUNT}:cluster/j-1"


BOSS = f"arn:aws:iam::{ACCOUNT}:role/*/Boss"


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Returns the template's resources of a kind by their names."""
    return {name: one for name, one in read_template()["Resources"].items() if one["Type"] == kind}


def permitted(statements: Sequence[Mapping[str, Any]], action: str, resource: str, **context: str) -> bool:
    """Decides as IAM does, for the condition operators that the template uses.

    Args:
        statements: Of all policies of a principal.
        action: Such as ``elasticmapreduce:RunJobFlow``.
        resource: ARN.
        context: Condition keys, ``/`` and all; those of the request.
    """
    concerned = [one for one in statements if _matches(one["Action"], action) and _matches(one["Resource"], resource)]
    effects = {one["Effect"] for one in concerned if _holds(one.get("Condition", {}), context)}
    return effects == {"Allow"}


def _matches(patterns: str | list[str], value: str) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in ([patterns] if isinstance(patterns, str) else patterns))


def _holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    operators = {
        "StringEquals": lambda wanted, given: given is not None and given in wanted,
        # An operator with Not holds where the key is missing: that is how AWS has it.
        "StringNotEquals": lambda wanted, given: given not in wanted,
        "ArnNotLike": lambda wanted, given: given is None or not _matches(wanted, given),
        "Bool": lambda wanted, given: given in wanted,
        "Null": lambda wanted, given: str(given is None).lower() in wanted,
    }
    return all(
        operators[operator]([wanted] if isinstance(wanted, str) else wanted, context.get(key))
        for operator, keys in condition.items()
        for key, wanted in keys.items()
    )


@contextmanager
def create_stack() -> Iterator[Infrastructure]:
    """Creates the template's stack under moto, and yields its outputs while that goes on."""
    assert application_of_cloudformation.ApplicationResource.cloudformation_type()
    assert job_of_cloudformation.JobResource.cloudformation_type()
    with mock_aws():
        boto3.client("cloudformation", REGION).create_stack(
            StackName=STACK,
            TemplateBody=TEMPLATE.read_text(),
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=[{"ParameterKey": "Administrators", "ParameterValue": BOSS}],
        )
        yield Infrastructure.of_stack(STACK, REGION)


@dataclass(frozen=True)
class Made:
    """What the template makes: outputs, and what its roles' policies say."""

    stack: Infrastructure
    launcher: list[dict[str, Any]]
    node: list[dict[str, Any]]


def statements_of(role: str) -> list[dict[str, Any]]:
    """Returns the statements of a role's own policies, as CloudFormation has filled them in."""
    iam = boto3.client("iam", REGION)
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document: Any = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    return list(document["Statement"])


def bucket_statements(bucket: str, stack: Infrastructure) -> list[dict[str, Any]]:
    """Returns a bucket policy's statements with the names of the stack; moto makes no bucket policies."""
    node_role = f"arn:aws:iam::{ACCOUNT}:role/fruits-node-{REGION}"
    known = {"LauncherRole.Arn": stack.launcher_role_arn, "NodeRole.Arn": node_role}
    known |= {"JobRole.Arn": stack.job_role_arn, "GlueRole.Arn": stack.glue_role_arn}
    known |= {"DatabricksRole.Arn": stack.databricks_role_arn}
    known |= {"DataBucket.Arn": "arn:aws:s3:::data", "StagingBucket.Arn": "arn:aws:s3:::staging"}

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(one) for one in value]
        if not isinstance(value, dict):
            return value
        (function, argument), *others = value.items()
        if others or not function.startswith(("Fn::", "Ref")):
            return {key: filled(one) for key, one in value.items()}
        if function == "Ref":
            return {"Administrators": BOSS}[argument]
        if function == "Fn::GetAtt":
            return known[argument]
        if function == "Fn::Sub":
            for name, arn in known.items():
                argument = argument.replace(f"${{{name}}}", arn)
            return argument
        separator, rest = filled(argument)
        return separator.join(rest) if function == "Fn::Join" else rest.split(separator)

    document = resources("AWS::S3::BucketPolicy")[f"{bucket}Policy"]["Properties"]["PolicyDocument"]
    return [filled(statement) for statement in document["Statement"]]


def keys(s3: Any, bucket: str) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
