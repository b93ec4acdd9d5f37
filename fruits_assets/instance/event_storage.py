"""An event storage for SQLite that writes the events of a range of folders in one transaction.

Dagster's own storage opens a connection, compiles its statements and waits for the disk for each event in each of two
databases. A run of thousands of folders has two events for each folder and asset. ``dagster.yaml`` names this storage.
Files and tables are the same as those of Dagster's own storage, so each of the two can read what the other has written.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as db
from dagster import EventLogEntry

from fruits_assets.instance.internals import ConfigurableClassData, SqliteEventLogStorage
from spark_steps.environment import export_default

# The number of events of a range that Dagster stores at a time; without the variable, one.
_BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE"
_EVENTS_AT_A_TIME = 512


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's storage for SQLite, with one transaction for a batch of events in each database that it touches."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._batch = threading.local()
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

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Stores all of the events or none."""
        with self._db_lock, ExitStack() as connections:
            self._batch.connections, self._batch.opened = connections, {}
            try:
                for event in events:
                    self.store_event(event)
            finally:
                self._batch.connections = None

    @contextmanager
    def _connect(self, shard: str) -> Iterator[db.Connection]:
        connections: ExitStack | None = getattr(self._batch, "connections", None)
        if connections is None:
            with super()._connect(shard) as connection:
                yield connection
            return
        opened: dict[str, db.Connection] = self._batch.opened
        if shard not in opened:
            opened[shard] = connections.enter_context(super()._connect(shard))
        yield opened[shard]
