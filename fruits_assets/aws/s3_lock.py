"""One at a time, among all machines: a lock that is an object in S3, made and renewed by conditional writes."""

import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fruits_assets.aws import clock
from fruits_assets.aws.sessions import MISSING, error_code, read_object, translate_errors
from spark_steps.denials import denial_of
from spark_steps.errors import FruitsError
from spark_steps.storage.s3_address import SCHEME
from spark_steps.storage.s3_client import THERE_ALREADY, check_conditional_writes

# The owner of a lock that its last holder has freed and was not allowed to delete.
_NOBODY = ""
# Several renewals, so that one which S3 throttles loses no lock.
STALE_SECONDS = 300
RENEWED_AFTER_SECONDS = 60
# Missing: the lock has just been freed.
_HELD_BY_ANOTHER = {*THERE_ALREADY, *MISSING}


@contextmanager
def held(s3: Any, bucket: str, key: str, patience: float) -> Iterator[Callable[[], None]]:
    """Holds the lock, and renews it; one whose holder was killed is taken over after ``STALE_SECONDS``.

    So is that of a machine which was asleep for so long. What is yielded raises a FruitsError if that has happened:
    whoever has waited calls it before going on.

    Args:
        s3: A boto3 client.
        bucket: Where the lock lies.
        key: Its name.
        patience: Seconds to wait for another holder.

    Raises:
        FruitsError: Another holds it for longer than that; or S3 has no conditional writes, and so no locks.
    """
    check_conditional_writes(f"{SCHEME}{bucket}/{key.rpartition('/')[0]}")
    # Here: Dagster takes seconds to import, and the commands that only look at clusters do without.
    import dagster as dg

    owner = f"{socket.gethostname()} {uuid.uuid4()}"
    with translate_errors(f"lock s3://{bucket}/{key}"):
        deadline = time.monotonic() + patience
        while not _taken(s3, bucket, key, owner):
            if time.monotonic() > deadline:
                raise FruitsError(
                    f"Another process holds the lock s3://{bucket}/{key} for longer than {patience:.0f} s. Try again; "
                    f"a lock whose holder was killed frees itself after {STALE_SECONDS} s."
                )
            with dg.raise_execution_interrupts():
                time.sleep(1)
    ended = threading.Event()
    threading.Thread(target=_renew, args=(s3, bucket, key, owner, ended), daemon=True).start()
    try:
        yield lambda: _check_held(s3, bucket, key, owner)
    finally:
        # Not waited for: a renewal under way meets no lock, and makes none.
        ended.set()
        # What was done under the lock is done; a lock that cannot be freed frees itself.
        with suppress(BotoCoreError, ClientError):
            if _owner(s3, bucket, key) == owner:
                _free(s3, bucket, key)


def _free(s3: Any, bucket: str, key: str) -> None:
    try:
        s3.delete_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if denial_of(error) is None:
            raise
        # Else the next holder would wait until it is stale.
        _put(s3, bucket, key, _body(_NOBODY))


def _renew(s3: Any, bucket: str, key: str, owner: str, ended: threading.Event) -> None:
    while not ended.wait(RENEWED_AFTER_SECONDS):
        # One that fails is tried again; a lock that is another's by now stays that.
        with suppress(BotoCoreError, ClientError):
            standing = s3.get_object(Bucket=bucket, Key=key)
            with closing(standing["Body"]) as body:
                holder = json.loads(body.read())["owner"]
            if holder == owner:
                _put(s3, bucket, key, _body(owner), IfMatch=standing["ETag"])


def _check_held(s3: Any, bucket: str, key: str, owner: str) -> None:
    with translate_errors(f"look at the lock s3://{bucket}/{key}"):
        holder = _owner(s3, bucket, key)
    if holder != owner:
        raise FruitsError(
            f"The lock s3://{bucket}/{key} was lost, because this machine was asleep or without a network for longer "
            f"than {STALE_SECONDS} s. Do it again."
        )


def _body(owner: str) -> bytes:
    # Each time another: who takes over a stale lock at the moment of its renewal is refused by its ETag.
    return json.dumps({"owner": owner, "written": uuid.uuid4().hex}).encode()


def _taken(s3: Any, bucket: str, key: str, owner: str) -> bool:
    body = _body(owner)
    # A put whose answer was lost is sent again, and meets what it has put itself.
    if _put(s3, bucket, key, body, IfNoneMatch="*"):
        return True
    try:
        # Owner and ETag by one request: another may take it between two.
        standing = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error_code(error) in MISSING:
            return False
        raise
    with closing(standing["Body"]) as standing_body:
        holder = json.loads(standing_body.read())["owner"]
    if holder == owner:
        return True
    stale = seconds_since(standing["LastModified"], standing) > STALE_SECONDS
    return (stale or holder == _NOBODY) and _put(s3, bucket, key, body, IfMatch=standing["ETag"])


def seconds_since(moment: datetime, answer: Mapping[str, Any]) -> float:
    """Returns the seconds from a time that S3 tells to the one of its answer, whatever the clocks of machines say.

    Args:
        moment: Such as when an object was written.
        answer: boto3's answer, with its metadata.
    """
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    now = parsedate_to_datetime(date) if date else clock.now()
    return (now - moment).total_seconds()


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
