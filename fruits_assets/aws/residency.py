"""A check that photos stay in the European Union: the region of each bucket is read before the bucket is used."""

from collections.abc import Callable, Sequence
from typing import Any

from fruits_assets.settings import EU_REGIONS, Settings
from spark_steps.errors import FruitsError
from spark_steps.storage.locations import normalise
from spark_steps.storage.s3_address import bucket_and_key, is_s3

# The responses of GetBucketLocation for the two oldest regions.
_OLD_NAMES = {None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}


def check_residency(
    settings: Settings, make_client: Callable[[], Any] | None = None, locations: Sequence[str] | None = None
) -> None:
    """Raises a FruitsError where images, store or weights are in a bucket outside of the settings' region or the EU.

    Args:
        settings: The locations and the region.
        make_client: Returns boto3's client of S3, such as ``S3Resource.get_client``; called only if a location is in
            S3. By default a client for the settings' region.
        locations: The locations to check; None for images, store and weights.
    """
    used = s3_places(settings) if locations is None else [location for location in locations if is_s3(location)]
    buckets = {bucket_and_key(location)[0]: location for location in map(normalise, used)}
    if not buckets:
        return
    # Imported here and below: boto3 takes half a second to import, and local folders need none.
    from fruits_assets.aws.sessions import client

    s3_client = make_client() if make_client else client("s3", settings.region)
    for location in buckets.values():
        region = check_bucket_region(location, s3_client)
        if region != settings.region:
            raise FruitsError(
                f"The bucket of {location} lies in {region}, and the region is {settings.region}. "
                f"Set FRUITS_REGION={region}, or give a bucket in {settings.region}."
            )


def s3_places(settings: Settings) -> list[str]:
    """Returns the locations in S3 among images, store and weights."""
    return [location for location in (settings.images, settings.store, settings.weights or "") if is_s3(location)]


def check_bucket_region(location: str, s3_client: Any) -> str:
    """Returns the region of a bucket.

    Args:
        location: ``s3://bucket/prefix``, or a bucket's name.
        s3_client: boto3's client of S3.

    Raises:
        FruitsError: The bucket is outside the European Union, does not exist, or its region cannot be read.
    """
    from fruits_assets.aws.sessions import error_code, translate_errors

    bucket, _ = bucket_and_key(location)
    with translate_errors(f"ask where the bucket {bucket} lies"):
        try:
            answer = s3_client.get_bucket_location(Bucket=bucket)
        except s3_client.exceptions.ClientError as error:
            if error_code(error) != "NoSuchBucket":
                raise
            raise FruitsError(
                f"There is no bucket {bucket}. Check the name in {location}; fruits deploy makes buckets and "
                "prints them."
            ) from error
    location = answer.get("LocationConstraint")
    region = str(_OLD_NAMES.get(location, location))
    if region not in EU_REGIONS:
        raise FruitsError(
            f"The bucket {bucket} lies in {region}, outside the European Union, where photos stay. "
            f"Copy nothing there: give a bucket in one of {', '.join(EU_REGIONS)}."
        )
    return region
