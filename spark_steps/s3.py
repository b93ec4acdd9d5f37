"""S3 for a process outside Spark and for Spark's own connector: one set of credentials, and errors as sentences."""

import atexit
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from pyarrow import fs

from spark_steps.connector import connector_config
from spark_steps.errors import FruitsError

SCHEME = "s3://"
DEFAULT_REGION = "eu-west-3"
ATTEMPTS = 8
CONNECT_SECONDS = 10
ANSWER_SECONDS = 60
_CONNECTIONS = 16
# What S3 says of single keys in an answer that it gives with 200, which no SDK tries again.
_PASSING_ERRORS = {"InternalError", "ServiceUnavailable", "SlowDown"}
_PAUSES_SECONDS = (0.5, 1, 2, 4)
_THERE_ALREADY = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_KEYS_PER_DELETION = 1000
# Hadoop's connector for s3:// speaks AWS SDK 1, which knows neither IAM Identity Center nor everything else that boto3
# does. It can ask a command for credentials, though, and asks again when they expire.
_CREDENTIALS_FILE_OF_SDK_1 = "AWS_CREDENTIAL_PROFILES_FILE"
# boto3 renews what has less than 10 minutes left, so what it hands out lasts for this long at least.
GOOD_FOR = timedelta(minutes=9)
_SEARCH = threading.Lock()
_HIDING = threading.RLock()
# Buckets and endpoints of which this process knows that they have conditional writes.
_CONDITIONAL: set[tuple[str, str]] = set()
# object_store takes each variable of the environment of these names, in any case and with AWS_ before it or without,
# for a setting that it was not given: a TOKEN of something else would be sent as the session's. The last ones are
# deltalake's own.
_FROM_OUTSIDE = frozenset(
    """
    session_token skip_signature unsigned_payload s3_express virtual_hosted_style_request request_payer
    checksum_algorithm conditional_put copy_if_not_exists disable_tagging disable_bulk_delete
    server_side_encryption sse_kms_key_id sse_bucket_key_enabled sse_customer_key_base64
    proxy_url proxy_ca_certificate proxy_excludes allow_http allow_invalid_certificates connect_timeout read_timeout
    timeout user_agent default_content_type randomize_addresses pool_idle_timeout pool_max_idle_per_host
    http1_only http2_only http2_keep_alive_interval http2_keep_alive_timeout http2_keep_alive_while_idle
    http2_max_frame_size
    s3_locking_provider s3_allow_unsafe_rename force_credential_load iam_role_arn s3_assume_role_arn
    """.split()  # noqa: SIM905
)


def is_s3(location: str) -> bool:
    """Returns whether a normalised place lies in S3."""
    return location.startswith(SCHEME)


def region() -> str:
    """Returns the region of the buckets: FRUITS_REGION, else that of AWS's own variables, else Paris."""
    names = ("FRUITS_REGION", "AWS_REGION", "AWS_DEFAULT_REGION")
    return next((value for name in names if (value := os.environ.get(name))), DEFAULT_REGION)


def endpoint() -> str | None:
    """Returns the address of an S3 that is not AWS's, None where it is."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


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
        connect_timeout=CONNECT_SECONDS,
        request_timeout=ANSWER_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )


def credentials() -> Any:
    """Returns boto3's credentials, which renew themselves.

    Raises:
        FruitsError: There are none, or they cannot be used.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        # Threads that fetch photos all begin here at once, and a search may take a second.
        with _SEARCH:
            found = _session(environment(), region()).get_credentials()
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


def environment() -> tuple[tuple[str, str], ...]:
    """Returns what the environment says of AWS: a key for what is made from it and kept."""
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


@lru_cache(maxsize=2)
def _session(environment: tuple[tuple[str, str], ...], region: str) -> Any:
    # boto3 reads the environment by itself; a process that changes it gets another session.
    import boto3

    return boto3.Session(region_name=region)


@lru_cache(maxsize=2)
def _client(environment: tuple[tuple[str, str], ...], region: str) -> Any:
    from botocore.config import Config

    patient = Config(
        retries={"mode": "adaptive", "total_max_attempts": ATTEMPTS},
        max_pool_connections=_CONNECTIONS,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
    )
    return _session(environment, region).client("s3", region_name=region, config=patient)


def client() -> Any:
    """Returns boto3's client of S3, for what pyarrow does not do.

    Raises:
        FruitsError: There are no credentials.
    """
    credentials()
    with _SEARCH:
        return _client(environment(), region())


def put_new(location: str, data: bytes) -> None:
    """Writes an object where there is none, by a conditional put.

    Raises:
        FileExistsError: There is one, perhaps this very one, of a request whose answer was lost.
        FruitsError: S3 refused.
    """
    from botocore.exceptions import ClientError

    bucket, key = bucket_and_key(location)
    with in_sentences(location):
        try:
            client().put_object(Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] in _THERE_ALREADY:
                raise FileExistsError(location) from error
            raise


def check_conditional_writes(location: str) -> None:
    """Raises a FruitsError where an S3 that is not AWS's own ignores ``If-None-Match``; asked once of each bucket.

    Tables and locks need it: of two processes that write an object of one name, one has to fail. AWS documents that for
    all of its buckets.

    Args:
        location: A directory where objects may be written and deleted, a normalised place.
    """
    if not is_s3(location) or (address := endpoint()) is None:
        return
    bucket, key = bucket_and_key(location)
    if (bucket, address) in _CONDITIONAL:
        return
    probe = f"{key}/_conditional_write_{uuid.uuid4().hex}".removeprefix("/")
    put_new(f"{SCHEME}{bucket}/{probe}", b"")
    try:
        put_new(f"{SCHEME}{bucket}/{probe}", b"")
    except FileExistsError:
        _CONDITIONAL.add((bucket, address))
    else:
        raise FruitsError(
            f"The S3 at {address} writes an object although there is one already (it ignores If-None-Match), so two "
            "runs at once would lose rows. Use an S3 that has conditional writes, as those of AWS, MinIO and Ceph have."
        )
    finally:
        delete_keys(bucket, [probe])


def object_store_options(location: str) -> dict[str, str]:
    """Returns what Rust's object_store, and with it deltalake, needs to reach a place in S3; good for some minutes.

    It is used where ``settings_from_outside_hidden``.

    Args:
        location: The place.

    Raises:
        FruitsError: There are no credentials.
    """
    frozen, own_endpoint = credentials().get_frozen_credentials(), endpoint()
    bucket, _ = bucket_and_key(location)
    # Amazon's certificate does not cover bucket names with dots.
    virtual = own_endpoint is None and "." not in bucket
    # Named even where it is AWS's own: without it deltalake would look for credentials by itself.
    address = own_endpoint or f"https://{f'{bucket}.' if virtual else ''}s3.{region()}.amazonaws.com"
    options = {
        "aws_access_key_id": frozen.access_key,
        "aws_secret_access_key": frozen.secret_key,
        "aws_region": region(),
        "aws_endpoint": address,
        "aws_endpoint_url_s3": address,
        "aws_virtual_hosted_style_request": str(virtual).lower(),
        "aws_allow_http": str(address.startswith("http://")).lower(),
        "connect_timeout": f"{CONNECT_SECONDS}s",
        "timeout": f"{ANSWER_SECONDS}s",
        "max_retries": str(ATTEMPTS - 1),
    }
    return options | ({"aws_session_token": frozen.token} if frozen.token else {})


@contextmanager
def settings_from_outside_hidden(given: Iterable[str] = ()) -> Iterator[None]:
    """Hides from libraries in Rust what they would take for settings of S3; Python sees the environment as it is.

    One thread at a time. A process that is started meanwhile without an environment of its own lacks it too.

    Args:
        given: Names of the settings that the library is given, which it takes no others for.
    """
    known = {_setting(name) for name in given}
    with _HIDING:
        hidden = {name: value for name, value in os.environ.items() if _setting(name) in _FROM_OUTSIDE - known}
        for name in hidden:
            os.unsetenv(name)
        try:
            yield
        finally:
            for name, value in hidden.items():
                os.putenv(name, value)


def _setting(name: str) -> str:
    short = name.lower().removeprefix("aws_")
    return "session_token" if short == "token" else short


def delete_below(location: str) -> None:
    """Deletes every object below a prefix, and the markers that consoles make of it; none is no error."""
    # Not pyarrow: it leaves an empty object in place of the parent directory of what it deletes.
    bucket, key = bucket_and_key(location)
    with in_sentences(location):
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
            if not refused or any(one["Code"] not in _PASSING_ERRORS for one in refused):
                break
            time.sleep(pause)
            again = [{name: one[name] for name in ("Key", "VersionId") if one.get(name)} for one in refused]
            refused = _refused_deletions(bucket, again)
        if refused:
            first = refused[0]
            raise FruitsError(_sentence(f"{SCHEME}{bucket}/{first['Key']}", f"{first['Code']}: {first['Message']}"))


def _refused_deletions(bucket: str, objects: list[dict[str, str]]) -> list[dict[str, str]]:
    with in_sentences(f"{SCHEME}{bucket}"):
        answer = client().delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    refused: list[dict[str, str]] = answer.get("Errors", [])
    return refused


def bucket_and_key(location: str) -> tuple[str, str]:
    """Returns the bucket and the key of a place in S3; the key is taken as it stands, never decoded."""
    bucket, _, key = location.removeprefix(SCHEME).partition("/")
    return bucket, key


@contextmanager
def in_sentences(location: str) -> Iterator[None]:
    """Turns what S3 answers into a FruitsError that names the place and the remedy; a missing file stays one.

    Args:
        location: What is read or written; errors of a folder on this machine pass as they are.
    """
    if not is_s3(location):
        yield
        return
    try:
        yield
    except Exception as error:
        if not isinstance(error, _errors_of_s3()):
            raise
        detail = plain(error)
        if isinstance(error, FileExistsError):
            raise
        if isinstance(error, FileNotFoundError) and not _says("NoSuchBucket", detail):
            raise
        if _says("NO_SUCH_KEY|NoSuchKey|RESOURCE_NOT_FOUND", detail):
            raise FileNotFoundError(location) from error
        raise FruitsError(_sentence(location, detail)) from error


def _errors_of_s3() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError
    from obstore.exceptions import BaseError

    # Not imported here: of a library that is not there yet no error is, and tasks that read no log do without it.
    deltalake = sys.modules.get("deltalake.exceptions")
    return OSError, BotoCoreError, ClientError, BaseError, *([deltalake.DeltaError] if deltalake else [])


def plain(error: Exception) -> str:
    """Returns what an error of Rust's libraries says, without colours, arrows and sources."""
    text = _COLOURS.sub("", str(error).partition("\n\nDebug source")[0])
    return " ".join(_ARROW.sub(": ", text).split())


def broke_off(error: FruitsError) -> bool:
    """Returns whether a request of object_store had no answer, or half of one, and was not tried again.

    It tries most requests again by itself, and says so. Neither one whose answer breaks off in the middle nor, after a
    timeout, one that writes an object where there is none: it cannot tell whether it was done.

    Args:
        error: As ``in_sentences`` has raised it.
    """
    cause = plain(error.__cause__) if isinstance(error.__cause__, Exception) else ""
    return bool(_BROKE_OFF.search(cause)) and not _TRIED_AGAIN.search(cause)


_COLOURS = re.compile("\x1b\\[[0-9;]*m")
_ARROW = re.compile(r"\s*\u21b3\s*")
_BROKE_OFF = re.compile("HTTP error: (?:request or response body error|error sending request)")
_TRIED_AGAIN = re.compile(r"after \d+ retries")
_REMEDIES = (
    (
        r"NO_SUCH_BUCKET|NoSuchBucket",
        "there is no such bucket. Check its name; fruits deploy makes one and prints it.",
    ),
    (r"EXPIRED_TOKEN|ExpiredToken|RequestExpired", "the AWS credentials have expired. Sign in again (aws sso login)."),
    (
        r"INVALID_ACCESS_KEY_ID|InvalidAccessKeyId|INVALID_CLIENT_TOKEN_ID|INVALID_SIGNATURE|SignatureDoesNotMatch"
        r"|InvalidToken",
        "AWS does not know these credentials. Check AWS_PROFILE and AWS_ACCESS_KEY_ID.",
    ),
    (
        r"PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint|301|Received redirect",
        "the bucket lies in another region. Set FRUITS_REGION to that of the bucket.",
    ),
    (
        r"ACCESS_DENIED|AccessDenied|403",
        "AWS denies access. Check AWS_PROFILE, and that its role may read there, and write where the store is.",
    ),
    (
        r"SLOW_DOWN|SlowDown|THROTTLING|ServiceUnavailable|SERVICE_UNAVAILABLE|503",
        "S3 throttled every attempt. Wait some minutes, and run fewer things at once.",
    ),
    (
        r"NETWORK_CONNECTION|REQUEST_TIMEOUT|RequestTimeout|Could not connect|Connect timeout|Read timeout"
        r"|Connection was closed|error sending request|request or response body error",
        "S3 could not be reached. Check the network, FRUITS_REGION and AWS_ENDPOINT_URL.",
    ),
)


# pyarrow's, boto3's, and obstore's for answers with a code, with a status alone, and for none.
_BEFORE_CODES = r"AWS Error |\(HTTP status |An error occurred \(|<Code>|status code: |HTTP error: | - (?=Received)"


def _says(codes: str, detail: str) -> bool:
    # Only where the SDKs put S3's code, or begin their own sentence: a key that holds "403" is in the text as well.
    return bool(re.search(rf"(?:^|{_BEFORE_CODES})(?:{codes})\b", detail))


def _sentence(location: str, detail: str) -> str:
    for pattern, remedy in _REMEDIES:
        if _says(pattern, detail):
            return f"{location}: {remedy}"
    # obstore tells how long each attempt took, and two runs should give the same reason.
    return f"{location}: S3 refused. {re.sub(r' in [0-9.]+[mµn]?s(?=[ ,])', '', detail)}"


def spark_config(hadoop_version: str) -> dict[str, str]:
    """Returns the settings that make a local Spark read and write s3://, which it cannot by itself.

    Args:
        hadoop_version: That of Spark's own jars.
    """
    own_endpoint = endpoint()
    return {
        **connector_config(hadoop_version),
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        # Named even where it is AWS's own: without it the connector asks the one in the United States first.
        "spark.hadoop.fs.s3a.endpoint": own_endpoint or f"https://s3.{region()}.amazonaws.com",
        "spark.hadoop.fs.s3a.endpoint.region": region(),
        "spark.hadoop.fs.s3a.path.style.access": str(own_endpoint is not None).lower(),
        "spark.hadoop.fs.s3a.connection.ssl.enabled": str(not (own_endpoint or "").startswith("http://")).lower(),
        "spark.hadoop.fs.s3a.aws.credentials.provider": "com.amazonaws.auth.profile.ProfileCredentialsProvider",
        "spark.hadoop.fs.s3a.bucket.probe": "0",
    }


@lru_cache(maxsize=1)
def use_boto3_credentials_in_java() -> None:
    """Lets Spark's JVM ask this module for credentials, and writes none down; must come before the JVM starts."""
    directory = tempfile.mkdtemp(prefix="fruits-aws-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    file = Path(directory) / "credentials"
    command = f"{shlex.quote(sys.executable)} -m {__name__}"
    profiles = {"default", os.environ.get("AWS_PROFILE") or "default"}
    file.write_text("".join(f"[{profile}]\ncredential_process = {command}\n" for profile in sorted(profiles)))
    os.environ[_CREDENTIALS_FILE_OF_SDK_1] = str(file)


def _credential_process() -> None:
    """Prints the credentials as AWS's ``credential_process`` defines it."""
    from botocore.credentials import RefreshableCredentials

    found = credentials()
    frozen = found.get_frozen_credentials()
    answer = {"Version": 1, "AccessKeyId": frozen.access_key, "SecretAccessKey": frozen.secret_key}
    if frozen.token:
        answer["SessionToken"] = frozen.token
    if isinstance(found, RefreshableCredentials):
        answer["Expiration"] = (datetime.now(UTC) + GOOD_FOR).strftime("%Y-%m-%dT%H:%M:%SZ")
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    try:
        _credential_process()
    except FruitsError as error:
        sys.exit(str(error))
