"""Who may write what others execute: each role of the stack, by its own policies and the bucket's, as AWS decides."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.iam.aws_managed_policies import aws_managed_policies_data

from tests.emr_emulator.iam.policies import Question, as_list, decide
from tests.support.aws.stack import ACCOUNT, REGION, bucket_statements, create_stack, resources

# moto leaves out the bucket policies and the budget, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")
STAGING, DATA = (f"arn:aws:s3:::fruits-{bucket}-{ACCOUNT}-{REGION}" for bucket in ("staging", "data"))
ROLES = ("LauncherRole", "NodeRole", "JobRole", "GlueRole", "DatabricksRole", "ServiceRole", "GuardRole")
STEPS = {"LauncherRole", "NodeRole", "JobRole", "GlueRole", "DatabricksRole"}
Policies = dict[str, list[dict[str, Any]]]


def managed(arn: str) -> dict[str, Any]:
    """Returns a policy of AWS's own, of which moto keeps a copy."""
    known: dict[str, Any] = json.loads(aws_managed_policies_data)
    document: dict[str, Any] = known[arn.rpartition("/")[2]]["Document"]
    return document


@pytest.fixture(scope="module")
def policies() -> Iterator[Policies]:
    """The policy documents of every role of the stack, and as ``staging`` the bucket's."""
    found: Policies = {}
    with create_stack() as stack:
        iam = boto3.client("iam", REGION)
        for name, role in resources("AWS::IAM::Role").items():
            actual = role["Properties"]["RoleName"]["Fn::Sub"].replace("${AWS::StackName}", "fruits")
            actual = actual.replace("${AWS::Region}", REGION)
            own = iam.list_role_policies(RoleName=actual)["PolicyNames"]
            documents: list[Any] = [
                iam.get_role_policy(RoleName=actual, PolicyName=one)["PolicyDocument"] for one in own
            ]
            found[name] = documents + [managed(arn) for arn in as_list(role["Properties"].get("ManagedPolicyArns"))]
        statements = json.loads(
            json.dumps(bucket_statements("StagingBucket", stack)).replace("s3:::staging", STAGING[8:])
        )
        found["staging"] = [{"Statement": statements}]
        yield found


def arn_of(role: str) -> str:
    names = {"LauncherRole": "launcher", "NodeRole": "node", "JobRole": "job", "ServiceRole": "emr"}
    name = {**names, "GlueRole": "glue", "DatabricksRole": "databricks", "GuardRole": "guard"}[role]
    return f"arn:aws:iam::{ACCOUNT}:role/fruits-{name}-{REGION}"


def may(policies: Policies, role: str, action: str, resource: str) -> bool:
    context: dict[str, str | list[str]] = {
        "aws:PrincipalArn": arn_of(role),
        "aws:SecureTransport": "true",
        "aws:RequestedRegion": REGION,
        "elasticmapreduce:ResourceTag/fruits-stack": "fruits",
    }
    return decide(policies[role] + policies["staging"], Question(action, resource, context)) == "allow"


def writers(policies: Policies, action: str, resource: str) -> set[str]:
    return {role for role in ROLES if may(policies, role, action, resource)}


def test_the_roles_of_the_stack_are_those_that_are_asked_here(policies: Policies) -> None:
    assert set(policies) == {*ROLES, "staging"}


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("steps/run/step/0/code.zip", STEPS),
        ("steps/run/step/0/step_main.py", STEPS),
        ("steps/run/step/0/events/000001.json", STEPS),
        ("environment/current.json", {"LauncherRole"}),
        ("environment/bootstrap-0.sh", {"LauncherRole"}),
        ("logs/j-1/steps/stderr.gz", {"NodeRole"}),
        ("logs/serverless/applications/a/jobs/j/SPARK_DRIVER/stderr.gz", {"NodeRole", "JobRole"}),
        ("logs/databricks/run/step/0/cluster/driver/stderr", {"NodeRole", "DatabricksRole"}),
        ("elsewhere", set()),
    ],
)
def test_nobody_else_writes_what_nodes_execute_and_launchers_read(
    key: str, wanted: set[str], policies: Policies
) -> None:
    assert writers(policies, "s3:PutObject", f"{STAGING}/{key}") == wanted


def test_nobody_but_the_launcher_takes_the_lock_of_all_stacks(policies: Policies) -> None:
    locks = f"arn:aws:s3:::fruits-locks-{ACCOUNT}-{REGION}"
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
        assert writers(policies, action, f"{locks}/locks/money.json") == {"LauncherRole"}
    assert writers(policies, "s3:ListBucket", locks) == {"LauncherRole"}


def test_nobody_but_the_launcher_gives_clusters_work(policies: Policies) -> None:
    cluster = f"arn:aws:elasticmapreduce:{REGION}:{ACCOUNT}:cluster/j-1"
    assert writers(policies, "elasticmapreduce:AddJobFlowSteps", cluster) == {"LauncherRole"}


def test_nobody_but_the_launcher_starts_runs_and_those_of_the_stacks_own_job_alone(policies: Policies) -> None:
    own, others = (f"arn:aws:glue:{REGION}:{ACCOUNT}:job/{name}" for name in ("fruits", "theirs"))
    for action in ("glue:StartJobRun", "glue:BatchStopJobRun"):
        assert writers(policies, action, own) == {"LauncherRole"}
        assert writers(policies, action, others) == set()
    assert writers(policies, "glue:GetJobRuns", others) == {"LauncherRole"}
    for action in ("glue:CreateJob", "glue:UpdateJob", "glue:DeleteJob", "glue:GetTable"):
        assert writers(policies, action, own) == set()


def test_the_logs_of_runs_are_written_by_their_role_and_read_by_the_launcher(policies: Policies) -> None:
    logs = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group"
    own, others = f"{logs}:/fruits/glue/output:log-stream:jr_1-driver", f"{logs}:/theirs/output:log-stream:x"
    assert writers(policies, "logs:PutLogEvents", own) == {"GlueRole"}
    assert writers(policies, "logs:GetLogEvents", own) == {"LauncherRole"}
    for action in ("logs:PutLogEvents", "logs:GetLogEvents"):
        assert writers(policies, action, others) == set()


@pytest.mark.parametrize("action", ["s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "iam:PutRolePolicy"])
def test_no_role_of_the_stack_gives_itself_more(action: str, policies: Policies) -> None:
    for resource in (STAGING, DATA, *map(arn_of, ROLES)):
        assert writers(policies, action, resource) == set()


def test_no_role_writes_photos_or_weights(policies: Policies) -> None:
    for key in ("Test/Apple/1.jpg", "weights/network.h5"):
        assert writers(policies, "s3:PutObject", f"{DATA}/{key}") == set()


def test_a_policy_of_somebody_else_that_allows_everything_is_not_enough(policies: Policies) -> None:
    everything = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    context: dict[str, str | list[str]] = {"aws:SecureTransport": "true"}
    for somebody in ("user/reader", "role/jupyter-of-another-team", "role/EMR_EC2_DefaultRole"):
        context["aws:PrincipalArn"] = f"arn:aws:iam::{ACCOUNT}:{somebody}"
        for key in ("steps/run/step/0/code.zip", "environment/current.json"):
            asked = Question("s3:PutObject", f"{STAGING}/{key}", context)
            assert decide([everything, *policies["staging"]], asked) == "deny"


def test_the_launcher_alone_asks_what_the_roles_of_the_stack_may_do_and_no_others(policies: Policies) -> None:
    for role in ROLES:
        assert writers(policies, "iam:SimulatePrincipalPolicy", arn_of(role)) == {"LauncherRole"}
    assert writers(policies, "iam:SimulatePrincipalPolicy", f"arn:aws:iam::{ACCOUNT}:role/other") == set()
