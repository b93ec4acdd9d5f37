"""What ``fruits deploy`` makes, and what it asks and says before."""

import json
import subprocess

import boto3
import pytest
from click.testing import CliRunner

from fruits_assets.aws.environment import CURRENT
from fruits_assets.aws.infrastructure import Infrastructure
from fruits_assets.aws.sessions import client
from fruits_assets.commands.aws import deploy as deploy_module
from fruits_assets.commands.aws.deploy import Deployed, Identity, deploy, deploy_command
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import FruitsError
from tests.support.aws.stack import ACCOUNT, REGION, keys

# moto leaves out the bucket policies and the budget, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")


# The environment


# The stack


def parameters() -> dict[str, str]:
    (stack,) = client("cloudformation", REGION).describe_stacks(StackName="fruits")["Stacks"]
    return {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}


def test_a_deployment_makes_the_stack_and_the_environment(deployed: Deployed) -> None:
    assert Infrastructure.of_stack("fruits", REGION) == deployed.infrastructure
    assert deployed.environment.archive in keys(client("s3", REGION), deployed.infrastructure.staging_bucket)
    (stack,) = client("cloudformation", REGION).describe_stacks(StackName="fruits")["Stacks"]
    assert {"Key": "Project", "Value": "fruits"} in stack["Tags"]


def test_the_roles_that_emr_and_spot_make_for_themselves_are_there_before_the_first_cluster(deployed: Deployed) -> None:
    roles = client("iam", REGION).list_roles()["Roles"]
    services = {role["Path"] for role in roles if role["Path"].startswith("/aws-service-role/")}
    assert services == {"/aws-service-role/elasticmapreduce.amazonaws.com/", "/aws-service-role/spot.amazonaws.com/"}


def test_the_alarm_takes_the_budget_in_dollars_and_whoever_deploys_may_upload(deployed: Deployed) -> None:
    assert parameters()["BudgetUsd"] == "10.87"
    assert parameters()["AlarmEmail"] == "you@example.org"
    assert f"arn:aws:iam::{ACCOUNT}:root" in parameters()["Administrators"].split(",")


def test_a_second_deployment_keeps_the_address_and_the_administrators(
    deployed: Deployed, requirements: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = parameters()
    role = f"arn:aws:iam::{ACCOUNT}:role/Another"
    session = client("sts", REGION).assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", session["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", session["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", session["SessionToken"])
    boto3.setup_default_session()
    deploy(read_settings(budget_eur=20.0), requirements=requirements)
    after = parameters()
    assert after["AlarmEmail"] == "you@example.org"
    assert after["BudgetUsd"] == "21.74"
    others = set(after["Administrators"].split(",")) - set(before["Administrators"].split(","))
    assert others == {role, role.replace("role/", "role/*/")}


def test_users_are_seen_by_policies_as_themselves_and_sessions_as_their_roles() -> None:
    user = f"arn:aws:iam::{ACCOUNT}:user/team/me"
    assert Identity(ACCOUNT, user).principals == [user]
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/Boss/me@example.org"
    assert Identity(ACCOUNT, session).principals == [
        f"arn:aws:iam::{ACCOUNT}:role/Boss",
        f"arn:aws:iam::{ACCOUNT}:role/*/Boss",
    ]


def test_without_an_address_and_in_some_regions_it_says_that_nobody_is_warned(
    settings: Settings, requirements: str
) -> None:
    told: list[str] = []
    deploy(settings, requirements=requirements, report=told.append)
    assert any("--email" in line for line in told)
    told.clear()
    deploy(read_settings(region="eu-north-1"), "you@example.org", requirements=requirements, report=told.append)
    assert any("CloudFormation has none in eu-north-1" in line for line in told)


def test_data_of_a_former_stack_is_not_touched(settings: Settings, requirements: str) -> None:
    name = f"fruits-data-{ACCOUNT}-{REGION}"
    client("s3", REGION).create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    with pytest.raises(FruitsError, match=f"{name} is there already.*FRUITS_STACK"):
        deploy(settings, requirements=requirements)
    assert client("cloudformation", REGION).describe_stacks()["Stacks"] == []


def test_a_stack_whose_buckets_would_have_too_long_names_is_refused() -> None:
    assert len(f"{'f' * 29}-staging-123456789012-eu-central-1") == 63
    assert read_settings(stack="f" * 29).stack
    with pytest.raises(FruitsError, match="FRUITS_STACK"):
        read_settings(stack="f" * 30)


def test_the_environment_alone_needs_a_stack(settings: Settings, requirements: str) -> None:
    with pytest.raises(FruitsError, match="no stack fruits in eu-west-3"):
        deploy(settings, environment_only=True, requirements=requirements)


def test_the_environment_alone_leaves_the_stack_as_it_is(deployed: Deployed, requirements: str) -> None:
    before = parameters()
    again = deploy(read_settings(budget_eur=99.0), environment_only=True, requirements=requirements)
    assert again == deployed
    assert parameters() == before


def test_a_deployment_deletes_old_environments_that_no_cluster_uses(deployed: Deployed, requirements: str) -> None:
    s3, bucket = client("s3", REGION), deployed.infrastructure.staging_bucket
    archives = [f"environment/fruits-python3.11-z{number}.tar.gz" for number in range(6)]
    for key in (*archives, "environment/bootstrap-0.sh"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    client("emr", REGION).run_job_flow(
        Name="fruits-fruits",
        ReleaseLabel="emr-7.14.0",
        Instances={"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True},
        JobFlowRole="EMR_EC2_DefaultRole",
        ServiceRole="EMR_DefaultRole",
        Tags=[{"Key": "fruits-environment", "Value": archives[1]}],
    )
    # Until now another was current, and the one to deploy is the oldest.
    document = json.loads(s3.get_object(Bucket=bucket, Key=CURRENT)["Body"].read())
    s3.put_object(Bucket=bucket, Key=CURRENT, Body=json.dumps({**document, "archive": archives[2]}).encode())
    told: list[str] = []
    deploy(read_settings(keep_environments=2), environment_only=True, requirements=requirements, report=told.append)
    kept = {*archives[1:3], *archives[4:], deployed.environment.archive}
    assert {key for key in keys(s3, bucket) if key.endswith(".tar.gz")} == kept
    assert "environment/bootstrap-0.sh" in keys(s3, bucket)
    assert any(f"Deleted {archives[0]}, {archives[3]}" in line for line in told)


def test_the_command_prints_settings_that_a_shell_can_evaluate(
    deployed: Deployed, requirements: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy_module, "read_requirements", lambda: requirements)
    # As it is on the second day, with the settings of the first.
    monkeypatch.setenv("FRUITS_DEPLOYMENT", "emr")
    done = CliRunner().invoke(deploy_command, ["--yes"])
    assert done.exit_code == 0, done.output
    show = 'eval "$1"; echo $FRUITS_DEPLOYMENT $FRUITS_REGION $FRUITS_STACK $FRUITS_IMAGES $FRUITS_STORE'
    shown = subprocess.check_output(["bash", "-c", show, "bash", done.stdout], text=True)
    data = f"s3://{deployed.infrastructure.data_bucket}"
    assert shown.split() == ["emr", REGION, "fruits", f"{data}/Test", data]
    assert f"role_arn = {deployed.infrastructure.launcher_role_arn}" in done.stdout


def test_the_command_asks_first(aws: None) -> None:
    done = CliRunner().invoke(deploy_command, input="n\n")
    assert done.exit_code == 1
    assert f"the stack fruits in eu-west-3, account {ACCOUNT}" in done.output
    assert client("cloudformation", REGION).describe_stacks()["Stacks"] == []


def test_an_address_that_is_none_is_refused() -> None:
    assert "no e-mail address" in CliRunner().invoke(deploy_command, ["--email", "me", "--yes"]).output


# The doctor


def test_without_credentials_nothing_is_deployed(nobody: None, requirements: str) -> None:
    with pytest.raises(FruitsError, match="aws sso login"):
        deploy(read_settings(), requirements=requirements)
