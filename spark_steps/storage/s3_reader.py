"""The bytes of objects in S3, one request each.

By obstore (the object_store of the Arrow project): boto3 takes 2.4 to 3 ms of a core for each small object, with the
interpreter's lock held, where a photo's features take 5 to 10; obstore takes 0.3 to 0.4, without it. pyarrow asks for
an object's status before it reads, so each takes the latency twice.
"""

from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

import obstore
from obstore.store import S3Store

from spark_steps.storage import object_store, s3_address, s3_client, s3_credentials, s3_errors

if TYPE_CHECKING:
    from obstore.store import S3Credential

_RETRIES_FOR = timedelta(minutes=3)
# A photo of 64 MB over a slow line; one that sends nothing for a minute is given up long before.
_WHOLE_ANSWER = timedelta(minutes=10)
_CHUNK = 1 << 20
_FIRST = Lock()


def read(location: str, most_bytes: int | None = None) -> bytes:
    """Returns the first bytes of an object; threads may call it at once, and as many connections are kept.

    Throttling, server errors, timeouts and answers that break off are tried again for up to 3 minutes.

    Args:
        location: The object.
        most_bytes: How many of its bytes, where it has so many; None for all.

    Raises:
        FileNotFoundError: There is no such object.
        FruitsError: S3 refused.
    """
    bucket, key = s3_address.bucket_and_key(location)
    with s3_errors.translate_errors(location):
        if not _is_plain(key):
            return _read_odd_key(bucket, key, most_bytes)
        # Threads that begin together would make a store each, with connections of its own.
        with _FIRST:
            store = _store(bucket, s3_address.environment(), s3_address.region())
        found = obstore.get(store, key)
        # Not a range, which of an empty object is an error; what is not asked for is not read.
        if most_bytes is None or found.meta["size"] <= most_bytes:
            return bytes(found.bytes())
        return _first(found.stream(_CHUNK), most_bytes)


def _first(chunks: Iterable[bytes], most_bytes: int) -> bytes:
    held = bytearray()
    for chunk in chunks:
        held += chunk
        if len(held) >= most_bytes:
            break
    return bytes(held[:most_bytes])


@lru_cache(maxsize=16)
def _store(bucket: str, environment: tuple[tuple[str, str], ...], region: str) -> S3Store:
    # Where there are none, here it is said in a sentence.
    _credentials()
    endpoint = s3_address.endpoint()
    with object_store.settings_from_outside_hidden():
        return S3Store(
            bucket,
            endpoint=endpoint,
            region=region,
            # Amazon's certificate does not cover bucket names with dots.
            virtual_hosted_style_request=endpoint is None and "." not in bucket,
            credential_provider=_credentials,
            client_options={
                "allow_http": True,
                "connect_timeout": timedelta(seconds=s3_address.CONNECT_SECONDS),
                "read_timeout": timedelta(seconds=s3_address.ANSWER_SECONDS),
                "timeout": _WHOLE_ANSWER,
            },
            retry_config={"max_retries": s3_address.ATTEMPTS - 1, "retry_timeout": _RETRIES_FOR},
        )


def _credentials() -> "S3Credential":
    frozen = s3_credentials.credentials().get_frozen_credentials()
    return {
        "access_key_id": frozen.access_key,
        "secret_access_key": frozen.secret_key,
        "token": frozen.token,
        "expires_at": datetime.now(UTC) + s3_credentials.GOOD_FOR,
    }


def _is_plain(key: str) -> bool:
    # obstore's paths hold neither control characters nor parts that are empty or dots, and S3's keys do.
    return key.isprintable() and not {"", ".", ".."} & set(key.split("/"))


def _read_odd_key(bucket: str, key: str, most_bytes: int | None) -> bytes:
    from botocore.exceptions import IncompleteReadError

    answer = s3_client.client().get_object(Bucket=bucket, Key=key)
    with closing(answer["Body"]) as body:
        data = bytes(body.read(most_bytes))
    length: int = answer["ContentLength"]
    expected = length if most_bytes is None else min(length, most_bytes)
    if len(data) < expected:
        raise IncompleteReadError(actual_bytes=len(data), expected_bytes=expected)
    return data
