"""What a write leaves behind that fails; tests/ui/test_interrupts.py has one whose process is killed."""

import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_steps.storage import locations


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
