"""Directories that come and go while they are listed."""

import os
import threading
from pathlib import Path

from spark_steps.storage import locations


def test_a_directory_that_others_create_and_delete_meanwhile_is_empty_or_listed_and_never_an_error(
    tmp_path: Path,
) -> None:
    directory, over = tmp_path / "table", threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            (directory / "folder=Apple").mkdir(parents=True)
            (directory / "folder=Apple").rmdir()
            directory.rmdir()

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        found = {tuple(locations.list_directories(str(directory))) for _ in range(3000)}
    finally:
        over.set()
        other.join()
    assert found <= {(), ("folder=Apple",)}
    assert not os.path.lexists(directory)
