"""The Dagster UI behind a guard that refuses requests from pages of other sites, and with a daemon that looks often.

``python -m fruits_assets.instance.ui_server dev ...`` is ``dagster dev ...`` with both.

Dagster's webserver has no authentication, and accepts commands from any page that is open in a browser on this
machine: ``http://127.0.0.1:3000/graphql?query=mutation...`` in a link or a form of another site starts a run, which may
erase photos or cost money. Behind the guard it answers only requests that, by the browser's headers, come from its own
pages, and requests of programs other than browsers.
"""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from fruits_assets.instance.internals import daemon_command, daemon_controller, dagster_dev

_HERE = ("127.0.0.1", "localhost", "::1")
_REFUSAL = "Refused: this does not come from the pages of this UI. Open http://127.0.0.1 and its port in a new tab."
_COMMANDS = "/graphql"
_OURS = "fruits_assets.instance.ui_server"
# Between two looks of the daemon at a backfill, whose next run starts after such a look. Dagster's own are 30.
_SECONDS_BETWEEN_LOOKS = 5


def is_of_another_site(headers: Mapping[str, str], path: str) -> bool:
    """Returns whether a request comes from a page of another site, or its host name is not a name of this machine.

    Pages cannot change the headers ``Host``, ``Origin`` and ``Sec-Fetch-Site`` (Fetch standard), which the browser
    sets. Programs other than browsers send neither of the last two.

    Args:
        headers: The request's headers, with names in lower case.
        path: The request's path; a link of another site to a page of the UI is allowed.
    """
    host = headers.get("host", "")
    if urlsplit(f"//{host}").hostname not in _HERE:
        return True
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return True
    linked = headers.get("sec-fetch-mode") == "navigate" and not path.startswith(_COMMANDS)
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not linked


class OwnPagesOnly:
    """Middleware that refuses requests from pages of other sites."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on to Dagster, or answers it with 403; a refused websocket is closed."""
        if scope["type"] == "lifespan" or not is_of_another_site(Headers(scope=scope), scope["path"]):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await PlainTextResponse(_REFUSAL, status_code=403)(scope, receive, send)


def dev(arguments: Sequence[str]) -> None:
    """Runs ``dagster dev`` with this webserver and this daemon in the place of Dagster's."""
    dagster = dagster_dev()
    started = dagster.open_ipc_subprocess

    def start(command: Sequence[str], **options: Any) -> Any:
        # Dagster has no setting for either. Its version is locked, and tests check that the UI refuses, and how often
        # the daemon looks.
        ours = {"dagster_webserver": "webserver", "dagster._daemon": "daemon"}.get(command[2])
        return started([*command[:2], _OURS, ours, *command[3:]] if ours else command, **options)

    dagster.open_ipc_subprocess = start
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    # The warning: dg dev supersedes dagster dev.
    warnings.simplefilter("ignore", dg.SupersessionWarning)
    dagster.dev_command(list(arguments))


def _end_with_the_command() -> None:
    # fruits ui holds the other end of standard input, which closes however that process ends.
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGTERM)


def webserver(arguments: Sequence[str]) -> None:
    """Runs Dagster's webserver behind ``OwnPagesOnly``."""
    server: Any = import_module("dagster_webserver.webserver").DagsterWebserver
    own = server.build_middleware
    server.build_middleware = lambda this: [Middleware(OwnPagesOnly), *own(this)]
    sys.argv[1:] = arguments
    import_module("dagster_webserver.cli").main()


def daemon(arguments: Sequence[str]) -> None:
    """Runs Dagster's daemon, which looks at backfills every few seconds."""
    daemon_controller().DEFAULT_DAEMON_INTERVAL_SECONDS = _SECONDS_BETWEEN_LOOKS
    sys.argv[1:] = arguments
    daemon_command().main()


if __name__ == "__main__":
    {"dev": dev, "webserver": webserver, "daemon": daemon}[sys.argv[1]](sys.argv[2:])
