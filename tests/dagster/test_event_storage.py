"""Dagster's events of thousands of folders: stored in batches, whole or not at all, and as Dagster itself would."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType, EventLogEntry
from sqlalchemy import event as listening
from sqlalchemy.exc import NoSuchTableError

from fruits_assets.assets.metadata import add_to_partitions
from fruits_assets.instance.event_storage import BatchedSqliteEventLogStorage
from fruits_assets.instance.home import ensure_dagster_home
from fruits_assets.instance.internals import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    SqliteEventLogStorage,
)

BATCHED = (DagsterEventType.ASSET_MATERIALIZATION_PLANNED, DagsterEventType.ASSET_MATERIALIZATION)
WHEN_IT_WAS_WRITTEN = ("create_timestamp", "migration_completed")
FOLDERS = [f"F{number:04}" for number in range(600)]
PARTITIONS = dg.DynamicPartitionsDefinition(name="folders")


class TellsItsFolder(dg.IOManager):
    """Gives each partition metadata of its own."""

    def handle_output(self, context: dg.OutputContext, obj: int) -> None:
        add_to_partitions(context.step_context, {folder: {"folder": folder} for folder in context.asset_partition_keys})

    def load_input(self, context: dg.InputContext) -> None: ...


@dg.asset(partitions_def=PARTITIONS, backfill_policy=dg.BackfillPolicy.single_run(), io_manager_def=TellsItsFolder())
def table() -> int:
    return 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home with a run of all folders, and the id of the run."""
    root = tmp_path_factory.mktemp("events")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(root / "home"))
        patch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
        home = ensure_dagster_home(str(root / "store"))
        with dg.DagsterInstance.get() as instance:
            return home, materialize(instance).run_id


@pytest.fixture
def home(made: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to which a test may add."""
    copy = shutil.copytree(made[0], tmp_path / "home")
    monkeypatch.setenv("DAGSTER_HOME", str(copy))
    return copy


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as instance:
        yield instance


@pytest.fixture
def run_id(made: tuple[Path, str]) -> str:
    return made[1]


def materialize(instance: dg.DagsterInstance, folders: Sequence[str] = FOLDERS) -> dg.ExecuteInProcessResult:
    instance.add_dynamic_partitions("folders", folders)
    job = dg.Definitions([table], jobs=[dg.define_asset_job("all", [table])]).resolve_job_def("all")
    tags = {ASSET_PARTITION_RANGE_START_TAG: folders[0], ASSET_PARTITION_RANGE_END_TAG: folders[-1]}
    return job.execute_in_process(instance=instance, tags=tags)


def folders_told(events: list[EventLogEntry]) -> list[tuple[Any, Any]]:
    made = [event.asset_materialization for event in events if event.asset_materialization]
    return sorted((one.partition, one.metadata["folder"].value) for one in made)


def test_each_folder_of_a_range_has_one_materialization_that_is_its_own(
    instance: dg.DagsterInstance, home: Path, run_id: str
) -> None:
    assert isinstance(instance.event_log_storage, BatchedSqliteEventLogStorage)
    assert folders_told(list(instance.all_logs(run_id))) == [(folder, folder) for folder in FOLDERS]
    assert instance.get_materialized_partitions(table.key) == set(FOLDERS)
    # Where Dagster's own storage would have put them, and as it reads them.
    own = SqliteEventLogStorage(str(home / "history" / "runs"))
    assert folders_told(list(own.get_logs_for_run(run_id))) == [(folder, folder) for folder in FOLDERS]
    assert own.get_materialized_partitions(table.key) == set(FOLDERS)


def test_a_batch_that_cannot_be_stored_whole_leaves_nothing_in_either_database(
    instance: dg.DagsterInstance, home: Path, run_id: str
) -> None:
    storage: Any = instance.event_log_storage
    before = instance.all_logs(run_id)
    again = [event for event in before if event.asset_materialization][:3]
    # The last table that a batch writes, after those with the events.
    with closing(sqlite3.connect(home / "history" / "runs" / "index.db")) as index:
        index.execute("ALTER TABLE asset_keys RENAME TO mislaid")
        with pytest.raises(NoSuchTableError, match="asset_keys"):
            storage.store_event_batch(again)
        index.execute("ALTER TABLE mislaid RENAME TO asset_keys")
    records = instance.fetch_materializations(table.key, limit=5000).records
    assert (len(instance.all_logs(run_id)), len(records)) == (len(before), len(FOLDERS))
    storage.store_event_batch(again)
    assert len(instance.all_logs(run_id)) == len(before) + 3


def test_a_batch_leaves_the_rows_that_dagster_leaves_one_by_one(home: Path, tmp_path: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        events = instance.all_logs(materialize(instance, FOLDERS[:20]).run_id)
    of_range = [event for event in events if event.dagster_event_type in BATCHED]
    assert len(of_range) == 40
    own, ours = tmp_path / "own", tmp_path / "ours"
    one_by_one = SqliteEventLogStorage(str(own))
    for event in of_range:
        one_by_one.store_event(event)
    BatchedSqliteEventLogStorage(str(ours)).store_event_batch(of_range)
    assert rows_below(ours) == rows_below(own)
    assert len(rows_below(ours)["index.db", "event_logs"]) == 40


def rows_below(directory: Path) -> dict[tuple[str, str], list[Any]]:
    """Returns the rows of all tables in the databases of a directory, without the times at which they were written."""
    found = {}
    for file in directory.glob("*.db"):
        with closing(sqlite3.connect(file)) as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table_name,) in tables:
                names = [name for _, name, *_ in database.execute(f"PRAGMA table_info({table_name})")]
                columns = ", ".join(f'"{name}"' for name in names if name not in WHEN_IT_WAS_WRITTEN)
                rows = database.execute(f"SELECT {columns} FROM {table_name}").fetchall()  # noqa: S608
                found[file.name, table_name] = rows
    return found


def test_a_batch_takes_one_connection_to_each_database(instance: dg.DagsterInstance, run_id: str) -> None:
    events = [event for event in instance.all_logs(run_id) if event.asset_materialization]
    # The first connection to the index of an instance looks whether it is of this release.
    assert instance.get_latest_materialization_event(table.key)
    storage: Any = instance.event_log_storage
    opened: list[str] = []
    listening.listen(
        storage._engine, "do_connect", lambda dialect, record, path, options: opened.append(Path(path[0]).stem)
    )
    storage.store_event_batch(events)
    assert sorted(opened) == sorted([run_id, "index"])


def test_several_threads_and_a_second_process_store_events_at_once(instance: dg.DagsterInstance, home: Path) -> None:
    run_id = materialize(instance, FOLDERS[:60]).run_id
    events = [event for event in instance.all_logs(run_id) if event.asset_materialization]
    batches = [events[start : start + 10] for start in range(0, len(events), 10)]
    other = "import dagster as dg, sys; "
    other += "storage = dg.DagsterInstance.get().event_log_storage; events = storage.get_logs_for_run(sys.argv[1]); "
    other += "made = [event for event in events if event.asset_materialization][:10]; "
    other += "[storage.store_event_batch(made) for _ in range(6)]; [storage.store_event(event) for event in made[:5]]"
    with subprocess.Popen([sys.executable, "-c", other, run_id]) as process, ThreadPoolExecutor(6) as threads:
        list(threads.map(instance.event_log_storage.store_event_batch, batches))
        list(threads.map(instance.event_log_storage.store_event, events[:5]))
        assert process.wait(120) == 0
    # Those of the run, of the batches here and there, and one by one here and there.
    stored = 60 + 60 + 60 + 5 + 5
    assert len(folders_told(list(instance.all_logs(run_id)))) == stored
    assert len(instance.fetch_materializations(table.key, limit=5000).records) == len(FOLDERS) + stored
