"""What S3 answers on a bad day, before an emulator of one that has good days only.

In a process of its own: deltalake waits for answers with the interpreter's lock held, which a proxy in the same process
would need to answer.
"""

import asyncio
import json
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from benchmarks.studies.latency_proxy import BrokenOffError, LatencyServer, Request, forward_to, response

# A request is answered with an error and not done; done and not answered; neither; or half of the answer comes.
KINDS = ("500", "503", "reset", "lost answer", "half a body", "silence", "200 and then an error")
_HEAD_ENDS = b"\r\n\r\n"
_CODES = {500: "InternalError", 503: "SlowDown", 403: "AccessDenied"}


@dataclass(frozen=True)
class BadDay:
    """Which requests fail, and how.

    Attributes:
        share: Of the requests that fail, 0 to 1, each in the way that was rarest.
        kinds: The kinds there are; one at least that any request can have.
        only: What method and target of those that may fail have in them, as a regular expression.
        most: How many fail at most; None for any number.
        denied: Those that are denied for good, in the same way; none where it is empty.
        silence: Seconds for which a silent connection stays open.
    """

    share: float = 0.0
    kinds: tuple[str, ...] = KINDS
    only: str = ""
    most: int | None = None
    denied: str = ""
    silence: float = 1.0


@dataclass
class Faults:
    """What fails in a proxy.

    Attributes:
        forward: What makes the true answer.
        day: Which requests fail.
        randomly: Draws.
        injected: How many of each kind there were.
    """

    forward: Callable[[Request], Awaitable[bytes]]
    day: BadDay = field(default_factory=BadDay)
    randomly: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311
    injected: Counter[str] = field(default_factory=Counter)

    async def __call__(self, request: Request) -> bytes:
        """Returns the answer, or does what a bad day does."""
        line, day = f"{request.method} {request.target}", self.day
        if day.denied and re.search(day.denied, line):
            self.injected["403"] += 1
            return error(403, head=request.method == "HEAD")
        if day.most == 0 or not re.search(day.only, line) or self.randomly.random() >= day.share:
            return await self.forward(request)
        # The rarest: few requests can have some of them.
        kind = min(day.kinds, key=lambda kind: (not _can_be(kind, request), self.injected[kind]))
        self.injected[kind] += 1
        self.day = replace(day, most=None if day.most is None else day.most - 1)
        return await self._failed(kind, request)

    async def _failed(self, kind: str, request: Request) -> bytes:
        if kind in ("500", "503"):
            return error(int(kind), head=request.method == "HEAD")
        if kind == "200 and then an error":
            return error(200, code="InternalError")
        if kind == "silence":
            await asyncio.sleep(self.day.silence)
        if kind in ("silence", "reset"):
            raise BrokenOffError
        answer = await self.forward(request)
        head, ends, body = answer.partition(_HEAD_ENDS)
        raise BrokenOffError(head + ends + body[: len(body) // 2] if kind == "half a body" else b"")


def _can_be(kind: str, request: Request) -> bool:
    if kind == "half a body":
        return request.method == "GET"
    # S3 begins a long copy with 200, and says in the body how it ended.
    return kind != "200 and then an error" or "x-amz-copy-source" in request.headers


def error(status: int, code: str = "", *, head: bool = False) -> bytes:
    """Returns an error as S3 writes it."""
    text = f"<Error><Code>{code or _CODES[status]}</Code><Message>Please try again.</Message></Error>"
    return response(status, text.encode(), {"Content-Type": "application/xml"}, head=head)


class FaultyS3:
    """A proxy before an S3, in a process of its own.

    Attributes:
        address: Its URL.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.address = str(self._told())

    def has(self, day: BadDay) -> None:
        """Lets requests fail in this way from now on."""
        self._say({**day.__dict__})
        self._told()

    @property
    def injected(self) -> Counter[str]:
        """How many faults of each kind there were."""
        self._say(None)
        return Counter(self._told())

    @property
    def requests(self) -> list[str]:
        """Method and target of every request so far."""
        self._say("requests")
        return list(self._told())

    def _say(self, question: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()

    def _told(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@contextmanager
def faulty_s3(endpoint: str, seed: int = 0) -> Iterator[FaultyS3]:
    """Runs a proxy in which nothing fails yet.

    Args:
        endpoint: Address of the S3.
        seed: Of the lots by which requests fail.
    """
    command = [sys.executable, "-m", __name__, endpoint, str(seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield FaultyS3(process)
        finally:
            process.kill()


def _serve(endpoint: str, seed: int) -> None:
    address = urlsplit(endpoint)
    faults = Faults(forward_to(str(address.hostname), address.port or 80), randomly=random.Random(seed))  # noqa: S311
    with LatencyServer(faults) as server:
        _answer(server.address)
        for line in sys.stdin:
            question = json.loads(line)
            if isinstance(question, dict):
                faults.day = BadDay(**question)
            _answer(server.requests if question == "requests" else faults.injected)


def _answer(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
