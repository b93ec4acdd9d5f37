"""Ctrl-C at any moment of a command: one line of output, nothing after it, and the exit code of shells for a signal.

SIGTERM, by which systems, containers and timeouts end a process, is the same; and so is the end of the terminal.

Python raises KeyboardInterrupt at whatever line the main thread executes. In a callback of the garbage collector the
exception is lost; C code delays it; Dagster, py4j and click each print a message of their own about it. So a thread
waits for the signal. It prints the line, redirects all later output to /dev/null, and ends the process if the main
thread does not end it in time.

This module imports little, because an interrupt during its imports is not handled yet.
"""

import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any

from spark_steps import at_exit

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Marking Dagster's run as failed, cancelling Spark's jobs and deleting unfinished files takes less than a second,
# measured.
_GRACE_SECONDS = 5.0
# Programs such as uv pass on an interrupt that the terminal sends to the whole process group, so one Ctrl-C may arrive
# twice.
_SAME_PRESS_SECONDS = 0.5
_SECONDS_TO_THE_NEXT_TRY = 0.05


class Interrupts:
    """The interrupts of this process."""

    def __init__(self) -> None:
        self._came: int | None = None
        self._raised = False
        self._command = ""
        self._patient = False
        self._grace = _GRACE_SECONDS
        # Reentrant: the handler of a second signal may run inside the handler of the first.
        self._announcing = threading.RLock()

    def watch(self, command: str) -> None:
        """Starts to handle interrupts; called once, from the main thread.

        Args:
            command: The command line that the message proposes to run again.
        """
        self._command = command
        # A shell starts background processes with SIGINT ignored; leave it so.
        for one in _SIGNALS:
            if signal.getsignal(one) != signal.SIG_IGN:
                signal.signal(one, self._raise)
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        # A terminal that is closed. Sent on, as Dagster takes SIGTERM for an interrupt of its run, and this one not.
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        # Python writes the signal's number to this pipe before it calls a handler, be it this module's or Dagster's.
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=self._end, args=(reading,), name="interrupts", daemon=True).start()
        sys.unraisablehook = self._not_raised

    def let_the_cluster_be_ended(self) -> None:
        """Gives the main thread unlimited time and keeps its output: a step left on a cluster would cost money."""
        self._patient = True

    def give_time(self, seconds: float) -> None:
        """Sets the seconds that the main thread has after an interrupt before the process is ended."""
        self._grace = seconds

    def hand_over(self) -> None:
        """Leaves signals to the caller from now on: a server, which answers what is under way before it ends."""
        signal.set_wakeup_fd(-1)
        for one, its_default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            if signal.getsignal(one) == self._raise:
                signal.signal(one, its_default)

    @property
    def has_come(self) -> bool:
        """Whether the process has been interrupted."""
        return self._came is not None

    def exit_code(self, code: int) -> int:
        """Returns the exit code of the process: 128 and the number of the signal where one came, else ``code``."""
        return code if self._came is None else 128 + self._came

    def _raise(self, number: int, _: FrameType | None) -> None:
        self._announce(number)
        # Only once: a second KeyboardInterrupt would stop the cleanup that the first has started.
        if not self._raised:
            self._raised = True
            raise KeyboardInterrupt

    def _not_raised(self, unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, Exception | SystemExit | GeneratorExit):
            sys.__unraisablehook__(unraisable)
            return
        # An interrupt, of Python or of Dagster, that was lost in a callback from which nothing can be raised: repeat
        # it.
        threading.Timer(_SECONDS_TO_THE_NEXT_TRY, self._again).start()

    def _again(self) -> None:
        if self.has_come:
            self._raised = False
            os.kill(os.getpid(), signal.SIGINT)

    def _announce(self, number: int) -> None:
        with self._announcing:
            if self._came is not None:
                return
            self._came = number
            what = " What runs on the cluster is being ended." if self._patient else ""
            # Begin a new line: the terminal has printed ^C, perhaps after a progress bar.
            line = f"{os.linesep if os.isatty(2) else ''}Interrupted.{what} Run again: {self._command}{os.linesep}"
            with suppress(OSError):
                os.write(2, line.encode(errors="backslashreplace"))
            if not self._patient:
                _silence()

    def _end(self, reading: int) -> None:
        number = _signal_from(reading, None)
        self._announce(number or signal.SIGINT)
        announced = time.monotonic()
        while True:
            left = None if self._patient else max(0.0, announced + self._grace - time.monotonic())
            again = _signal_from(reading, left)
            if again is None or time.monotonic() - announced > _SAME_PRESS_SECONDS:
                at_exit.run()
                os._exit(self.exit_code(0))


def _signal_from(reading: int, seconds: float | None) -> int | None:
    """Returns the next signal that ends the process, None where none arrives in time."""
    while select.select([reading], [], [], seconds)[0]:
        if (number := os.read(reading, 1)[0]) in _SIGNALS:
            return number
    return None


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)


INTERRUPTS = Interrupts()
