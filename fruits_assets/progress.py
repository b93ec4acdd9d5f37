"""The progress of a run as one line a step, for people at a terminal."""

import logging
import sys

import dagster as dg


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
