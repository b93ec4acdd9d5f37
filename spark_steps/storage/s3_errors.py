"""Errors of S3, from whichever library, as a FruitsError that names the location and the remedy."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from spark_steps import denials
from spark_steps.errors import FruitsError
from spark_steps.storage.s3_address import is_s3


@contextmanager
def translate_errors(location: str) -> Iterator[None]:
    """Turns what S3 answers into a FruitsError that names the location and the remedy; a missing file stays one.

    Calls of other services, by boto3 alone, have a translation of their own, ``fruits_assets.aws.sessions``: it reads
    codes where this one searches texts, and says what was tried where this one names a location.

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
        raise FruitsError(sentence_of(location, detail)) from error


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
        error: As ``translate_errors`` has raised it.
    """
    cause = plain(error.__cause__) if isinstance(error.__cause__, Exception) else ""
    return bool(_BROKE_OFF.search(cause)) and not _TRIED_AGAIN.search(cause)


_COLOURS = re.compile("\x1b\\[[0-9;]*m")


_ARROW = re.compile(r"\s*\u21b3\s*")


_BROKE_OFF = re.compile("HTTP error: (?:request or response body error|error sending request)")


_TRIED_AGAIN = re.compile(r"after \d+ retries")


_DENIED = "ACCESS_DENIED|AccessDenied|403"


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
        _DENIED,
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


def sentence_of(location: str, detail: str) -> str:
    """Returns what S3 answered about a location, with the remedy."""
    for pattern, remedy in _REMEDIES:
        if _says(pattern, detail):
            denial = denials.denial_in(detail) if pattern is _DENIED else None
            return f"{location}: {denials.sentence_of(denial) if denial else remedy}"
    # obstore tells how long each attempt took, and two runs should give the same reason.
    return f"{location}: S3 refused. {re.sub(r' in [0-9.]+[mµn]?s(?=[ ,])', '', detail)}"
