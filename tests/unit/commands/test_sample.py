"""The command ``fruits sample``."""

import resource
import subprocess
import sys
from pathlib import Path

from PIL import Image

# Bytes that a file may have in a process that is not to finish: less than those of a photo.
LONGEST_FILE = 1000


def test_a_sample_that_could_not_be_finished_has_no_part_of_a_photo_and_is_finished_by_the_next_call(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "fruits_assets", "sample", "--out", str(tmp_path), "--photos", "2"]
    disturbed = subprocess.run(
        command,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LONGEST_FILE, LONGEST_FILE)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert disturbed.returncode == 1
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.stdout == f"16 photos in {tmp_path}\n", finished.stderr
    for file in tmp_path.rglob("*.jpg"):
        with Image.open(file) as photo:
            photo.load()
