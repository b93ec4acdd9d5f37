"""Functions to call when this process ends, also before ``os._exit``, which skips ``atexit``.

The command ends by ``os._exit``, because the teardown of C++ libraries has aborted runs whose work was done. Running
all ``atexit`` handlers before it would run the teardown of these libraries too.
"""

import atexit
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CALLS: list[Callable[[], object]] = []


def run() -> None:
    """Calls what is still to be done, the last thing first; errors are ignored."""
    while _CALLS:
        with suppress(BaseException):
            _CALLS.pop()()


atexit.register(run)


@contextmanager
def finally_calls(function: Callable[[], object]) -> Iterator[None]:
    """Calls a function when the block ends, or else when the process does in the middle of it, by ``os._exit`` too.

    Args:
        function: What is to be done; it may be called twice, also while the block still runs.
    """
    _CALLS.append(function)
    try:
        yield
    finally:
        function()
        # Only now: an interrupt may come while the function runs.
        with suppress(ValueError):
            _CALLS.remove(function)


@contextmanager
def temporary_directory(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Yields a directory that is deleted with all in it, as by ``tempfile``, whose own one stays after ``os._exit``.

    Args:
        prefix: The beginning of its name.
        parent: Where it is made; None for the system's directory of temporary files.
    """
    # Imported here: this module is imported before interrupts are handled.
    import shutil
    import tempfile

    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    with finally_calls(lambda: shutil.rmtree(directory, ignore_errors=True)):
        yield directory
