"""The progress of a run for people at a terminal: one line a step, and how many photos are done."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
import dagster as dg

PROGRESS_LOGGER = "progress"
_SECONDS_BETWEEN_DRAWINGS = 0.5


class _OwnMessagesOnly(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        # After a failure Dagster names every step that is not reached; the failure itself is what matters.
        if "Dependencies for step" in record.getMessage():
            return False
        # Dagster's own events carry this; there are a dozen of them for each step.
        return getattr(record, "dagster_event", None) is None and not getattr(record, "dagster_meta", {}).get(
            "dagster_event"
        )


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = str(getattr(record, "dagster_meta", {}).get("orig_message", record.getMessage()))
        prefix = "  " if record.levelno < logging.WARNING else f"  {record.levelname.lower()}: "
        return prefix + message


@dg.logger
def progress_logger(_: dg.InitLoggerContext) -> logging.Logger:
    """Prints what the steps themselves have to say."""
    logger = logging.Logger("fruits.progress", level=logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    handler.addFilter(_OwnMessagesOnly())
    logger.addHandler(handler)
    return logger


@contextmanager
def photos_counted(
    done: Callable[[], int], total: int, say: Callable[[str], None], *, bar: bool, every: float = 30.0
) -> Iterator[None]:
    """Tells, while the block runs, how many photos are done: as a bar at a terminal, else as a line now and then.

    Args:
        done: Returns how many are, from another thread.
        total: Photos in all.
        say: Takes a line.
        bar: Whether standard error is somebody's to draw on, if it is a terminal.
        every: Seconds between two lines.
    """
    over = threading.Event()
    draw = bar and sys.stderr.isatty()
    show = _bar if draw else _lines
    thread = threading.Thread(target=show, args=(done, total, over, say, every), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _lines(
    done: Callable[[], int], total: int, over: threading.Event, say: Callable[[str], None], every: float
) -> None:
    started = time.monotonic()
    while not over.wait(every):
        photos = done()
        say(f"{photos:,} of {total:,} photos, {photos / (time.monotonic() - started):,.0f} a second")


def _bar(done: Callable[[], int], total: int, over: threading.Event, _: Callable[[str], None], __: float) -> None:
    with click.progressbar(
        length=total, label="  photos", show_pos=True, file=sys.stderr, width=30, update_min_steps=1
    ) as drawn:
        drawn.render_progress()
        while not over.wait(_SECONDS_BETWEEN_DRAWINGS):
            drawn.update(done() - drawn.pos)
        drawn.update(done() - drawn.pos)
