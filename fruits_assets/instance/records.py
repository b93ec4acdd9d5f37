"""Removal of texts from Dagster's records: from its databases, and from the captured output of steps.

The metadata of a materialization name the first rejected photos, and the configuration of an erasing run may name the
photos to erase. Dagster can only delete a whole run, which would leave the folders of that run unmaterialized. So the
runs stay, and the texts are replaced in every text column of every row.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as db

from fruits_assets.instance.internals import (
    RunStorageSqlMetadata,
    ScheduleStorageSqlMetadata,
    SqlEventLogStorageMetadata,
    SqlEventLogStorageTable,
    SqliteEventLogStorage,
)
from spark_steps.errors import FruitsError

ERASED_TEXT = "(erased)"
_HASH = re.compile("[0-9a-fA-F]{64}")
_ROWS_AT_A_TIME = 1000
Connect = Callable[[], AbstractContextManager[db.Connection]]
Replace = Callable[[str], str]


def forget(instance: dg.DagsterInstance, texts: Collection[str], alone: Collection[str] = ()) -> int:
    """Replaces texts in all records of a Dagster instance, and returns how many records have changed.

    Args:
        instance: The Dagster instance.
        texts: Paths from the root, and image ids.
        alone: Other names of the same photos, as ``replacement`` takes them.

    Raises:
        FruitsError: A database is locked.
    """
    replace = replacement(texts, alone)
    try:
        changed = sum(_forget_in(connect, tables, replace) for connect, tables in _databases(instance))
    except db.exc.OperationalError as error:
        raise FruitsError(
            f"Dagster's database in {instance.root_directory} is in use ({error.orig}). Close the UI, and erase "
            "again (fruits erase): it goes on from here."
        ) from error
    return changed + _forget_in_logs(Path(instance.root_directory) / "storage", replace)


def replacement(texts: Collection[str], alone: Collection[str] = ()) -> Replace:
    """Returns a function that replaces texts in a string, also where they are encoded as JSON once or twice.

    Args:
        texts: Replaced at any position; image ids in lower case and in upper case.
        alone: Replaced only where they are a whole string, a whole line, or a whole quoted string, as in a run's
            configuration: a short path such as ``1.jpg`` or ``Fig/1.jpg`` is also the end of other photos' paths.
    """
    given = {text.strip() for text in (*texts, *alone)}
    hashes = {text.lower() for text in given if _HASH.fullmatch(text)}
    patterns = [
        *(re.compile(any_of) for any_of in _alternatives(texts)),
        *(re.compile(rf"(?:^|(?<=[\"']))(?:{any_of})(?=\\*[\"']|$)", re.MULTILINE) for any_of in _alternatives(alone)),
    ]

    def replace(text: str) -> str:
        for pattern in patterns:
            text = pattern.sub(ERASED_TEXT, text)
        return (
            _HASH.sub(lambda found: ERASED_TEXT if found[0].lower() in hashes else found[0], text) if hashes else text
        )

    return replace


def _alternatives(texts: Collection[str]) -> Iterator[str]:
    others = sorted((text for text in set(texts) if text and not _HASH.fullmatch(text)), key=len, reverse=True)
    # One pattern for each encoding: its alternatives begin with the same folders, so that a match is fast.
    ways = {
        tuple(map(way, others)) for way in (str, _json, partial(_json, ascii_only=False), lambda t: _json(_json(t)))
    }
    yield from ("|".join(map(re.escape, way)) for way in ways if way)


def _json(text: str, *, ascii_only: bool = True) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]


def _databases(instance: dg.DagsterInstance) -> Iterator[tuple[Connect, list[db.Table]]]:
    events: Any = instance.event_log_storage
    if isinstance(events, SqliteEventLogStorage):
        for run_id in events.get_all_run_ids():
            yield partial(events.run_connection, run_id), [SqlEventLogStorageTable]
    yield events.index_connection, SqlEventLogStorageMetadata.sorted_tables
    runs: Any = instance.run_storage
    yield runs.connect, RunStorageSqlMetadata.sorted_tables
    if (schedules := instance.schedule_storage) is not None:
        ticks: Any = schedules
        yield ticks.connect, ScheduleStorageSqlMetadata.sorted_tables


def _forget_in(connect: Connect, tables: list[db.Table], replace: Replace) -> int:
    with connect() as connection:
        there = set(db.inspect(connection).get_table_names())
        changed = sum(_forget_in_table(connection, table, replace) for table in tables if table.name in there)
        is_sqlite = connection.dialect.name == "sqlite"
    if changed and is_sqlite:
        # Without these, the texts would stay in unused pages and in the write-ahead log.
        with connect() as connection:
            connection.exec_driver_sql("VACUUM")
        with connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return changed


def _forget_in_table(connection: db.Connection, table: db.Table, replace: Replace) -> int:
    keys = list(table.primary_key.columns)
    texts = [column for column in table.columns if isinstance(column.type, db.String) and not column.primary_key]
    if not keys or not texts:
        return 0
    updates = []
    for rows in connection.execute(db.select(*keys, *texts)).partitions(_ROWS_AT_A_TIME):
        for row in rows:
            values = dict(zip(texts, row[len(keys) :], strict=True))
            new = {column.name: replace(value) for column, value in values.items() if isinstance(value, str)}
            different = {name: value for name, value in new.items() if value != values[table.c[name]]}
            if different:
                updates.append((row[: len(keys)], different))
    for key, values_of_row in updates:
        same = db.and_(*(column == value for column, value in zip(keys, key, strict=True)))
        connection.execute(db.update(table).where(same).values(**values_of_row))
    return len(updates)


def _forget_in_logs(directory: Path, replace: Replace) -> int:
    changed = 0
    for file in [*directory.rglob("*.out"), *directory.rglob("*.err")]:
        text = file.read_bytes().decode(errors="surrogateescape")
        if (new := replace(text)) != text:
            file.write_bytes(new.encode(errors="surrogateescape"))
            changed += 1
    return changed
