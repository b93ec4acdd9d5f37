"""An HTTP server that answers late: the latency of an object store, before an emulator of one on the same machine.

It also counts: requests in all, and how many were under way at once. On request some fail as those of S3 do.
"""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

_HEAD_ENDS, _LINE_ENDS = b"\r\n\r\n", b"\r\n"
_OF_A_CONNECTION = (b"connection:", b"expect:")
_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@dataclass(frozen=True)
class Request:
    """A request as it came.

    Attributes:
        method: ``GET`` and so on.
        target: Path and query, still quoted.
        headers: By lower-case name.
        raw: All of its bytes.
    """

    method: str
    target: str
    headers: dict[str, str]
    raw: bytes


class BrokenOffError(Exception):
    """Raised in place of an answer: the connection ends after a part of it, or before anything.

    Attributes:
        sent: The part.
    """

    def __init__(self, sent: bytes = b"") -> None:
        self.sent = sent
        super().__init__()


@dataclass
class LatencyServer:
    """A server in a thread of its own, which waits before each answer; connections are kept alive.

    Use it as a context manager.

    Attributes:
        answer: What makes the answer, all of its bytes.
        seconds: The latency of a request; times a random factor between ``1 - jitter`` and ``1 + jitter``.
        jitter: 0 to 1.
        fail_every: Every so many-th request is answered with 503 SlowDown; 0 for none.
        port: 0 for a free one.
        requests: Method and target of every request so far.
        most_at_once: The most requests that were under way together.
    """

    answer: Callable[[Request], Awaitable[bytes]]
    seconds: float | Callable[[Request], float] = 0.0
    jitter: float = 0.0
    fail_every: int = 0
    port: int = 0
    requests: list[str] = field(default_factory=list)
    most_at_once: int = 0
    _under_way: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    @property
    def address(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self.port = server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                try:
                    writer.write(await self._late(await read_request(reader, writer)))
                except BrokenOffError as broken:
                    writer.write(broken.sent)
                    break
                finally:
                    await writer.drain()
        writer.close()

    async def _late(self, request: Request) -> bytes:
        self.requests.append(f"{request.method} {request.target}")
        failing = self.fail_every and len(self.requests) % self.fail_every == 0
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        seconds = self.seconds(request) if callable(self.seconds) else self.seconds
        if seconds:
            await asyncio.sleep(seconds * random.uniform(1 - self.jitter, 1 + self.jitter))  # noqa: S311
        try:
            return response(503, _SLOW_DOWN) if failing else await self.answer(request)
        finally:
            self._under_way -= 1


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    """Returns the next request of a connection, with its body, which may come in chunks."""
    head = await reader.readuntil(_HEAD_ENDS)
    start, *lines = head.decode("latin-1").rstrip().split("\r\n")
    headers = _headers(lines)
    if "expect" in headers:
        writer.write(b"HTTP/1.1 100 Continue" + _HEAD_ENDS)
    if headers.get("transfer-encoding") == "chunked":
        body = b"".join([chunk async for chunk in _chunks(reader)])
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, target, _ = start.split(" ")
    return Request(method, target, headers, head + body)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yields a chunked body as it came, the sizes and the line ends too."""
    size = -1
    while size:
        line = await reader.readuntil(_LINE_ENDS)
        size = int(line.partition(b";")[0], 16)
        yield line + await reader.readexactly(size + len(_LINE_ENDS))


def _headers(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.lower(): value.strip() for name, _, value in pairs}


def response(status: int, body: bytes = b"", headers: dict[str, str] | None = None, *, head: bool = False) -> bytes:
    """Returns an HTTP answer; with ``head`` that of a HEAD request, which tells the body's length alone."""
    lines = {"Content-Length": str(len(body)), **(headers or {})}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} _\r\n{text}\r\n".encode() + (b"" if head else body)


def forward_to(host: str, port: int) -> Callable[[Request], Awaitable[bytes]]:
    """Returns what asks another server, by a connection for each request."""

    async def answer(request: Request) -> bytes:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            head, ends, body = request.raw.partition(_HEAD_ENDS)
            lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(_OF_A_CONNECTION)]
            writer.write(b"\r\n".join([*lines, b"Connection: close"]) + ends + body)
            whole = await reader.read()
        finally:
            writer.close()
        # The client may keep its own connection.
        return whole.replace(b"\r\nConnection: close", b"", 1)

    return answer
