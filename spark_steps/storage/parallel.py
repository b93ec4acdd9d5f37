"""The same done to many files, several at a time: threads, which wait for a disk or a network and hardly compute."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from spark_steps.errors import CalledWronglyError

Item = TypeVar("Item")
Result = TypeVar("Result")
Key = TypeVar("Key")
VARIABLE = "FRUITS_FILES_AT_A_TIME"
DEFAULT, LEAST, MOST = 16, 1, 64


def files_at_a_time() -> int:
    """Returns how many files are read or written at a time: FRUITS_FILES_AT_A_TIME, else 16.

    Raises:
        CalledWronglyError: That is no number from 1 to 64.
    """
    text = os.environ.get(VARIABLE) or str(DEFAULT)
    if not (text.isdecimal() and LEAST <= int(text) <= MOST):
        raise CalledWronglyError(f"{VARIABLE} is {text!r}. Give a number from {LEAST} to {MOST}.")
    return int(text)


def results(work: Callable[[Item], Result], items: Iterable[Item], at_most: int = MOST) -> Iterator[Result]:
    """Yields what ``for_each`` returns, so that results need not all be kept; it is to be exhausted.

    Args:
        work: As ``for_each`` has it.
        items: As ``for_each`` has it.
        at_most: As ``for_each`` has it.
    """
    with ThreadPoolExecutor(min(at_most, files_at_a_time())) as pool:
        yield from pool.map(work, items)


def for_each(work: Callable[[Item], Result], items: Iterable[Item], at_most: int = MOST) -> list[Result]:
    """Does something to many files, and returns the results in the order of the items.

    The first error, in that order, is raised when what is under way has ended; what has not begun then never does.

    Args:
        work: What is done, in several threads at once.
        items: Of the files, such as their locations.
        at_most: How many at a time where the memory that each takes allows fewer than ``files_at_a_time``.

    Raises:
        CalledWronglyError: As ``files_at_a_time`` does.
    """
    return list(results(work, items, at_most))


def for_each_unknown(
    known: dict[Key, Result],
    most: int,
    key: Callable[[Item], Key],
    work: Callable[[Item], Result],
    items: Iterable[Item],
) -> list[Result]:
    """Returns what ``for_each`` returns, and does nothing to items whose result is known: a thread takes longer.

    Args:
        known: The results that are kept; new ones are added.
        most: How many are kept: to make room all are forgotten.
        key: Names an item for good, such as the path of a file that is never changed.
        work: As ``for_each`` has it.
        items: As ``for_each`` has it.
    """
    asked = list(items)
    found = [known.get(key(item)) for item in asked]
    missing = [item for item, result in zip(asked, found, strict=True) if result is None]
    made = for_each(work, missing) if missing else []
    if len(known) + len(made) > most:
        known.clear()
    known.update(zip(map(key, missing), made[:most], strict=False))
    rest = iter(made)
    return [next(rest) if result is None else result for result in found]
