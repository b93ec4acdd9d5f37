"""The stack as CloudFormation makes it: what its roles may do, and what its buckets refuse."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.core import set_initial_no_auth_action_count

from fruits_assets.aws.infrastructure import Infrastructure
from fruits_assets.aws.permissions import read_template
from tests.support.aws.stack import (
    ACCOUNT,
    CLUSTER,
    REGION,
    STACK,
    Made,
    bucket_statements,
    create_stack,
    permitted,
    statements_of,
)

# moto leaves out the bucket policies and the budget, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")

OWN, OTHERS = (
    {"elasticmapreduce:ResourceTag/fruits-stack": STACK},
    {"elasticmapreduce:ResourceTag/fruits-stack": "them"},
)


@pytest.fixture(scope="module")
def made() -> Made:
    """The template, created under moto once for all tests."""
    with create_stack() as stack:
        profile = boto3.client("iam", REGION).get_instance_profile(InstanceProfileName=stack.instance_profile)
        (node_role,) = profile["InstanceProfile"]["Roles"]
        launcher_role = stack.launcher_role_arn.rsplit("/", 1)[1]
        return Made(stack, statements_of(launcher_role), statements_of(node_role["RoleName"]))


@pytest.fixture
def stack(made: Made) -> Infrastructure:
    return made.stack


@pytest.fixture
def launcher(made: Made) -> list[dict[str, Any]]:
    return made.launcher


@pytest.fixture
def node(made: Made) -> list[dict[str, Any]]:
    return made.node


def test_the_nodes_answer_session_manager_only_where_a_parameter_says_so(node: list[dict[str, Any]]) -> None:
    template = read_template()
    assert template["Parameters"]["SessionManager"]["Default"] == "false"
    policy = template["Resources"]["SessionManagerPolicy"]
    assert policy["Condition"] == "HasSessionManager"
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    for action, may in (("ssmmessages:OpenDataChannel", True), ("ssm:GetParameter", False), ("ssm:SendCommand", False)):
        assert permitted(statements, action, "*") == may
        assert not permitted(node, action, "*")
    assert "ManagedPolicyArns" not in template["Resources"]["NodeRole"]["Properties"]


def test_the_stack_has_every_output(stack: Infrastructure) -> None:
    assert stack.data_bucket == f"fruits-data-{ACCOUNT}-{REGION}"
    assert stack.staging_bucket == f"fruits-staging-{ACCOUNT}-{REGION}"
    assert stack.launcher_role_arn == f"arn:aws:iam::{ACCOUNT}:role/fruits-launcher-{REGION}"
    assert all((stack.service_role, stack.instance_profile, stack.subnet_id, stack.security_configuration))


@pytest.mark.parametrize("bucket", ["DataBucket", "StagingBucket"])
def test_whoever_comes_without_tls_is_refused(bucket: str, stack: Infrastructure) -> None:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    statements = [*bucket_statements(bucket, stack), everything]
    place = f"arn:aws:s3:::{bucket.removesuffix('Bucket').lower()}/x"
    assert not permitted(statements, "s3:GetObject", place, **{"aws:SecureTransport": "false"})
    assert permitted(statements, "s3:GetObject", place, **{"aws:SecureTransport": "true"})


@pytest.mark.parametrize(
    ("principal", "steps", "environment"),
    [
        ("role/fruits-launcher-eu-west-3", True, True),
        ("role/fruits-node-eu-west-3", True, False),
        ("role/aws-reserved/sso.amazonaws.com/Boss", True, True),
        ("role/another", False, False),
        ("user/curious", False, False),
    ],
)
def test_only_those_who_must_write_what_is_executed_even_if_their_own_policies_allow_more(
    principal: str, steps: bool, environment: bool, stack: Infrastructure
) -> None:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    statements = [*bucket_statements("StagingBucket", stack), everything]
    context = {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:{principal}", "aws:SecureTransport": "true"}
    assert permitted(statements, "s3:PutObject", "arn:aws:s3:::staging/steps/x", **context) == steps
    assert permitted(statements, "s3:PutObject", "arn:aws:s3:::staging/environment/x", **context) == environment
    assert permitted(statements, "s3:PutObject", "arn:aws:s3:::staging/logs/x", **context)


def test_the_launcher_creates_only_clusters_with_the_stacks_tag_in_its_region(launcher: list[dict[str, Any]]) -> None:
    def may_create(tag: str | None, region: str) -> bool:
        tags = {} if tag is None else {"elasticmapreduce:RequestTag/fruits-stack": tag}
        return permitted(launcher, "elasticmapreduce:RunJobFlow", "*", **tags, **{"aws:RequestedRegion": region})

    assert may_create(STACK, REGION)
    assert not may_create("them", REGION)
    assert not may_create(None, REGION)
    assert not may_create(STACK, "eu-central-1")


SET_UP = ["AddTags", "PutAutoTerminationPolicy", "PutManagedScalingPolicy"]


@pytest.mark.parametrize("action", SET_UP)
def test_the_launcher_sets_up_a_cluster_that_has_no_id_yet(action: str, launcher: list[dict[str, Any]]) -> None:
    request = {"elasticmapreduce:RequestTag/fruits-stack": STACK, "aws:RequestedRegion": REGION}
    assert permitted(launcher, f"elasticmapreduce:{action}", CLUSTER.replace("j-1", "*"), **request)


@pytest.mark.parametrize("action", ["AddJobFlowSteps", "CancelSteps", "TerminateJobFlows", *SET_UP])
def test_the_launcher_works_only_on_clusters_with_the_stacks_tag(action: str, launcher: list[dict[str, Any]]) -> None:
    action = f"elasticmapreduce:{action}"
    here = {"aws:RequestedRegion": REGION}
    assert permitted(launcher, action, CLUSTER, **OWN, **here)
    assert not permitted(launcher, action, CLUSTER, **OTHERS, **here)
    assert not permitted(launcher, action, CLUSTER, **here)
    elsewhere = CLUSTER.replace(REGION, "us-east-1")
    assert not permitted(launcher, action, elsewhere, **OWN, **{"aws:RequestedRegion": "us-east-1"})


def test_the_launcher_cannot_hand_a_cluster_over_to_another_stack(launcher: list[dict[str, Any]]) -> None:
    def may_tag(value: str) -> bool:
        tag = {"elasticmapreduce:RequestTag/fruits-stack": value, "aws:RequestedRegion": REGION}
        return permitted(launcher, "elasticmapreduce:AddTags", CLUSTER, **OWN, **tag)

    assert may_tag(STACK)
    assert not may_tag("them")


@pytest.mark.parametrize("action", ["DescribeCluster", "DescribeStep", "ListClusters", "ListInstances", "ListSteps"])
def test_the_launcher_looks_at_all_clusters_of_its_region(action: str, launcher: list[dict[str, Any]]) -> None:
    action = f"elasticmapreduce:{action}"
    assert permitted(launcher, action, CLUSTER, **OTHERS, **{"aws:RequestedRegion": REGION})
    assert not permitted(launcher, action, CLUSTER, **{"aws:RequestedRegion": "us-east-1"})


def test_the_launcher_passes_three_roles_each_to_one_service(
    launcher: list[dict[str, Any]], stack: Infrastructure
) -> None:
    def may_pass(role: str, service: str) -> bool:
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        return permitted(launcher, "iam:PassRole", arn, **{"iam:PassedToService": f"{service}.amazonaws.com"})

    roles = {
        stack.service_role: "elasticmapreduce",
        f"fruits-node-{REGION}": "ec2",
        f"fruits-guard-{REGION}": "scheduler",
    }
    for role, service in roles.items():
        assert [one for one in (*roles.values(), "lambda") if may_pass(role, one)] == [service]
    assert not may_pass("Administrator", "ec2")


def test_the_launcher_makes_and_deletes_schedules_in_the_group_of_the_stack_alone(
    launcher: list[dict[str, Any]],
) -> None:
    own = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/{STACK}/j-1-terminate"
    for action in ("CreateSchedule", "DeleteSchedule"):
        assert permitted(launcher, f"scheduler:{action}", own)
        for other in (own.replace(f"/{STACK}/", "/default/"), own.replace(f"/{STACK}/", f"/{STACK}2/")):
            assert not permitted(launcher, f"scheduler:{action}", other)
    assert not permitted(launcher, "scheduler:UpdateSchedule", own)
    assert not permitted(launcher, "scheduler:DeleteScheduleGroup", own)


def test_the_launcher_reads_the_outputs_and_the_prices_and_nothing_else(launcher: list[dict[str, Any]]) -> None:
    def own_stack(name: str) -> str:
        return f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/uuid"

    assert permitted(launcher, "cloudformation:DescribeStacks", own_stack(STACK))
    assert not permitted(launcher, "cloudformation:DescribeStacks", own_stack("theirs"))
    for action in ("pricing:GetProducts", "servicequotas:GetServiceQuota"):
        assert permitted(launcher, action, "*")
    for action in (
        "servicequotas:RequestServiceQuotaIncrease",
        "iam:CreateRole",
        "ec2:RunInstances",
        "elasticmapreduce:SetTerminationProtection",
        "s3:PutBucketPolicy",
    ):
        assert not permitted(launcher, action, "*", **OWN, **{"aws:RequestedRegion": REGION})


def test_a_node_ends_clusters_of_its_stack_and_no_others(node: list[dict[str, Any]]) -> None:
    for action in ("elasticmapreduce:TerminateJobFlows", "elasticmapreduce:SetTerminationProtection"):
        assert permitted(node, action, CLUSTER, **OWN)
        assert not permitted(node, action, CLUSTER, **OTHERS)
    assert not permitted(node, "elasticmapreduce:RunJobFlow", "*", **OWN)


ACCESS = [
    # bucket, key, (launcher reads, writes, deletes), (node reads, writes, deletes)
    ("data", "Test/Apple/1.jpg", "r--", "r--"),
    ("data", "weights/network.h5", "r--", "r--"),
    ("data", "Results/features/folder=Apple/part.parquet", "rwd", "rwd"),
    ("data", "PCA_Results/model/model.json", "rwd", "rwd"),
    ("data", "Erasures/20260101T000000Z-0.json", "rw-", "r--"),
    ("data", "Erasures/tombstones/abc", "rw-", "r--"),
    ("data", "Erasures/unfinished/lock", "rwd", "r--"),
    ("staging", "steps/run/step/1/events.json", "rwd", "rw-"),
    ("staging", "environment/current.json", "rw-", "r--"),
    ("staging", "environment/bootstrap-0.sh", "rw-", "r--"),
    ("staging", "environment/fruits-python3.11-0.tar.gz", "rwd", "r--"),
    ("locks", "locks/money.json", "rwd", "---"),
    ("locks", "elsewhere", "---", "---"),
    ("staging", "locks/money.json", "---", "---"),
    ("staging", "logs/j-1/steps/stderr.gz", "r--", "-w-"),
    ("staging", "notebooks/one.ipynb", "---", "rwd"),
    ("staging", "jupyter/jovyan/one.ipynb", "---", "rwd"),
    ("staging", "elsewhere", "---", "---"),
]


@pytest.mark.parametrize(("bucket", "key", "of_launcher", "of_node"), ACCESS)
def test_launcher_and_nodes_reach_in_the_buckets_what_they_need(
    bucket: str, key: str, of_launcher: str, of_node: str, launcher: list[dict[str, Any]], node: list[dict[str, Any]]
) -> None:
    arn = f"arn:aws:s3:::fruits-{bucket}-{ACCOUNT}-{REGION}/{key}"
    actions = {"r": "s3:GetObject", "w": "s3:PutObject", "d": "s3:DeleteObject"}
    for statements, wanted in ((launcher, of_launcher), (node, of_node)):
        given = "".join(letter if permitted(statements, action, arn) else "-" for letter, action in actions.items())
        assert given == wanted


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("Test/Apple/1.jpg", True),
        ("Results/raw_images/folder=Apple/part.parquet", True),
        ("PCA_Results/reduced_features/folder=Apple/part.parquet", True),
        ("Erasures/unfinished/20260101T000000Z-0.json", True),
        ("Erasures/20260101T000000Z-0.json", False),
        ("Erasures/tombstones/abc", False),
        ("weights/network.h5", False),
        ("Tests/Apple/1.jpg", False),
    ],
)
def test_the_launcher_erases_for_good_what_an_erasure_takes_away_and_a_node_nothing(
    key: str, given: bool, launcher: list[dict[str, Any]], node: list[dict[str, Any]]
) -> None:
    data, staging = (f"arn:aws:s3:::fruits-{bucket}-{ACCOUNT}-{REGION}" for bucket in ("data", "staging"))
    assert permitted(launcher, "s3:DeleteObjectVersion", f"{data}/{key}") == given
    assert not permitted(node, "s3:DeleteObjectVersion", f"{data}/{key}")
    assert not permitted(launcher, "s3:DeleteObjectVersion", f"{staging}/{key}")
    assert permitted(launcher, "s3:ListBucketVersions", data)
    assert not permitted(node, "s3:ListBucketVersions", data)


@pytest.fixture
def living_stack() -> Iterator[Infrastructure]:
    """A stack of the template's under moto, which goes on until the test has ended."""
    with create_stack() as stack:
        yield stack


def test_moto_enforces_the_same_on_the_launcher(living_stack: Infrastructure) -> None:
    stack = living_stack
    mine = boto3.client("s3", REGION)
    mine.put_object(Bucket=stack.data_bucket, Key="Test/Apple/1.jpg", Body=b"photo")
    session = boto3.client("sts", REGION).assume_role(RoleArn=stack.launcher_role_arn, RoleSessionName="test")
    credentials = session["Credentials"]
    s3 = boto3.client(
        "s3",
        REGION,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )

    @set_initial_no_auth_action_count(0)
    def work() -> None:
        assert s3.get_object(Bucket=stack.data_bucket, Key="Test/Apple/1.jpg")["Body"].read() == b"photo"
        s3.list_objects_v2(Bucket=stack.data_bucket)
        s3.put_object(Bucket=stack.data_bucket, Key="Results/x", Body=b"")
        s3.delete_object(Bucket=stack.data_bucket, Key="Results/x")
        s3.put_object(Bucket=stack.staging_bucket, Key="steps/x", Body=b"")
        for bucket, key in ((stack.data_bucket, "Test/x"), (stack.staging_bucket, "logs/x")):
            with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
                s3.put_object(Bucket=bucket, Key=key, Body=b"")

    work()
