"""What ``fruits deploy`` makes, what the clusters' environment holds, and what ``fruits doctor`` finds."""

import json
import os
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from fruits_assets.aws.environment import (
    AGREEING,
    CURRENT,
    LEFT_OUT,
    PROJECT,
    Environment,
    build_archive,
    check_versions,
    differences,
    find_uv,
    installed_versions,
    packages_of,
    read_environment,
    read_requirements,
    upload_environment,
)
from fruits_assets.aws.infrastructure import Infrastructure
from fruits_assets.aws.sessions import client
from fruits_assets.commands.aws import deploy as deploy_module
from fruits_assets.commands.aws.deploy import Deployed, Identity, deploy, deploy_command
from fruits_assets.commands.aws.doctor import Check, all_checks, check_places, doctor_command, examine
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import FruitsError

# moto leaves out the bucket policies and the budget, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")

REGION, ACCOUNT, BUCKET = "eu-west-3", "123456789012", "staging"


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
    """AWS as moto has it, and no file of settings."""
    monkeypatch.chdir(tmp_path)
    with mock_aws():
        yield


@pytest.fixture
def s3(aws: None) -> Any:
    """A client, and a bucket for staging."""
    s3 = client("s3", REGION)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return s3


def keys(s3: Any, bucket: str) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


# The environment


def test_the_nodes_get_what_a_step_imports_and_neither_tensorflow_nor_spark(requirements: str) -> None:
    packages = packages_of(read_requirements())
    needed = {"dagster-aws", "pillow", "matplotlib", "boto3", "pydantic-settings", *AGREEING}
    assert needed <= set(packages)
    assert not set(LEFT_OUT) & set(packages)
    assert packages["dagster"] == installed_versions()["dagster"]


def test_every_requirement_has_a_hash(requirements: str) -> None:
    entries = read_requirements().replace("\\\n", " ").splitlines()
    assert all("--hash=sha256:" in entry for entry in entries)


def test_an_archive_holds_importable_compiled_packages_and_is_the_same_each_time(
    requirements: str, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.tar.gz", tmp_path / "second.tar.gz"
    build_archive(requirements, first)
    build_archive(requirements, second)
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        names = tar.getnames()
        assert {(entry.uid, entry.mtime) for entry in tar} == {(0, 0)}
        tar.extractall(tmp_path / "packages", filter="data")
    assert not [name for name in names if name.startswith(("bin", ".lock"))]
    compiled = (tmp_path / "packages/iniconfig/__pycache__/__init__.cpython-311.pyc").read_bytes()
    # PEP 552: by the source's hash, and not checked.
    assert compiled[4:8] == b"\1\0\0\0"
    assert b"/opt/fruits/environment/lib/python3.11/site-packages/iniconfig/__init__.py" in compiled
    show = [sys.executable, "-c", "import iniconfig; print(iniconfig.__file__)"]
    # Not by the current folder: an earlier test of this process may have set Python's safe path.
    found = subprocess.check_output(show, env=os.environ | {"PYTHONPATH": str(tmp_path / "packages")}, text=True)
    assert found.startswith(str(tmp_path))


def test_a_package_that_is_not_what_was_locked_is_refused(requirements: str, tmp_path: Path) -> None:
    other = requirements.split("sha256:")[0] + "sha256:" + "0" * 64 + "\n"
    with pytest.raises(FruitsError, match="uv pip install failed"):
        build_archive(other, tmp_path / "archive.tar.gz")


def test_without_uv_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("fruits_assets.aws.environment.PROJECT", tmp_path)
    with pytest.raises(FruitsError, match="pip install uv"):
        find_uv()


def test_what_is_uploaded_is_what_a_launcher_reads(requirements: str, s3: Any) -> None:
    environment = upload_environment(s3, BUCKET, requirements)
    assert read_environment(s3, BUCKET) == environment
    assert environment.python == "3.11"
    assert environment.packages == packages_of(requirements)
    assert sorted(keys(s3, BUCKET)) == sorted([environment.archive, environment.bootstrap, CURRENT])


def test_an_environment_that_is_there_is_not_packed_again(requirements: str, s3: Any) -> None:
    told: list[str] = []
    upload_environment(s3, BUCKET, requirements, told.append)
    assert told[0].startswith("Packing 1 packages")
    told.clear()
    upload_environment(s3, BUCKET, requirements, told.append)
    assert told == []


def test_an_environment_that_could_not_be_packed_does_not_become_the_current_one(requirements: str, s3: Any) -> None:
    with pytest.raises(FruitsError):
        upload_environment(s3, BUCKET, requirements.replace("iniconfig", "iniconfig-that-is-none"))
    assert keys(s3, BUCKET) == []


def test_a_missing_environment_is_told_with_the_remedy(s3: Any) -> None:
    with pytest.raises(FruitsError, match=r"no Python environment in s3://staging.*fruits deploy"):
        read_environment(s3, BUCKET)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}"])
def test_a_current_environment_that_is_none_is_told_with_the_remedy(content: bytes, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=CURRENT, Body=content)
    with pytest.raises(FruitsError, match="not what fruits deploy writes"):
        read_environment(s3, BUCKET)


def test_only_versions_that_matter_are_compared() -> None:
    here = installed_versions()
    assert set(here) == {"python", *AGREEING}
    same = Environment("a", "b", here["python"], {**here, "rich": "1.0"})
    assert differences(same, here) == []
    check_versions(same)
    other = Environment("a", "b", "3.9", {**here, "numpy": "1.0"})
    assert differences(other, here) == [
        f"python 3.9 on the cluster and {here['python']} here",
        f"numpy 1.0 on the cluster and {here['numpy']} here",
    ]
    with pytest.raises(FruitsError, match=r"numpy 1\.0 on the cluster.*uv sync --locked"):
        check_versions(other)


def test_a_package_missing_on_either_side_is_a_difference() -> None:
    here = installed_versions()
    there = {name: version for name, version in here.items() if name != "pandas"}
    assert differences(Environment("a", "b", here["python"], there), here) == [
        f"pandas missing on the cluster and {here['pandas']} here"
    ]


# The stack


@pytest.fixture
def settings(aws: None) -> Settings:
    return read_settings()


@pytest.fixture
def deployed(settings: Settings, requirements: str) -> Deployed:
    """A deployment with an environment that agrees with this machine."""
    done = deploy(settings, "you@example.org", requirements=requirements)
    s3 = client("s3", REGION)
    here = installed_versions()
    agreeing = {"archive": done.environment.archive, "bootstrap": done.environment.bootstrap, "python": here["python"]}
    body = json.dumps({**agreeing, "packages": here}).encode()
    s3.put_object(Bucket=done.infrastructure.staging_bucket, Key=CURRENT, Body=body)
    for bucket in (done.infrastructure.data_bucket, done.infrastructure.staging_bucket):
        # The template says so; moto's CloudFormation does not do it.
        names = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(names, True))
    return done


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


def test_without_credentials_the_first_line_says_so_and_the_rest_of_aws_is_not_checked(nobody: None) -> None:
    done = CliRunner().invoke(doctor_command)
    assert done.exit_code == 1
    first, *others = done.stdout.splitlines()
    assert first.startswith("✗ credentials")
    assert "There are no AWS credentials" in first
    assert [line[0] for line in others] == ["-"] * 12 + ["✓"] * 4


def test_without_credentials_nothing_is_deployed(nobody: None, requirements: str) -> None:
    with pytest.raises(FruitsError, match="There are no AWS credentials"):
        deploy(read_settings(), requirements=requirements)


def states(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in examine(settings)}


def test_a_good_deployment_passes_every_check(deployed: Deployed, settings: Settings) -> None:
    checks = states(settings)
    assert {name: check for name, check in checks.items() if check.state != "ok"} == {}
    assert len(checks) == 16
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


def in_bucket(**places: str) -> Settings:
    """Settings of the emr deployment with the data bucket ``data``."""
    return read_settings(**{"deployment": "emr", "images": "s3://data/Test", "store": "s3://data", **places})


def test_photos_and_weights_anywhere_in_the_data_bucket_are_fine() -> None:
    check_places(in_bucket(), "data")
    check_places(in_bucket(images="s3://data/of/2026/", store="s3://data/", weights="s3://data/a/network.h5"), "data")
    check_places(in_bucket(images="s3://data", weights="/here/network.h5"), "data")


@pytest.mark.parametrize("store", ["s3://data/experiment", "s3://data/Results", "s3://data-of-others", "s3://other"])
def test_a_store_that_the_roles_may_not_write_is_refused_with_the_remedy(store: str) -> None:
    with pytest.raises(FruitsError, match=rf"{store}, .* below s3://data/Results and .*FRUITS_STORE=s3://data,"):
        check_places(in_bucket(store=store), "data")


@pytest.mark.parametrize("images", ["s3://other/Test", "s3://data-of-others/Test"])
def test_photos_that_the_nodes_may_not_read_are_refused_with_the_remedy(images: str) -> None:
    with pytest.raises(FruitsError, match=rf"{images}, .*below s3://data/Test .*the roles of the nodes"):
        check_places(in_bucket(images=images), "data")


def test_weights_of_another_bucket_are_refused_with_the_remedy() -> None:
    with pytest.raises(FruitsError, match=r"The weights lie in s3://other/network.h5, .*FRUITS_WEIGHTS"):
        check_places(in_bucket(weights="s3://other/network.h5"), "data")


def test_places_that_the_clusters_cannot_reach_are_named(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    client("s3", REGION).create_bucket(Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": REGION})
    data = f"s3://{deployed.infrastructure.data_bucket}"
    for name, place in (("IMAGES", f"{data}/Test"), ("STORE", data)):
        monkeypatch.setenv(f"FRUITS_{name}", place)

    def places() -> Check:
        (check,) = [check for check in all_checks() if check.name == "places"]
        return check

    monkeypatch.setenv("FRUITS_DEPLOYMENT", "emr")
    good = places()
    assert good.state == "ok", good
    for name, place in (("IMAGES", "s3://elsewhere/Test"), ("STORE", f"{data}/experiment")):
        with monkeypatch.context() as other:
            other.setenv(f"FRUITS_{name}", place)
            bad = places()
            assert bad.state == "failed"
            assert place in bad.detail
            # This machine's own credentials may reach it.
            other.setenv("FRUITS_DEPLOYMENT", "local")
            assert places().state == "ok"


def test_a_bucket_outside_the_eu_is_named(deployed: Deployed) -> None:
    boto3.client("s3", "us-east-1").create_bucket(Bucket="far")
    check = states(read_settings(images="s3://far/Test"))["places"]
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
