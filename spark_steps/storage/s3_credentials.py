"""The credentials of AWS: found by boto3, which renews them, for every library that reaches S3."""

import threading
from datetime import timedelta
from functools import lru_cache
from typing import Any

from spark_steps.errors import FruitsError
from spark_steps.storage.s3_address import environment, region

# boto3 renews what has less than 10 minutes left, so what it hands out lasts for this long at least.
GOOD_FOR = timedelta(minutes=9)


SEARCH = threading.Lock()


def credentials() -> Any:
    """Returns boto3's credentials, which renew themselves.

    Raises:
        FruitsError: There are none, or they cannot be used.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        # Threads that fetch photos all begin here at once, and a search may take a second.
        with SEARCH:
            found = session(environment(), region()).get_credentials()
        if found is not None:
            found.get_frozen_credentials()
    except (BotoCoreError, ClientError) as error:
        raise FruitsError(
            f"The AWS credentials cannot be used: {str(error).rstrip('.')}. Sign in again (aws sso login), or check "
            "AWS_PROFILE and the role that it assumes."
        ) from error
    if found is None:
        raise FruitsError(
            "There are no AWS credentials to reach S3. Sign in (aws sso login, or aws configure), or set AWS_PROFILE."
        )
    return found


@lru_cache(maxsize=2)
def session(environment: tuple[tuple[str, str], ...], region: str) -> Any:
    """Returns boto3's session for an environment; ``SEARCH`` is to be held."""
    # boto3 reads the environment by itself; a process that changes it gets another session.
    import boto3

    return boto3.Session(region_name=region)
