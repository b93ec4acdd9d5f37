"""Standard streams of any kind: closed, a pipe whose reader has gone, a full disk, an encoding without a letter."""

import io
import os
import sys
from contextlib import suppress

_STREAMS = ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"))


def open_standard_streams() -> None:
    """Opens ``/dev/null`` in place of each standard stream that is closed, and lets the others print any text.

    Where a standard stream is closed (``2>&-``, some supervisors of services), the next file that is opened gets its
    number: what a library in C++ or a child process prints would be written into that file.
    """
    for descriptor, name, mode in _STREAMS:
        stream = getattr(sys, name)
        if stream is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != descriptor:
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper) and mode == "w":
            # Otherwise the name of a folder ends a command where PYTHONIOENCODING or the locale is not UTF-8.
            stream.reconfigure(errors="backslashreplace")


def flush_standard_streams() -> None:
    """Writes out what is buffered; a reader that has gone away, as after ``| head -1``, is no error.

    Raises:
        OSError: It cannot be written, as on a full disk.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):
            stream.flush()
