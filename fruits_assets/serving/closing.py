"""An answer after which the connection ends, although the client may still send."""

import asyncio
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

# Closing a connection on which bytes still arrive resets it, and the client may never see the answer.
_SECONDS_TO_READ_ON = 2.0


class ClosingResponse(JSONResponse):
    """An answer to a request whose body was not read: the connection ends after it.

    What still arrives is read and dropped for a moment, so that the client gets the answer.
    """

    def __init__(self, content: Any, status_code: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(content, status_code, {**(headers or {}), "connection": "close"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer, drops the rest of the body, and ends."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        try:
            async with asyncio.timeout(_SECONDS_TO_READ_ON):
                while (await receive()).get("more_body", False):
                    pass
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})
