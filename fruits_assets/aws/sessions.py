"""Clients of AWS that retry throttled requests, and their errors as sentences with a remedy."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
)

from fruits_assets.aws import clock
from spark_steps import denials
from spark_steps.errors import FruitsError

if TYPE_CHECKING:
    from dagster_aws.s3 import S3Resource

T = TypeVar("T")
_ATTEMPTS = 6
# Adaptive: after a throttled request, the client slows down all its requests. Retries in another mode do not slow down
# other requests.
PATIENT = Config(
    retries={"mode": "adaptive", "total_max_attempts": _ATTEMPTS},
    connect_timeout=10,
    read_timeout=30,
    user_agent_extra="fruits",
)
# Without retries, for requests that are not idempotent: such a request may have been carried out though its response
# was lost.
NEVER_TWICE = PATIENT.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))
# Seconds after each of its attempts; after the last there is none.
_WAITS = (1, 2, 5, 10, 20, 0)
THROTTLED = {"Throttling", "ThrottlingException", "RequestLimitExceeded", "SlowDown", "TooManyRequestsException"}
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
UNKNOWN_KEY = {"InvalidClientTokenId", "InvalidAccessKeyId", "UnrecognizedClientException", "SignatureDoesNotMatch"}
MISSING = {"404", "NoSuchKey", "NotFound"}
# Signatures hold for minutes, by the clock of AWS.
_WRONG_CLOCK = ("RequestTimeTooSkewed", "Signature expired", "Signature not yet current")


class TransientError(FruitsError):
    """A problem of a service or of the network that may pass by itself."""


def client(service: Any, region: str, config: Config = PATIENT) -> Any:
    """Returns a boto3 client; ``AWS_ENDPOINT_URL`` and the profile come from the environment, as boto3 reads it.

    Args:
        service: Name of the service, such as ``emr``.
        region: An AWS region.
        config: Retries and timeouts.
    """
    with translate_errors(f"open a client of {service}"):
        made = boto3.client(service, region_name=region, config=config)
    clock.follow(made)
    return made


def is_transient(error: BaseException) -> bool:
    """Returns whether an error is transient: throttling, a server error of a service, or a network failure."""
    if isinstance(error, TransientError):
        return True
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error_code(error) in THROTTLED or status >= 500
    return isinstance(error, HTTPClientError | ConnectionError)


def call_at_most_once(call: Callable[[], T], look: Callable[[], T | None]) -> T:
    """Makes a request that must not be carried out twice, and returns its result.

    Args:
        call: The request, with a client that has ``NEVER_TWICE``.
        look: Returns the result of the request if it was carried out although its response was lost, else None.

    Raises:
        BotoCoreError: (or ClientError) The request was not carried out.
    """
    for wait in _WAITS:
        try:
            return call()
        except (BotoCoreError, ClientError) as error:
            if not wait or not is_transient(error):
                raise
            time.sleep(wait)
            if error_code(error) not in THROTTLED and (given := look()) is not None:
                return given
    raise AssertionError("the last wait is none")


def s3_resource(region: str) -> "S3Resource":
    """Returns dagster-aws' resource of S3, for staging, locks and regions of buckets; Spark does not use it.

    It makes a client only when it is asked for one. ``S3Resource`` makes one at the start of each step that has the
    resource, and boto3 then looks for credentials: it fails if ``AWS_PROFILE`` names none, and asks the address of
    EC2's metadata, through a proxy if there is one. A run on this machine has nothing to do with AWS.
    """
    # Imported here: it imports Dagster, which the small commands do not need.
    from dagster_aws.s3 import S3Resource

    class S3OnRequest(S3Resource):
        def get_object_to_set_on_execution_context(self) -> "S3OnRequest":
            return self

    return S3OnRequest(region_name=region, max_attempts=_ATTEMPTS)


def read_object(s3: Any, bucket: str, key: str) -> bytes | None:
    """Returns the bytes of an object in S3, None where there is no such object.

    Raises:
        ClientError: The object cannot be read.
    """
    try:
        with closing(s3.get_object(Bucket=bucket, Key=key)["Body"]) as body:
            return bytes(body.read())
    except ClientError as error:
        if error_code(error) in MISSING:
            return None
        raise


def object_exists(s3: Any, bucket: str, key: str) -> bool:
    """Returns whether an object exists in S3.

    Raises:
        ClientError: S3 refuses the request.
    """
    return last_modified(s3, bucket, key) is not None


def last_modified(s3: Any, bucket: str, key: str) -> datetime | None:
    """Returns when an object in S3 was written, to the second, None where there is no such object.

    Raises:
        ClientError: S3 refuses the request.
    """
    try:
        modified: datetime = s3.head_object(Bucket=bucket, Key=key)["LastModified"]
    except ClientError as error:
        if error_code(error) in MISSING:
            return None
        raise
    return modified


def console_link(region: str, cluster_id: str) -> str:
    """Returns the URL of a cluster in EMR's console."""
    return f"https://{region}.console.aws.amazon.com/emr/home?region={region}#/clusterDetails/{cluster_id}"


@contextmanager
def translate_errors(what: str) -> Iterator[None]:
    """Turns an error of AWS into a FruitsError that names the action, the error and the remedy.

    Not by ``s3_errors.translate_errors``: that finds codes in the texts of four libraries, of S3 alone, and names a
    location; this has boto3's codes of every service, and remedies of its stack. Of the sentences none is the same.

    Args:
        what: The action, as a phrase that follows "to".
    """
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise FruitsError(explain(error, what)) from error


def error_code(error: BaseException) -> str:
    """Returns the code of an AWS error, such as ``AccessDenied``; an empty text for any other error."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def explain(error: BotoCoreError | ClientError, what: str) -> str:
    """Returns an AWS error as a sentence with a remedy.

    Args:
        error: The error that boto3 raised.
        what: The action, as a phrase that follows "to".
    """
    code, detail = error_code(error), str(error)
    if isinstance(error, NoCredentialsError | PartialCredentialsError | ProfileNotFound):
        return (
            f"There are no AWS credentials to {what}. Sign in (aws sso login, or aws configure), or set AWS_PROFILE; "
            "fruits doctor checks them."
        )
    if any(sign in detail for sign in _WRONG_CLOCK):
        return f"This machine's clock is wrong, so AWS refused to {what}: {detail}. Set the clock, and do it again."
    if code in EXPIRED:
        return f"The AWS credentials have expired, so it was not possible to {what}. Sign in again (aws sso login)."
    if code in UNKNOWN_KEY:
        return f"AWS does not know these credentials, so it was not possible to {what}. Check AWS_PROFILE: {detail}"
    if denial := denials.denial_of(error):
        return f"AWS denies to {what}: {denial}. {denials.REMEDY}"
    if code == "NoSuchBucket":
        return f"There is no bucket to {what}: {detail}. fruits deploy makes those of a stack, and that of all locks."
    if code in THROTTLED:
        return f"AWS throttled every attempt to {what}: {detail}. Wait some minutes, and run fewer things at once."
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError | ReadTimeoutError):
        return f"AWS could not be reached to {what}: {detail}. Check the network, FRUITS_REGION and AWS_ENDPOINT_URL."
    return f"AWS refused to {what}: {detail}"
