"""Removes rows from the tables, file by file, without Spark; the values of the other rows do not change."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from spark_steps.errors import FruitsError
from spark_steps.storage import locations
from spark_steps.storage.parallel import for_each
from spark_steps.tables.deferred_rows import write_file
from spark_steps.tables.folder_table import DamagedFileError, DataFile, FolderTable, TableChange, TableChangedError
from spark_steps.tables.footers import max_pixels_of
from spark_steps.tables.maintenance import delete_uncommitted, uncommitted_files

_NAME = "part-erasing"
# Each task of a write finishes a file every few minutes.
_STILL_WRITTEN_TO = timedelta(minutes=15)
# A file that is rewritten is held in memory, with its features.
_MOST_FILES_AT_A_TIME = 8
_ROWS_AT_A_TIME = 4096
# Size of files that the log does not name: it is above the limit below which a file is read whole.
_UNKNOWN_SIZE = sys.maxsize


@dataclass(frozen=True)
class RowPredicate:
    """Which rows to remove: rows of given photos under any path, and rows with given paths of any photo.

    Attributes:
        image_ids: The photos.
        paths: The paths, as in the tables.
    """

    image_ids: frozenset[str]
    paths: frozenset[str]

    @cached_property
    def _values(self) -> dict[str, pa.Array]:
        return {"path": pa.array(self.paths, pa.string()), "image_id": pa.array(self.image_ids, pa.string())}

    def mask(self, rows: pa.RecordBatch) -> pa.BooleanArray:
        """Returns for each row whether it is to be removed."""
        gone = pc.is_in(rows["path"], value_set=self._values["path"])
        if "image_id" in rows.schema.names:
            gone = pc.or_(gone, pc.is_in(rows["image_id"], value_set=self._values["image_id"]))
        return gone


@dataclass(frozen=True)
class Matches:
    """Rows to remove, in a table and in the other Parquet files of its directory.

    Attributes:
        image_ids: Their photos.
        paths: Their paths.
        folders: Number of rows in each folder, in the newest version.
        files: Files of the newest version with such rows.
        former: Files outside the newest version with such rows: of former versions, or not committed yet.
        former_folders: Folders of the rows in these files.
        unreadable: Files outside the newest version whose rows are unknown: truncated, or not Parquet.
    """

    image_ids: frozenset[str]
    paths: frozenset[str]
    folders: Counter[str]
    files: list[DataFile]
    former: list[str] = field(default_factory=list)
    former_folders: frozenset[str] = frozenset()
    unreadable: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Number of rows to remove from the newest version."""
        return self.folders.total()


def find_rows(table: FolderTable, doomed: RowPredicate) -> Matches:
    """Finds rows in a table and in the files of its former versions; reads ``path`` and ``image_id`` only."""
    return table.while_unchanged(lambda: _find_rows(table, doomed))


def _find_rows(table: FolderTable, doomed: RowPredicate) -> Matches:
    columns = [name for name in ("path", "image_id") if name in table.schema.names]

    def look(file: DataFile) -> pa.Table:
        with table.reading(file) as opened:
            if missing := [name for name in columns if name not in opened.schema_arrow.names]:
                raise DamagedFileError(f"{table.root}/{file.path} has no column {missing[0]}: it is of no such table.")
            batches = opened.iter_batches(_ROWS_AT_A_TIME, columns=columns)
            schema = pa.schema([table.schema.field(name) for name in columns])
            return pa.Table.from_batches([one.filter(doomed.mask(one)).cast(schema) for one in batches], schema)

    def look_if_readable(file: DataFile) -> pa.Table | None:
        try:
            return look(file)
        except (DamagedFileError, TableChangedError):
            # Truncated by a killed writer, or vacuumed since.
            return None

    # List the directory first: a file that is committed after the listing is then among the table's files.
    listed, files = table.listing(), table.files()
    others = [DataFile(path, "", _UNKNOWN_SIZE, 0) for path in sorted(listed.keys() - {file.path for file in files})]
    with locations.translate_errors(table.root):
        looked = for_each(look, files, _MOST_FILES_AT_A_TIME)
        of_others = list(zip(others, for_each(look_if_readable, others, _MOST_FILES_AT_A_TIME), strict=True))
    of_files = [(file, rows) for file, rows in zip(files, looked, strict=True) if rows.num_rows]
    of_former = [(file, rows) for file, rows in of_others if rows is not None and rows.num_rows]
    folders: Counter[str] = Counter()
    for file, rows in of_files:
        folders[file.folder] += rows.num_rows
    found, former = ([rows for _, rows in some] for some in (of_files, of_former))
    return Matches(
        image_ids=_values([*found, *former], "image_id") if "image_id" in columns else frozenset(),
        paths=_values([*found, *former], "path"),
        folders=folders,
        files=[file for file, _ in of_files],
        former=[file.path for file, _ in of_former],
        former_folders=frozenset(path.rpartition("/")[0] for path in _values(former, "path")),
        unreadable=[file.path for file, rows in of_others if rows is None],
    )


def _values(found: Iterable[pa.Table], column: str) -> frozenset[str]:
    return frozenset(value for rows in found for value in rows[column].to_pylist() if value is not None)


def check_nobody_writes(table: FolderTable) -> None:
    """Raises a FruitsError if a write seems to be in progress, on this machine or another."""
    for path, written in uncommitted_files(table).items():
        if not path.startswith(_NAME) and datetime.now(UTC) - written < _STILL_WRITTEN_TO:
            raise FruitsError(
                f"Something writes to {table.root}, last at {written:%H:%M} UTC. Wait until it has ended; if its "
                f"process was killed, wait until {written + _STILL_WRITTEN_TO:%H:%M} UTC."
            )


def remove_rows(table: FolderTable, doomed: RowPredicate) -> None:
    """Removes rows from a table in one commit: if the process ends early, the table has all of the rows or none.

    Files without such rows are not changed. Files with such rows are deleted at once, also those of former versions. So
    are uncommitted and unreadable files. A writer that planned on an earlier snapshot must plan again, and then finds
    the note of the erasure.
    """
    exists = table.snapshot().version >= 0
    if exists:
        # Do this first: commits made before are found below, and changes planned before can no longer be committed.
        table.log.outdate_plans()
        table.while_unchanged(lambda: _remove_rows(table, doomed))
        delete_uncommitted(table, table.listing())
    found = find_rows(table, doomed)
    locations.delete_files(table.root, found.former)
    if found.unreadable:
        if exists:
            # A compaction may be writing one of them: it does not check for notes of erasures.
            table.log.outdate_plans()
        committed = {file.path for file in table.files()}
        locations.delete_files(table.root, [path for path in found.unreadable if path not in committed])


def _remove_rows(table: FolderTable, doomed: RowPredicate) -> None:
    base = table.snapshot()
    files = find_rows(table, doomed).files
    folders = frozenset(file.folder for file in files)

    def rewrite(file: DataFile) -> list[DataFile]:
        parts = _kept(table, file, doomed)
        # Write no empty file: with it the folder would stay in the table for ever.
        first = next(parts, None)
        if first is None:
            return []
        every = chain([first], parts)
        return [write_file(table.root, file.folder, every, _NAME, max_pixels_of(table, [file]))]

    with locations.translate_errors(table.root):
        written = [new for some in for_each(rewrite, files, _MOST_FILES_AT_A_TIME) for new in some]
    change = TableChange(base, None, files, folders, kept=sum(file.rows for file in written))
    table.commit(written, change, {"change": "erase"})


def _kept(table: FolderTable, file: DataFile, doomed: RowPredicate) -> Iterator[pa.RecordBatch]:
    for batch in table.batches(file):
        kept = batch.filter(pc.invert(doomed.mask(batch)))
        if kept.num_rows:
            yield kept
