"""Parquet tables with one directory per image folder: ``<root>/folder=<folder>/part-*.parquet``.

Folders are replaced so that whatever ends a process, and whoever writes at the same time, no folder is left with half
of its rows, or with rows twice:

1. The tasks write the new files to ``<root>/_replacing/<id>``, where no reader looks, and tell the driver their names;
   a name is used once, so that what a task that failed has left there counts for nothing;
   what a process that was killed has left there is deleted by a write a day later.
2. A note says which files come. It appears in one piece, one at a time, and is the moment at which the new rows replace
   the old ones (``replacements.py``).
3. The files come, those that were there go, and a mark says that it is done.

Whoever meets a note without its mark does the third step again, which changes nothing where it has been done. Other
readers, such as pandas, see ``folder=*`` alone; in the third step they may see a folder's old files and its new ones.
Spark's dynamic overwrite deletes and renames one directory after the other, and on S3, where a rename is a copy, takes
25 requests for each file.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import fs

from spark_steps import s3, storage
from spark_steps.folder_names import directory_name, folder_of
from spark_steps.replacements import FEW_FOLDERS, REPLACING, Progress, Replacements, TableChangedError, new_id
from spark_steps.s3_versions import delete_directory_for_good
from spark_steps.schemas import FOLDER, to_spark, with_folder
from spark_steps.session import rows_in_partitions
from spark_steps.task_rows import TaskRows, rows_as_they_are

# Imported where they are used: the small commands do without Spark, and without pandas, which pyarrow.dataset brings.
if TYPE_CHECKING:
    import pyarrow.dataset as ds
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

Found = TypeVar("Found")
Item = TypeVar("Item")
_FILES_AT_A_TIME = 16
_TRIES = 5
_SMALL_BYTES = 256 * 1024
_ROWS_AT_A_TIME = 4096
# No task takes that long: files without a note are then those of a process that was killed.
_LEFT_OVER_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table.

    Attributes:
        path: Its path on the table's filesystem.
        folder: The image folder whose rows it holds.
        size: Bytes.
        modified: When it was written, seconds since 1970; with path and size it says that a file is the same one.
    """

    path: str
    folder: str
    size: int
    modified: float = 0.0


@dataclass(frozen=True)
class FolderTable:
    """A Parquet table partitioned by image folder.

    Attributes:
        root: Its directory, a normalised place.
        schema: Its columns, the partition column ``folder`` left out.
    """

    root: str
    schema: pa.Schema

    def directory(self, folder: str) -> str:
        """Returns the directory of one folder's rows."""
        return f"{self.root}/{directory_name(folder)}"

    @property
    def replacements(self) -> Replacements:
        """What has been, is and will be replaced."""
        return Replacements(self.root, self.directory)

    def folders(self) -> list[str]:
        """Returns the folders that have a directory, sorted."""
        found = map(folder_of, self.replacements.unchanged(lambda: storage.list_directories(self.root)))
        return sorted(folder for folder in found if folder is not None)

    def paths(self, folders: Iterable[str] | None = None) -> list[tuple[str, str]]:
        """Returns (folder, path) of each Parquet file of the named folders, or of all, in a stable order."""
        return [(file.folder, file.path) for file in self.files(folders)]

    def files(self, folders: Iterable[str] | None = None) -> list[DataFile]:
        """Returns the Parquet files of the named folders, or of all, in a stable order; no file is opened."""
        wanted = None if folders is None else set(folders)
        if wanted is not None and len(wanted) <= FEW_FOLDERS:
            infos = self.replacements.unchanged(lambda: self._list_each(wanted))
        else:
            infos = self.list_all()
        _, root = storage.filesystem_of(self.root)
        found = []
        for info in infos:
            directory, _, name = info.path.removeprefix(f"{root}/").partition("/")
            folder = folder_of(directory)
            if folder is None or info.extension != "parquet" or "/" in name:
                continue
            if wanted is None or folder in wanted:
                found.append(DataFile(info.path, folder, info.size, info.mtime_ns / 1e9))
        return sorted(found, key=lambda file: (file.folder, file.path))

    def _list_each(self, folders: Iterable[str]) -> list[fs.FileInfo]:
        with ThreadPoolExecutor(_FILES_AT_A_TIME) as pool:
            return list(chain.from_iterable(pool.map(storage.list_files, map(self.directory, sorted(folders)))))

    def list_all(self) -> list[fs.FileInfo]:
        """Lists the whole table at once: in S3 a request for 1,000 files, where a folder by itself takes one.

        Files below ``_replacing`` are among them.
        """
        replacements = self.replacements
        if not s3.is_s3(self.root):
            return replacements.unchanged(lambda: storage.list_files(self.root, recursive=True))
        infos = storage.list_files(self.root, recursive=True)
        # In S3 a listing comes in the order of names, the notes before the folders.
        notes = f"/{REPLACING}/"
        seen = Progress.of_names(info.base_name for info in infos if notes in info.path)
        if seen.under_way or replacements.progress() != seen:
            return replacements.unchanged(lambda: storage.list_files(self.root, recursive=True))
        return infos

    def open(self, file: DataFile) -> pq.ParquetFile:
        """Opens a file of the table: a small one in S3 by one request, where footer and columns would take three.

        Raises:
            TableChangedError: It has been replaced since it was listed.
        """
        with self._as_it_was_listed():
            if s3.is_s3(self.root) and file.size <= _SMALL_BYTES:
                return pq.ParquetFile(pa.BufferReader(storage.read_bytes(s3.SCHEME + file.path)))
            # Asked for anew each time: a filesystem that is kept, or sent to a task, keeps its credentials.
            filesystem, _ = storage.filesystem_of(self.root)
            return pq.ParquetFile(file.path, filesystem=filesystem, pre_buffer=True)

    @contextmanager
    def _as_it_was_listed(self) -> Iterator[None]:
        try:
            with s3.in_sentences(self.root):
                yield
        except FileNotFoundError as error:
            raise TableChangedError(f"{self.root} was changed while it was read. Try again.") from error

    def while_unchanged(self, look: Callable[[], Found]) -> Found:
        """Returns what a look at the table finds; one that meets a replacement is begun again.

        Raises:
            TableChangedError: Every try met one.
        """
        for _ in range(_TRIES - 1):
            with suppress(TableChangedError):
                return look()
        return look()

    @contextmanager
    def reading(self, file: DataFile) -> Iterator[pq.ParquetFile]:
        """Opens a file of the table, as ``open`` does, and closes it.

        Raises:
            TableChangedError: It has been replaced since it was listed.
            FruitsError: S3 refused.
        """
        with self._as_it_was_listed(), self.open(file) as opened:
            yield opened

    def scan(self, spark: "SparkSession", folders: Iterable[str] | None = None) -> "DataFrame":
        """Returns the rows of the named folders, or of all, as tasks read them with pyarrow: all columns, always.

        Spark's own reader, which reads the columns that are used, takes 8 requests in S3 for a small file and 2 for
        each folder, here it is one.
        """
        schema = with_folder(self.schema)

        def run(share: Iterator[DataFile]) -> Iterator[pa.RecordBatch]:
            for file in share:
                for batch in self.open(file).iter_batches(_ROWS_AT_A_TIME, columns=self.schema.names):
                    folder = pa.array([file.folder] * len(batch), pa.string())
                    rows = pa.Table.from_batches([batch]).append_column(FOLDER, folder)
                    yield from rows.select(schema.names).cast(schema).to_batches()

        shares = contiguous_shares(self.files(folders), spark.sparkContext.defaultParallelism)
        return map_shares(spark, shares, run, to_spark(schema))

    def read(self, spark: "SparkSession", folders: Iterable[str] | None = None) -> "DataFrame":
        """Returns the rows of the named folders, or of all; folders without rows are no error."""
        schema = to_spark(with_folder(self.schema))
        # Files and not directories: Spark would list them once more, perhaps in the middle of a replacement.
        scheme = s3.SCHEME if s3.is_s3(self.root) else ""
        paths = [scheme + file.path for file in self.files(folders)]
        if not paths:
            return _no_rows(spark, schema)
        return spark.read.schema(schema).options(basePath=self.root, **storage.PLAIN_PATHS).parquet(*paths)

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

        filesystem, _ = storage.filesystem_of(self.root)
        fragments = [
            ds.ParquetFileFormat().make_fragment(
                file.path, filesystem, ds.field(FOLDER) == file.folder, file_size=file.size
            )
            for file in self.files(folders)
        ]
        dataset = ds.FileSystemDataset(fragments, with_folder(self.schema), ds.ParquetFileFormat(), filesystem)
        with self._as_it_was_listed():
            return dataset.to_table(columns=list(columns), filter=where)

    def write(
        self, rows: "DataFrame | TaskRows", folders: Sequence[str], check: Callable[[], None] = lambda: None
    ) -> None:
        """Replaces the rows of the named folders by those given; other folders stay as they are.

        Args:
            rows: Rows with the schema's columns and ``folder``, none of other folders than those named. What tasks
                compute, ``TaskRows``, they also write, without a way through the JVM.
            folders: The folders replaced; one that has no rows any more loses its directory.
            check: Called when all rows are written, and before they replace others; may raise, and none are then.
        """
        replacements = self.replacements
        replacements.settled()
        self._delete_leftovers()
        new = self.new_directory()
        try:
            written = self._as_task_rows(rows).write_files(new, directory_name)
            check()
        except BaseException:
            # For good: among these rows may be those of photos that were erased meanwhile.
            delete_directory_for_good(new)
            raise
        come: dict[str, list[str]] = {folder: [] for folder in folders}
        for folder, name in written:
            come[folder].append(name)
        replacements.decide(new.rpartition("/")[2], come)

    def new_directory(self, prefix: str = "") -> str:
        """Returns a place, used once, for new files that are to replace others, each folder's in a directory."""
        return self.replacements.new_files(prefix + new_id())

    def replace_files(self, new: str, replacement: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """Puts new files in the place of others, all at one moment; files that are not named stay.

        Args:
            new: The directory of the new files.
            replacement: The names of the files that ``come`` and ``go``, by folder.

        Raises:
            TableChangedError: Another run has replaced one of those that go.
        """
        come, go = ({folder: names[way] for folder, names in replacement.items()} for way in ("come", "go"))
        try:
            self.replacements.decide(new.rpartition("/")[2], come, go)
        except TableChangedError:
            storage.delete_directory(new)
            raise

    def _as_task_rows(self, rows: "DataFrame | TaskRows") -> TaskRows:
        if isinstance(rows, TaskRows):
            return rows
        from pyspark.sql import functions as F

        columns = [F.col(field.name).cast(field.dataType).alias(field.name) for field in to_spark(self.schema)]
        # Each folder's rows together, so that a task has one file open at a time; and in an order that people expect.
        order = [FOLDER, *(["path"] if "path" in self.schema.names else [])]
        return TaskRows(rows.select(*columns, FOLDER).sortWithinPartitions(*order), rows_as_they_are)

    def leftovers(self) -> dict[str, datetime]:
        """Returns the directories of writes without a note, under way or killed, and when each was last written to."""
        return self.replacements.undecided()

    def _delete_leftovers(self) -> None:
        """Deletes the files of writes that were killed before they had a note."""
        oldest_kept = datetime.now(UTC) - _LEFT_OVER_AFTER
        for directory, modified in self.leftovers().items():
            if modified < oldest_kept:
                storage.delete_directory(directory)

    def drop(self, folders: Iterable[str]) -> None:
        """Deletes the rows of the named folders; one that has none is no error."""
        gone: dict[str, list[str]] = {folder: [] for folder in folders}
        if gone:
            self.replacements.decide(new_id(), gone)


def _no_rows(spark: "SparkSession", schema: "StructType") -> "DataFrame":
    """Returns no rows, in a way that Spark's optimiser can tell: a join with them is then no join."""
    from pyspark.sql import functions as F

    columns = [F.lit(None).cast(field.dataType).alias(field.name) for field in schema]
    return rows_in_partitions(spark, 0).where(F.lit(False)).select(*columns)


def matrix_of(lists: pa.ListArray) -> NDArray[Any]:
    """Returns N lists of k numbers each, none of them null, as a matrix of shape (N, k) over the same memory."""
    values = lists.flatten()
    # Not to_numpy, which imports pandas: half of the time that a small command takes.
    numbers = np.frombuffer(values.buffers()[1], values.type.to_pandas_dtype())
    return numbers[values.offset : values.offset + len(values)].reshape(len(lists), -1)


def contiguous_shares(files: Sequence[DataFile], shares: int) -> list[list[DataFile]]:
    """Cuts a list of files into at most so many runs of about equal size, in order.

    In order, so that a task meets few folders: the files it writes are then at most one for each folder and
    one more for each task.
    """
    if not files:
        return []
    wanted = sum(file.size for file in files) / shares
    cut: list[list[DataFile]] = [[]]
    bytes_cut = 0
    for file in files:
        if cut[-1] and bytes_cut + file.size / 2 > wanted * len(cut) and len(cut) < shares:
            cut.append([])
        cut[-1].append(file)
        bytes_cut += file.size
    return cut


def rows_of_shares(
    spark: "SparkSession",
    shares: Sequence[Sequence[Item]],
    function: Callable[[Iterator[Item]], Iterator[pa.RecordBatch]],
) -> TaskRows:
    """Returns the rows that a function makes of files which it reads itself, one task for each share.

    Rows of 1280 numbers cost more to carry from the JVM to Python than to read: with pyarrow in the task they
    never pass through the JVM.

    Args:
        spark: The session.
        shares: The files of each task, or parts of them.
        function: From what a task has to Arrow batches.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch["id"].to_pylist():
                yield from function(iter(shares[number]))

    # The shares travel with the function. As rows they would take a second Python worker for each task.
    return TaskRows(rows_in_partitions(spark, len(shares)), run)


def map_shares(
    spark: "SparkSession",
    shares: Sequence[Sequence[Item]],
    function: Callable[[Iterator[Item]], Iterator[pa.RecordBatch]],
    schema: "StructType | str",
) -> "DataFrame":
    """Returns ``rows_of_shares`` as a DataFrame, for a few rows that the driver collects.

    Args:
        spark: The session.
        shares: The files of each task, or parts of them.
        function: From what a task has to Arrow batches of the schema.
        schema: The columns of the result, as Spark takes them.
    """
    return rows_of_shares(spark, shares, function).frame(schema)
