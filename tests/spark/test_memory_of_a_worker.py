"""What decoding one photo takes of a worker's memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.photo_corpus import BAD, MAX_PIXELS, png
from tests.support.project import PROJECT

# What docs/running.md says of the largest photos; smaller files may take no more.
MEBIBYTES_OF_A_WORKER = 900
DECODE = f"""
import re, sys
from pathlib import Path
from spark_steps.errors import UnusablePhotoError
from spark_steps.photos.decoding import decode
try:
    decode(Path(sys.argv[1]).read_bytes(), {MAX_PIXELS})
except UnusablePhotoError:
    pass
print(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text()).group(1))
"""


# Not by getrusage, which counts what the process that started this one had at that moment.
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak of one process alone")
@pytest.mark.parametrize(
    "name", ["pixels above the limit", "a row of 100 million", "a tile above the limit", "largest"]
)
def test_the_memory_of_a_worker_is_bounded(name: str, tmp_path: Path) -> None:
    data = png(20_000, 6_000) if name == "largest" else BAD[name][1]()
    (tmp_path / "photo").write_bytes(data)
    command = [sys.executable, "-c", DECODE, str(tmp_path / "photo")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) // 1024 < MEBIBYTES_OF_A_WORKER


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the memory of one process alone")
def test_hundreds_of_mutated_heics_and_avifs_neither_end_the_process_nor_let_it_grow(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.formats.mutated_photos", "1100", "5"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    outcomes, growth = done.stdout.splitlines()
    assert "(224, 224, 3)" in outcomes
    assert "damaged" in outcomes
    assert int(growth) < 20
