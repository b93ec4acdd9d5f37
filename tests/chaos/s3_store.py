"""A store in an S3 that has bad days, for runs in processes of their own."""

import logging
import os
import random
import uuid
from collections import Counter
from contextlib import ExitStack
from typing import Final, Self

import boto3
from moto.server import ThreadedMotoServer

from tests.chaos.faulty_s3 import faulty_server
from tests.emr_emulator.spark import s3_jars

_REGION: Final = "eu-west-3"


class FaultyStore:
    """An emulator of S3, a bucket in it, and a proxy before it that fails as often as it is told to.

    Use it as a context manager; inside, this process's S3 is the one behind the proxy.

    Attributes:
        root: The store.
    """

    def __init__(self, randomly: random.Random) -> None:
        # Not by two runs at once: Ivy is not made for that.
        s3_jars()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self._proxy, self._faults = faulty_server(f"http://{host}:{port}", randomly=randomly, silence=0.5)
        self._open = ExitStack()
        self.root = f"s3://fruits-{uuid.uuid4().hex[:12]}/store"

    @property
    def injected(self) -> Counter[str]:
        """Faults so far, by kind."""
        return Counter({f"S3: {kind}": count for kind, count in self._faults.injected.items()})

    def fails(self, share: float) -> None:
        """Has that share of the requests fail from now on."""
        self._faults.share = share

    def __enter__(self) -> Self:
        self._open.enter_context(self._proxy)
        os.environ.update(
            AWS_ENDPOINT_URL=self._proxy.address,
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",  # noqa: S106
            AWS_EC2_METADATA_DISABLED="true",
        )
        bucket = self.root.removeprefix("s3://").partition("/")[0]
        boto3.client("s3", region_name=_REGION).create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": _REGION}
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        self._server.stop()
