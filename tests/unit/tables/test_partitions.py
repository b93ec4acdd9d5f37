"""Files, shared out among tasks."""

from spark_steps.tables.folder_table import DataFile
from spark_steps.tables.partitions import contiguous_partitions


def test_files_are_cut_into_even_runs_in_their_order() -> None:
    files = [DataFile(f"f{n}", "A", size, 1) for n, size in enumerate([5, 5, 5, 5, 20, 1, 1, 1, 1, 16])]
    shares = contiguous_partitions(files, 3)
    assert [file for share in shares for file in share] == files
    assert [sum(file.size for file in share) for share in shares] == [20, 20, 20]


def test_there_are_no_more_shares_than_files() -> None:
    assert len(contiguous_partitions([DataFile("f", "A", 1000, 1)], 8)) == 1
    assert contiguous_partitions([], 8) == []
