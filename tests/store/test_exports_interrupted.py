"""Ctrl-C in the middle of an export."""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.studies.exports.stores import make_store

# Their export takes a second or so.
PHOTOS = 10_000


def bytes_below(directory: Path) -> int:
    # A file may be renamed meanwhile.
    with suppress(FileNotFoundError):
        return sum(file.stat().st_size for file in directory.rglob("*"))
    return 0


@pytest.mark.parametrize("kind", ["npz", "tfrecord", "huggingface"])
def test_an_export_that_is_interrupted_leaves_nothing(kind: str, tmp_path: Path) -> None:
    store = make_store(PHOTOS, tmp_path / "store")
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-m", "fruits_assets", "export", "--store", store.root, "--features", "full", "--split"]
    process = subprocess.Popen(
        [*command, f"--{kind}", str(out / "fruits")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    # In the middle: the first megabyte of it is written.
    while process.poll() is None and bytes_below(out) < 1 << 20:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    told, problem = process.communicate(timeout=60)
    assert (process.returncode, told) == (130, "")
    assert problem.startswith("Interrupted. Run again: fruits export --store")
    assert list(out.iterdir()) == []
