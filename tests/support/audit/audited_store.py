"""A store with the tables of an audit, made by hand and without Spark."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from spark_steps.audit.settings import AuditSettings
from spark_steps.queries.audit_report import AuditReport, read_audit
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import FolderTable

AUDIT = "0123456789abcdef"
Row = dict[str, Any]


def about(path: str) -> Row:
    """What all tables have of a photo."""
    folder = path.rpartition("/")[0]
    image_id = hashlib.sha256(path.encode()).hexdigest()
    return {"folder": folder, "path": path, "label": folder.rpartition("/")[2], "image_id": image_id}


def split(path: str, group: int, name: str = "train", **given: Any) -> Row:
    """A row of photo_splits."""
    return {**about(path), "group": group, "split": name, "audit": AUDIT, **given}


def finding(path: str, kind: str, severity: str = "info", score: float | None = 0.5, **given: Any) -> Row:
    """A row of photo_audit."""
    row = {**about(path), "kind": kind, "severity": severity, "score": score, "audit": AUDIT}
    return {**row, "reason": f"The photo is {kind}.", **given}


def features(path: str, **given: Any) -> Row:
    """A row of mobilenet_features."""
    row = {"length": 1, "modification_time": datetime(2026, 1, 1, tzinfo=UTC), "format": "JPEG", "model": "network"}
    return {**about(path), **row, "width": 100, "height": 100, "features": np.zeros(1280, np.float32), **given}


def write(table: FolderTable, rows: Sequence[Mapping[str, Any]]) -> None:
    """Makes some rows all that a table has of their folders."""
    by_folder: dict[str, list[Row]] = {}
    for row in rows:
        by_folder.setdefault(row["folder"], []).append({name: row.get(name) for name in table.schema.names})
    made = DriverRows({folder: [pa.Table.from_pylist(some, table.schema)] for folder, some in by_folder.items()})
    table.write(table.replacement(made, list(by_folder)))


def audited_store(
    root: Path, splits: Sequence[Row], findings: Sequence[Row] = (), of_features: Sequence[Row] | None = None
) -> Store:
    """A store whose photos with features are those of its split, unless others are given."""
    store = Store(str(root))
    write(store.photo_splits, splits)
    write(store.photo_audit, findings)
    write(store.mobilenet_features, [features(row["path"]) for row in splits] if of_features is None else of_features)
    return store


def report_of(store: Store, examples: int = 5) -> AuditReport:
    """The report of such a store."""
    return read_audit(store, AuditSettings(), examples)
