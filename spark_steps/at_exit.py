"""Functions to call when this process ends, also before ``os._exit``, which skips ``atexit``.

The command ends by ``os._exit``, because the teardown of C++ libraries has aborted runs whose work was done. Running
all ``atexit`` handlers before it would run the teardown of these libraries too.
"""

import atexit
from collections.abc import Callable
from contextlib import suppress

_CALLS: list[Callable[[], object]] = []


def call(function: Callable[[], object]) -> None:
    """Registers a function to be called once when the process ends; its errors are ignored."""
    if not _CALLS:
        atexit.register(run)
    _CALLS.append(function)


def run() -> None:
    """Calls each registered function once, the last one first."""
    while _CALLS:
        with suppress(BaseException):
            _CALLS.pop()()
