"""Processes that change and read the same folders at once, killed while they do; for longer: docs/faults.md."""

import re
import subprocess
import sys

import pytest

from tests.support.project import PROJECT


@pytest.mark.parametrize("where", [(), ("--store", "s3", "--faults", "0.01")], ids=["files", "S3"])
def test_processes_that_change_the_same_folders_at_once_lose_double_and_confuse_no_row(where: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "tests.chaos.tables", "--seed", "7", "--seconds", "6", *where]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = " ".join(done.stdout.split())
    assert "Rows lost 0 Rows doubled 0 Rows wrong 0" in told
    assert re.search(r"Looks [1-9].*Commits [1-9].*[1-9]\d* processes killed", told)
