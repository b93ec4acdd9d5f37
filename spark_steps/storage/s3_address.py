"""Addresses in S3: which locations lie there, in which region, and at whose endpoint."""

import os
from functools import lru_cache

SCHEME = "s3://"


DEFAULT_REGION = "eu-west-3"
# How often every client of S3 tries, and how long it waits.
ATTEMPTS = 8
CONNECT_SECONDS = 10
ANSWER_SECONDS = 60


def is_s3(location: str) -> bool:
    """Returns whether a normalised location lies in S3."""
    return location.startswith(SCHEME)


def region() -> str:
    """Returns the region of the buckets: FRUITS_REGION, else that of AWS's own variables, else Paris."""
    names = ("FRUITS_REGION", "AWS_REGION", "AWS_DEFAULT_REGION")
    return next((value for name in names if (value := os.environ.get(name))), DEFAULT_REGION)


def endpoint() -> str | None:
    """Returns the address of an S3 that is not AWS's, None where it is.

    From the variables or the profile in ``~/.aws/config``, as boto3 finds it: pyarrow, delta-rs and Spark do not look
    there, and would write to AWS what boto3 locks elsewhere.
    """
    if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return named or _endpoint_of_profile(environment())


@lru_cache(maxsize=2)
def _endpoint_of_profile(environment: tuple[tuple[str, str], ...]) -> str | None:
    # The environment names the file and the profile; botocore reads it by itself. Its own search is private.
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    session = Session()
    try:
        profile, services = session.get_scoped_config(), session.full_config.get("services", {})
    except BotoCoreError:
        # The search for credentials tells it.
        return None
    of_s3 = services.get(profile.get("services"), {}).get("s3", {})
    return of_s3.get("endpoint_url") or profile.get("endpoint_url") or None


def environment() -> tuple[tuple[str, str], ...]:
    """Returns what the environment says of AWS: a key for what is made from it and kept."""
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


def bucket_and_key(location: str) -> tuple[str, str]:
    """Returns the bucket and the key of a location in S3; the key is taken as it stands, never decoded."""
    bucket, _, key = location.removeprefix(SCHEME).partition("/")
    return bucket, key
