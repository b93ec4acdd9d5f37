"""Who is answered: without a token the programs and pages of this machine alone, else whoever has the token."""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from fruits_assets.serving.closing import ClosingResponse

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# For the probes of whoever runs the server: they tell nothing of a photo.
OPEN_TO_ALL = ("/healthz", "/readyz")
LEAST_TOKEN_LENGTH = 16


def is_of_another_site(headers: Mapping[str, str], path: str, commands: str) -> bool:
    """Returns whether a request comes from a page of another site, or its host name is not a name of this machine.

    Pages cannot change the headers ``Host``, ``Origin`` and ``Sec-Fetch-Site`` (Fetch standard), which the browser
    sets. Programs other than browsers send neither of the last two.

    Args:
        headers: The request's headers, with names in lower case.
        path: The request's path; a link of another site to a page is allowed.
        commands: The beginning of the paths that no link may lead to.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    try:
        if urlsplit(f"//{host}").hostname not in LOOPBACK:
            return True
        if origin is not None and urlsplit(origin).netloc != host:
            return True
    except ValueError:
        # Brackets without an address of IPv6 between them.
        return True
    linked = headers.get("sec-fetch-mode") == "navigate" and not path.startswith(commands)
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not linked


class OwnPagesOnly:
    """Middleware that refuses requests from pages of other sites."""

    def __init__(self, app: ASGIApp, commands: str) -> None:
        self._app, self._commands = app, commands

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it with 403; a refused websocket is closed."""
        if scope["type"] == "lifespan" or not is_of_another_site(Headers(scope=scope), scope["path"], self._commands):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            refusal = "Refused: this does not come from the pages of this server. Open http://127.0.0.1 and its port."
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send)


def has_token(authorization: str, token: str) -> bool:
    """Returns whether a header Authorization is ``Bearer`` and the token, in a time that tells nothing of the token."""
    scheme, _, given = authorization.partition(" ")
    # Of hashes: the comparison of texts of different lengths ends at once.
    digests = (hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (given.strip(), token))
    return hmac.compare_digest(*digests) and scheme.lower() == "bearer"


class TokenOnly:
    """Middleware that refuses requests without the token, but for health and readiness."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it with 401."""
        authorization = Headers(scope=scope).get("authorization", "")
        if scope["path"] in OPEN_TO_ALL or has_token(authorization, self._token):
            await self._app(scope, receive, send)
            return
        sentence = "Give the server's token: Authorization: Bearer TOKEN"
        await ClosingResponse({"error": sentence}, 401, {"www-authenticate": "Bearer"})(scope, receive, send)
