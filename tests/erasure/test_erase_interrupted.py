"""An erasure that is killed after any step is finished by the next one."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
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

CHILD = """
import os, signal, sys
from spark_steps.erasure.carry_out import carry_out, decide
from spark_steps.erasure.plan import plan_erasure, read_request
from spark_steps.store.store import Store

images, root, path, steps = sys.argv[1:]
store = Store(root)
erasure = decide(store, plan_erasure(store, read_request([], [path], images), images))
for number, _ in enumerate(carry_out(store, erasure, images, lambda texts: 0)):
    if number == int(steps):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_erasure_that_is_killed_after_any_step_is_finished_by_the_next(
    images: str, tmp_path: Path, home: dg.DagsterInstance
) -> None:
    killed = 0
    for step in range(20):
        store = Store(str(tmp_path / f"store{step}"))
        photos = make_photos(images, ["Fig", "Plum"], 3)
        photos.append(Photo(images, "Plum", "copy.jpg", photos[0].content))
        write_photos(photos)
        write_rows(store, photos)
        before = rows_of(store)
        command = [sys.executable, "-c", CHILD, images, store.root, photos[0].location, str(step)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == 0:
            break
        killed += 1
        assert done.returncode == -9, done.stderr
        if locations.list_files(f"{store.erasures}/unfinished"):
            with pytest.raises(FruitsError, match=r"under way or was interrupted.*fruits erase"):
                refuse_while_erasing(store)
        _, said = erase_all(images, store, home, paths=[photos[0].location])
        assert said == [] or "was interrupted, and is finished now" in said[0]
        refuse_while_erasing(store)
        assert files_that_say(contents_below(images, store.root, tmp_path / "home"), photos[0].needles()) == {}
        for name, rows in rows_of(store).items():
            assert rows.equals(
                before[name].filter(
                    pc.invert(
                        pc.is_in(before[name]["path"], value_set=pc.cast([photos[0].path, photos[-1].path], "string"))
                    )
                )
            )
        assert [receipt["files"] for receipt in receipts(store)] == [2]
    assert killed == 10
