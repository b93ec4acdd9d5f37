"""The account's lock of everything that costs money, and the budget that is asked under it."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto import mock_aws

from fruits_assets.aws.lock_bucket import put_lock_bucket
from fruits_assets.money import allowance as module
from fruits_assets.money import prices
from fruits_assets.money.allowance import allowance
from fruits_assets.money.budget import CLUSTER, JOB
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import FruitsError

REGION, ACCOUNT = "eu-west-3", "123456789012"
BUCKET = f"fruits-locks-{ACCOUNT}-{REGION}"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """AWS with nothing in it, and no Price List API."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    prices._of_the_day.cache_clear()
    with mock_aws():
        yield boto3.client("s3", region_name=REGION)
    prices._of_the_day.cache_clear()


@pytest.fixture
def locks(s3: Any) -> Any:
    """A client of S3, with the bucket of locks."""
    assert put_lock_bucket(s3, BUCKET, ACCOUNT, REGION)
    return s3


def settings(budget_eur: float) -> Settings:
    return read_settings(budget_eur=budget_eur)


def test_what_was_created_and_no_service_lists_yet_counts_with_the_most_that_it_costs(locks: Any) -> None:
    with allowance(settings(5.0), locks, BUCKET) as allowed:
        allowed.ask(3.0, JOB)
        allowed.check_held()
        allowed.created("just-now")
    with allowance(settings(5.0), locks, BUCKET) as allowed:
        allowed.ask(2.0, JOB)
        with pytest.raises(FruitsError, match=r"3\.00 EUR that 1 running job may still cost \+ 2\.01 EUR"):
            allowed.ask(2.01, JOB)


def test_a_note_of_what_is_listed_by_now_does_not_count_it_twice(locks: Any) -> None:
    tags = {"fruits-stack": "colleagues", "fruits-worst-case-eur": "3.0", "fruits-max-age-minutes": "120"}
    with allowance(settings(5.5), locks, BUCKET) as allowed:
        allowed.ask(3.0, CLUSTER)
        cluster = boto3.client("emr", region_name=REGION).run_job_flow(
            Name="fruits-fruits",
            ReleaseLabel="emr-7.14.0",
            Instances={"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True},
            JobFlowRole="nodes",
            ServiceRole="service",
            Tags=[{"Key": name, "Value": value} for name, value in tags.items()],
        )["JobFlowId"]
        allowed.created(cluster)
        allowed.ask(2.5, CLUSTER)
        with pytest.raises(FruitsError, match="1 running cluster may still cost"):
            allowed.ask(2.6, CLUSTER)


def test_a_note_of_what_its_service_never_listed_ends(locks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with allowance(settings(5.0), locks, BUCKET) as allowed:
        allowed.ask(3.0, JOB)
        allowed.created("never-there")
        monkeypatch.setattr(module, "_NOTE_SECONDS", -1.0)
        allowed.ask(5.0, JOB)


def test_the_lock_is_free_after_a_refusal(locks: Any) -> None:
    for _ in range(2):
        with (
            pytest.raises(FruitsError, match=r"No job is started: the budget of 1\.00 EUR"),
            allowance(settings(1.0), locks, BUCKET, patience=0) as allowed,
        ):
            allowed.ask(1.5, JOB)


def test_a_second_holder_waits_for_the_first(locks: Any) -> None:
    with (
        allowance(settings(1.0), locks, BUCKET),
        pytest.raises(FruitsError, match=f"Another process holds the lock s3://{BUCKET}/locks/money.json"),
        allowance(settings(1.0), locks, BUCKET, patience=0),
    ):
        pass


def test_without_the_bucket_of_locks_it_says_what_makes_it(s3: Any) -> None:
    with (
        pytest.raises(FruitsError, match=r"no bucket to lock.*fruits deploy makes"),
        allowance(settings(1.0), s3, BUCKET),
    ):
        pass


def test_the_bucket_of_locks_is_private_and_forgets_and_is_made_once(locks: Any) -> None:
    assert set(locks.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values()) == {True}
    assert locks.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] == REGION
    (rule,) = locks.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert rule["Expiration"] == {"Days": 1}
    # What somebody has changed by hand is set again.
    locks.delete_public_access_block(Bucket=BUCKET)
    assert not put_lock_bucket(locks, BUCKET, ACCOUNT, REGION)
    assert locks.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]["BlockPublicAcls"] is True


def test_a_bucket_of_another_account_that_has_the_name_is_refused(s3: Any) -> None:
    def as_aws_does(request: Any, **_: object) -> AWSResponse:
        # moto does not compare the owner.
        assert request.headers["x-amz-expected-bucket-owner"].decode() == ACCOUNT
        return AWSResponse(request.url, 403, HTTPHeaders(), SimpleNamespace(stream=lambda: [b""]))

    s3.meta.events.register("before-send.s3.HeadBucket", as_aws_does)
    with pytest.raises(FruitsError, match=f"The bucket {BUCKET} belongs to another AWS account"):
        put_lock_bucket(s3, BUCKET, ACCOUNT, REGION)
