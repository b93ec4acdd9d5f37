"""What Rust's object_store, and with it deltalake, is told of S3; and what it must not find out by itself."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from spark_steps.environment import hidden
from spark_steps.storage import s3_address
from spark_steps.storage.s3_address import bucket_and_key, endpoint, region
from spark_steps.storage.s3_credentials import credentials

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


def object_store_options(location: str) -> dict[str, str]:
    """Returns what Rust's object_store, and with it deltalake, needs to reach a location in S3; good for some minutes.

    It is used where ``settings_from_outside_hidden``.

    Args:
        location: The location.

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
        "connect_timeout": f"{s3_address.CONNECT_SECONDS}s",
        "timeout": f"{s3_address.ANSWER_SECONDS}s",
        "max_retries": str(s3_address.ATTEMPTS - 1),
    }
    return options | ({"aws_session_token": frozen.token} if frozen.token else {})


@contextmanager
def settings_from_outside_hidden(given: Iterable[str] = ()) -> Iterator[None]:
    """Hides from libraries in Rust what they would take for settings of S3; Python sees the environment as it is.

    Args:
        given: Names of the settings that the library is given, which it takes no others for.
    """
    unknown = _FROM_OUTSIDE - {_setting(name) for name in given}
    with hidden(lambda name: _setting(name) in unknown):
        yield


def _setting(name: str) -> str:
    short = name.lower().removeprefix("aws_")
    return "session_token" if short == "token" else short
