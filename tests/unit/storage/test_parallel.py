"""The same done to many files: in order, so many at a time, and the first error is told."""

import threading

import pytest

from fruits_assets.settings import read_settings
from spark_steps.errors import CalledWronglyError
from spark_steps.storage.parallel import VARIABLE, files_at_a_time, for_each, for_each_unknown, results


def most_at_once(count: int, at_most: int | None = None) -> int:
    """How many of the calls have been seen to run at once, each waiting for as many others as are to come."""
    expected = min(count, at_most or count, files_at_a_time())
    together, under_way, seen, lock = threading.Barrier(expected), 0, 0, threading.Lock()

    def work(item: int) -> int:
        nonlocal under_way, seen
        with lock:
            under_way += 1
            seen = max(seen, under_way)
        # Broken where fewer run at once than are to.
        together.wait(timeout=60)
        with lock:
            under_way -= 1
        return item

    assert for_each(work, range(count), *([at_most] if at_most else [])) == list(range(count))
    return seen


def test_results_come_in_the_order_of_the_items() -> None:
    later = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            later.wait(60)
        if item == 3:
            later.set()
        return item * item

    assert for_each(work, range(20)) == [item * item for item in range(20)]
    assert list(results(work, iter(range(20)))) == [item * item for item in range(20)]
    assert for_each(work, []) == []


def test_sixteen_are_under_way_and_no_more() -> None:
    assert most_at_once(32) == 16


def test_the_setting_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "3")
    assert most_at_once(9) == 3


@pytest.mark.parametrize(("setting", "seen"), [("2", 2), ("64", 4)])
def test_what_takes_much_memory_has_a_bound_of_its_own_below_the_setting(
    monkeypatch: pytest.MonkeyPatch, setting: str, seen: int
) -> None:
    monkeypatch.setenv(VARIABLE, setting)
    assert most_at_once(8, at_most=4) == seen


def test_the_first_error_in_order_is_raised_and_what_has_not_begun_never_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2")
    begun, second_failed = [], threading.Event()

    def work(item: int) -> None:
        begun.append(item)
        if item == 0:
            second_failed.wait(60)
        if item == 1:
            second_failed.set()
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        for_each(work, range(5_000))
    assert len(begun) < 5_000


@pytest.mark.parametrize("text", ["0", "65", "many", "-1", "1.5"])
def test_a_setting_out_of_bounds_is_told(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(CalledWronglyError, match=r"FRUITS_FILES_AT_A_TIME is .*Give a number from 1 to 64"):
        for_each(str, [1])
    with pytest.raises(CalledWronglyError, match="FRUITS_FILES_AT_A_TIME"):
        read_settings()


def test_only_items_whose_result_is_unknown_are_worked_on_and_no_more_results_are_kept_than_allowed() -> None:
    known: dict[int, int] = {}
    worked_on: list[int] = []

    def square(number: int) -> int:
        worked_on.append(number)
        return number * number

    def squares(*numbers: int) -> list[int]:
        return for_each_unknown(known, 3, lambda number: number, square, numbers)

    assert squares(0, 1) == [0, 1]
    assert squares(1, 2, 0) == [1, 4, 0]
    assert sorted(worked_on) == [0, 1, 2]
    assert squares(0, 3) == [0, 9]
    assert known == {3: 9}
    assert squares(0, 1, 2, 3, 4) == [0, 1, 4, 9, 16]
    assert len(known) <= 3
