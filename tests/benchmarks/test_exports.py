"""The study of exports works, and what it measures: memory does not grow with the photos."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# With 10,000 photos an export has not taken all the memory that it takes with any number. The many have 410 MB more.
FEW, MANY, BYTES_OF_PHOTO = 20_000, 100_000, 1280 * 4


@pytest.mark.timeout(600)
def test_an_export_of_many_photos_takes_no_more_memory_than_one_of_few(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.studies.exports", "--photos", str(FEW), "--photos", str(MANY)]
    command += [word for kind in ("npz", "parquet", "tfrecord", "huggingface") for word in ("--kind", kind)]
    command += ["--work", str(tmp_path), "--json", str(tmp_path / "out.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"| npz | {MANY:,} |" in done.stdout
    outcomes = json.loads((tmp_path / "out.json").read_text())["outcomes"]
    peaks = {(one["kind"], one["photos"]): one["resident_bytes"] for one in outcomes}
    assert len(peaks) == 8
    grown = {kind: peaks[kind, MANY] - peaks[kind, FEW] for kind, photos in peaks if photos == MANY}
    assert {kind: more for kind, more in grown.items() if more > (MANY - FEW) * BYTES_OF_PHOTO / 4} == {}
    assert all(one["written_bytes"] > one["photos"] * BYTES_OF_PHOTO for one in outcomes)
