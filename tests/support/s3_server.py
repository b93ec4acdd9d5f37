"""An S3 in a process of its own, for the tests that name this module among their plugins.

Not in the test's: deltalake waits for answers with the interpreter's lock held, which the server would need to answer.
"""

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest


@dataclass(frozen=True)
class S3:
    """A bucket of its own."""

    bucket: str
    client: Any

    def put(self, key: str, body: bytes = b"x") -> None:
        self.client.put_object(Bucket=self.bucket.removeprefix("s3://"), Key=key, Body=body)

    def put_folder(self, folder: Path, prefix: str) -> None:
        for file in folder.rglob("*"):
            if file.is_file():
                self.put(f"{prefix}/{file.relative_to(folder)}", file.read_bytes())

    def listing(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket.removeprefix("s3://"))
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


@contextmanager
def moto_server(log: Path | None = None) -> Iterator[str]:
    """Runs a server, and yields its address.

    Args:
        log: A file for a line on each request; None for none.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    with (log or Path(os.devnull)).open("w") as lines:
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=lines)
    try:
        until = time.monotonic() + 60
        while server.poll() is None and time.monotonic() < until:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_CREDENTIAL_PROFILES_FILE"]:
        monkeypatch.delenv(name)
    # boto3 keeps the credentials of the first client of a process.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))


@pytest.fixture
def s3(s3_endpoint: str, no_credentials: None, monkeypatch: pytest.MonkeyPatch) -> S3:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    client = boto3.client("s3", region_name="eu-west-3")
    name = f"fruits-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
    return S3(f"s3://{name}", client)
