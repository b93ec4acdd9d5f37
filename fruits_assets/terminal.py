"""What the commands have in common at a terminal."""

import errno
import re
import sqlite3
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import click

from fruits_assets.interrupts import INTERRUPTS
from spark_steps.errors import CalledWronglyError, FruitsError

P = ParamSpec("P")


def tells_problems_in_a_sentence(command: Callable[P, None]) -> Callable[P, None]:
    """Shows a FruitsError as its message, in place of a stack trace; exit code 1, or 2 where a value is wrong."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CalledWronglyError as error:
            raise click.UsageError(str(error), click.get_current_context()) from error
        except FruitsError as error:
            if INTERRUPTS.has_come:
                # The run that was interrupted has failed; the line has been written.
                raise click.exceptions.Exit(INTERRUPTS.exit_code(1)) from error
            raise click.ClickException(str(error)) from error
        except Exception as error:
            if (full := disk_is_full(error)) is None:
                raise
            raise click.ClickException(full) from error

    return wrapped


def disk_is_full(error: BaseException | None) -> str | None:
    """Returns, where an error or one of its causes says that a disk is full, a sentence about it."""
    while error is not None:
        no_room = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        # What SQLite says, in which Dagster keeps its runs.
        if no_room or (isinstance(error, sqlite3.Error) and re.search("disk is full|disk I/O error", str(error))):
            return f"A disk is full, of the store, of DAGSTER_HOME or of /tmp: {error}. Make room, and run again."
        error = error.__cause__ or error.__context__
    return None
