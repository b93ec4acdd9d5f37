"""Dagster's events of thousands of folders: stored in batches, whole or not at all, and as Dagster itself would."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import EventLogEntry

from fruits_assets.assets.metadata import add_to_partitions
from fruits_assets.instance.event_storage import BatchedSqliteEventLogStorage
from fruits_assets.instance.home import ensure_dagster_home
from fruits_assets.instance.internals import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    SqliteEventLogStorage,
)

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


def materialize(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    instance.add_dynamic_partitions("folders", FOLDERS)
    job = dg.Definitions([table], jobs=[dg.define_asset_job("all", [table])]).resolve_job_def("all")
    tags = {ASSET_PARTITION_RANGE_START_TAG: FOLDERS[0], ASSET_PARTITION_RANGE_END_TAG: FOLDERS[-1]}
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
    instance: dg.DagsterInstance, run_id: str
) -> None:
    storage: Any = instance.event_log_storage
    before = instance.all_logs(run_id)
    again = [event for event in before if event.asset_materialization][:3]
    with pytest.raises(Exception, match="not an event"):
        storage.store_event_batch([*again, "not an event"])
    records = instance.fetch_materializations(table.key, limit=5000).records
    assert (len(instance.all_logs(run_id)), len(records)) == (len(before), len(FOLDERS))
    storage.store_event_batch(again)
    assert len(instance.all_logs(run_id)) == len(before) + 3


def test_a_batch_takes_one_connection_to_each_database(
    instance: dg.DagsterInstance, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [event for event in instance.all_logs(run_id) if event.asset_materialization]
    connect, connections = SqliteEventLogStorage._connect, []

    def counted(storage: SqliteEventLogStorage, shard: str) -> Any:
        connections.append(shard)
        return connect(storage, shard)

    monkeypatch.setattr(SqliteEventLogStorage, "_connect", counted)
    instance.event_log_storage.store_event_batch(events)
    assert sorted(connections) == sorted([run_id, "index"])
