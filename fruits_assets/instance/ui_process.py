"""The processes of Dagster's UI, which ``fruits ui`` starts and ends; by default it shows only their warnings."""

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO

import click

from fruits_assets.instance.home import PACKAGES
from fruits_assets.terminal.interrupts import INTERRUPTS
from spark_steps.errors import FruitsError

HOST = "127.0.0.1"
# Time for webserver, daemon and code server to end, one after the other.
_SECONDS_TO_END = 15


def serve(port: int, *, verbose: bool = False) -> None:
    """Runs the UI until it is interrupted.

    Args:
        port: The port of this machine on which it listens.
        verbose: Whether Dagster's messages of level info are shown; errors and warnings always are.

    Raises:
        FruitsError: Another program listens on the port, or Dagster has ended by itself.
    """
    if listens(port):
        raise FruitsError(f"Port {port} is in use, by another UI perhaps. Give another one: --port {port + 1}.")
    INTERRUPTS.give_time(_SECONDS_TO_END + 5)
    click.echo("The UI starts; this takes some seconds.", err=True)
    process = _start(port, verbose)
    try:
        while process.poll() is None and not listens(port):
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
        if process.poll() is None:
            click.echo(f"The UI is at http://{HOST}:{port}. Ctrl-C ends it.", err=True)
        process.wait()
    finally:
        _end(process, gently=listens(port))
    raise FruitsError(f"Dagster has ended by itself, with code {process.returncode}; its last words are above.")


def listens(port: int) -> bool:
    """Returns whether a program of this machine listens on a port."""
    with socket.socket() as attempt:
        return attempt.connect_ex((HOST, port)) == 0


def _start(port: int, verbose: bool) -> subprocess.Popen[bytes]:
    # A shell starts background processes with SIGINT ignored, and children inherit that: Dagster could not be ended.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    where = ["-m", "fruits_assets.definitions", "-d", str(PACKAGES), "-h", HOST, "-p", str(port)]
    levels = ["--log-level", "info" if verbose else "warning"]
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "fruits_assets.instance.ui_server", "dev", *where, *levels],
        # Without it, Dagster and its child processes would import modules from the current folder.
        env={**os.environ, "PYTHONSAFEPATH": "1"},
        # A process group of its own, so that Ctrl-C does not interrupt it: during its imports it would write a stack
        # trace. Its standard input closes when this process ends; its output comes back by the other pipe.
        process_group=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None  # noqa: S101
    threading.Thread(target=_pass_on, args=(process.stdout,), daemon=True).start()
    return process


def _pass_on(words: IO[bytes]) -> None:
    # Line by line. After an interrupt, standard error is /dev/null.
    for line in words:
        with suppress(OSError):
            os.write(2, line)


def _end(process: subprocess.Popen[bytes], *, gently: bool) -> None:
    """Ends Dagster's processes: gently once they listen, at once before, when there is nothing to clean up."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT if gently else signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_END)
        os.killpg(process.pid, signal.SIGKILL)
