"""What a write leaves behind that was interrupted."""

import resource
import signal
from pathlib import Path

import pytest

from spark_steps.storage import locations


def test_what_an_interrupted_write_leaves_has_a_name_that_spark_passes_over(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Otherwise the signal for a file that has grown too large would end this process.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            locations.write_bytes(f"{tmp_path}/data/part-00000.parquet", b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    (left,) = (tmp_path / "data").iterdir()
    assert left.name.startswith(".part-00000.parquet.")
