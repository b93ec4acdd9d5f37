"""What a write leaves behind that was interrupted."""

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_steps.storage import locations
from tests.support.project import PROJECT

WRITES = """
import resource, signal, sys
from spark_steps.storage import locations
# By default the signal for a file that has grown too large ends a process at once; Python ignores it.
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
locations.write_bytes(sys.argv[1], b"x" * 10_000)
"""


def test_what_an_interrupted_write_leaves_has_a_name_that_spark_passes_over(tmp_path: Path) -> None:
    target = f"{tmp_path}/data/part-00000.parquet"
    killed = subprocess.run([sys.executable, "-c", WRITES, target], cwd=PROJECT, check=False)
    assert killed.returncode == -signal.SIGXFSZ
    (left,) = (tmp_path / "data").iterdir()
    assert left.name.startswith(".part-00000.parquet.")


@pytest.mark.parametrize("write", [locations.write_bytes, locations.write_new])
def test_a_write_that_fails_leaves_nothing(write: Callable[[str, bytes], None], tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Otherwise the signal for a file that has grown too large would end this process.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(f"{tmp_path}/data/part-00000.parquet", b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list((tmp_path / "data").iterdir())
