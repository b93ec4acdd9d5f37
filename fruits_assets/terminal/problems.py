"""Errors of commands as messages with a remedy, with an exit code and without a stack trace."""

import errno
import getpass
import os
import re
import sqlite3
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import click

from fruits_assets.terminal.interrupts import INTERRUPTS
from spark_steps.denials import denial_of, sentence_of
from spark_steps.errors import CalledWronglyError, FruitsError, chain_of, own_error

P = ParamSpec("P")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_PERMITTED = (errno.EACCES, errno.EPERM)


def printable(text: str) -> str:
    """Returns a text with its control characters escaped, so that a terminal prints them and does not execute them."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def reports_problems(command: Callable[P, None]) -> Callable[P, None]:
    """Returns the command with a FruitsError shown as its message; exit code 1, or 2 where an argument is wrong."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CalledWronglyError as error:
            raise click.UsageError(str(error), click.get_current_context()) from error
        except FruitsError as error:
            if INTERRUPTS.has_come:
                # The error is the failure of the interrupted run, and the interrupt's message was printed.
                raise click.exceptions.Exit(INTERRUPTS.exit_code(1)) from error
            raise click.ClickException(str(error)) from error
        except Exception as error:
            if (sentence := message_of(error)) is None:
                raise
            raise click.ClickException(sentence) from error

    return wrapped


def message_of(error: BaseException) -> str | None:
    """Returns a sentence about an error that the platform, the operating system, AWS or a damaged file has caused.

    The platform's own sentence goes before that of its cause, whatever has wrapped it. None for any other error.
    """
    if (full := disk_is_full(error)) is not None:
        return full
    if (own := own_error(error)) is not None:
        return str(own)
    for one in chain_of(error):
        if isinstance(one, OSError) and one.filename is not None:
            return of_the_system(one.errno, f"{one.strerror}: {one.filename}")
    if (denial := denial_of(error)) is not None:
        return sentence_of(denial)
    if type(error).__module__.startswith("pyarrow") and "Parquet" in str(error):
        return damaged(str(error))
    return None


def of_the_system(number: int | None, message: str) -> str:
    """Returns an error message of the operating system with a remedy.

    Args:
        number: The error number, as in ``errno``.
        message: The message, with the name of the file.
    """
    if number in _NO_ROOM:
        return f"A disk is full, of the store, of DAGSTER_HOME or of /tmp: {message}. Make room, and run again."
    if number in _NOT_PERMITTED:
        return f"{message}. {denied_to()} may not do that there: check the path, its owner and its mode (ls -ld)."
    return f"{message}. Check the path, and whether you may write there."


def denied_to() -> str:
    """Returns whom the operating system denies something to: the user of this process."""
    try:
        return f"The user {getpass.getuser()}"
    except (KeyError, OSError):
        # A container may run under a number without a name.
        return f"The user {os.geteuid()}"


def damaged(message: str) -> str:
    """Returns pyarrow's message about a file that is not Parquet, with a remedy."""
    return (
        f"{message.splitlines()[0].strip()} Put the file back from a copy; or delete it and run again, and what it "
        "held is made again."
    )


def disk_is_full(error: BaseException | None) -> str | None:
    """Returns a sentence where an error or one of its causes is a full disk; None where it is not."""
    while error is not None:
        no_room = isinstance(error, OSError) and error.errno in _NO_ROOM
        # The messages of SQLite, in which Dagster stores its runs.
        if no_room or (isinstance(error, sqlite3.Error) and re.search("disk is full|disk I/O error", str(error))):
            return of_the_system(errno.ENOSPC, str(error))
        error = error.__cause__ or error.__context__
    return None
