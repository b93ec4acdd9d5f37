"""AWS as moto has it, and a deployment there."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.servicequotas.models import ServiceQuotasBackend

from fruits_assets.aws.environment import (
    CURRENT,
    PROJECT,
    find_uv,
    installed_versions,
)
from fruits_assets.aws.sessions import client
from fruits_assets.commands.aws.deploy import Deployed, deploy
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import FruitsError
from tests.emr_emulator.iam import simulation
from tests.emr_emulator.quotas import get_service_quota
from tests.support.aws.stack import BUCKET, MANAGED_POLICY, REGION


@pytest.fixture(scope="session")
def requirements() -> str:
    """Locked requirements of one tiny package, from uv.lock."""
    try:
        find_uv()
    except FruitsError as error:
        pytest.skip(str(error))
    packages = tomllib.loads((PROJECT / "uv.lock").read_text())["package"]
    (tiny,) = [package for package in packages if package["name"] == "iniconfig"]
    return f"iniconfig=={tiny['version']} --hash={tiny['wheels'][0]['hash']}\n"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """AWS as moto has it, with quotas of vCPUs, and no file of settings."""
    monkeypatch.chdir(tmp_path)

    def quota(_: Any, service_code: str, quota_code: str) -> Any:
        return get_service_quota({"ServiceCode": service_code, "QuotaCode": quota_code})["Quota"]

    monkeypatch.setattr(ServiceQuotasBackend, "get_service_quota", quota)
    simulation.add_to_moto()
    with mock_aws():
        yield


@pytest.fixture
def s3(aws: None) -> Any:
    """A client, and a bucket for staging."""
    s3 = client("s3", REGION)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return s3


@pytest.fixture
def settings(aws: None) -> Settings:
    return read_settings()


@pytest.fixture
def deployed(settings: Settings, requirements: str) -> Deployed:
    """A deployment with an environment that agrees with this machine."""
    done = deploy(settings, "you@example.org", requirements=requirements)
    s3 = client("s3", REGION)
    # The template attaches AWS' own policy; moto's CloudFormation does not, and here moto has none of AWS' policies.
    document = json.dumps(json.loads(aws_managed_policies_data)[MANAGED_POLICY]["Document"])
    role = done.infrastructure.service_role
    client("iam", REGION).put_role_policy(RoleName=role, PolicyName=MANAGED_POLICY, PolicyDocument=document)
    here = installed_versions()
    agreeing = {"archive": done.environment.archive, "bootstrap": done.environment.bootstrap, "python": here["python"]}
    body = json.dumps({**agreeing, "packages": here}).encode()
    s3.put_object(Bucket=done.infrastructure.staging_bucket, Key=CURRENT, Body=body)
    for bucket in (done.infrastructure.data_bucket, done.infrastructure.staging_bucket):
        # The template says so; moto's CloudFormation does not do it.
        names = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(names, True))
    # So it is with the group of the schedules.
    client("scheduler", REGION).create_schedule_group(Name=settings.stack)
    return done


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No AWS credentials at all."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "missing"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.chdir(tmp_path)
    # The session of the process keeps the credentials it has once found, or not found.
    boto3.setup_default_session()
    yield
    boto3.setup_default_session()
