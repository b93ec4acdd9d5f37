"""Progress away from a terminal: a line now and then."""

import time

from fruits_assets.terminal.progress import photos_counted


def test_away_from_a_terminal_a_line_comes_now_and_then() -> None:
    told: list[str] = []
    with photos_counted(lambda: 1200, 3000, told.append, bar=True, every=0.01):
        while len(told) < 3:
            time.sleep(0.01)
    assert told[0].startswith("1,200 of 3,000 photos, ")
    count = len(told)
    time.sleep(0.05)
    assert len(told) == count


def test_work_that_is_soon_done_says_nothing() -> None:
    told: list[str] = []
    with photos_counted(lambda: 1, 1, told.append, bar=False):
        pass
    assert told == []
