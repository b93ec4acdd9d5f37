"""How many photos are done, told while they are being done."""

import os
import pty
import subprocess
import sys
import time

from fruits_assets.progress import photos_counted
from tests.ways_in import PROJECT

COUNT_FOR_A_WHILE = """
import sys, time
from fruits_assets.progress import photos_counted
counted = iter([10, 20, 30] + [40] * 1000)
with photos_counted(lambda: next(counted), 40, print, bar=sys.argv[1] == "bar"):
    time.sleep(2)
print("after")
"""


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


def at_a_terminal(*arguments: str) -> str:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", COUNT_FOR_A_WHILE, *arguments]
    done = subprocess.run(command, cwd=PROJECT, stdout=theirs, stderr=theirs, timeout=60, check=True)
    assert done.returncode == 0
    os.close(theirs)
    return os.read(ours, 65536).decode()


def test_at_a_terminal_a_bar_is_drawn_for_those_who_want_one() -> None:
    drawn = at_a_terminal("bar")
    assert "photos  [" in drawn
    assert "40/40" in drawn
    assert drawn.rstrip().endswith("after")
    assert at_a_terminal("none").strip() == "after"
