"""What S3 answers on a bad day, before an emulator of one that has good days only."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.latency_proxy import BrokenOffError, LatencyServer, Request, forward_to, response

# A request is answered with an error and not done; done and not answered; neither; or half of the answer comes.
KINDS = ("500", "503", "reset", "lost answer", "half a body", "silence", "200 and then an error")
_HEAD_ENDS = b"\r\n\r\n"
_CODES = {500: "InternalError", 503: "SlowDown", 403: "AccessDenied"}


@dataclass
class Faults:
    """Which requests of a proxy fail, and how.

    Attributes:
        forward: What makes the true answer.
        share: Of the requests that fail, 0 to 1, each in the way that was rarest.
        kinds: The kinds there are; one at least that any request can have.
        randomly: Draws.
        silence: Seconds for which a silent connection stays open.
        denies: Whether a request is denied for good, whatever the lot says.
        injected: How many of each kind there were.
    """

    forward: Callable[[Request], Awaitable[bytes]]
    share: float = 0.0
    kinds: tuple[str, ...] = KINDS
    randomly: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311
    silence: float = 1.0
    denies: Callable[[Request], bool] = lambda _: False
    injected: Counter[str] = field(default_factory=Counter)

    async def __call__(self, request: Request) -> bytes:
        """Returns the answer, or does what a bad day does."""
        if self.denies(request):
            self.injected["403"] += 1
            return error(403, head=request.method == "HEAD")
        if self.randomly.random() >= self.share:
            return await self.forward(request)
        # The rarest: few requests can have some of them.
        kind = min(self.kinds, key=lambda kind: (not _can_be(kind, request), self.injected[kind]))
        self.injected[kind] += 1
        return await self._failed(kind, request)

    async def _failed(self, kind: str, request: Request) -> bytes:
        if kind in ("500", "503"):
            return error(int(kind), head=request.method == "HEAD")
        if kind == "200 and then an error":
            return error(200, code="InternalError")
        if kind == "silence":
            await asyncio.sleep(self.silence)
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


def faulty_server(endpoint: str, **faults: object) -> tuple[LatencyServer, Faults]:
    """Returns a proxy before an S3, to be entered as a context manager, and what fails in it.

    Args:
        endpoint: Address of the S3.
        faults: As ``Faults`` takes them.
    """
    address = urlsplit(endpoint)
    made = Faults(forward_to(str(address.hostname), address.port or 80), **faults)  # type: ignore[arg-type]
    return LatencyServer(made), made
