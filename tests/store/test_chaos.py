"""A short seed of ``make chaos``: runs killed in the middle, then the rows of an undisturbed one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import PROJECT


@pytest.mark.timeout(600)
def test_a_store_whose_runs_were_killed_equals_that_of_an_undisturbed_run(network_file: Path) -> None:
    kinds = ("--kind", "driver killed", "--kind", "Python worker killed")
    command = [sys.executable, "-m", "tests.chaos", "--seed", "49", "--rounds", "1", "--faults", "2", *kinds]
    done = subprocess.run(
        [*command, "--weights", str(network_file)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = " ".join(done.stdout.split())
    assert "Faults injected 1 Python worker killed, 1 driver killed" in told
    assert "Rows lost 0 Rows doubled 0 Rows wrong 0" in told
