"""Listening and stopping: uvicorn with a time limit for headers, without a log of its own."""

import asyncio
import re
import resource
import signal
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from threadpoolctl import threadpool_limits
from uvicorn.protocols.http.h11_impl import H11Protocol

from fruits_assets.serving.app import build_app
from fruits_assets.serving.guard import LEAST_TOKEN_LENGTH, LOOPBACK
from fruits_assets.serving.service import Report, ServeLimits, Service
from spark_steps.errors import CalledWronglyError, FruitsError
from spark_steps.store.store import Store

# Beyond them a connection is answered with 503 by uvicorn, whatever it asks for.
_MOST_CONNECTIONS = 256
# For the answers to be sent, after the longest that a body, a place in the queue and a photo may take.
_SECONDS_TO_SEND = 5
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _ImpatientProtocol(H11Protocol):
    """HTTP whose headers have to arrive in time, and are at most 64 KB; uvicorn waits for them for ever."""

    seconds = 10.0
    _deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def _watch(self) -> None:
        waits = self.cycle is None or self.cycle.response_complete
        if not waits or self.transport.is_closing():
            self._stop_watching()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.seconds, self._cut_off)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _cut_off(self) -> None:
        self._deadline = None
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self.transport.write(_TOO_SLOW)
            self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn's server, which ends with code 0 after SIGTERM or Ctrl-C instead of raising the signal again."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        # A shell starts background processes with SIGINT ignored; leave it so.
        numbers = [one for one in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(one) != signal.SIG_IGN]
        for number in numbers:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens.

    Raises:
        FruitsError: The port is in use, or the host is no name or address of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=_MOST_CONNECTIONS)
    except OSError as error:
        raise FruitsError(
            f"The server cannot listen on {host}, port {port}: {error.strerror or error}. Give another port, 0 for any "
            "that is free, or another address of this machine."
        ) from error


def address_of(listening: socket.socket) -> str:
    """Returns the URL of a socket that listens."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def check_token(host: str, token: str | None) -> None:
    """Checks that only programs of this machine are answered without a token.

    Raises:
        CalledWronglyError: The host is not the loopback interface, and there is no token; or the token is too short.
    """
    if token is None and host not in LOOPBACK:
        raise CalledWronglyError(
            f"Whoever reaches {host} could ask this server. Give a token that they must have: FRUITS_SERVE_TOKEN, or a "
            "file with it, --token-file FILE. One is made by: openssl rand -hex 32"
        )
    if token is not None and not re.fullmatch(rf"[!-~]{{{LEAST_TOKEN_LENGTH},}}", token):
        raise CalledWronglyError(
            f"The token has to be at least {LEAST_TOKEN_LENGTH} letters, digits and signs of ASCII, without spaces. "
            "One is made by: openssl rand -hex 32"
        )


def serve(
    store: Store, limits: ServeLimits, host: str, port: int, token: str | None, announce: Report, report: Report
) -> None:
    """Answers requests until SIGTERM or Ctrl-C, and ends when the last answer is sent.

    Args:
        store: The store.
        limits: What is taken in.
        host: A name or address of this machine.
        port: The port, 0 for any that is free.
        token: The token that requests must have; None for none.
        announce: Takes the address.
        report: Takes lines for the log.

    Raises:
        FruitsError: The store cannot be loaded, or the server cannot listen.
    """
    # No core dump, which would have the photos in memory.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Other requests have the other cores.
    with threadpool_limits(1), listen(host, port) as listening:
        announce(address_of(listening))
        asyncio.run(_serve(store, limits, listening, token, host in LOOPBACK, report))


async def _serve(
    store: Store, limits: ServeLimits, listening: socket.socket, token: str | None, loopback: bool, report: Report
) -> None:
    service = Service(store, limits, report)
    server = _Server(_config(build_app(service, token, loopback=loopback, report=report), limits))
    fresh = asyncio.create_task(service.keep_fresh())
    # It ends by itself only where the store cannot be loaded at all.
    fresh.add_done_callback(lambda _: setattr(server, "should_exit", True))
    await server.serve([listening])
    fresh.cancel()
    try:
        with suppress(asyncio.CancelledError):
            await fresh
    finally:
        await service.close()


def _config(app: Callable[..., Any], limits: ServeLimits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http=type("Protocol", (_ImpatientProtocol,), {"seconds": float(limits.seconds)}),
        ws="none",
        lifespan="off",
        log_config=None,
        # Its messages have names of files, and every answer has a line of ours.
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=3 * limits.seconds + _SECONDS_TO_SEND,
    )
