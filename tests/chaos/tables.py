"""Processes that write, read, compact, vacuum and erase the same folders at once, and are killed while they do.

``python -m tests.chaos.tables --seed 1 --seconds 60 --store DIR|s3``. Equal seeds make equal writes and deaths; what
meets what is up to the machine. What was seen is compared with what was committed (``replay.py``).
"""

import os
import random
import shutil
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import click
import pyarrow as pa

from spark_steps.erasure.carry_out import (
    carry_out,
    decide,
    finished,
    refuse_after_erasing,
    refuse_while_erasing,
    unfinished,
)
from spark_steps.erasure.plan import Plan, Source
from spark_steps.errors import FruitsError
from spark_steps.photos.listing import plan_raw_images
from spark_steps.storage import object_store, s3_address
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import DataFile, FolderTable, Snapshot, TableChange, TableChangedError
from spark_steps.tables.maintenance import MaintenanceLimits, compact, maintain, vacuum
from spark_steps.tables.schemas import RAW_IMAGES_SCHEMA, by_folder
from tests.chaos.race import Race, Taker
from tests.chaos.replay import Folders, Journal, Rows, Verdict, judge
from tests.chaos.s3_store import faulty_store

# Folders of which one commit replaces both, and folders whose rows change one by one.
PAIRS = (("Left", "Right"), ("Links/é", "Rechts %41"))
SINGLE = ("Apple", "folder=x", "quo'te", "a b")
_COLUMNS = [*RAW_IMAGES_SCHEMA.names, "folder"]
_TRIES = 5
_MOST_ROWS = 12
# One that is killed is soon there again: nothing is imported anew. So this process itself must use no table before.
_PROCESSES = get_context("fork")


def table_of(rows: Rows) -> pa.Table:
    """Returns rows of the table, of which each column follows from path and length."""
    return pa.Table.from_pylist([row_of(path, length) for path, length in sorted(rows.items())], RAW_IMAGES_SCHEMA)


def row_of(path: str, length: int) -> dict[str, object]:
    """Returns a row, the folder left out."""
    changed = datetime.fromtimestamp(length, UTC)
    label = path.rpartition("/")[0].rpartition("/")[2]
    return {"path": path, "label": label, "length": length, "modification_time": changed, "error": None}


def _pairs(rows: pa.Table) -> Iterator[tuple[str, int]]:
    """Yields path and length of each row, -1 for the length of one whose columns do not belong together."""
    for row in rows.select(_COLUMNS).to_pylist():
        path, length = row["path"], row["length"]
        expected = {**row_of(path, length), "folder": path.rpartition("/")[0]}
        yield path, length if row == expected else -1


def rows_of(table: FolderTable, files: list[DataFile]) -> Rows:
    """Returns the rows of some files."""
    found: dict[str, int] = {}
    for file in files:
        with table.reading(file) as opened:
            rows = opened.read(columns=["path", "length"])
        found.update(zip(rows["path"].to_pylist(), rows["length"].to_pylist(), strict=True))
    return found


def write(taker: Taker) -> None:
    """Changes some folders in one commit, planned anew where others were first, as a run does."""
    refuse_while_erasing(taker.store)
    erased = finished(taker.store)
    draw = taker.randomly.choice((_turn, _turn, _add, _add, _add, _change, _remove, _replace))
    folders = taker.randomly.choice(PAIRS) if draw is _turn else (taker.randomly.choice(SINGLE),)
    for tries_left in reversed(range(_TRIES)):
        name = f"{draw.__name__.strip('_')} {taker.name} {uuid.uuid4().hex[:8]}"
        table = taker.named(name).raw_images
        try:
            change = _planned(taker, table, folders, draw, name)
            version = table.write(change, {}, lambda: refuse_after_erasing(taker.store, erased))
        except TableChangedError:
            taker.note("ended", "writes planned anew")
            if not tries_left:
                raise
            continue
        if not change.is_empty:
            taker.note("committed", time.monotonic(), name, version)
        return


_Draw = Callable[[random.Random, Folders], Folders]


def _planned(taker: Taker, table: FolderTable, folders: tuple[str, ...], draw: _Draw, name: str) -> TableChange:
    base = table.snapshot()
    found = {folder: rows_of(table, files) for folder, files in by_folder(base.files, folders).items()}
    made = draw(taker.randomly, found)
    change = plan_raw_images(table, {folder: table_of(rows) for folder, rows in made.items()})
    # It has looked by itself, perhaps later.
    if any(_differ(base, change.base, folder) for folder in folders):
        raise TableChangedError("What was read is of another version than what was planned on.")
    taker.note("plans", name, found, made)
    return change


def _differ(one: Snapshot, other: Snapshot, folder: str) -> bool:
    return one.paths(folder) != other.paths(folder)


def _turn(randomly: random.Random, found: Folders) -> Folders:
    """Replaces all rows of two folders by those of the next generation."""
    generation = 1 + max((length for rows in found.values() for length in rows.values()), default=0)
    count = randomly.randint(1, 6)
    return {folder: dict.fromkeys(_new(randomly, folder, count), generation) for folder in found}


def _add(randomly: random.Random, found: Folders) -> Folders:
    return {folder: {**rows, **_new(randomly, folder, randomly.randint(1, 3))} for folder, rows in found.items()}


def _change(randomly: random.Random, found: Folders) -> Folders:
    changed = {path for rows in found.values() for path in _some(randomly, rows, 2)}
    return {folder: {path: n + (path in changed) for path, n in rows.items()} for folder, rows in found.items()}


def _remove(randomly: random.Random, found: Folders) -> Folders:
    gone = {path for rows in found.values() for path in _some(randomly, rows, max(2, len(rows) - _MOST_ROWS))}
    return {folder: {path: n for path, n in rows.items() if path not in gone} for folder, rows in found.items()}


def _replace(randomly: random.Random, found: Folders) -> Folders:
    return {folder: _new(randomly, folder, randomly.randint(0, 4)) for folder in found}


def _new(randomly: random.Random, folder: str, count: int) -> Rows:
    return {f"{folder}/{randomly.randrange(16**12):012x}.jpg": 1 for _ in range(count)}


def _some(randomly: random.Random, rows: Rows, most: int) -> list[str]:
    return randomly.sample(sorted(rows), min(most, len(rows)))


def read(taker: Taker) -> None:
    """Looks at the table as the platform does."""
    table, began = taker.store.raw_images, time.monotonic()
    low = table.snapshot().version
    rows = table.arrow(_COLUMNS)
    taker.note("looked", "FolderTable", began, low, table.snapshot().version, list(_pairs(rows)))


def read_plainly(taker: Taker) -> None:
    """Looks at the table as any program does that reads Delta tables."""
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    root, began = taker.store.raw_images.root, time.monotonic()
    try:
        table = DeltaTable(
            root, storage_options=object_store.object_store_options(root) if s3_address.is_s3(root) else None
        )
        rows = table.to_pyarrow_table()
    except (TableNotFoundError, FileNotFoundError, OSError) as error:
        # Before there is one; and where a file was vacuumed since the log was read.
        taker.note("ended", f"plain looks begun again ({type(error).__name__})")
        time.sleep(0.1)
        return
    if table.count() != rows.num_rows:
        taker.note("broken", f"the log counts {table.count()} rows in version {table.version()}, not {rows.num_rows}")
    taker.note("looked", "deltalake alone", began, table.version(), table.version(), list(_pairs(rows)))


def tidy(taker: Taker) -> None:
    """Merges files of a folder, some time after it has looked, or keeps some folders in order as a run does."""
    table = taker.named(f"compact {taker.name}").raw_images
    folder = taker.randomly.choice([*SINGLE, *(folder for pair in PAIRS for folder in pair)])
    if taker.randomly.random() < 0.3:
        maintain(table, [folder], MaintenanceLimits(timedelta(days=1), most_files=3), {})
        return
    files = table.files([folder])
    time.sleep(taker.randomly.choice((0, 0, 0.01, 0.05)))
    if len(files) > 1 and not compact(table, taker.randomly.sample(files, taker.randomly.randint(2, len(files))), {}):
        taker.note("ended", "compactions given up")


def clear(taker: Taker) -> None:
    """Deletes what has been replaced, at once or an hour later."""
    gone = vacuum(taker.store.raw_images, taker.randomly.choice((timedelta(0), timedelta(0), timedelta(hours=1))))
    for _ in gone:
        taker.note("ended", "files vacuumed")
    time.sleep(taker.randomly.choice((0.05, 0.2)))


def erase(taker: Taker) -> None:
    """Erases the photos of some rows, and finishes what one before that was killed had begun."""
    begun = unfinished(taker.store, taker.race.images)
    if not begun:
        taker.rest(taker.randomly.uniform(1, 3) * taker.race.slowness)
        rows = rows_of(taker.store.raw_images, taker.store.raw_images.files())
        locations = [f"{taker.race.images}/{path}" for path in _some(taker.randomly, rows, 2)]
        begun = [decide(taker.store, Plan(frozenset(), [Source(one, None, False, 0) for one in locations], {}))]
    for erasure in begun:
        paths = sorted(erasure.doomed(taker.race.images).paths)
        taker.note("erases", f"erase {erasure.name}", paths)
        for _ in carry_out(taker.named(f"erase {erasure.name}"), erasure, taker.race.images, lambda _: 0):
            pass
        taker.note("erased", time.monotonic(), paths)


ROLES: Mapping[str, Callable[[Taker], None]] = {
    "writer 1": write,
    "writer 2": write,
    "writer 3": write,
    "reader 1": read,
    "reader 2": read,
    "plain reader": read_plainly,
    "compactor": tidy,
    "vacuum": clear,
    "eraser": erase,
}


def take_part(race: Race, role: str, life: int) -> None:
    """Does a role's work again and again until the race is over."""
    os.environ.update(race.environment)
    taker = Taker(race, f"{role}, life {life}")
    while not race.is_over:
        _do(taker, role)


def _do(taker: Taker, role: str) -> None:
    try:
        ROLES[role](taker)
    except FruitsError as error:
        taker.note("ended", f"tries of a {role.rstrip(' 123')} that said: {_general(error)}")
        time.sleep(0.02)
    except Exception:
        taker.note("broken", f"{taker.name}: {traceback.format_exc()[-1500:]}")


def _general(error: FruitsError) -> str:
    return "photos are or were erased" if "eras" in str(error) else " ".join(str(error).split())[-120:]


def run(race: Race, seconds: float) -> Verdict:
    """Lets processes take part for some time, kills some of them meanwhile, and judges what was seen."""
    randomly = random.Random(race.seed)  # noqa: S311
    race.directory.mkdir(parents=True, exist_ok=True)
    lives = dict.fromkeys(ROLES, 1)
    processes = {role: _start(race, role, 1) for role in ROLES}
    killed, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(randomly.uniform(0.3, 1.5) * race.slowness)
        role = randomly.choice([role for role in ROLES if "reader" not in role])
        if processes[role].is_alive():
            processes[role].kill()
            processes[role].join()
            killed += 1
            lives[role] += 1
            processes[role] = _start(race, role, lives[role])
    (race.directory / "over").touch()
    hanging = [role for role, process in processes.items() if not _ends(process)]
    table = Store(race.store).raw_images
    # All is quiet: once more, by both readers.
    for role in ("reader 1", "plain reader"):
        _do(Taker(race, f"last {role}"), role)
    journal = Journal.read(race.directory)
    journal.ended["processes killed"] += killed
    journal.broken += [f"{role} hangs" for role in hanging]
    return judge(journal, reversed(table.log.history()))


def _start(race: Race, role: str, life: int) -> BaseProcess:
    process = _PROCESSES.Process(target=take_part, args=(race, role, life), name=role, daemon=True)
    process.start()
    return process


def _ends(process: BaseProcess) -> bool:
    process.join(120)
    if process.is_alive():
        process.kill()
        return False
    return True


@click.command()
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--seconds", type=float, default=60, show_default=True)
@click.option("--store", default="", help="A new directory, or s3 for an emulated one; by default a temporary one.")
@click.option("--faults", type=float, default=0.0, show_default=True, help="Share of S3's requests that fail.")
def main(seed: int, seconds: float, store: str, faults: float) -> None:
    """Lets processes race, and ends with 1 where a row was lost, doubled or wrong."""
    directory = Path(tempfile.mkdtemp(prefix="fruits-races-"))
    with ExitStack() as open_until:
        race = Race(store or f"{directory}/store", directory / "notes", seed)
        if store == "s3":
            in_s3 = open_until.enter_context(faulty_store(seed))
            in_s3.fails(faults)
            race = Race(in_s3.root, directory / "notes", seed, in_s3.variables)
        verdict = run(race, seconds)
        if store == "s3":
            verdict.ended += in_s3.injected
    click.echo(verdict.report())
    if not verdict.is_clean:
        click.echo(f"What is left lies in {directory}; the same again: --seed {seed}")
        sys.exit(1)
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()
