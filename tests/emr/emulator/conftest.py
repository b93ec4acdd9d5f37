"""The emulator with all that EMR asks for."""

import io
import zipfile
from collections.abc import Iterator

import pytest

from tests.emr_emulator import Emulator
from tests.support.aws.emulated import NODES_MAY, STEP, Account, policy, trust


@pytest.fixture(scope="session")
def account(emulator: Emulator) -> Account:
    """The emulator with a bucket, roles and a step's files."""
    s3, iam = emulator.client("s3"), emulator.client("iam")
    s3.create_bucket(Bucket="emulated", CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
    s3.put_object(Bucket="emulated", Key="Test/lines.txt", Body=b"one\ntwo\n")
    s3.put_object(Bucket="emulated", Key="steps/main.py", Body=STEP.encode())
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("in_the_zip.py", "ANSWER = 42\n")
    s3.put_object(Bucket="emulated", Key="steps/code.zip", Body=code.getvalue())
    for name, service in {"service": "elasticmapreduce", "nodes": "ec2"}.items():
        iam.create_role(RoleName=f"emulated-{name}", AssumeRolePolicyDocument=trust(service))
    iam.put_role_policy(RoleName="emulated-nodes", PolicyName="nodes", PolicyDocument=policy(*NODES_MAY))
    iam.create_instance_profile(InstanceProfileName="emulated-nodes")
    iam.add_role_to_instance_profile(InstanceProfileName="emulated-nodes", RoleName="emulated-nodes")
    return Account(emulator, emulator.client("emr"), s3)


@pytest.fixture(scope="module")
def cluster(account: Account) -> Iterator[str]:
    """One cluster for all tests that leave it alive."""
    script = """
        sudo mkdir -p /opt/fruits
        echo "$1 $(cat /mnt/var/lib/info/instance.json)" >> /opt/fruits/seen
    """
    identity = account.run("shared", BootstrapActions=account.script(script), StepConcurrencyLevel=2)
    yield identity
    account.emr.terminate_job_flows(JobFlowIds=[identity])
    account.wait(identity, "TERMINATED")
    assert account.emulator.state()["clusters"][identity]["processes"] == 0
