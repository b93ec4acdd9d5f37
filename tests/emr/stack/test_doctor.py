"""What fruits doctor finds."""

import json

import boto3
import pytest
from click.testing import CliRunner

from fruits_assets.aws.sessions import client
from fruits_assets.commands.aws.deploy import Deployed, deploy
from fruits_assets.commands.aws.doctor import Check, all_checks, doctor_command, examine
from fruits_assets.settings import Settings, read_settings
from tests.emr_emulator.quotas import VCPUS
from tests.support.aws.stack import MANAGED_POLICY, REGION

# moto leaves out the bucket policies and the budget, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")


def test_without_credentials_the_first_line_says_so_and_the_rest_of_aws_is_not_checked(nobody: None) -> None:
    done = CliRunner().invoke(doctor_command)
    assert done.exit_code == 1
    first, *others = done.stdout.splitlines()
    assert first.startswith("✗ credentials")
    assert "aws sso login" in first
    assert [line[0] for line in others] == ["-"] * 21 + ["✓"] * 4


def states(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in examine(settings)}


def test_a_good_deployment_passes_every_check(deployed: Deployed, settings: Settings) -> None:
    checks = states(settings)
    assert {name: check for name, check in checks.items() if check.state != "ok"} == {}
    assert len(checks) == 25
    done = CliRunner().invoke(doctor_command, ["--json"])
    assert done.exit_code == 0
    assert [check["name"] for check in json.loads(done.stdout)] == [*checks, "settings"]


def test_without_a_stack_it_says_how_to_make_one(settings: Settings) -> None:
    checks = states(settings)
    assert checks["stack"].state == "failed"
    assert "fruits deploy" in checks["stack"].detail
    assert checks["data bucket"].state == "not checked"
    assert checks["budget"].state == "ok"


def test_a_bucket_that_lost_its_protection_is_named(deployed: Deployed, settings: Settings) -> None:
    bucket, s3 = deployed.infrastructure.data_bucket, client("s3", REGION)
    s3.delete_public_access_block(Bucket=bucket)
    s3.delete_bucket_encryption(Bucket=bucket)
    check = states(settings)["data bucket"]
    assert check.state == "failed"
    assert check.detail == f"{bucket} is not encrypted and not closed to the public"
    assert "mend it in the console" in check.remedy


def test_an_archive_that_is_gone_is_named(deployed: Deployed, settings: Settings) -> None:
    client("s3", REGION).delete_object(Bucket=deployed.infrastructure.staging_bucket, Key=deployed.environment.archive)
    check = states(settings)["environment"]
    assert check.state == "failed"
    assert deployed.environment.archive in check.detail
    assert check.remedy == "Upload it: fruits deploy --environment-only"


def test_versions_that_differ_are_named(settings: Settings, requirements: str) -> None:
    deploy(settings, requirements=requirements)
    check = states(settings)["environment"]
    assert check.state == "failed"
    assert "numpy missing on the cluster" in check.detail


def test_a_role_that_is_gone_is_named(deployed: Deployed, settings: Settings) -> None:
    iam, profile = client("iam", REGION), deployed.infrastructure.instance_profile
    (role,) = iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
    iam.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=role["RoleName"])
    iam.delete_instance_profile(InstanceProfileName=profile)
    assert states(settings)["instance profile"].state == "failed"


def test_a_guard_that_could_end_no_forgotten_cluster_is_named(deployed: Deployed, settings: Settings) -> None:
    iam, role = client("iam", REGION), deployed.infrastructure.guard_role_arn.rpartition("/")[2]
    rights = iam.get_role_policy(RoleName=role, PolicyName="guard")["PolicyDocument"]
    rights["Statement"][0]["Action"] = "elasticmapreduce:TerminateJobFlows"
    iam.put_role_policy(RoleName=role, PolicyName="guard", PolicyDocument=json.dumps(rights))
    trust = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    trust["Statement"][0]["Principal"] = {"Service": "ec2.amazonaws.com"}
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(trust))
    check = states(settings)["guard role"]
    assert check.state == "failed"
    assert "it has no elasticmapreduce:SetTerminationProtection" in check.detail
    assert "scheduler.amazonaws.com may not assume it" in check.detail
    assert "mend it in the console" in check.remedy
    iam.delete_role_policy(RoleName=role, PolicyName="guard")
    assert states(settings)["guard role"].state == "failed"


def test_schedules_that_have_no_group_are_named_with_the_command_that_makes_it(
    deployed: Deployed, settings: Settings
) -> None:
    client("scheduler", REGION).delete_schedule_group(Name="fruits")
    check = states(settings)["schedule group"]
    assert check.state == "failed"
    assert check.detail == "there is no schedule group fruits in eu-west-3, and without it no cluster is kept"
    assert check.remedy == "Make it again: aws scheduler create-schedule-group --name fruits --region eu-west-3"


def test_a_glue_job_that_was_changed_by_hand_or_is_gone_is_named(deployed: Deployed, settings: Settings) -> None:
    glue, name = client("glue", REGION), deployed.infrastructure.glue_job
    made = glue.get_job(JobName=name)["Job"]
    glue.delete_job(JobName=name)
    check = states(settings)["glue job"]
    assert check.state == "failed"
    assert "it is not there" in check.detail
    glue.create_job(Name=name, Role=made["Role"], Command=made["Command"], GlueVersion="6.0", MaxRetries=2)
    check = states(settings)["glue job"]
    assert check.state == "failed"
    assert "its version is 6.0, and steps need 5.1; it retries by itself" in check.detail
    assert "mend it in the console" in check.remedy


def test_places_that_the_clusters_cannot_reach_are_named(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    client("s3", REGION).create_bucket(Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": REGION})
    data = f"s3://{deployed.infrastructure.data_bucket}"
    for name, place in (("IMAGES", f"{data}/Test"), ("STORE", data)):
        monkeypatch.setenv(f"FRUITS_{name}", place)

    def locations() -> Check:
        (check,) = [check for check in all_checks() if check.name == "locations"]
        return check

    monkeypatch.setenv("FRUITS_DEPLOYMENT", "emr")
    good = locations()
    assert good.state == "ok", good
    for name, place in (("IMAGES", "s3://elsewhere/Test"), ("STORE", f"{data}/experiment")):
        with monkeypatch.context() as other:
            other.setenv(f"FRUITS_{name}", place)
            bad = locations()
            assert bad.state == "failed"
            assert place in bad.detail
            # This machine's own credentials may reach it.
            other.setenv("FRUITS_DEPLOYMENT", "local")
            assert locations().state == "ok"


def test_a_bucket_outside_the_eu_is_named(deployed: Deployed) -> None:
    boto3.client("s3", "us-east-1").create_bucket(Bucket="far")
    check = states(read_settings(images="s3://far/Test"))["locations"]
    assert check.state == "failed"
    assert "us-east-1, outside the European Union" in check.detail


def test_weights_are_looked_for_where_they_are_said_to_be(deployed: Deployed) -> None:
    place = f"s3://{deployed.infrastructure.data_bucket}/weights/network.h5"
    missing = states(read_settings(weights=place))["weights"]
    assert missing.state == "failed"
    assert place in missing.detail
    client("s3", REGION).put_object(
        Bucket=deployed.infrastructure.data_bucket, Key="weights/network.h5", Body=b"weights"
    )
    assert states(read_settings(weights=place))["weights"].state == "ok"
    assert states(read_settings(weights="random:0"))["weights"].state == "warning"
    assert states(read_settings(weights="/nowhere.h5"))["weights"].state == "failed"


def test_a_quota_too_small_for_a_cluster_is_named_with_the_command_that_asks_for_more(
    deployed: Deployed, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VCPUS, "L-1216C47A", 5.0)
    check = states(settings)["quota"]
    assert check.state == "failed"
    assert "5 vCPUs On-Demand (L-1216C47A), a cluster takes 12 to 20" in check.detail
    assert "--quota-code L-1216C47A --desired-value 20" in check.remedy


def test_a_budget_without_room_for_a_cluster_is_a_warning(deployed: Deployed) -> None:
    check = states(read_settings(budget_eur=0.01))["budget"]
    assert check.state == "warning"
    assert "0.01 EUR" in check.detail


def test_what_the_credentials_may_not_see_is_unknown_and_not_wrong(deployed: Deployed, settings: Settings) -> None:
    s3 = client("s3", REGION)
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject"}
    statement = {**deny, "Resource": f"arn:aws:s3:::{deployed.infrastructure.staging_bucket}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.put_bucket_policy(Bucket=deployed.infrastructure.staging_bucket, Policy=policy)
    check = states(settings)["environment"]
    assert check.state == "not checked"
    assert "unknown" in check.detail


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("FRUITS_REGION", "us-east-1", "European Union"), ("FRUITS_DEPLOYMENT", "emr", "a cluster cannot reach")],
)
def test_wrong_settings_are_one_of_the_checks(
    name: str, value: str, message: str, nobody: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    (check,) = [check for check in all_checks() if check.name == "settings"]
    assert check.state == "failed"
    assert message in check.detail


def change_policy(role: str, policy: str, *statements: dict[str, object], without: str = "") -> None:
    """Adds statements to the policy of a role of the stack, and leaves out the one of a Sid."""
    iam, name = client("iam", REGION), f"fruits-{role}-{REGION}"
    document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    kept = [one for one in document["Statement"] if one.get("Sid") != without]
    assert len(kept) == len(document["Statement"]) - bool(without)
    changed = json.dumps({**document, "Statement": [*kept, *statements]})
    iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=changed)


def test_each_permission_that_a_role_of_the_stack_lacks_is_named_with_the_remedy(
    deployed: Deployed, settings: Settings
) -> None:
    account = deployed.infrastructure.launcher_role_arn.split(":")[4]
    change_policy("launcher", "launcher", without="ScheduleTheEnd")
    change_policy("launcher", "launcher", {"Effect": "Deny", "Action": "iam:PassRole", "Resource": "*"})
    change_policy("node", "node", {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::*/steps/*"})
    check = states(settings)["permissions"]
    schedules = f"arn:aws:scheduler:{REGION}:{account}:schedule/fruits/*"
    assert check.state == "failed"
    launcher, node = check.detail.split("; ")
    assert launcher.startswith("the launcher role lacks iam:PassRole on ")
    assert launcher.count("iam:PassRole on ") == 4
    assert launcher.endswith(f"scheduler:CreateSchedule on {schedules}, scheduler:DeleteSchedule on {schedules}")
    steps = f"arn:aws:s3:::{deployed.infrastructure.staging_bucket}/steps/*"
    assert node == f"the nodes' role lacks s3:PutObject on {steps}"
    assert check.remedy.startswith("Run fruits deploy as an administrator")


def test_a_role_of_emr_without_the_policy_of_aws_is_named(deployed: Deployed, settings: Settings) -> None:
    role = deployed.infrastructure.service_role
    client("iam", REGION).delete_role_policy(RoleName=role, PolicyName=MANAGED_POLICY)
    check = states(settings)["permissions"]
    assert check.detail.startswith("EMR's role lacks ec2:CreateFleet on ")
    assert "ec2:RunInstances on " in check.detail
