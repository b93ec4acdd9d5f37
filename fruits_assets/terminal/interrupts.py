"""Ctrl-C at any moment of a command: one line, nothing after it, and the exit code that shells give it.

Python raises KeyboardInterrupt wherever the main thread happens to be. Raised in a callback of the garbage collector it
is lost; code in C delays it; Dagster, py4j and click each write something of their own about it. So a thread waits for
the signal: it writes the line, silences the process, and ends it where the main thread does not do so in time.

This module imports little: what comes before it cannot be interrupted well.
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
# To mark Dagster's run, cancel Spark's jobs and delete unfinished files takes less than a second, measured.
_GRACE_SECONDS = 5.0
# Programs such as uv pass an interrupt on that the terminal has given to all of them.
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
        # Not a Lock: the handler of a second signal runs within that of the first.
        self._announcing = threading.RLock()

    def watch(self, command: str) -> None:
        """Ends the process at Ctrl-C from here on; called once, from the main thread.

        Args:
            command: What to run again, as it is typed.
        """
        self._command = command
        # A process that a shell starts in the background ignores interrupts.
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._raise)
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        # Whose handler is called, ours or Dagster's, the number of the signal is written to this pipe first.
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=self._end, args=(reading,), name="interrupts", daemon=True).start()
        sys.unraisablehook = self._not_raised

    def let_the_cluster_be_ended(self) -> None:
        """Leaves the main thread all the time it takes, and its words: what runs on a cluster costs money."""
        self._patient = True

    def give_time(self, seconds: float) -> None:
        """Has the main thread end in so many seconds, instead of a few, before the process is ended."""
        self._grace = seconds

    @property
    def has_come(self) -> bool:
        """Whether the process has been interrupted."""
        return self._came is not None

    def exit_code(self, code: int) -> int:
        """Returns the exit code of the process: 128 and the number of the signal where one came, else ``code``."""
        return code if self._came is None else 128 + self._came

    def _raise(self, number: int, _: FrameType | None) -> None:
        self._announce(number)
        # Once: a second one would break off what the first has begun to put in order.
        if not self._raised:
            self._raised = True
            raise KeyboardInterrupt

    def _not_raised(self, unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, Exception | SystemExit | GeneratorExit):
            sys.__unraisablehook__(unraisable)
            return
        # An interrupt, Python's or Dagster's, in a callback that nothing can be raised in: it comes again.
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
            # The terminal has written ^C, behind a bar perhaps.
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
    """Returns the next signal that is to end the process, None where none comes in time."""
    while select.select([reading], [], [], seconds)[0]:
        if (number := os.read(reading, 1)[0]) in _SIGNALS:
            return number
    return None


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)


INTERRUPTS = Interrupts()
