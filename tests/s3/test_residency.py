"""Photos stay in the European Union, whatever the settings say of buckets."""

from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner

from fruits_assets.aws.residency import check_bucket_region, check_residency
from fruits_assets.commands.cli import main
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import FruitsError
from tests.support.aws.s3_server import S3


def make_bucket(name: str, region: str) -> None:
    client = boto3.client("s3", region_name=region)
    if region == "us-east-1":
        client.create_bucket(Bucket=name)
    else:
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})  # type: ignore[typeddict-item]


def settings_for(images: str, store: str, weights: str = "imagenet") -> Settings:
    return read_settings(images=images, store=store, weights=weights)


def test_buckets_in_the_region_pass(s3: S3) -> None:
    check_residency(settings_for(f"{s3.bucket}/Test", s3.bucket))


def test_folders_on_this_machine_need_no_aws(no_credentials: None) -> None:
    check_residency(settings_for("photos", "store"))


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-2", "eu-central-2", "ap-southeast-1"])
def test_a_bucket_outside_the_eu_is_refused_by_name_and_region(s3: S3, region: str) -> None:
    make_bucket(f"away-{region}", region)
    with pytest.raises(FruitsError, match=rf"away-{region} lies in {region}, outside the European Union.*eu-west-3"):
        check_bucket_region(f"s3://away-{region}/Test", s3.client)


@pytest.mark.parametrize("place", ["images", "store", "weights"])
def test_each_place_is_checked(s3: S3, place: str) -> None:
    make_bucket(f"away-{place}", "us-west-2")
    places = {"images": f"{s3.bucket}/Test", "store": s3.bucket, "weights": "imagenet"}
    with pytest.raises(FruitsError, match="us-west-2, outside"):
        check_residency(settings_for(**places | {place: f"s3://away-{place}/net.h5"}))


@pytest.mark.parametrize(
    "words",
    [
        ["report"],
        ["identify", "photo.jpg"],
        ["export", "--csv", "fruits.csv"],
        ["erase", "--images", "photos", "--path", "photos/a/1.jpg"],
    ],
)
def test_a_store_outside_the_eu_is_not_even_read(
    s3: S3, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    make_bucket(f"away-{words[0]}", "us-west-2")
    done = CliRunner().invoke(main, [*words, "--store", f"s3://away-{words[0]}"])
    assert done.exit_code == 1
    assert "us-west-2" in done.output


def test_a_bucket_elsewhere_in_the_eu_asks_for_its_region(s3: S3) -> None:
    make_bucket("in-frankfurt", "eu-central-1")
    with pytest.raises(FruitsError, match="FRUITS_REGION=eu-central-1"):
        check_residency(settings_for(f"{s3.bucket}/Test", "s3://in-frankfurt"))


def test_a_bucket_that_is_not_there_is_named(s3: S3) -> None:
    with pytest.raises(FruitsError, match="There is no bucket nobody-made-it"):
        check_residency(settings_for("s3://nobody-made-it/Test", s3.bucket))


def test_without_credentials_there_is_one_sentence(no_credentials: None) -> None:
    with pytest.raises(FruitsError, match=r"There are no AWS credentials.*aws sso login"):
        check_residency(settings_for("s3://any-bucket/Test", "s3://any-bucket"))
