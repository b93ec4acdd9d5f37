"""The emulator's permissions, once they are enforced."""

from typing import Any

from tests.support.aws.emulated import ACCOUNT, Account, policy, refused, trust

LAUNCHER_MAY: list[dict[str, Any]] = [
    {
        "Effect": "Allow",
        "Action": ["elasticmapreduce:RunJobFlow", "elasticmapreduce:AddTags"],
        "Resource": "*",
        "Condition": {"StringEquals": {"elasticmapreduce:RequestTag/fruits-stack": "emulated"}},
    },
    {
        "Effect": "Allow",
        "Action": "elasticmapreduce:TerminateJobFlows",
        "Resource": f"arn:aws:elasticmapreduce:eu-west-3:{ACCOUNT}:cluster/*",
        "Condition": {"StringEquals": {"elasticmapreduce:ResourceTag/fruits-stack": "emulated"}},
    },
    {"Effect": "Allow", "Action": "elasticmapreduce:List*", "Resource": "*"},
    {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": f"arn:aws:iam::{ACCOUNT}:role/emulated-service",
        "Condition": {"StringEquals": {"iam:PassedToService": "elasticmapreduce.amazonaws.com"}},
    },
    {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::emulated/Results/*"},
]


SERVICE_MAY: list[dict[str, Any]] = [{"Effect": "Allow", "Action": ["iam:PassRole", "ec2:*"], "Resource": "*"}]


PASS_NODES = {
    "Effect": "Allow",
    "Action": "iam:PassRole",
    "Resource": f"arn:aws:iam::{ACCOUNT}:role/emulated-nodes",
    "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
}


def test_permissions_decide_over_clusters_and_objects_once_they_are_enforced(account: Account) -> None:
    emulator = account.emulator
    iam = emulator.client("iam")
    role = iam.create_role(RoleName="launcher", AssumeRolePolicyDocument=trust(f"arn:aws:iam::{ACCOUNT}:root"))
    environ = emulator.environ_of_role(role["Role"]["Arn"])
    launcher = Account(emulator, emulator.client("emr", environ=environ), emulator.client("s3", environ=environ))

    def permit(*statements: dict[str, Any]) -> None:
        iam.put_role_policy(RoleName="launcher", PolicyName="launcher", PolicyDocument=policy(*statements))

    permit(*LAUNCHER_MAY)
    emulator.enforce_iam(True)
    try:
        with refused("AccessDeniedException", "elasticmapreduce:RunJobFlow"):
            launcher.run("untagged", Tags=[])
        with refused("AccessDeniedException", "assumed-role/launcher/test is not authorized to perform: iam:PassRole"):
            launcher.run("passing")
        permit(*LAUNCHER_MAY, PASS_NODES)
        mine = launcher.run("mine")
        reason = account.wait(mine, "TERMINATED_WITH_ERRORS")["StateChangeReason"]
        assert "insufficient EC2 permissions: iam:PassRole" in reason["Message"]
        iam.put_role_policy(RoleName="emulated-service", PolicyName="emr", PolicyDocument=policy(*SERVICE_MAY))
        mine = launcher.run("mine")
        theirs = account.run("theirs", Tags=[])
        with refused("AccessDeniedException", "elasticmapreduce:TerminateJobFlows"):
            launcher.emr.terminate_job_flows(JobFlowIds=[theirs])
        launcher.emr.terminate_job_flows(JobFlowIds=[mine])
        account.emr.terminate_job_flows(JobFlowIds=[theirs])

        launcher.s3.put_object(Bucket="emulated", Key="Results/mine", Body=b"x")
        with refused("AccessDenied", "s3:PutObject"):
            launcher.s3.put_object(Bucket="emulated", Key="Test/theirs", Body=b"x")
        with refused("AccessDenied", "s3:DeleteObject"):
            launcher.s3.delete_objects(Bucket="emulated", Delete={"Objects": [{"Key": "Results/mine"}]})
        with refused("AccessDenied", "s3:ListBucket"):
            launcher.s3.get_object(Bucket="emulated", Key="Results/absent")
        with refused("InvalidAccessKeyId", "invalid"):
            emulator.client("s3", environ=emulator.environ).list_buckets()
        for one in (mine, theirs):
            account.wait(one, "TERMINATED")
    finally:
        emulator.enforce_iam(False)
