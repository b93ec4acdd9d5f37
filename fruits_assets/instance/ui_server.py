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
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import dagster as dg
from starlette.middleware import Middleware

from fruits_assets.instance.internals import daemon_command, daemon_controller, dagster_dev
from fruits_assets.serving.guard import OwnPagesOnly

_COMMANDS = "/graphql"
_OURS = "fruits_assets.instance.ui_server"
# Between two looks of the daemon at a backfill, whose next run starts after such a look. Dagster's own are 30.
_SECONDS_BETWEEN_LOOKS = 5


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
    server.build_middleware = lambda this: [Middleware(OwnPagesOnly, _COMMANDS), *own(this)]
    sys.argv[1:] = arguments
    import_module("dagster_webserver.cli").main()


def daemon(arguments: Sequence[str]) -> None:
    """Runs Dagster's daemon, which looks at backfills every few seconds."""
    daemon_controller().DEFAULT_DAEMON_INTERVAL_SECONDS = _SECONDS_BETWEEN_LOOKS
    sys.argv[1:] = arguments
    daemon_command().main()


if __name__ == "__main__":
    {"dev": dev, "webserver": webserver, "daemon": daemon}[sys.argv[1]](sys.argv[2:])
