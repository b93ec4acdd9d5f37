"""The checks of ``fruits doctor`` that are about one engine alone: the outcome, what was found, and the remedy."""

from typing import Any, Literal

from botocore.exceptions import ClientError

from fruits_assets.aws.infrastructure import Infrastructure
from fruits_assets.aws.sessions import client, error_code, translate_errors
from fruits_assets.aws.workspace import address, check_workspace_region, workspace
from fruits_assets.engines.databricks.policy import RUNTIME, definition_of, has_instance_profile, policy_of
from fruits_assets.engines.databricks.policy import problems as problems_of_policy
from fruits_assets.engines.emr_serverless import application
from fruits_assets.engines.glue import job
from fruits_assets.settings import Settings

# The remedy for changes by hand: CloudFormation compares templates only, so an update does not repair them.
BY_HAND = "Somebody has changed that by hand, which fruits deploy does not undo: mend it in the console"
_SCHEDULER = "scheduler.amazonaws.com"
_ENDING = ("elasticmapreduce:TerminateJobFlows", "elasticmapreduce:SetTerminationProtection")
Outcome = tuple[Literal["ok", "failed"], str, str]
_DEPLOY_DATABRICKS = "As an administrator of the workspace: fruits deploy --databricks"


def check_application(application_id: str, settings: Settings) -> Outcome:
    """Checks that EMR Serverless' application costs nothing while no job runs, and has room for a job."""
    with translate_errors(f"look at the application {application_id}"):
        service = client("emr-serverless", settings.region)
        try:
            found = service.get_application(applicationId=application_id)["application"]
        except ClientError as error:
            return _not_there(error, "ResourceNotFoundException")
    if wrong := application.problems(found, settings):
        return "failed", "; ".join(wrong), BY_HAND
    capacity = found["maximumCapacity"]
    return "ok", f"{application_id}, at most {capacity['cpu']} and {capacity['memory']}, nothing while idle", ""


def check_glue_job(infrastructure: Infrastructure, settings: Settings) -> Outcome:
    """Checks that the Glue job has the version that steps need, does not retry by itself, and scales."""
    name = infrastructure.glue_job
    with translate_errors(f"look at the Glue job {name}"):
        try:
            found = client("glue", settings.region).get_job(JobName=name)["Job"]
        except ClientError as error:
            return _not_there(error, "EntityNotFoundException")
    if wrong := job.problems(found, infrastructure.glue_logs):
        return "failed", "; ".join(wrong), BY_HAND
    runs = found["ExecutionProperty"]["MaxConcurrentRuns"]
    return "ok", f"{name}, Glue {found['GlueVersion']}, {runs} runs at a time at most", ""


def check_workspace(settings: Settings) -> Outcome:
    """Checks that the workspace answers, that it is on AWS in the European Union, and where the buckets are."""
    there = workspace()
    region = check_workspace_region(there, settings.region)
    return "ok", f"{address(there)}, its zones in {region}", ""


def check_cluster_policy(infrastructure: Infrastructure, settings: Settings) -> Outcome:
    """Checks that the stack's cluster policy bounds clusters as the settings do, and that its profile is known."""
    there = workspace()
    policy = policy_of(there, settings.stack)
    if policy is None:
        return "failed", f"the workspace has no policy {settings.stack} that this token may use", _DEPLOY_DATABRICKS
    if wrong := problems_of_policy(policy[1], definition_of(settings, infrastructure)):
        return "failed", "; ".join(wrong), _DEPLOY_DATABRICKS
    if not has_instance_profile(there, infrastructure):
        arn = infrastructure.databricks_profile_arn
        return "failed", f"the workspace does not know the instance profile {arn}", _DEPLOY_DATABRICKS
    return "ok", f"{settings.stack}, {RUNTIME}, job clusters alone", ""


def check_guard_role(role_arn: str, settings: Settings) -> Outcome:
    """Checks that EventBridge Scheduler may assume the role that ends clusters, and that the role may end them."""
    name = role_arn.rpartition("/")[2]
    with translate_errors(f"look at the guard role {name}"):
        iam = client("iam", settings.region)
        try:
            role = iam.get_role(RoleName=name)["Role"]
            rights = iam.get_role_policy(RoleName=name, PolicyName="guard")["PolicyDocument"]
        except ClientError as error:
            return _not_there(error, "NoSuchEntity")
    wrong = [f"it has no {action}" for action in _ENDING if not _allows(rights, action)]
    if not _allows(role["AssumeRolePolicyDocument"], "sts:AssumeRole", _SCHEDULER):
        wrong += [f"{_SCHEDULER} may not assume it"]
    if wrong:
        return "failed", f"{name}: {', '.join(wrong)}, so that forgotten clusters are not ended by it", BY_HAND
    return "ok", f"{role['Arn']}, with which Scheduler ends forgotten clusters", ""


def check_schedule_group(settings: Settings) -> Outcome:
    """Checks that the group of the schedules that end clusters is there: without it no cluster is created."""
    stack, region = settings.stack, settings.region
    remedy = f"Make it again: aws scheduler create-schedule-group --name {stack} --region {region}"
    with translate_errors(f"look at the schedule group {stack}"):
        try:
            state = client("scheduler", region).get_schedule_group(Name=stack)["State"]
        except ClientError as error:
            if error_code(error) != "ResourceNotFoundException":
                raise
            return (
                "failed",
                f"there is no schedule group {stack} in {region}, and without it no cluster is kept",
                remedy,
            )
    if state != "ACTIVE":
        return "failed", f"the schedule group {stack} in {region} is {state}, and takes no schedules", remedy
    return "ok", f"{stack} in {region}", ""


def _allows(document: dict[str, Any], action: str, service: str | None = None) -> bool:
    """Returns whether a policy allows an action, of a service where one is given, as the stack's template writes it."""
    return any(
        one["Effect"] == "Allow"
        and action in _listed(one["Action"])
        and (service is None or service in _listed(one["Principal"].get("Service", [])))
        for one in _listed(document["Statement"])
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _not_there(error: ClientError, code: str) -> Outcome:
    if error_code(error) != code:
        raise error
    return "failed", f"the stack names it, and it is not there: {error}", BY_HAND
