"""What is done at the end of a process is done however the process ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import PROJECT

AS_THE_COMMAND_ENDS = "sys.argv = ['fruits', '--version']\nentry()"
AS_PYTHON_ENDS = ""
INTERRUPTED_FOR_GOOD = """
INTERRUPTS.watch("fruits run")
INTERRUPTS.give_time(0.2)
while True:
    try:
        os.kill(os.getpid(), signal.SIGINT); time.sleep(30)
    except KeyboardInterrupt:
        pass
"""


def ended(program: str, temporary: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env={"TMPDIR": str(temporary), "PATH": "/usr/bin:/bin", "HOME": str(temporary / "home")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


IN_THE_MIDDLE = """
import os, signal, sys, time
from fruits_assets.__main__ import entry
from fruits_assets.terminal.interrupts import INTERRUPTS
from spark_steps.at_exit import temporary_directory
block = temporary_directory("fruits-trial-")
(block.__enter__() / "file").touch()
print(os.listdir(os.environ["TMPDIR"]), flush=True)
"""


@pytest.mark.parametrize("ending", [AS_THE_COMMAND_ENDS, AS_PYTHON_ENDS, INTERRUPTED_FOR_GOOD])
def test_a_temporary_directory_is_deleted_where_the_process_ends_in_the_middle_of_its_block(
    ending: str, tmp_path: Path
) -> None:
    done = ended(IN_THE_MIDDLE + ending, tmp_path)
    assert "fruits-trial-" in done.stdout, done.stderr
    assert not list(tmp_path.glob("fruits-*"))


def test_after_the_block_of_a_temporary_directory_nothing_is_left_to_be_done_at_the_end(tmp_path: Path) -> None:
    program = """
from spark_steps.at_exit import temporary_directory
with temporary_directory("fruits-trial-") as directory:
    (directory / "file").touch()
print(directory.exists())
directory.mkdir()
"""
    done = ended(program, tmp_path)
    assert (done.stdout, done.stderr) == ("False\n", "")
    assert len(list(tmp_path.glob("fruits-trial-*"))) == 1
