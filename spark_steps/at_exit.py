"""What is done when this process ends, also where it ends by ``os._exit``, which runs nothing of ``atexit``.

The command ends so, because the teardown of C++ libraries has aborted runs that had done their work. To run all of
``atexit`` before that would run their part of it too.
"""

import atexit
from collections.abc import Callable
from contextlib import suppress

_CALLS: list[Callable[[], object]] = []


def call(function: Callable[[], object]) -> None:
    """Has a function called once when the process ends; an error of it is passed over."""
    if not _CALLS:
        atexit.register(run)
    _CALLS.append(function)


def run() -> None:
    """Calls what is to be called, the last one first, and each only once."""
    while _CALLS:
        with suppress(Exception):
            _CALLS.pop()()
