"""Delta tables partitioned by image folder: Spark's tasks write the files, and one commit adds them to the table.

The tasks write Parquet files with unique names into the table's directory, and return the names to the driver. Readers
ignore files that the log does not name. One commit adds the new files and removes those that they replace
(``delta_log.py``). Files left by a killed process are deleted a day later (``maintenance.py``).
"""

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from spark_steps.errors import FruitsError
from spark_steps.storage import locations
from spark_steps.tables.deferred_rows import DeferredRows, DriverRows, FrameRows, RowSource
from spark_steps.tables.delta_log import DeltaLog
from spark_steps.tables.open_tables import LOG
from spark_steps.tables.partitions import contiguous_partitions, frame_of
from spark_steps.tables.schemas import FOLDER, conform, to_spark, with_folder, with_folder_column
from spark_steps.tables.snapshots import DataFile, FileChange, Snapshot, TableChangedError

# Imported where they are used: small commands need neither Spark nor pandas, which pyarrow.dataset imports.
if TYPE_CHECKING:
    import pyarrow.dataset as ds
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["DamagedFileError", "DataFile", "FolderTable", "Snapshot", "TableChange", "TableChangedError"]

Found = TypeVar("Found")
_TRIES = 5
_SMALL_BYTES = 256 * 1024
# Messages of the OSErrors by which pyarrow reports a damaged file. Errors of S3 are excluded: their messages contain
# the file's name, and so the word "parquet".
_DAMAGE = re.compile("^(?!.*AWS Error).*(thrift|corrupt|end of stream|parquet)", re.IGNORECASE)
_ROWS_AT_A_TIME = 4096


class DamagedFileError(FruitsError):
    """A file of a table is truncated, not a Parquet file, or has the columns of another table."""


@dataclass(frozen=True)
class TableChange:
    """Rows to add and files to remove, planned on one snapshot of a table.

    Attributes:
        rows: The rows to write, including rows of removed files that stay; None for none.
        removed: The files to remove.
        base: The snapshot that the change was planned on.
        folders: The folders that change. The commit fails if another process has changed one of them since.
        kept: How many of the rows are rows of removed files that stay.
    """

    base: Snapshot = field(default_factory=Snapshot)
    rows: RowSource | None = None
    removed: Sequence[DataFile] = ()
    folders: frozenset[str] = frozenset()
    kept: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether the change adds no row and removes no file."""
        return self.rows is None and not self.removed


@dataclass(frozen=True)
class FolderTable:
    """A Delta table partitioned by image folder.

    Attributes:
        root: Its directory, a normalised location.
        schema: Its columns without the partition column ``folder``.
        version: The version to read; None for the newest, -1 for an empty table, from before its first version.
    """

    root: str
    schema: pa.Schema
    version: int | None = None

    @property
    def log(self) -> DeltaLog:
        """The table's log."""
        return DeltaLog(self.root, self.schema)

    def snapshot(self) -> Snapshot:
        """Returns the table at ``version``, or at the newest version if that is None.

        Raises:
            FruitsError: The log cannot be read, or the table was written by an earlier release.
        """
        if self.version is not None and self.version < 0:
            return Snapshot()
        snapshot = self.log.snapshot(self.version)
        # An interrupted conversion leaves a log without files beside the old directories.
        if not snapshot.files:
            self._refuse_unconverted()
        return snapshot

    def _refuse_unconverted(self) -> None:
        if any(is_of_earlier_release(name) for name in locations.list_directories(self.root)):
            raise FruitsError(
                f"{self.root} is a table of an earlier release. Convert its store with the command fruits convert, "
                "which runs no photo again."
            )

    def folders(self) -> list[str]:
        """Returns the folders that have rows, sorted."""
        return sorted({file.folder for file in self.snapshot().files})

    def files(self, folders: Iterable[str] | None = None) -> list[DataFile]:
        """Returns the files of the given folders, or of all, in a stable order, without opening them."""
        wanted = None if folders is None else set(folders)
        return [file for file in self.snapshot().files if wanted is None or file.folder in wanted]

    @contextmanager
    def reading(self, file: DataFile, buffer_bytes: int = 0) -> Iterator[pq.ParquetFile]:
        """Opens a file of the table, and closes it. A small file in S3 takes one request instead of three.

        Args:
            file: The file.
            buffer_bytes: Bytes to read at a time, for the first rows of a large file; 0 to read whole columns.

        Raises:
            TableChangedError: The file has been vacuumed since it was looked up.
            DamagedFileError: The file cannot be read.
            FruitsError: The file belongs to a former version, and was vacuumed or held photos that were erased; or its
                path contains a symbolic link.
        """
        with self._as_it_was_looked_up(file.path), self._opened(file, buffer_bytes) as opened:
            yield opened

    def batches(
        self, file: DataFile, columns: Iterable[str] | None = None, rows: int = _ROWS_AT_A_TIME
    ) -> Iterator[pa.RecordBatch]:
        """Yields the rows of a file, with columns that were added to the table since it was written as null.

        Args:
            file: The file.
            columns: Columns of the schema; None for all.
            rows: Most rows of a batch.
        """
        schema = pa.schema([self.schema.field(name) for name in columns or self.schema.names])
        with self.reading(file) as opened:
            for batch in opened.iter_batches(rows, columns=schema.names):
                yield conform(batch, schema)

    def _opened(self, file: DataFile, buffer_bytes: int) -> pq.ParquetFile:
        self._check_no_link(file)
        location = f"{self.root}/{file.path}"
        if locations.is_remote(self.root) and file.size <= _SMALL_BYTES:
            # Read at most the size in the log: the file itself may be larger.
            return pq.ParquetFile(pa.BufferReader(locations.read_bytes(location, file.size)))
        # Request a fresh filesystem: one that is cached, or sent to a task, keeps its old credentials.
        filesystem, path = locations.filesystem_of(location)
        return pq.ParquetFile(path, filesystem=filesystem, pre_buffer=not buffer_bytes, buffer_size=buffer_bytes)

    def _check_no_link(self, file: DataFile) -> None:
        if locations.leads_elsewhere(self.root, file.path):
            raise FruitsError(
                f"{self.root}/{file.path} is a link, or lies behind one, as no file of a table does. Find out who made "
                "it."
            )

    @contextmanager
    def _as_it_was_looked_up(self, path: str = "") -> Iterator[None]:
        try:
            with (
                locations.translate_errors(self.root),
                _translate_damage(f"{self.root}/{path}" if path else f"A file of {self.root}"),
            ):
                yield
        except FileNotFoundError as error:
            if self.version is not None:
                raise FruitsError(
                    f"Version {self.version} of {self.root} can no longer be read: files of it were deleted, because "
                    "they were replaced longer than FRUITS_KEEP_DAYS ago, or held photos that have been erased. Give a "
                    "later version, or a later moment."
                ) from error
            raise TableChangedError(
                f"{self.root} was changed while it was read. Try again; if that does not help, files that its log "
                "names are lost: take the table from a backup, or delete its directory and run again."
            ) from error

    def while_unchanged(self, look: Callable[[], Found]) -> Found:
        """Runs a read of the table, and retries it if files were vacuumed meanwhile.

        Args:
            look: The read.

        Returns:
            The result of the read.

        Raises:
            TableChangedError: Files were vacuumed during each of the attempts.
        """
        for _ in range(_TRIES - 1):
            with suppress(TableChangedError):
                return look()
        return look()

    def scan(self, spark: "SparkSession", folders: Iterable[str] | None = None) -> "DataFrame":
        """Returns the rows of the given folders, or of all, with all columns; tasks read them with pyarrow.

        Spark's own reader reads only the columns that are used, but makes 8 requests to S3 for a small file and 2 for
        each folder. This reader makes 1 request for a small file.
        """

        def run(share: Iterator[DataFile]) -> Iterator[pa.RecordBatch]:
            for file in share:
                yield from (with_folder_column(batch, file.folder) for batch in self.batches(file))

        shares = contiguous_partitions(self.files(folders), spark.sparkContext.defaultParallelism)
        return frame_of(spark, shares, run, to_spark(with_folder(self.schema)))

    def arrow(
        self, columns: Sequence[str], folders: Iterable[str] | None = None, where: "ds.Expression | None" = None
    ) -> pa.Table:
        """Reads columns of the table into this process, without Spark: for counts, checks and reports.

        Args:
            columns: Columns of the schema, or ``folder``.
            folders: The folders to read; None for all.
            where: Filter for the rows to keep; None for all.
        """
        named = None if folders is None else list(folders)
        return self.while_unchanged(lambda: self._to_arrow(columns, named, where))

    def _to_arrow(
        self, columns: Sequence[str], folders: Iterable[str] | None, where: "ds.Expression | None"
    ) -> pa.Table:
        import pyarrow.dataset as ds

        filesystem, root = locations.filesystem_of(self.root)
        files = self.files(folders)
        for file in files:
            self._check_no_link(file)
        fragments = [
            ds.ParquetFileFormat().make_fragment(
                f"{root}/{file.path}", filesystem, ds.field(FOLDER) == file.folder, file_size=file.size
            )
            for file in files
        ]
        dataset = ds.FileSystemDataset(fragments, with_folder(self.schema), ds.ParquetFileFormat(), filesystem)
        with self._as_it_was_looked_up():
            return dataset.to_table(columns=list(columns), filter=where)

    def replacement(self, rows: "DataFrame | DeferredRows | DriverRows", folders: Sequence[str]) -> TableChange:
        """Plans the replacement of all rows of the given folders; other folders do not change.

        Args:
            rows: Rows with the schema's columns and ``folder``, of these folders only.
            folders: The folders.
        """
        base, named = self.snapshot(), frozenset(folders)
        removed = [file for file in base.files if file.folder in named]
        return TableChange(base, self._as_row_source(rows) if named else None, removed, named)

    def write(
        self, change: TableChange, about: Mapping[str, str] | None = None, check: Callable[[], None] = lambda: None
    ) -> int:
        """Computes and writes the rows of a change, and commits it.

        Args:
            change: The change.
            about: Metadata of the commit, such as the run; no path and no id of a photo.
            check: Called when all rows are written, before each attempt to commit. If it raises, nothing changes.

        Returns:
            The table's version after the commit; the old version if the change is empty.

        Raises:
            TableChangedError: Another process has changed one of the folders meanwhile; the change must be planned
                again.
        """
        added: list[DataFile] = []
        if change.rows:
            # The commit checks this too. Check before any file is written, so that no work is lost.
            locations.check_exclusive_writes(self.root)
            writer = f"part-{uuid.uuid4().hex[:12]}"
            try:
                if change.base.version < 0:
                    self.log.create()
                added = change.rows.write_files(self.root, writer)
            except BaseException:
                # Delete these files now and not a day later: the disk may be full.
                self._discard(path for path in self.listing() if path.startswith(writer))
                raise
        return self.commit(added, change, about, check)

    def commit(
        self,
        added: Sequence[DataFile],
        change: TableChange,
        about: Mapping[str, str] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> int:
        """Commits a change whose files are written; deletes the files if the change is refused.

        Args:
            added: The files.
            change: The change.
            about: As in ``write``.
            check: As in ``write``.

        Returns:
            As ``write`` does.

        Raises:
            TableChangedError: The change must be planned again: another process has changed one of the folders
                meanwhile, or has deleted the files because photos were erased or the write took longer than a day.
        """
        if not added and not change.removed:
            return change.base.version

        def discard() -> None:
            self._discard(file.path for file in added)

        def checked() -> None:
            try:
                check()
            except BaseException:
                discard()
                raise

        try:
            files = FileChange(added, change.removed, change.base, change.folders, change.kept)
            return self.log.commit(files, about or {}, checked)
        except TableChangedError:
            discard()
            raise
        # After any other error it is unknown whether the commit was made, so the files stay. If it was not made, they
        # are deleted after a day.

    def _discard(self, paths: Iterable[str]) -> None:
        # Delete all object versions too: these files may hold rows of photos that were erased meanwhile.
        locations.delete_files_for_good(self.root, list(paths))

    def _as_row_source(self, rows: "DataFrame | DeferredRows | DriverRows") -> RowSource:
        if isinstance(rows, (DeferredRows, DriverRows)):
            return rows
        from pyspark.sql import functions as F

        columns = [F.col(field.name).cast(field.dataType).alias(field.name) for field in to_spark(self.schema)]
        # Sort by folder, so that a task has one file open at a time, and by path, the order that people expect.
        order = [FOLDER, *(["path"] if "path" in self.schema.names else [])]
        return FrameRows(rows.select(*columns, FOLDER).sortWithinPartitions(*order))

    def listing(self) -> dict[str, datetime]:
        """Returns the modification time of each Parquet file below the table's directory, in the log or not, by path.

        Symbolic links are not followed.
        """
        _, root = locations.filesystem_of(self.root)
        infos = locations.list_own_files(self.root)
        paths = ((info.path.removeprefix(f"{root}/"), info) for info in infos if info.extension == "parquet")
        return {path: info.mtime for path, info in paths if not path.startswith(f"{LOG}/")}

    def drop(self, folders: Iterable[str], about: Mapping[str, str] | None = None) -> None:
        """Deletes the rows of the given folders; a folder without rows is not an error."""
        named = list(folders)

        def drop() -> None:
            base = self.snapshot()
            gone = [file for file in base.files if file.folder in set(named)]
            change = TableChange(base, None, gone, frozenset(file.folder for file in gone))
            self.commit([], change, {**(about or {}), "change": "drop"})

        self.while_unchanged(drop)


def is_of_earlier_release(directory: str) -> bool:
    """Returns whether earlier releases, which had no log, made a directory of this name in a table's directory."""
    return directory.startswith(f"{FOLDER}=") or directory == "_replacing"


@contextmanager
def _translate_damage(where: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OSError) as error:
        detail = str(error).partition("\n")[0]
        if isinstance(error, OSError) and (error.errno is not None or not _DAMAGE.search(detail)):
            raise
        raise DamagedFileError(
            f"{where} is damaged, or no file of this table: {detail}. Take the table from a backup, or delete its "
            "directory and run again."
        ) from error
