"""A store in an S3 that has bad days, for runs in processes of their own."""

import os
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import boto3

from tests.chaos.faulty_s3 import BadDay, FaultyS3, faulty_s3
from tests.support.aws.s3_server import moto_server

_REGION: Final = "eu-west-3"
_KEYS: Final = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class FaultyStore:
    """A bucket in an emulator of S3, and a proxy before it that fails as often as it is told to.

    Attributes:
        root: The store.
        proxy: The proxy.
    """

    root: str
    proxy: FaultyS3

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a process whose S3 is the one behind the proxy."""
        return {**_KEYS, "AWS_ENDPOINT_URL": self.proxy.address}

    @property
    def injected(self) -> Counter[str]:
        """Faults so far, by kind."""
        return Counter({f"S3: {kind}": count for kind, count in self.proxy.injected.items()})

    def fails(self, share: float) -> None:
        """Has that share of the requests fail from now on."""
        self.proxy.has(BadDay(share, silence=0.5))


@contextmanager
def faulty_store(seed: int) -> Iterator[FaultyStore]:
    """Yields such a store; this process's S3 is the emulator itself, without the proxy.

    Args:
        seed: Of the lots by which requests fail.
    """
    with moto_server() as endpoint, faulty_s3(endpoint, seed) as proxy:
        os.environ.update(_KEYS, AWS_ENDPOINT_URL=endpoint)
        bucket = f"fruits-{uuid.uuid4().hex[:12]}"
        boto3.client("s3", region_name=_REGION).create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": _REGION}
        )
        yield FaultyStore(f"s3://{bucket}/store", proxy)
