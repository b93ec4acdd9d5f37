"""Delta tables partitioned by image folder: files that Spark's tasks write, and one commit that makes them the table.

The tasks write Parquet files into the table's directory under names that are used once, and tell the driver; no
reader sees a file that the log does not name. One commit adds them and removes those that they replace
(``delta_log.py``). What a process that was killed has left there is deleted a day later (``maintenance.py``).
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
from spark_steps.tables.deferred_rows import DeferredRows, DriverRows, RowSource, rows_as_they_are
from spark_steps.tables.delta_log import DeltaLog
from spark_steps.tables.open_tables import LOG
from spark_steps.tables.partitions import contiguous_partitions, map_partitions
from spark_steps.tables.schemas import FOLDER, to_spark, with_folder, with_folder_column
from spark_steps.tables.snapshots import DataFile, FileChange, Snapshot, TableChangedError

# Imported where they are used: the small commands do without Spark, and without pandas, which pyarrow.dataset brings.
if TYPE_CHECKING:
    import pyarrow.dataset as ds
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["DamagedFileError", "DataFile", "FolderTable", "Snapshot", "TableChange", "TableChangedError"]

Found = TypeVar("Found")
_TRIES = 5
_SMALL_BYTES = 256 * 1024
# What pyarrow says of a damaged file with an OSError, where it has no other error for it; not what it says of S3, where
# the file's name is in the sentence.
_DAMAGE = re.compile("^(?!.*AWS Error).*(thrift|corrupt|end of stream|parquet)", re.IGNORECASE)
_ROWS_AT_A_TIME = 4096


class DamagedFileError(FruitsError):
    """A file of a table is cut short, no Parquet file, or of another table."""


@dataclass(frozen=True)
class TableChange:
    """Rows that come and files that go, planned on one version of a table.

    Attributes:
        rows: The rows that come, among them those that stay of files that go; None for none.
        removed: The files that go.
        base: The table that this was planned on.
        folders: The folders that change; nobody else may have changed them by the time of the commit.
        kept: How many of the rows stay, of files that go.
    """

    base: Snapshot = field(default_factory=Snapshot)
    rows: RowSource | None = None
    removed: Sequence[DataFile] = ()
    folders: frozenset[str] = frozenset()
    kept: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return self.rows is None and not self.removed


@dataclass(frozen=True)
class FolderTable:
    """A Delta table partitioned by image folder.

    Attributes:
        root: Its directory, a normalised location.
        schema: Its columns, the partition column ``folder`` left out.
        version: The version that is read; None for the newest, -1 for none, as before there was a table.
    """

    root: str
    schema: pa.Schema
    version: int | None = None

    @property
    def log(self) -> DeltaLog:
        """The table's log."""
        return DeltaLog(self.root, self.schema)

    def snapshot(self) -> Snapshot:
        """Returns the table at one version: the newest, unless it has a ``version``.

        Raises:
            FruitsError: The log cannot be read; or the table is one of an earlier release.
        """
        if self.version is not None and self.version < 0:
            return Snapshot()
        snapshot = self.log.snapshot(self.version)
        # A conversion that was interrupted leaves a table without a file.
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
        """Returns the files of the named folders, or of all, in a stable order; no file is opened."""
        wanted = None if folders is None else set(folders)
        return [file for file in self.snapshot().files if wanted is None or file.folder in wanted]

    @contextmanager
    def reading(self, file: DataFile, buffer_bytes: int = 0) -> Iterator[pq.ParquetFile]:
        """Opens a file of the table, and closes it: a small one in S3 takes one request, where it would take three.

        Args:
            file: The file.
            buffer_bytes: Read so many bytes at a time, for the first rows of a large file; 0: whole columns.

        Raises:
            TableChangedError: It has been vacuumed since it was looked up.
            DamagedFileError: It cannot be read.
            FruitsError: It belongs to a former version, and was vacuumed or held photos that were erased; or it lies
                behind a link.
        """
        with self._as_it_was_looked_up(file.path), self._opened(file, buffer_bytes) as opened:
            yield opened

    def _opened(self, file: DataFile, buffer_bytes: int) -> pq.ParquetFile:
        self._check_no_link(file)
        location = f"{self.root}/{file.path}"
        if locations.is_remote(self.root) and file.size <= _SMALL_BYTES:
            # No more of it than the log says that there is.
            return pq.ParquetFile(pa.BufferReader(locations.read_bytes(location, file.size)))
        # Asked for anew each time: a filesystem that is kept, or sent to a task, keeps its credentials.
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
        """Returns what a look at the table finds; one whose files are vacuumed meanwhile is begun again.

        Raises:
            TableChangedError: Every try met that.
        """
        for _ in range(_TRIES - 1):
            with suppress(TableChangedError):
                return look()
        return look()

    def scan(self, spark: "SparkSession", folders: Iterable[str] | None = None) -> "DataFrame":
        """Returns the rows of the named folders, or of all, as tasks read them with pyarrow: all columns, always.

        Spark's own reader, which reads the columns that are used, takes 8 requests in S3 for a small file and 2 for
        each folder, here it is one.
        """
        schema = with_folder(self.schema)

        def run(share: Iterator[DataFile]) -> Iterator[pa.RecordBatch]:
            for file in share:
                with self.reading(file) as opened:
                    for batch in opened.iter_batches(_ROWS_AT_A_TIME, columns=self.schema.names):
                        rows = pa.Table.from_batches([with_folder_column(batch, file.folder)])
                        yield from rows.select(schema.names).cast(schema).to_batches()

        shares = contiguous_partitions(self.files(folders), spark.sparkContext.defaultParallelism)
        return map_partitions(spark, shares, run, to_spark(schema))

    def arrow(
        self, columns: Sequence[str], folders: Iterable[str] | None = None, where: "ds.Expression | None" = None
    ) -> pa.Table:
        """Returns columns of the table in this process, without Spark: for counts, checks and reports.

        Args:
            columns: Columns of the schema, or ``folder``.
            folders: The folders to read; None for all.
            where: Rows to keep.
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
        """Plans the replacement of all rows of the named folders; other folders stay as they are.

        Args:
            rows: Rows with the schema's columns and ``folder``, none of other folders than those named.
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
            about: What the log is to say of it, such as the run; no path and no id of a photo.
            check: Called when all rows are written, and before each try to commit; may raise, and nothing changes then.

        Returns:
            The table's version after it, which is the old one where nothing changes.

        Raises:
            TableChangedError: Another process has changed one of the folders meanwhile: plan anew.
        """
        added: list[DataFile] = []
        if change.rows:
            # Before any file is written, and not only with the commit.
            locations.check_exclusive_writes(self.root)
            writer = f"part-{uuid.uuid4().hex[:12]}"
            try:
                if change.base.version < 0:
                    self.log.create()
                added = change.rows.write_files(self.root, writer)
            except BaseException:
                # At once and not a day later: the disk may be full.
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
        """Commits a change whose files are written; where it is not to be, they are deleted.

        Args:
            added: The files.
            change: What they belong to.
            about: As ``write`` has it.
            check: As ``write`` has it.

        Raises:
            TableChangedError: Another process has changed one of the folders meanwhile, or deleted the files because
                photos were erased or the write took longer than a day: plan anew.
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
        # After any other error nobody can tell whether the commit was made: the files stay, for a day if it was not.

    def _discard(self, paths: Iterable[str]) -> None:
        # For good: among these rows may be those of photos that were erased meanwhile.
        locations.delete_files_for_good(self.root, list(paths))

    def _as_row_source(self, rows: "DataFrame | DeferredRows | DriverRows") -> RowSource:
        if isinstance(rows, (DeferredRows, DriverRows)):
            return rows
        from pyspark.sql import functions as F

        columns = [F.col(field.name).cast(field.dataType).alias(field.name) for field in to_spark(self.schema)]
        # Each folder's rows together, so that a task has one file open at a time; and in an order that people expect.
        order = [FOLDER, *(["path"] if "path" in self.schema.names else [])]
        return DeferredRows(rows.select(*columns, FOLDER).sortWithinPartitions(*order), rows_as_they_are)

    def listing(self) -> dict[str, datetime]:
        """Returns when each Parquet file below the table's directory was written, whether the log names it or not.

        Links are not among them, nor what lies behind them.
        """
        _, root = locations.filesystem_of(self.root)
        infos = locations.list_own_files(self.root)
        paths = ((info.path.removeprefix(f"{root}/"), info) for info in infos if info.extension == "parquet")
        return {path: info.mtime for path, info in paths if not path.startswith(f"{LOG}/")}

    def drop(self, folders: Iterable[str], about: Mapping[str, str] | None = None) -> None:
        """Deletes the rows of the named folders; one that has none is no error."""
        named = list(folders)

        def drop() -> None:
            base = self.snapshot()
            gone = [file for file in base.files if file.folder in set(named)]
            change = TableChange(base, None, gone, frozenset(file.folder for file in gone))
            self.commit([], change, {**(about or {}), "change": "drop"})

        self.while_unchanged(drop)


def is_of_earlier_release(directory: str) -> bool:
    """Returns whether a directory in that of a table is one of those that releases without a log made there."""
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
