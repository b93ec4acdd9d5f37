"""The files of a store's tables, found without the platform: whatever format the tables have."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

TABLES = ("raw_images", "mobilenet_features", "reduced_features")


@dataclass(frozen=True)
class State:
    """What tells one content of a file from another.

    Attributes:
        size: Bytes.
        modified: Nanoseconds since 1970.
        inode: Another one where the file was replaced.
    """

    size: int
    modified: int
    inode: int


@dataclass(frozen=True)
class Written:
    """What was written to a table.

    Attributes:
        files: Files that are new or were written anew.
        bytes: All that is in them.
        rows: Rows of the Parquet files with data among them.
    """

    files: int
    bytes: int
    rows: int


def is_data(file: Path) -> bool:
    """Returns whether a file of a table holds rows: logs and notes lie in directories that begin with ``_``."""
    return file.suffix == ".parquet" and not any(part.startswith("_") for part in file.parts)


def table_files(store: Path, table: str) -> dict[Path, State]:
    """Returns all files of a table by their paths relative to the store."""
    found = {}
    for file in store.rglob("*"):
        relative = file.relative_to(store)
        if table in relative.parts and file.is_file():
            status = file.stat()
            found[relative] = State(status.st_size, status.st_mtime_ns, status.st_ino)
    return found


def written_since(store: Path, table: str, before: Mapping[Path, State]) -> Written:
    """Returns what of a table was written since its files were listed, and is still there."""
    new = {file: state for file, state in table_files(store, table).items() if before.get(file) != state}
    rows = sum(pq.read_metadata(store / file).num_rows for file in new if is_data(file))
    return Written(len(new), sum(state.size for state in new.values()), rows)
