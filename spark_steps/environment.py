"""Sets the environment variables of this process; no other module does.

Spark's workers, Java, Dagster's processes and libraries in Rust are configured by environment variables. ``step_main``
sets them too: on a cluster it runs before the project's code can be imported.
"""

import os
import pwd
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_HIDING = threading.RLock()


def export(name: str, value: str) -> None:
    """Sets a variable for this process and for the processes that it starts."""
    os.environ[name] = value


def export_default(name: str, value: str) -> None:
    """Sets a variable unless it is set already."""
    os.environ.setdefault(name, value)


def unset(name: str) -> None:
    """Removes a variable from this process and from the processes that it starts."""
    os.environ.pop(name, None)


def name_user() -> bool:
    """Sets ``USER`` and ``HOME`` for a user id without a name, as containers have; returns whether it has none.

    Libraries look both up in the list of users, where such an id has no entry, and fail with errors that name neither.
    """
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        export_default("USER", f"user{os.getuid()}")
        export_default("HOME", tempfile.gettempdir())
        return True
    return False


@contextmanager
def hidden(is_hidden: Callable[[str], bool]) -> Iterator[None]:
    """Hides variables from libraries in C and Rust inside the block; ``os.environ`` does not change.

    One thread at a time can hide variables. A process that is started in the block, without an explicit environment,
    lacks the variables too.

    Args:
        is_hidden: Returns for the name of a variable whether to hide it.
    """
    with _HIDING:
        found = {name: value for name, value in os.environ.items() if is_hidden(name)}
        for name in found:
            os.unsetenv(name)
        try:
            yield
        finally:
            for name, value in found.items():
                os.putenv(name, value)
