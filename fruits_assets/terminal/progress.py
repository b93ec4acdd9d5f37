"""The progress of a run at a terminal: one line for each step, and the number of photos that are done."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from typing import Any

import dagster as dg

PROGRESS_LOGGER = "progress"
_SECONDS_BETWEEN_DRAWINGS = 0.5


class _OwnMessagesOnly(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        # Left out: after a failure, Dagster logs a message for every step that is skipped.
        if "Dependencies for step" in record.getMessage():
            return False
        # Left out too: Dagster's own events, a dozen for each step, which have one of these attributes.
        return getattr(record, "dagster_event", None) is None and not getattr(record, "dagster_meta", {}).get(
            "dagster_event"
        )


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = str(getattr(record, "dagster_meta", {}).get("orig_message", record.getMessage()))
        prefix = "  " if record.levelno < logging.WARNING else f"  {record.levelname.lower()}: "
        return prefix + message


class _StandardError(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # Look up sys.stderr at each message: while a bar is drawn, it is replaced by a stream that writes above the
        # bar.
        print(self.format(record), file=sys.stderr, flush=True)


@dg.logger
def progress_logger(_: dg.InitLoggerContext) -> logging.Logger:
    """Prints the messages of the steps to standard error, without Dagster's own events."""
    logger = logging.Logger("fruits.progress", level=logging.INFO)
    handler = _StandardError()
    handler.setFormatter(_Line())
    handler.addFilter(_OwnMessagesOnly())
    logger.addHandler(handler)
    return logger


@contextmanager
def photos_counted(
    done: Callable[[], int], total: int, report: Callable[[str], None], *, bar: bool, every: float = 30.0
) -> Iterator[None]:
    """Reports, while the block runs, how many photos are done: by a bar at a terminal, else by lines at intervals.

    Args:
        done: Returns the number of photos done; called from another thread.
        total: Number of all photos.
        report: Takes a line.
        bar: Whether a bar may be drawn on standard error, if that is a terminal.
        every: Seconds between two lines.
    """
    over = threading.Event()
    # Dagster's own commands leave a closed standard error as it is, which Python shows as None.
    draw = bar and sys.stderr is not None and sys.stderr.isatty()
    with _bar(total) if draw else nullcontext(_lines(total, report)) as show:
        seconds = _SECONDS_BETWEEN_DRAWINGS if draw else every
        thread = threading.Thread(target=_show_now_and_then, args=(done, over, show, seconds), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _show_now_and_then(
    done: Callable[[], int], over: threading.Event, show: Callable[[int], None], seconds: float
) -> None:
    while not over.wait(seconds):
        show(done())


def _lines(total: int, report: Callable[[str], None]) -> Callable[[int], None]:
    # Imported here, as below, so that the command starts sooner.
    from tqdm import tqdm

    started = time.monotonic()

    def show(photos: int) -> None:
        rate = photos / (time.monotonic() - started)
        left = f", {tqdm.format_interval((total - photos) / rate)} left" if photos else ""
        report(f"{photos:,} of {total:,} photos, {rate:,.1f} a second{left}")

    return show


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    from tqdm import tqdm
    from tqdm.contrib import DummyTqdmFile

    # The bar comes last, so that a narrow terminal still shows the numbers. No smoothing of the rate: Spark counts the
    # photos of a task only when the task has ended, so the rate is that of all photos so far.
    drawn = tqdm(
        total=total,
        file=sys.stderr,
        bar_format="  {n_fmt} of {total_fmt} photos, {rate_noinv_fmt}, {remaining} left {bar}",
        unit="",
        smoothing=0,
        mininterval=0,
        dynamic_ncols=True,
        leave=False,
    )

    def show(photos: int) -> None:
        drawn.n = photos
        drawn.refresh()

    # Other output to standard error is printed above the bar.
    above: Any = DummyTqdmFile(sys.stderr)
    with drawn, redirect_stderr(above):
        yield show
