"""Parquet tables with one directory per image folder: ``<root>/folder=<folder>/part-*.parquet``."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from spark_steps import storage

FOLDER = "folder"
# The characters that Spark escapes in a partition's directory name
# (org.apache.spark.sql.catalyst.catalog.ExternalCatalogUtils.escapePathName, Spark 3.5).
_ESCAPED = {chr(code) for code in range(1, 0x20)} | set("\"#%'*/:=?\\\x7f{[]^")
_FOOTER_READERS = 16


def directory_name(folder: str) -> str:
    """Returns the name of the directory that holds a folder's rows, escaped as Spark does."""
    return f"{FOLDER}=" + "".join(f"%{ord(one):02X}" if one in _ESCAPED else one for one in folder)


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table.

    Attributes:
        path: Its path on the table's filesystem.
        folder: The image folder whose rows it holds.
        size: Bytes.
        rows: Rows, from its footer.
    """

    path: str
    folder: str
    size: int
    rows: int


@dataclass(frozen=True)
class FolderTable:
    """A Parquet table partitioned by image folder.

    Attributes:
        root: Its directory, a normalised place.
        schema: Its columns, the partition column ``folder`` left out.
    """

    root: str
    schema: StructType

    def directory(self, folder: str) -> str:
        """Returns the directory of one folder's rows."""
        return f"{self.root}/{directory_name(folder)}"

    def folders(self) -> list[str]:
        """Returns the folders that have a directory, sorted."""
        filesystem, path = storage.filesystem_of(self.root)
        found = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
        prefix = f"{FOLDER}="
        names = (info.base_name for info in found if info.type == fs.FileType.Directory)
        return sorted(unquote(name.removeprefix(prefix)) for name in names if name.startswith(prefix))

    def paths(self, folders: Iterable[str] | None = None) -> list[tuple[str, str]]:
        """Returns (folder, path) of each Parquet file of the named folders, or of all, in a stable order."""
        filesystem, _ = storage.filesystem_of(self.root)

        def files_of(folder: str) -> list[tuple[str, str]]:
            selector = fs.FileSelector(storage.filesystem_of(self.directory(folder))[1], allow_not_found=True)
            found = (info.path for info in filesystem.get_file_info(selector) if info.extension == "parquet")
            return [(folder, path) for path in sorted(found)]

        with ThreadPoolExecutor(_FOOTER_READERS) as pool:
            names = sorted(set(self.folders() if folders is None else folders))
            return [file for files in pool.map(files_of, names) for file in files]

    def files(self, folders: Iterable[str] | None = None) -> list[DataFile]:
        """Returns the Parquet files of the named folders, or of all, with their row counts from the footers."""
        filesystem, _ = storage.filesystem_of(self.root)

        def describe(found: tuple[str, str]) -> DataFile:
            folder, path = found
            rows = pq.read_metadata(path, filesystem=filesystem).num_rows
            return DataFile(path=path, folder=folder, size=filesystem.get_file_info(path).size, rows=rows)

        with ThreadPoolExecutor(_FOOTER_READERS) as pool:
            return list(pool.map(describe, self.paths(folders)))

    def read(self, spark: SparkSession, folders: Iterable[str] | None = None) -> DataFrame:
        """Returns the rows of the named folders, or of all; folders without rows are no error."""
        wanted = self.folders() if folders is None else sorted(set(folders) & set(self.folders()))
        schema = self.spark_schema()
        if not wanted:
            return spark.createDataFrame([], schema)
        directories = [self.directory(folder) for folder in wanted]
        return spark.read.schema(schema).options(basePath=self.root, **storage.PLAIN_PATHS).parquet(*directories)

    def arrow(
        self, columns: Sequence[str], folders: Iterable[str] | None = None, where: ds.Expression | None = None
    ) -> pa.Table:
        """Returns columns of the table in this process, without Spark: for counts, checks and reports.

        Args:
            columns: Columns of the schema, or ``folder``.
            folders: The folders to read; None for all.
            where: Rows to keep.
        """
        filesystem, _ = storage.filesystem_of(self.root)
        schema = pa.schema([_arrow_field(self.schema[name]) for name in self.schema.names])
        schema = schema.append(pa.field(FOLDER, pa.string()))
        fragments = [
            ds.ParquetFileFormat().make_fragment(path, filesystem, partition_expression=ds.field(FOLDER) == folder)
            for folder, path in self.paths(folders)
        ]
        dataset = ds.FileSystemDataset(fragments, schema, ds.ParquetFileFormat(), filesystem)
        return dataset.to_table(columns=list(columns), filter=where)

    def photo_bytes(self, folders: Iterable[str] | None = None) -> dict[str, int]:
        """Returns the bytes of the photos of each folder, for tables with a column ``length``."""
        lengths = self.arrow([FOLDER, "length"], folders).group_by(FOLDER).aggregate([("length", "sum")]).to_pydict()
        return dict(zip(lengths[FOLDER], lengths["length_sum"], strict=True))

    def write(self, rows: DataFrame, folders: Sequence[str]) -> None:
        """Replaces the rows of the named folders by those given; other folders stay as they are.

        Args:
            rows: Rows with the schema's columns and ``folder``; those of other folders than named are refused by
                nobody, so the caller gives none.
            folders: The folders replaced; one that has no rows any more loses its directory.
        """
        before = {path for _, path in self.paths(folders)}
        columns = [F.col(field.name).cast(field.dataType).alias(field.name) for field in self.schema]
        (
            rows.select(*columns, FOLDER)
            .write.mode("overwrite")
            .option("partitionOverwriteMode", "dynamic")
            .partitionBy(FOLDER)
            .parquet(self.root)
        )
        # Dynamic overwrite replaces the folders that have rows, and leaves those that have none untouched.
        self.drop({folder for folder, path in self.paths(folders) if path in before})

    def drop(self, folders: Iterable[str]) -> None:
        """Deletes the rows of the named folders; one that has none is no error."""
        for folder in folders:
            storage.delete_directory(self.directory(folder))

    def spark_schema(self) -> StructType:
        """Returns the columns with ``folder`` last, as the readers give them."""
        return StructType([*self.schema.fields, StructField(FOLDER, StringType())])


def _arrow_field(field: StructField) -> pa.Field:
    from pyspark.sql.pandas.types import to_arrow_type

    return pa.field(field.name, to_arrow_type(field.dataType))


def rows_by_folder(files: Iterable[DataFile]) -> Counter[str]:
    """Returns how many rows each folder has."""
    rows: Counter[str] = Counter()
    for file in files:
        rows[file.folder] += file.rows
    return rows


def contiguous_shares(files: Sequence[DataFile], shares: int) -> list[list[DataFile]]:
    """Cuts a list of files into at most so many runs of about equal rows, in order.

    In order, so that a task meets few folders: the files it writes are then at most one for each folder and
    one more for each task.
    """
    if not files:
        return []
    wanted = sum(file.rows for file in files) / shares
    cut: list[list[DataFile]] = [[]]
    rows_cut = 0
    for file in files:
        if cut[-1] and rows_cut + file.rows / 2 > wanted * len(cut) and len(cut) < shares:
            cut.append([])
        cut[-1].append(file)
        rows_cut += file.rows
    return cut


def map_files(
    spark: SparkSession,
    shares: Sequence[Sequence[DataFile]],
    function: Callable[[Iterator[DataFile]], Iterator[pa.RecordBatch]],
    schema: StructType,
) -> DataFrame:
    """Returns the rows that a function makes of Parquet files which it reads itself, one task for each share.

    Rows of 1280 numbers cost more to carry from the JVM to Python than to read: with pyarrow in the task they
    never pass through the JVM.

    Args:
        spark: The session.
        shares: The files of each task.
        function: From a task's files to Arrow batches of the schema.
        schema: The columns of the result.
    """
    tasks = [(number, [(f.path, f.folder, f.size, f.rows) for f in files]) for number, files in enumerate(shares)]
    plan = spark.createDataFrame(
        spark.sparkContext.parallelize(tasks, max(1, len(tasks))),
        "task int, files array<struct<path string, folder string, size bigint, rows bigint>>",
    )

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for row in batch.to_pylist():
                yield from function(DataFile(**file) for file in row["files"])

    return plan.mapInArrow(run, schema)
