"""A contender's processes: which they are, and watching them while they run."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

MARK = "FRUITS_BENCHMARK"


def processes_with(mark: str | None = None) -> Iterator[int]:
    """Yields the ids of the processes whose environment has ``FRUITS_BENCHMARK=<mark>``; without a mark, any.

    Unlike the tree of parents and children, it reaches daemons too.
    """
    begin = f"{MARK}=".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            marks = [one for one in (process / "environ").read_bytes().split(b"\0") if one.startswith(begin)]
            if marks if mark is None else begin + mark.encode() in marks:
                yield int(process.name)


def tree_of(root: int) -> list[int]:
    """Returns the ids of a process and of all below it."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [root]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


def is_spark_worker(process: int) -> bool:
    """Returns whether a process is one of Spark's Python workers, or the daemon that they are forked from."""
    with suppress(OSError):
        command = Path(f"/proc/{process}/cmdline").read_bytes()
        # Not the name alone: the command of Spark's Java has it among its settings.
        return any(b"-m\0" + name in command for name in (b"pyspark.daemon", b"spark_steps.python_daemon"))
    return False


def is_java(process: int) -> bool:
    """Returns whether a process is Java."""
    with suppress(OSError):
        return Path(f"/proc/{process}/comm").read_text().strip() == "java"
    return False


class Watch(ABC):
    """Samples processes in a thread of its own, from the start of a ``with`` block to its end."""

    _pause = 0.2

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._pause):
            self._sample()

    @abstractmethod
    def _sample(self) -> None:
        """Looks at the processes once."""
