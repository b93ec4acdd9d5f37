"""Reads the entries of a table's log, and checks them: other programs may have written into it."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa

from spark_steps.errors import FruitsError
from spark_steps.storage import locations
from spark_steps.tables.open_tables import once_a_version
from spark_steps.tables.schemas import FOLDER
from spark_steps.tables.snapshots import Commit, DataFile, Snapshot

if TYPE_CHECKING:
    from deltalake import DeltaTable


COMMIT_ID = "commit"


def snapshot_of(root: str, table: "DeltaTable") -> Snapshot:
    """Returns the snapshot of the version that a table object is at.

    Raises:
        FruitsError: The log names a file outside the table's directory, or a file without a folder.
    """
    # Cached: reading a table of 100,000 files takes a second, and a run reads it some forty times.
    return once_a_version(root, table, lambda: _files_of(root, table))


def _files_of(root: str, table: "DeltaTable") -> Snapshot:
    # pa.table would import pandas.
    rows = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all()
    columns = ("path", f"partition.{FOLDER}", "size_bytes", "num_records", "modification_time")
    # The partition column is missing if the table has no file, or if no file has a folder.
    values = [rows[name].to_pylist() if name in rows.schema.names else [None] * rows.num_rows for name in columns]
    files = []
    for logged, folder, size, count, added in zip(*values, strict=True):
        # Other programs put files into directories named by the folder. The log has such paths percent-encoded.
        path = unquote(logged)
        _check_file(root, path, folder)
        files.append(DataFile(path, folder, size, _rows_of(root, path) if count is None else count, added))
    ordered = sorted(files, key=lambda file: (file.folder, file.added, file.path))
    return Snapshot(table.version(), tuple(ordered), tuple(sorted(table.metadata().configuration.items())))


def _rows_of(root: str, path: str) -> int:
    """Returns the number of rows of a file that another program has added without writing it into the log."""
    import pyarrow.parquet as pq

    if locations.leads_elsewhere(root, path):
        raise FruitsError(
            f"{root}/{path} is a link, or lies behind one, as no file of a table does. Find out who made it."
        )
    filesystem, file = locations.filesystem_of(f"{root}/{path}")
    try:
        return int(pq.read_metadata(file, filesystem=filesystem).num_rows)
    except FileNotFoundError as error:
        raise FruitsError(
            f"The log of {root} names the file {path}, which is not there. Find out who wrote it."
        ) from error


def _check_file(root: str, path: str, folder: object) -> None:
    if ":" in path or "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise FruitsError(f"The log of {root} names the file {path!r}, which lies elsewhere. Find out who wrote it.")
    if not isinstance(folder, str):
        raise FruitsError(f"The log of {root} names the file {path}, which is of no folder. Find out who wrote it.")


def commit_of(version: int, data: bytes) -> Commit:
    """Parses a commit from the bytes of its file in the log."""
    actions = [json.loads(line) for line in data.decode().splitlines() if line.strip()]
    info: dict[str, Any] = next((one["commitInfo"] for one in actions if "commitInfo" in one), {})
    known = {
        "timestamp",
        "operation",
        "operationParameters",
        "engineInfo",
        "clientVersion",
        "operationMetrics",
        COMMIT_ID,
    }
    return Commit(
        version=version,
        at=datetime.fromtimestamp(info.get("timestamp", 0) / 1000, UTC),
        operation=str(info.get("operation", "")),
        parameters=info.get("operationParameters") or {},
        about={name: str(value) for name, value in info.items() if name not in known},
        files_added=sum("add" in one for one in actions),
        files_removed=sum("remove" in one for one in actions),
    )
