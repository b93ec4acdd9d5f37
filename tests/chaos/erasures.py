"""``fruits erase`` in a process of its own, ended by itself or killed after so many of its lines."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from spark_steps.store.store import Store
from spark_steps.tables.maintenance import uncommitted_files
from tests.support.small_store import contents_below, files_that_say

DEADLINE_SECONDS = 120
_AN_HOUR = 3600
# What `fruits erase` says on its way, in its order.
LINES = (
    "tombstones are set",
    "files are gone",
    "raw_images has no rows",
    "mobilenet_features has no rows",
    "reduced_features has no rows",
    "photo_splits has no rows",
    "photo_audit has no rows",
    "raw_images has no former",
    "mobilenet_features has no former",
    "reduced_features has no former",
    "photo_splits has no former",
    "photo_audit has no former",
    "records of Dagster",
    "the receipt is written",
)


def erase(images: Path, store: str, home: Path, paths: Iterable[Path], killed_at: str | None = None) -> tuple[int, str]:
    """Erases photos; returns the exit code, negative for a signal, and what was said.

    Args:
        images: The images root.
        store: The store.
        home: Of Dagster.
        paths: The photos; none, to finish what was interrupted.
        killed_at: What it says when it is killed; None for not at all.
    """
    home.mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).parent / "fruits"), "erase", "--images", str(images), "--store", store, "--yes"]
    process = subprocess.Popen(
        [*command, *(word for path in paths for word in ("--path", str(path)))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "DAGSTER_HOME": str(home)},
        text=True,
    )
    told = ""
    assert process.stdout is not None
    for line in process.stdout:
        told += line
        if killed_at and killed_at in line:
            process.kill()
    return process.wait(DEADLINE_SECONDS), told


def an_hour_passes(store: Store) -> None:
    """Makes what killed runs have left in a store so old that nobody can still be writing it."""
    for table in store.tables.values():
        for path in uncommitted_files(table):
            os.utime(f"{table.root}/{path}", (time.time() - _AN_HOUR,) * 2)


def traces(store: Store, images: Path, needles: Iterable[bytes]) -> list[str]:
    """Returns the files that still say something of erased photos."""
    return sorted(files_that_say(contents_below(store.root, images), needles))
