"""The command as a process of its own, where others have prepared its streams, folder and variables."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import PROJECT

FRUITS = str(Path(sys.executable).parent / "fruits")
# Checks as a supervisor's child: the files that are opened next must not get the numbers of the streams.
OPENED_NEXT = """
import os, sys
from fruits_assets.terminal.streams import open_standard_streams
open_standard_streams()
with open(os.path.abspath(sys.argv[1]), "w") as file:
    print("lost"); print("lost", file=sys.stderr); os.system("echo lost; echo lost >&2")
    assert sys.stdin.read() == ""
    file.write(f"{file.fileno() > 2} {sys.stdout.isatty()} {sys.stderr.isatty()}")
"""


def shell(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", "-c", script, "shell", *arguments],
        env={**os.environ, **variables},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_what_is_printed_on_closed_streams_is_not_written_into_the_next_file(tmp_path: Path) -> None:
    done = shell('exec "$@" <&- >&- 2>&-', sys.executable, "-c", OPENED_NEXT, str(tmp_path / "made"))
    assert done.returncode == 0
    assert (tmp_path / "made").read_text() == "True False False"


def test_a_command_ends_as_usual_on_closed_streams_and_where_a_letter_cannot_be_encoded(tmp_path: Path) -> None:
    script = '"$1" report --store "$2" <&- >&-; echo "code $?"; "$1" --version <&- >&- 2>&- && echo fine'
    done = shell(script, FRUITS, str(tmp_path / "日本"), PYTHONIOENCODING="latin-1")
    assert done.stdout == "code 1\nfine\n"
    assert done.stderr.startswith("Error: There is no store at")
    assert r"\u65e5\u672c" in done.stderr


def test_output_that_cannot_be_written_is_told_and_a_reader_that_has_gone_is_no_error() -> None:
    done = shell('"$1" --version > /dev/full', FRUITS)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: A disk is full")
    assert done.stderr.count("\n") == 1
    done = shell('set -o pipefail; "$1" --help | true', FRUITS)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("before", "variables", "message"),
    [
        ('mkdir "$2/gone"; cd "$2/gone"; rmdir "$2/gone"; ', {}, "The current folder has been deleted."),
        ('echo > "$2/click.py"; export PYTHONPATH="$2"; ', {}, "PYTHONPATH has another click, "),
        ("", {"PYTHONOPTIMIZE": "2"}, "PYTHONOPTIMIZE=2 removes texts"),
        ("", {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "export PYTHONUTF8=1"),
    ],
)
def test_surroundings_in_which_nothing_can_work_are_named(
    before: str, variables: dict[str, str], message: str, tmp_path: Path
) -> None:
    done = shell(f'{before}"$1" --version', FRUITS, str(tmp_path), **variables)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
