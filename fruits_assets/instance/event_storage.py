"""An event storage for SQLite that writes the events of a range of folders in one transaction.

Dagster's own storage makes an engine, compiles its statements and waits for the disk for each event in each of two
databases. A run of thousands of folders has two events for each folder and asset. ``dagster.yaml`` names this storage.
Files and tables are the same as those of Dagster's own storage, so each of the two can read what the other has written.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import sqlalchemy as db
from dagster import AssetKey, EventLogEntry

from fruits_assets.instance.internals import (
    ASSET_EVENTS,
    SQLITE_BUSY_TIMEOUT_SECONDS,
    ConfigurableClassData,
    SqlEventLogStorageTable,
    SqliteEventLogStorage,
)
from spark_steps.environment import export_default

# The number of events of a range that Dagster stores at a time; without the variable, one.
_BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE"
_EVENTS_AT_A_TIME = 512


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's storage for SQLite, with one engine, and one transaction for a batch in each database it touches."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._batch = threading.local()
        self._engine = self._make_engine()
        super().__init__(base_dir, inst_data)
        # Reentrant: a batch opens the connection to its second database while it holds the lock for the first.
        self._db_lock = threading.RLock()  # type: ignore[assignment]
        export_default(_BATCH_SIZE, str(_EVENTS_AT_A_TIME))

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "BatchedSqliteEventLogStorage":
        """Returns the storage of the Dagster home ``base_dir``, in the directory that Dagster's own storage uses."""
        return cls(str(Path(config_value["base_dir"]) / "history" / "runs"), inst_data)

    def has_table(self, table_name: str) -> bool:
        """Returns whether the database of all runs has a table."""
        with self.index_connection() as connection:
            return bool(connection.dialect.has_table(connection, table_name))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Stores all of the events or none."""
        with self._db_lock, ExitStack() as connections:
            self._batch.connections, self._batch.opened = connections, {}
            try:
                for (run_id, of_assets), alike in groupby(events, _run_and_kind):
                    if of_assets:
                        self._store_asset_events(run_id, list(alike))
                    else:
                        for event in alike:
                            self.store_event(event)
            finally:
                self._batch.connections = None

    def _store_asset_events(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        """Stores what ``store_event`` does for one event after the other, with one statement for each table."""
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        with self.index_connection() as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
            # Since the first row nobody else can write, and SQLite gives each row the number after the greatest.
            last: int = connection.execute(db.select(db.func.max(SqlEventLogStorageTable.c.id))).scalar_one()
            numbered = list(enumerate(events, last - len(events) + 1))
            self._store_asset_event_tags(connection, events, [number for number, _ in numbered])
            # The row of an asset has what the last event of each type says.
            latest = {_asset_and_type(event): (number, event) for number, event in numbered}
            for number, event in sorted(latest.values(), key=itemgetter(0)):
                self._store_asset_event(connection, event, number)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[db.Connection]:
        connections: ExitStack | None = getattr(self._batch, "connections", None)
        if connections is None:
            with self._connect_anew(shard) as connection:
                yield connection
            return
        opened: dict[str, db.Connection] = self._batch.opened
        if shard not in opened:
            opened[shard] = connections.enter_context(self._connect_anew(shard))
        yield opened[shard]

    @contextmanager
    def _connect_anew(self, shard: str) -> Iterator[db.Connection]:
        with self._db_lock:
            self._opening = self.path_for_shard(shard)
            if shard not in self._initialized_dbs:
                self._initdb(self._engine)
                self._initialized_dbs.add(shard)
            with self._engine.begin() as connection:
                yield connection

    def _make_engine(self) -> db.Engine:
        """Returns an engine that connects to the database ``_opening``, which only the holder of the lock sets.

        To make an engine takes longer than to store an event, and an engine keeps the statements that it has compiled.
        It keeps no connection, so no process and no thread waits for one that nobody uses.
        """
        engine = db.create_engine(
            "sqlite:///of-the-shard", poolclass=db.NullPool, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
        )

        @db.event.listens_for(engine, "do_connect")
        def _to_shard(dialect: Any, record: Any, arguments: list[Any], options: Any) -> None:
            arguments[:] = [self._opening]

        return engine


def _run_and_kind(event: EventLogEntry) -> tuple[str, bool]:
    return event.run_id, event.is_dagster_event and event.dagster_event_type in ASSET_EVENTS


def _asset_and_type(event: EventLogEntry) -> tuple[AssetKey | None, str]:
    of_asset = event.get_dagster_event()
    return of_asset.asset_key, of_asset.event_type_value
