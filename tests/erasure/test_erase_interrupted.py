"""An erasure that is killed after any step is finished by the next one."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from spark_steps.erasure.carry_out import refuse_while_erasing
from spark_steps.errors import FruitsError
from spark_steps.storage import locations
from spark_steps.store.store import Store
from tests.support.erasing import erase_all, receipts
from tests.support.small_store import (
    Photo,
    contents_below,
    files_that_say,
    make_photos,
    rows_of,
    write_photos,
    write_rows,
)

# It forks before it uses a table, because to import it all takes longer than to erase.
ERASE_AND_DIE = """
import os, signal, sys
from spark_steps.erasure.carry_out import carry_out, decide
from spark_steps.erasure.plan import plan_erasure, read_request
from spark_steps.store.store import Store

def erase(directory, path, last_step):
    images, store = f"{directory}/images", Store(f"{directory}/store")
    erasure = decide(store, plan_erasure(store, read_request([], [f"{images}/{path}"], images), images))
    for number, _ in enumerate(carry_out(store, erasure, images, lambda texts: 0)):
        if number == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

path, *directories = sys.argv[1:]
for step, directory in enumerate(directories):
    if (child := os.fork()) == 0:
        erase(directory, path, step)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
STEPS = 14


def test_an_erasure_that_is_killed_after_any_step_is_finished_by_the_next(
    tmp_path: Path, home: dg.DagsterInstance
) -> None:
    # One of them is not killed.
    places = [tmp_path / str(step) for step in range(STEPS + 1)]
    all_photos, all_rows = [], []
    for place in places:
        photos = make_photos(str(place / "images"), ["Fig", "Plum"], 3)
        photos.append(Photo(photos[0].images, "Plum", "copy.jpg", photos[0].content))
        write_photos(photos)
        write_rows(Store(str(place / "store")), photos)
        all_photos.append(photos)
        all_rows.append(rows_of(Store(str(place / "store"))))
    command = [sys.executable, "-c", ERASE_AND_DIE, all_photos[0][0].path, *map(str, places)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split() == ["-9"] * STEPS + ["0"], done.stderr
    for place, photos, before in zip(places[:STEPS], all_photos, all_rows, strict=False):
        finish(place, photos, before, home)
    assert files_that_say(contents_below(tmp_path), all_photos[0][0].needles()) == {}


def finish(place: Path, photos: list[Photo], before: dict[str, pa.Table], home: dg.DagsterInstance) -> None:
    """Finishes the erasure of the first photo and its copy, and looks whether it is whole then."""
    store, images = Store(str(place / "store")), photos[0].images
    if locations.list_files(f"{store.erasures}/unfinished"):
        with pytest.raises(FruitsError, match=r"under way or was interrupted.*fruits erase"):
            refuse_while_erasing(store)
    _, said = erase_all(images, store, home, paths=[photos[0].location])
    assert said == [] or "was interrupted, and is finished now" in said[0]
    refuse_while_erasing(store)
    gone = pc.cast([photos[0].path, photos[-1].path], "string")
    for name, rows in rows_of(store).items():
        assert rows.equals(before[name].filter(pc.invert(pc.is_in(before[name]["path"], value_set=gone))))
    assert [receipt["files"] for receipt in receipts(store)] == [2]
