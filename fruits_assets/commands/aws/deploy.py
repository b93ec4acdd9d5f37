"""``fruits deploy``: the CloudFormation stack, and the Python environment of its clusters."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click
from botocore.exceptions import ClientError, WaiterError

from fruits_assets.aws.environment import (
    Environment,
    read_environment,
    read_requirements,
    remove_surplus,
    upload_environment,
)
from fruits_assets.aws.infrastructure import STACK_TAG, TEMPLATE, Infrastructure
from fruits_assets.aws.lock_bucket import put_lock_bucket
from fruits_assets.aws.sessions import client, error_code, explain, translate_errors
from fruits_assets.aws.workspace import check_workspace_region, workspace
from fruits_assets.engines.databricks.policy import put_instance_profile, put_policy
from fruits_assets.engines.emr.cluster_request import ENVIRONMENT_TAG
from fruits_assets.money.spend import LIVING_STATES, tags_of
from fruits_assets.settings import Settings, read_settings
from fruits_assets.terminal.problems import reports_problems
from spark_steps.denials import denial_of
from spark_steps.errors import FruitsError

# CloudFormation has AWS::Budgets::Budget in these of the EU's regions; the template's condition is the same.
BUDGET_REGIONS = ("eu-west-3", "eu-west-1", "eu-central-1")
# EMR and Spot create these roles at their first use, which takes permissions that the launcher role does not have. So
# they are created here.
_SERVICE_LINKED_ROLES = ("elasticmapreduce.amazonaws.com", "spot.amazonaws.com")
# Ten minutes, with a request every five seconds.
_PATIENCE = {"Delay": 5, "MaxAttempts": 120}


@dataclass(frozen=True)
class Deployed:
    """The result of a deployment.

    Attributes:
        infrastructure: The stack's outputs.
        environment: The nodes' Python environment.
    """

    infrastructure: Infrastructure
    environment: Environment


@dataclass(frozen=True)
class Identity:
    """The identity of the AWS credentials.

    Attributes:
        account: The AWS account.
        arn: ARN of the user, or of the session of an assumed role.
    """

    account: str
    arn: str

    @property
    def principals(self) -> list[str]:
        """Patterns for ``aws:PrincipalArn``, for a session those of its role: a session's ARN lacks the role's path."""
        if ":assumed-role/" not in self.arn:
            return [self.arn]
        role = self.arn.split("/")[1]
        return [f"arn:aws:iam::{self.account}:role/{path}{role}" for path in ("", "*/")]


def who(region: str) -> Identity:
    """Returns the identity of the credentials in use.

    Args:
        region: An AWS region.

    Raises:
        FruitsError: There are no credentials, or AWS does not accept them.
    """
    with translate_errors("work on AWS"):
        found = client("sts", region).get_caller_identity()
    return Identity(found["Account"], found["Arn"])


def deploy(
    settings: Settings,
    email: str | None = None,
    environment_only: bool = False,
    requirements: str | None = None,
    report: Callable[[str], None] = lambda line: None,
    with_interpreter: bool = False,
) -> Deployed:
    """Creates or updates the stack, and uploads the environment unless it is there already.

    Args:
        settings: Stack, region, budget.
        email: Address of the budget alarm; None keeps the present one.
        environment_only: Whether to leave the stack as it is; the permissions of the launcher role are then enough.
        requirements: Locked requirements, None for those of uv.lock.
        report: Takes progress messages, a line at a time.
        with_interpreter: Whether to make the environment with an interpreter, which EMR Serverless and Glue need; once
            made, it is made with each later one.

    Raises:
        FruitsError: The stack or the environment cannot be made; the message has the reason.
    """
    # Read first, without AWS: else an error in uv.lock would be reported only after minutes.
    requirements = read_requirements() if requirements is None else requirements
    if not environment_only:
        identity = who(settings.region)
        _put_stack(settings, identity, email, report)
        _put_lock_bucket(settings, identity.account, report)
        _make_service_linked_roles(settings.region, report)
    infrastructure = Infrastructure.of_stack(settings.stack, settings.region)
    environment = _put_environment(settings, infrastructure.staging_bucket, requirements, report, with_interpreter)
    return Deployed(infrastructure, environment)


def _put_lock_bucket(settings: Settings, account: str, report: Callable[[str], None]) -> None:
    bucket = Infrastructure.of_stack(settings.stack, settings.region).lock_bucket
    if put_lock_bucket(client("s3", settings.region), bucket, account, settings.region):
        report(f"Made the bucket {bucket}: the lock of all stacks of account {account} in {settings.region}.")


def _put_environment(
    settings: Settings, bucket: str, requirements: str, report: Callable[[str], None], with_interpreter: bool
) -> Environment:
    s3 = client("s3", settings.region)
    try:
        # A launcher that has just read its name may be about to create a cluster.
        before = read_environment(s3, bucket)
        former, with_interpreter = {before.archive, before.standalone}, with_interpreter or bool(before.standalone)
    except FruitsError:
        former = set()
    environment = upload_environment(s3, bucket, requirements, report, with_interpreter=with_interpreter)
    try:
        in_use = former | {environment.archive, environment.standalone} | _archives_of_clusters(settings.region)
        if gone := remove_surplus(s3, bucket, in_use, settings.keep_environments):
            report(f"Deleted {', '.join(gone)}, which no cluster uses (FRUITS_KEEP_ENVIRONMENTS).")
    except FruitsError as error:
        report(f"Old environments are kept: {error}")
    return environment


def _archives_of_clusters(region: str) -> set[str]:
    emr = client("emr", region)
    with translate_errors("list the clusters"):
        pages = emr.get_paginator("list_clusters").paginate(ClusterStates=list(LIVING_STATES))
        tags = [tags_of(emr, one["Id"]) for page in pages for one in page["Clusters"]]
    return {found[ENVIRONMENT_TAG] for found in tags if ENVIRONMENT_TAG in found}


def _put_stack(settings: Settings, identity: Identity, email: str | None, report: Callable[[str], None]) -> None:
    cloudformation = client("cloudformation", settings.region)
    with translate_errors(f"create or update the stack {settings.stack} in {settings.region}"):
        standing = _standing_stack(cloudformation, settings)
        if standing is None:
            _check_bucket_names(settings, identity)
        parameters = _parameters(settings, identity, email, standing)
        if not parameters["AlarmEmail"]:
            report(
                "There is no budget alarm: AWS will not write when costs rise. Give an address: --email you@example.org"
            )
        elif settings.region not in BUDGET_REGIONS:
            report(f"There is no budget alarm: CloudFormation has none in {settings.region}. Make one in the console.")
        request = {
            "StackName": settings.stack,
            "TemplateBody": TEMPLATE.read_text(),
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
            "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            # CloudFormation adds these tags to every resource of the stack; Project is for cost allocation.
            "Tags": [{"Key": "Project", "Value": "fruits"}, {"Key": STACK_TAG, "Value": settings.stack}],
        }
        if standing is None:
            report(f"Creating the stack {settings.stack} in {settings.region} ...")
            stack_id = cloudformation.create_stack(**request, OnFailure="DELETE")["StackId"]
            _wait(cloudformation, "stack_create_complete", stack_id, settings.stack)
            return
        try:
            cloudformation.update_stack(**request)
        except ClientError as error:
            if "No updates are to be performed" in str(error):
                report(f"The stack {settings.stack} in {settings.region} is up to date.")
                return
            raise
        report(f"Updating the stack {settings.stack} in {settings.region} ...")
        _wait(cloudformation, "stack_update_complete", standing["StackId"], settings.stack)


def _standing_stack(cloudformation: Any, settings: Settings) -> Mapping[str, Any] | None:
    try:
        stack: Mapping[str, Any] = cloudformation.describe_stacks(StackName=settings.stack)["Stacks"][0]
    except ClientError as error:
        if error_code(error) != "ValidationError":
            raise
        return None
    status = stack["StackStatus"]
    if status.endswith("_IN_PROGRESS"):
        raise FruitsError(f"The stack {settings.stack} is being changed ({status}). Wait until that has ended.")
    if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED"):
        raise FruitsError(
            f"The stack {settings.stack} is {status} and cannot be updated. Look at its events in the console; one "
            f"that never worked may go: aws cloudformation delete-stack --stack-name {settings.stack} --region "
            + settings.region
        )
    return stack


def _check_bucket_names(settings: Settings, identity: Identity) -> None:
    suffix = f"{identity.account}-{settings.region}"
    s3 = client("s3", settings.region)
    for bucket in (f"{settings.stack}-data-{suffix}", f"{settings.stack}-staging-{suffix}"):
        try:
            s3.head_bucket(Bucket=bucket)
        except ClientError as error:
            if error_code(error) in ("404", "NoSuchBucket"):
                continue
            if denial_of(error) is None:
                raise
        raise FruitsError(
            f"The bucket {bucket} is there already: the data of a stack outlives it. Empty and delete the bucket, or "
            "choose another name by FRUITS_STACK."
        )


def _parameters(
    settings: Settings, identity: Identity, email: str | None, standing: Mapping[str, Any] | None
) -> dict[str, str]:
    parameters = (standing or {}).get("Parameters", [])
    before = {one["ParameterKey"]: one["ParameterValue"] for one in parameters}
    former = [arn for arn in before.get("Administrators", "").split(",") if arn]
    principals = {f"arn:aws:iam::{identity.account}:root", *identity.principals, *former}
    return {
        **before,
        "Administrators": ",".join(sorted(principals)),
        "AlarmEmail": before.get("AlarmEmail", "") if email is None else email,
        "BudgetUsd": f"{max(settings.budget_eur / settings.usd_to_eur, 1):.2f}",
    }


def _wait(cloudformation: Any, what: str, stack_id: str, stack: str) -> None:
    try:
        cloudformation.get_waiter(what).wait(StackName=stack_id, WaiterConfig=_PATIENCE)
    except WaiterError as error:
        # By the stack's id: the events of a deleted stack can be read by id, not by name.
        events = cloudformation.describe_stack_events(StackName=stack_id)["StackEvents"]
        failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
        # The newest event comes first. The earliest failure is the cause; later ones are cancellations that followed
        # it.
        reasons = [f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}" for event in failed]
        raise FruitsError(
            f"The stack {stack} could not be made. {reasons[-1] if reasons else error}. Mend that, and run fruits "
            "deploy again; what was made so far has been taken back."
        ) from error


def _make_service_linked_roles(region: str, report: Callable[[str], None]) -> None:
    iam = client("iam", region)
    for service in _SERVICE_LINKED_ROLES:
        try:
            iam.create_service_linked_role(AWSServiceName=service)
        except ClientError as error:
            # The role exists already, made by fruits deploy or by something else in the account.
            if error_code(error) in ("InvalidInput", "InvalidInputException", "EntityAlreadyExists"):
                continue
            report(
                f"The role that {service} needs could not be made: {explain(error, 'make it')} The first cluster may "
                "be refused for that."
            )


def deploy_to_workspace(settings: Settings, infrastructure: Infrastructure, report: Callable[[str], None]) -> None:
    """Makes what runs on Databricks need: the instance profile is added to the workspace, and the policy is made.

    Args:
        settings: Stack, region, instance type and number of executors.
        infrastructure: The outputs of the stack.
        report: Takes progress messages, a line at a time.

    Raises:
        FruitsError: The workspace lies elsewhere, or the token may not do so.
    """
    there = workspace()
    check_workspace_region(there, settings.region)
    report(put_instance_profile(there, infrastructure))
    report(put_policy(there, settings, infrastructure))
    role = infrastructure.databricks_role_arn
    report(f"The role with which Databricks starts machines in this account needs iam:PassRole on {role}.")


def exports(settings: Settings, infrastructure: Infrastructure, deployment: str = "emr") -> dict[str, str]:
    """Returns the settings of a deployment on AWS, by environment variable."""
    return {
        "FRUITS_DEPLOYMENT": deployment,
        "FRUITS_REGION": settings.region,
        "FRUITS_STACK": settings.stack,
        "FRUITS_IMAGES": f"s3://{infrastructure.data_bucket}/Test",
        "FRUITS_STORE": f"s3://{infrastructure.data_bucket}",
    }


def launcher_profile(settings: Settings, infrastructure: Infrastructure) -> str:
    """Returns the profile for ``~/.aws/config`` that assumes the launcher role."""
    return "\n".join(
        [
            f"[profile {settings.stack}]",
            f"role_arn = {infrastructure.launcher_role_arn}",
            f"source_profile = {os.environ.get('AWS_PROFILE', 'default')}",
            f"region = {settings.region}",
        ]
    )


@click.command(name="deploy")
@click.option("--email", help="Where AWS writes to when the month's costs near the budget.")
@click.option(
    "--environment-only", is_flag=True, help="Upload the clusters' Python packages; leave the stack as it is."
)
@click.option(
    "--serverless", is_flag=True, help="Pack an interpreter with the packages too, which EMR Serverless needs."
)
@click.option("--glue", is_flag=True, help="The same for Glue, which needs it too.")
@click.option(
    "--databricks",
    is_flag=True,
    help="Make the cluster policy in the workspace of DATABRICKS_HOST too, and add the instance profile.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@reports_problems
def deploy_command(
    email: str | None, environment_only: bool, serverless: bool, glue: bool, databricks: bool, yes: bool
) -> None:
    """Create or update what runs on AWS need, and upload the clusters' Python packages.

    FRUITS_STACK and FRUITS_REGION name the stack and its region; FRUITS_BUDGET_EUR is the budget of the alarm. A
    shell can evaluate the output.

    \b
    Example:
      eval "$(fruits deploy --yes --email you@example.org)"
    """
    if email is not None and "@" not in email:
        raise click.UsageError(f"{email!r} is no e-mail address.")
    # As for the local deployment, independent of FRUITS_DEPLOYMENT: the emr deployment requires locations in buckets
    # that do not exist before this command has made them.
    settings = read_settings(deployment="local")
    if databricks:
        # Before anything is made: a workspace that is missing, or lies elsewhere, cannot be used.
        check_workspace_region(workspace(), settings.region)
    if not (yes or environment_only):
        account = who(settings.region).account
        click.confirm(
            f"Make or update the stack {settings.stack} in {settings.region}, account {account}: buckets, network, "
            "roles and a budget? While no cluster runs it costs what is stored, and no more.",
            abort=True,
            err=True,
        )
    deployed = deploy(
        settings,
        email,
        environment_only,
        report=lambda line: click.echo(line, err=True),
        with_interpreter=serverless or glue,
    )
    if databricks:
        deploy_to_workspace(settings, deployed.infrastructure, lambda line: click.echo(line, err=True))
    asked = {"emr-serverless": serverless, "glue": glue, "databricks": databricks}
    deployment = next((name for name, wanted in asked.items() if wanted), "emr")
    for name, value in exports(settings, deployed.infrastructure, deployment).items():
        click.echo(f"export {name}={value}")
    click.echo("# To work under the launcher role, with no more rights than it needs, add to ~/.aws/config:")
    for line in launcher_profile(settings, deployed.infrastructure).splitlines():
        click.echo(f"#   {line}")
    click.echo(f"# and: export AWS_PROFILE={settings.stack}")
