"""One at a time, among all machines: a lock that is an object in S3, made by conditional writes."""

import json
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fruits_assets.emr.aws import MISSING, error_code, read_object, sentences
from spark_steps.errors import FruitsError

# Longer than a holder can take: creating a cluster, all its attempts throttled, takes about two minutes.
STALE_SECONDS = 300
# Missing: the lock has just been freed.
_HELD_BY_ANOTHER = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409", *MISSING}


@contextmanager
def held(s3: Any, bucket: str, key: str, patience: float) -> Iterator[None]:
    """Holds the lock; one whose holder was killed is taken over after ``STALE_SECONDS``.

    Args:
        s3: A boto3 client.
        bucket: Where the lock lies.
        key: Its name.
        patience: Seconds to wait for another holder.

    Raises:
        FruitsError: Another holds it for longer than that.
    """
    # Here: Dagster takes seconds to import, and the commands that only look at clusters do without.
    from dagster._core.errors import raise_execution_interrupts

    owner = f"{socket.gethostname()} {uuid.uuid4()}"
    with sentences(f"lock s3://{bucket}/{key}"):
        deadline = time.monotonic() + patience
        while not _taken(s3, bucket, key, owner):
            if time.monotonic() > deadline:
                raise FruitsError(
                    f"Another process holds the lock s3://{bucket}/{key} for longer than {patience:.0f} s. Try again; "
                    f"a lock whose holder was killed frees itself after {STALE_SECONDS} s."
                )
            with raise_execution_interrupts():
                time.sleep(1)
    try:
        yield
    finally:
        # What was done under the lock is done; a lock that cannot be freed frees itself.
        with suppress(BotoCoreError, ClientError):
            if _owner(s3, bucket, key) == owner:
                s3.delete_object(Bucket=bucket, Key=key)


def _taken(s3: Any, bucket: str, key: str, owner: str) -> bool:
    body = json.dumps({"owner": owner}).encode()
    # A put whose answer was lost is sent again, and meets what it has put itself.
    if _put(s3, bucket, key, body, IfNoneMatch="*") or _owner(s3, bucket, key) == owner:
        return True
    try:
        standing = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error_code(error) in MISSING:
            return False
        raise
    # Both times are of S3, whatever the clocks of the holders say.
    date = standing["ResponseMetadata"]["HTTPHeaders"].get("date")
    now = parsedate_to_datetime(date) if date else datetime.now(UTC)
    stale = (now - standing["LastModified"]).total_seconds() > STALE_SECONDS
    return stale and _put(s3, bucket, key, body, IfMatch=standing["ETag"])


def _put(s3: Any, bucket: str, key: str, body: bytes, **condition: str) -> bool:
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=body, **condition)
    except ClientError as error:
        if error_code(error) in _HELD_BY_ANOTHER:
            return False
        raise
    return True


def _owner(s3: Any, bucket: str, key: str) -> str | None:
    document = read_object(s3, bucket, key)
    return None if document is None else str(json.loads(document)["owner"])
