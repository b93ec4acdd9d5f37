"""The processes of Dagster's UI, started and ended by ``fruits ui``, and no more said of them than its user needs."""

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
# Webserver, daemon and code server end one after the other.
_SECONDS_TO_END = 15


def serve(port: int, *, verbose: bool = False) -> None:
    """Runs the UI until it is interrupted.

    Args:
        port: On which it listens to this machine.
        verbose: Whether what Dagster says of its work is shown; errors and warnings always are.

    Raises:
        FruitsError: Something else listens there, or Dagster has ended by itself.
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
    # A shell starts what is in the background with interrupts ignored; Dagster would then ignore every request to end.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    where = ["-m", "fruits_assets.definitions", "-d", str(PACKAGES), "-h", HOST, "-p", str(port)]
    levels = ["--log-level", "info" if verbose else "warning"]
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "fruits_assets.instance.ui_server", "dev", *where, *levels],
        # Dagster, and all that it starts, would else import what lies in the current folder.
        env={**os.environ, "PYTHONSAFEPATH": "1"},
        # A group of its own, which the terminal does not interrupt: what is still being imported would write a stack
        # trace. The pipes tell it that this process has ended, and this process what it says.
        process_group=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None  # noqa: S101
    threading.Thread(target=_pass_on, args=(process.stdout,), daemon=True).start()
    return process


def _pass_on(words: IO[bytes]) -> None:
    # Line by line, and after an interrupt to nowhere.
    for line in words:
        with suppress(OSError):
            os.write(2, line)


def _end(process: subprocess.Popen[bytes], *, gently: bool) -> None:
    """Ends Dagster's processes; before they listen there is nothing that would have to be put in order."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT if gently else signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_END)
        os.killpg(process.pid, signal.SIGKILL)
