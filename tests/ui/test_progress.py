"""How many photos are done, told while they are being done."""

import os
import re
import sys

import pexpect

from tests.support.project import PROJECT

COUNT_FOR_A_WHILE = """
import sys, time
from fruits_assets.terminal.progress import photos_counted
counted = iter([10, 20, 30] + [40] * 1000)
with photos_counted(lambda: next(counted), 40, print, bar=sys.argv[1] == "bar"):
    time.sleep(1.2)
    print("a warning of a library", file=sys.stderr)
    time.sleep(1.2)
print("after")
"""


def at_a_terminal(wanted: str, columns: int = 80, **environment: str) -> list[str]:
    """What stands on each line of a terminal at each moment; a line that is drawn again begins a new one here."""
    command = ["-c", COUNT_FOR_A_WHILE, wanted]
    child = pexpect.spawn(
        sys.executable,
        command,
        cwd=str(PROJECT),
        env={**os.environ, **environment},
        dimensions=(24, columns),
        encoding="utf-8",
    )
    child.expect(pexpect.EOF, timeout=60)
    child.close()
    assert child.exitstatus == 0
    return [line.rstrip() for line in re.split(r"[\r\n]+", child.before or "") if line.strip()]


def test_at_a_terminal_a_bar_with_photos_rate_and_time_left_is_drawn_for_those_who_want_one() -> None:
    *drawn, after = at_a_terminal("bar")
    assert after == "after"
    drawn.remove("a warning of a library")
    bar = re.compile(r"  \d+ of 40 photos, (\d+\.\d\d|\?)/s, (\d\d:\d\d|\?) left\b.*")
    assert [line for line in drawn if not bar.fullmatch(line)] == []
    assert drawn[0].startswith("  0 of 40 photos, ?/s, ? left")
    assert drawn[-1].startswith("  40 of 40 photos, ")
    assert at_a_terminal("none") == ["a warning of a library", "after"]


def test_a_narrow_terminal_shows_what_comes_first_and_no_line_is_broken() -> None:
    drawn = at_a_terminal("bar", columns=20)
    assert any(line.startswith("  40 of 40 photos") for line in drawn)
    assert {line for line in drawn if len(line) > 20} == {"a warning of a library"}


def test_a_bar_has_no_colours_for_those_who_want_none() -> None:
    assert not any("\x1b" in line for line in at_a_terminal("bar", NO_COLOR="1"))
