"""Errors as answers with a sentence, and a line in the log for each answer."""

import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fruits_assets.serving.admission import BusyError
from fruits_assets.serving.body import MalformedError, TooLargeError, TooSlowError
from fruits_assets.serving.closing import ClosingResponse
from fruits_assets.serving.metrics import Metrics
from fruits_assets.serving.service import NotReadyError, ServeLimits
from fruits_assets.serving.workers import TooCostlyError, WorkerLostError
from spark_steps.errors import FruitsError, UnusablePhotoError

_MEBIBYTE = 1024 * 1024
_AGAIN = {"retry-after": "1"}

# The errors that have an answer.
FORESEEN: tuple[type[Exception], ...] = (
    TooLargeError,
    TooSlowError,
    BusyError,
    NotReadyError,
    MalformedError,
    UnusablePhotoError,
    TooCostlyError,
    WorkerLostError,
    FruitsError,
    OSError,
)


def response_to(error: Exception, limits: ServeLimits) -> JSONResponse:
    """Returns the answer to a request that ended in one of the errors that are foreseen.

    Args:
        error: The error.
        limits: Those of the server, for the sentences.
    """
    match error:
        case TooLargeError():
            megabytes = limits.max_bytes // _MEBIBYTE
            return ClosingResponse({"error": f"The photo is larger than {megabytes} MB."}, 413)
        case TooSlowError():
            return ClosingResponse({"error": f"The photo did not arrive within {limits.seconds} s."}, 408)
        case BusyError():
            return ClosingResponse({"error": "Too many photos at a time. Ask again in a second."}, 429, _AGAIN)
        case NotReadyError():
            return ClosingResponse({"error": "The store is being loaded. Ask again in some seconds."}, 503, _AGAIN)
        case MalformedError():
            return JSONResponse({"error": str(error)}, 400)
        case UnusablePhotoError():
            return JSONResponse({"error": str(error)}, 422)
        case TooCostlyError():
            return JSONResponse({"error": f"The photo was not decoded within {limits.seconds} s."}, 422)
        case WorkerLostError():
            return JSONResponse({"error": "The photo could not be decoded: it ended its decoder."}, 422)
    sentence = "The store cannot be read now. The reason is in the server's log."
    return JSONResponse({"error": sentence}, 503, _AGAIN)


def line_of(at: datetime, status: int, seconds: float, received: int) -> str:
    """Returns the line of an answer in the log, which names nothing: time, status, milliseconds, bytes received."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ} {status} {seconds * 1000:.0f} ms {received} bytes"


class Logged:
    """Middleware that counts and logs answers, and answers errors that nobody foresaw with 500."""

    def __init__(self, app: ASGIApp, metrics: Metrics, report: Callable[[str], None]) -> None:
        self._app, self._metrics, self._report = app, metrics, report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, and has it counted when it is answered."""
        # As nginx has it, where the client has gone before there was an answer.
        status, received, started = 499, 0, time.perf_counter()

        async def count() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, count, note)
        except Exception as error:
            self._report(_where(error))
            if status == 499:
                await JSONResponse({"error": "This should not have happened."}, 500)(scope, count, note)
        finally:
            seconds = time.perf_counter() - started
            self._metrics.requests.labels(str(status)).inc()
            self._metrics.seconds.observe(seconds)
            self._metrics.bytes.inc(received)
            self._report(line_of(datetime.now(UTC), status, seconds, received))


def _where(error: Exception) -> str:
    """Returns an error's type and the lines that led to it, without its message, which may hold anything."""
    lines = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    return f"Unforeseen {type(error).__name__} at {' '.join(lines[-5:])}"
