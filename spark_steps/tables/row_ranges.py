"""Rows of files shared out to tasks, and which rows of a table stay, from their keys alone."""

import math
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from spark_steps.tables.folder_table import DataFile, FolderTable
from spark_steps.tables.schemas import with_folder_column

if TYPE_CHECKING:
    from spark_steps.tables.deferred_rows import Compute

# A warm Python task costs 50 to 80 ms, about as much as this many photos at the end of a run may leave a core idle for.
_LEAST_ROWS = 32
_ROWS_AT_A_TIME = 2048


@dataclass(frozen=True)
class FileRows:
    """Some rows of a file.

    Attributes:
        file: The file.
        rows: Their numbers, from 0, in ascending order.
    """

    file: DataFile
    rows: Sequence[int]

    @classmethod
    def all_of(cls, file: DataFile) -> "FileRows":
        """Returns all rows of a file."""
        return cls(file, range(file.rows))

    def read(self, table: FolderTable, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yields the rows with the column ``folder``; no batch is without a row.

        Args:
            table: The file's table.
            columns: The columns; by default all.
        """
        start = 0
        with table.reading(self.file) as opened:
            for batch in opened.iter_batches(_ROWS_AT_A_TIME, columns=list(columns or table.schema.names)):
                rows = self.rows[bisect_left(self.rows, start) : bisect_left(self.rows, start + len(batch))]
                if len(rows) == len(batch):
                    yield with_folder_column(batch, self.file.folder)
                elif rows:
                    of_batch = pa.array([row - start for row in rows], pa.int64())
                    yield with_folder_column(batch.take(of_batch), self.file.folder)
                start += len(batch)


@dataclass(frozen=True)
class Difference:
    """How the rows of a folder differ from those that it should have.

    Attributes:
        new: Numbers of the wanted rows that it has not.
        kept: Numbers of the rows that stay, of each of its files.
    """

    new: list[int]
    kept: list[list[int]]


def compare(wanted: Sequence[Hashable], files: Sequence[Sequence[Hashable]]) -> Difference:
    """Compares rows that a folder should have with those that it has, by their keys.

    Args:
        wanted: The keys of the wanted rows, each once.
        files: The keys of the rows of each file; of rows that are the same the first one stays.
    """
    left = {key: number for number, key in enumerate(wanted)}
    kept = [[number for number, key in enumerate(keys) if left.pop(key, None) is not None] for keys in files]
    return Difference(list(left.values()), kept)


def task_sizes(rows: int, cores: int, most: int) -> list[int]:
    """Returns how many rows each task gets: the last ones few, so that no core waits long for another's last task.

    Each takes a share of what is left, as guided self-scheduling does (Polychronopoulos and Kuck 1987), of half that
    size, and at most so many.

    Args:
        rows: All rows.
        cores: Tasks that run at a time.
        most: The largest task.
    """
    sizes = []
    left = rows
    while left:
        sizes.append(min(left, most, max(_LEAST_ROWS, math.ceil(left / (2 * cores)))))
        left -= sizes[-1]
    return sizes


def split(files: Iterable[FileRows], sizes: Sequence[int]) -> list[list[FileRows]]:
    """Cuts rows of files, in their order, into tasks of given sizes, so that a task meets few folders.

    Args:
        files: The rows; together as many as the sizes.
        sizes: Rows of each task.
    """
    tasks: list[list[FileRows]] = [[]]
    left = list(reversed(sizes))
    for one in files:
        first = 0
        while first < len(one.rows):
            taken = min(len(one.rows) - first, left[-1])
            tasks[-1].append(FileRows(one.file, one.rows[first : first + taken]))
            first += taken
            left[-1] -= taken
            if not left[-1]:
                left.pop()
                tasks.append([])
    return [task for task in tasks if task]


def computed_from(table: FolderTable, compute: "Compute") -> Callable[[Iterable[FileRows]], Iterator[pa.RecordBatch]]:
    """Returns what a task does with rows of a table: it reads them, and computes others of them.

    Args:
        table: The table.
        compute: From rows with ``folder`` to rows.
    """
    return lambda files: compute(rows for one in files for rows in one.read(table))
