"""S3 by pyarrow and boto3: a filesystem, conditional writes, and deletions."""

import time
import uuid
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from pyarrow import fs

from spark_steps import denials
from spark_steps.errors import FruitsError
from spark_steps.storage import s3_address
from spark_steps.storage.parallel import files_at_a_time
from spark_steps.storage.s3_address import (
    SCHEME,
    bucket_and_key,
    endpoint,
    environment,
    region,
)
from spark_steps.storage.s3_credentials import SEARCH, credentials, session
from spark_steps.storage.s3_errors import sentence_of, translate_errors

_CONNECTIONS = 16
# What S3 says of single keys in an answer that it gives with 200, which no SDK tries again.
_TRANSIENT_ERRORS = {"InternalError", "ServiceUnavailable", "SlowDown"}
_PAUSES_SECONDS = (0.5, 1, 2, 4)
# Codes of a conditional put that another was before.
THERE_ALREADY = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_KEYS_PER_DELETION = 1000
# Buckets and endpoints of which this process knows that they have conditional writes.
_CONDITIONAL: set[tuple[str, str]] = set()


def filesystem() -> fs.S3FileSystem:
    """Returns the filesystem of S3, with credentials that last for minutes: ask again rather than keep it.

    Raises:
        FruitsError: There are no credentials.
    """
    return _filesystem_of_minute(int(time.monotonic() // 60), environment(), region())


@lru_cache(maxsize=1)
def _filesystem_of_minute(minute: int, environment: tuple[tuple[str, str], ...], region: str) -> fs.S3FileSystem:
    # pyarrow's own search for credentials passes over profiles that assume a role, and never renews what it is given.
    # boto3 finds whatever the aws command finds, and renews it; a new filesystem is made only when it has. Not asked
    # for each photo: in its last 15 minutes boto3 tries to renew a session at every question.
    frozen = credentials().get_frozen_credentials()
    return _filesystem(frozen.access_key, frozen.secret_key, frozen.token, region, endpoint())


@lru_cache(maxsize=2)
def _filesystem(
    access_key: str, secret_key: str, token: str | None, region: str, endpoint: str | None
) -> fs.S3FileSystem:
    return fs.S3FileSystem(
        access_key=access_key,
        secret_key=secret_key,
        session_token=token,
        region=region,
        endpoint_override=endpoint,
        # A small file then takes one request and not three.
        allow_delayed_open=True,
        # pyarrow's own are 1 second and 3.
        connect_timeout=s3_address.CONNECT_SECONDS,
        request_timeout=s3_address.ANSWER_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=s3_address.ATTEMPTS),
    )


@lru_cache(maxsize=2)
def _client(environment: tuple[tuple[str, str], ...], region: str, connections: int) -> Any:
    from botocore.config import Config

    patient = Config(
        retries={"mode": "adaptive", "total_max_attempts": s3_address.ATTEMPTS},
        max_pool_connections=connections,
        connect_timeout=s3_address.CONNECT_SECONDS,
        read_timeout=s3_address.ANSWER_SECONDS,
    )
    return session(environment, region).client("s3", region_name=region, config=patient)


def client() -> Any:
    """Returns boto3's client of S3, for what pyarrow does not do.

    Raises:
        FruitsError: There are no credentials.
    """
    credentials()
    with SEARCH:
        return _client(environment(), region(), max(_CONNECTIONS, files_at_a_time()))


def put_new(location: str, data: bytes) -> None:
    """Writes an object where there is none, by a conditional put.

    Raises:
        FileExistsError: There is one, perhaps this very one, of a request whose answer was lost.
        FruitsError: S3 refused.
    """
    from botocore.exceptions import ClientError

    bucket, key = bucket_and_key(location)
    with translate_errors(location):
        try:
            client().put_object(Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] in THERE_ALREADY:
                raise FileExistsError(location) from error
            raise


def check_conditional_writes(location: str) -> None:
    """Raises a FruitsError where an S3 that is not AWS's own ignores ``If-None-Match``; asked once of each bucket.

    Tables and locks need it: of two processes that write an object of one name, one has to fail. AWS documents that for
    all of its buckets.

    Args:
        location: A directory where objects may be written and deleted, a normalised location.
    """
    if (address := endpoint()) is None:
        return
    bucket, key = bucket_and_key(location)
    if (bucket, address) in _CONDITIONAL:
        return
    probe = f"{key}/_conditional_write_{uuid.uuid4().hex}".removeprefix("/")
    try:
        put_new(f"{SCHEME}{bucket}/{probe}", b"")
        put_new(f"{SCHEME}{bucket}/{probe}", b"")
    except FileExistsError:
        # Either put proves it: nobody else writes an object of this name, so a refused first one met itself, sent again
        # by the client because its answer was lost.
        _CONDITIONAL.add((bucket, address))
    else:
        raise FruitsError(
            f"The S3 at {address} writes an object although there is one already (it ignores If-None-Match), so two "
            "runs at once would lose rows. Use an S3 that has conditional writes, as those of AWS, MinIO and Ceph have."
        )
    finally:
        delete_keys(bucket, [probe])


def delete_below(location: str) -> None:
    """Deletes every object below a prefix, and the markers that consoles make of it; none is no error."""
    # Not pyarrow: it leaves an empty object in place of the parent directory of what it deletes.
    bucket, key = bucket_and_key(location)
    with translate_errors(location):
        pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{key}/")
        delete_keys(bucket, (item["Key"] for page in pages for item in page.get("Contents", [])))


def delete_keys(bucket: str, keys: Iterable[str]) -> None:
    """Deletes objects; one that is not there is no error.

    Raises:
        FruitsError: S3 refused.
    """
    delete_objects(bucket, ({"Key": key} for key in keys))


def delete_objects(bucket: str, objects: Iterable[dict[str, str]]) -> None:
    """Deletes objects, or versions of them; one that is not there is no error.

    Args:
        bucket: Where they lie.
        objects: ``Key``, and ``VersionId`` where a version is meant, of each.

    Raises:
        FruitsError: S3 refused.
    """
    named = list(objects)
    for start in range(0, len(named), _KEYS_PER_DELETION):
        refused = _refused_deletions(bucket, named[start : start + _KEYS_PER_DELETION])
        for pause in _PAUSES_SECONDS:
            if not refused or any(one["Code"] not in _TRANSIENT_ERRORS for one in refused):
                break
            time.sleep(pause)
            again = [{name: one[name] for name in ("Key", "VersionId") if one.get(name)} for one in refused]
            refused = _refused_deletions(bucket, again)
        if refused:
            first = refused[0]
            said = f"{first['Code']}: {first['Message']}"
            if first["Code"] in denials.CODES:
                # In boto3's words for a request that is denied as a whole, which name the request.
                said = (
                    f"An error occurred ({first['Code']}) when calling the DeleteObjects operation: {first['Message']}"
                )
            raise FruitsError(sentence_of(f"{SCHEME}{bucket}/{first['Key']}", said))


def _refused_deletions(bucket: str, objects: list[dict[str, str]]) -> list[dict[str, str]]:
    with translate_errors(f"{SCHEME}{bucket}"):
        answer = client().delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    refused: list[dict[str, str]] = answer.get("Errors", [])
    return refused
