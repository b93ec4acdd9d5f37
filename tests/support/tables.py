"""Rows and changes of a small table of photos."""

import pyarrow as pa

from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import FolderTable, TableChange
from spark_steps.tables.schemas import RAW_IMAGES_SCHEMA


def rows(*paths: str) -> pa.Table:
    return pa.Table.from_pylist([{"path": path, "length": 1} for path in paths], RAW_IMAGES_SCHEMA)


def addition(table: FolderTable, *paths: str) -> TableChange:
    """Rows that come to the folders of their paths, and none that go."""
    folders: dict[str, list[str]] = {}
    for path in paths:
        folders.setdefault(path.partition("/")[0], []).append(path)
    added = DriverRows({folder: [rows(*some)] for folder, some in folders.items()})
    return TableChange(table.snapshot(), added, (), frozenset(folders))


def removal(table: FolderTable, folder: str) -> TableChange:
    return TableChange(table.snapshot(), None, table.files([folder]), frozenset([folder]))


def paths(table: FolderTable) -> list[str]:
    return sorted(table.arrow(["path"])["path"].to_pylist())


def versions(table: FolderTable) -> list[int]:
    return [commit.version for commit in table.log.history()]


def lengths_by_path(table: FolderTable) -> dict[str, int]:
    rows = table.arrow(["path", "length"])
    assert len(set(rows["path"].to_pylist())) == rows.num_rows
    return dict(zip(rows["path"].to_pylist(), rows["length"].to_pylist(), strict=True))
