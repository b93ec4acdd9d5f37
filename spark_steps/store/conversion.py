"""Converts stores of an earlier release to Delta tables, in place and without running the network.

Tables of that release were directories ``folder=<folder>`` of Parquet files, with whole locations in ``path``. Numbered
notes in ``_replacing`` recorded which files replaced which. A replacement that was recorded but not completed is
completed here. Old files are deleted after a commit has added the new ones, so an interrupted conversion can be
repeated.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from spark_steps.errors import FruitsError
from spark_steps.storage import locations
from spark_steps.store.store import IMAGES_PROPERTY, Store
from spark_steps.tables.deferred_rows import write_file
from spark_steps.tables.folder_table import FolderTable, TableChange, is_of_earlier_release
from spark_steps.tables.schemas import FOLDER, conform

_NOTES = "_replacing"
_ROWS_AT_A_TIME = 4096


@dataclass(frozen=True)
class _OldFile:
    """A file of an old table: the folder whose rows it holds, and its path below the table's root."""

    folder: str
    path: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def convert(store: Store, report: Callable[[str], None]) -> bool:
    """Converts a store, and returns whether there was anything to convert.

    Args:
        store: The store.
        report: Called with a message about each converted table.

    Raises:
        FruitsError: Its photos are of several images folders, or something cannot be read or written.
    """
    tables = {name: table for name, table in store.tables.items() if _old_directories(table)}
    for name, table in tables.items():
        with locations.translate_errors(table.root):
            # An interrupted conversion may have committed this table already.
            if not table.log.snapshot().files:
                rows = _convert_table(store, table)
                report(f"{name}: {rows:,} rows")
            for directory in _old_directories(table):
                locations.delete_directory(f"{table.root}/{directory}")
    return bool(tables)


def _old_directories(table: FolderTable) -> list[str]:
    return [name for name in locations.list_directories(table.root) if is_of_earlier_release(name)]


def _convert_table(store: Store, table: FolderTable) -> int:
    table.log.create()
    roots: set[str] = set()
    added = []
    for file in sorted(_old_files(table), key=lambda one: (one.folder, one.path)):
        batches = _converted(table, file, roots)
        if (first := next(batches, None)) is not None:
            added.append(write_file(table.root, file.folder, chain([first], batches)))
    if len(roots) > 1:
        raise FruitsError(f"The photos of {table.root} are of several images folders: {', '.join(sorted(roots))}.")
    if roots and table == store.raw_images:
        table.log.set_property(IMAGES_PROPERTY, roots.pop(), None)
    change = TableChange(table.log.snapshot(), folders=frozenset(file.folder for file in added))
    table.commit(added, change, {"change": "convert"})
    return sum(file.rows for file in added)


def _converted(table: FolderTable, file: _OldFile, roots: set[str]) -> Iterator[pa.RecordBatch]:
    """Yields the rows of an old file with paths relative to the images root, and adds that root to ``roots``."""
    filesystem, path = locations.filesystem_of(f"{table.root}/{file.path}")
    column = table.schema.get_field_index("path")
    with pq.ParquetFile(path, filesystem=filesystem) as opened:
        for batch in opened.iter_batches(_ROWS_AT_A_TIME, columns=table.schema.names):
            whole = batch["path"].to_pylist()
            paths = [f"{file.folder}/{location.rpartition('/')[2]}" for location in whole]
            roots.update(location.removesuffix(f"/{below}") for location, below in zip(whole, paths, strict=True))
            if paths:
                yield conform(batch, table.schema).set_column(column, "path", pa.array(paths, pa.string()))


def _old_files(table: FolderTable) -> list[_OldFile]:
    """Returns the files of the old table, as they are after a replacement that was recorded but not completed."""
    _, root = locations.filesystem_of(table.root)
    infos = locations.list_files(table.root, recursive=True)
    paths = [info.path.removeprefix(f"{root}/") for info in infos if info.extension == "parquet"]
    in_place = [_OldFile(_folder(path), path) for path in paths if path.startswith(f"{FOLDER}=")]
    note = _unfinished_note(table)
    if note is None:
        return in_place
    waiting = f"{_NOTES}/{note['id']}/"
    waits = [_OldFile(_folder(path.removeprefix(waiting)), path) for path in paths if path.startswith(waiting)]
    come = {(folder, name) for folder, names in note["folders"].items() for name in names}
    new = {(file.folder, file.name): file for file in (*waits, *in_place) if (file.folder, file.name) in come}
    if len(new) < len(come):
        # Some new files are lost: keep the old ones.
        return [file for file in in_place if (file.folder, file.name) not in come]
    go = note.get("go")
    stay = [
        file
        for file in in_place
        if file.folder not in note["folders"] or (go is not None and file.name not in go.get(file.folder, ()))
    ]
    return [*new.values(), *(file for file in stay if (file.folder, file.name) not in come)]


def _folder(path: str) -> str:
    return unquote(path.partition("/")[0].removeprefix(f"{FOLDER}="))


def _unfinished_note(table: FolderTable) -> Mapping[str, Any] | None:
    """Returns the note of a replacement that was recorded but not completed, None if there is none."""
    names = [info.base_name for info in locations.list_files(f"{table.root}/{_NOTES}")]
    ended = {name.partition("-")[0] for name in names if name.endswith((".done", ".void"))}
    notes = sorted(name for name in names if name.endswith(".json") and name.removesuffix(".json") not in ended)
    if not notes:
        return None
    with suppress(ValueError, FileNotFoundError):
        note: dict[str, Any] = json.loads(locations.read_bytes(f"{table.root}/{_NOTES}/{notes[-1]}"))
        if isinstance(note.get("folders"), dict) and isinstance(note.get("id"), str):
            return note
    raise FruitsError(f"{table.root}/{_NOTES}/{notes[-1]} is damaged. Delete it, and convert again.")
