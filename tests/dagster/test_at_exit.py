"""What is done at the end of a process is done however the process ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import PROJECT

BEGINNING = """
import os, signal, sys, time
from fruits_assets.__main__ import entry
from fruits_assets.terminal.interrupts import INTERRUPTS
from spark_steps.spark import connector
connector.use_boto3_credentials_in_java()
print(os.listdir(os.environ["TMPDIR"]), flush=True)
"""
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


@pytest.mark.parametrize("ending", [AS_THE_COMMAND_ENDS, AS_PYTHON_ENDS, INTERRUPTED_FOR_GOOD])
def test_the_directory_of_credentials_settings_is_deleted_at_the_end(ending: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + ending],
        cwd=PROJECT,
        env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "fruits-aws-" in done.stdout, done.stderr
    assert not list(tmp_path.glob("fruits-aws-*"))
