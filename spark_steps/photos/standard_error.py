"""Silence for C libraries that write to standard error by themselves."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_standard_error() -> Iterator[None]:
    """Drops what the process, not only Python, writes to standard error meanwhile."""
    standard_error = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)
        os.close(nowhere)
