"""A wrong clock of the machine that launches; that of an emulator, another process, stays right."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import time_machine


@contextmanager
def wrong_clock(hours: float) -> Iterator[None]:
    """Shifts the clock of this process, which goes on running."""
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=hours), tick=True):
        yield
