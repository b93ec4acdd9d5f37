"""Assigns row ranges of files to tasks, and compares wanted and existing rows by their keys."""

import math
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from spark_steps.tables.folder_table import DataFile, FolderTable
from spark_steps.tables.schemas import with_folder_column

# A warm Python task costs 50 to 80 ms: about as long as a core may idle at the end of a run with tasks of this size.
_LEAST_ROWS = 32
_ROWS_AT_A_TIME = 2048


@dataclass(frozen=True)
class FileRows:
    """Selected rows of a file.

    Attributes:
        file: The file.
        rows: The row numbers, from 0, in ascending order.
    """

    file: DataFile
    rows: Sequence[int]

    @classmethod
    def all_of(cls, file: DataFile) -> "FileRows":
        """Returns all rows of a file."""
        return cls(file, range(file.rows))

    def read(self, table: FolderTable, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yields the rows with the column ``folder``; no batch is empty.

        Args:
            table: The file's table.
            columns: The columns to read; None for all.
        """
        start = 0
        for batch in table.batches(self.file, columns, _ROWS_AT_A_TIME):
            rows = self.rows[bisect_left(self.rows, start) : bisect_left(self.rows, start + len(batch))]
            if len(rows) == len(batch):
                yield with_folder_column(batch, self.file.folder)
            elif rows:
                of_batch = pa.array([row - start for row in rows], pa.int64())
                yield with_folder_column(batch.take(of_batch), self.file.folder)
            start += len(batch)


@dataclass(frozen=True)
class Difference:
    """The difference between the wanted and the existing rows of a folder.

    Attributes:
        new: Numbers of the wanted rows that the folder lacks.
        kept: For each file of the folder, the numbers of the rows that stay.
    """

    new: list[int]
    kept: list[list[int]]


def compare(wanted: Sequence[Hashable], files: Sequence[Sequence[Hashable]]) -> Difference:
    """Compares the wanted rows of a folder with the existing ones, by their keys.

    Args:
        wanted: The keys of the wanted rows, each once.
        files: The keys of the rows of each file. Of rows with equal keys the first one stays.
    """
    left = {key: number for number, key in enumerate(wanted)}
    kept = [[number for number, key in enumerate(keys) if left.pop(key, None) is not None] for keys in files]
    return Difference(list(left.values()), kept)


def task_sizes(rows: int, cores: int, most: int) -> list[int]:
    """Returns how many rows each task gets. The last tasks are small, so that no core waits long for another one.

    Each task takes a share of the remaining rows, as in guided self-scheduling (Polychronopoulos and Kuck 1987), but
    half as large: the remaining rows divided by twice the cores.

    Args:
        rows: Rows in all.
        cores: Tasks that run at the same time.
        most: Rows of the largest task.
    """
    sizes = []
    left = rows
    while left:
        sizes.append(min(left, most, max(_LEAST_ROWS, math.ceil(left / (2 * cores)))))
        left -= sizes[-1]
    return sizes


def split(files: Iterable[FileRows], sizes: Sequence[int]) -> list[list[FileRows]]:
    """Cuts rows of files into tasks of given sizes. The order is kept, so that each task has few folders.

    Args:
        files: The rows; their number is the sum of the sizes.
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
