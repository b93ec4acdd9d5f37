"""An S3 in a process of its own.

Not in the test's: deltalake waits for answers with the interpreter's lock held, which the server would need to answer.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
