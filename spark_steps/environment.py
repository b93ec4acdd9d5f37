"""The environment of this process: the one module that writes it.

Spark's workers, Java, Dagster's own processes and libraries in Rust read no settings of ours, but their environment.
(``step_main`` writes it too: it stands alone on the cluster until the project's code is there.)
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_HIDING = threading.RLock()


def export(name: str, value: str) -> None:
    """Sets a variable, for this process and for those that it starts."""
    os.environ[name] = value


def export_default(name: str, value: str) -> None:
    """Sets a variable that is not set."""
    os.environ.setdefault(name, value)


@contextmanager
def hidden(is_hidden: Callable[[str], bool]) -> Iterator[None]:
    """Hides variables from libraries in C and Rust; Python sees the environment as it is.

    One thread at a time. A process that is started meanwhile without an environment of its own lacks them too.

    Args:
        is_hidden: Tells of a variable's name whether it is.
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
