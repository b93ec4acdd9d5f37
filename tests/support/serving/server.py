"""The command ``fruits serve`` as a process, and what can be seen of it from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from spark_steps.store.store import Store
from tests.support.project import PROJECT

BIN = Path(sys.executable).parent
DEADLINE_SECONDS = 120


class FruitsServer:
    """A server that has been started.

    Attributes:
        address: Where it listens.
        client: A client of it.
        process: Its process.
    """

    def __init__(self, store: Store, log: Path, *options: str, **settings: str) -> None:
        environment = {**os.environ, **{f"FRUITS_{name.upper()}": value for name, value in settings.items()}}
        self._log = log
        with log.open("w") as lines:
            self.process = subprocess.Popen(
                [BIN / "fruits", "serve", "--store", store.root, "--port", "0", *options],
                env=environment,
                cwd=PROJECT,
                stdout=subprocess.PIPE,
                stderr=lines,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("Listening on http"), f"{line}{self.log}"
        self.address = line.split()[2].rstrip(".")
        self.client = httpx.Client(base_url=self.address, timeout=DEADLINE_SECONDS)

    @property
    def log(self) -> str:
        """What it has written to standard error."""
        return self._log.read_text()

    def wait_until_ready(self) -> None:
        self.wait_for(lambda: self.client.get("/readyz").status_code == 200)

    def wait_for(self, condition: Any) -> Any:
        until = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log
            if found := condition():
                return found
            time.sleep(0.05)
        raise AssertionError(f"nothing came of it in time: {self.log}")

    def identify(self, photo: bytes, **parameters: Any) -> Any:
        """Sends a photo and returns the answer, which has to be one."""
        answer = self.client.post("/identify", content=photo, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def metric(self, name: str, **labels: str) -> float:
        wanted = ",".join(f'{label}="{value}"' for label, value in labels.items())
        line = f"fruits_serve_{name}{{{wanted}}} " if labels else f"fruits_serve_{name} "
        lines = self.client.get("/metrics").text.splitlines()
        return next((float(one.removeprefix(line)) for one in lines if one.startswith(line)), 0.0)

    def workers(self) -> list[psutil.Process]:
        """The processes that decode."""
        return [
            one
            for one in psutil.Process(self.process.pid).children()
            if "fruits_assets.serving.worker" in one.cmdline()
        ]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends it by a signal, and returns its exit code."""
        self.client.close()
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_SECONDS)


@contextmanager
def serving(store: Store, log: Path, *options: str, **settings: str) -> Iterator[FruitsServer]:
    """Runs a server until the block ends, and yields it when it is ready."""
    server = FruitsServer(store, log, *options, **settings)
    try:
        server.wait_until_ready()
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
        server.client.close()


def bearer(token: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {token}"}
