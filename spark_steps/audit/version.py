"""The version of an audit, and whether the audit of a store is out of date: read from footers, without Spark."""

import hashlib
from collections.abc import Sequence
from typing import Any

from spark_steps.audit.settings import AuditSettings
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.footers import folder_totals, table_totals
from spark_steps.tables.schemas import by_folder
from spark_steps.tables.snapshots import DataFile
from spark_steps.tables.totals import Totals, sum_of

# Changes with the rules by which the tables are made, so that stores are audited again.
_RULES = 1
# The property of photo_audit with the version that its findings are of. It is set after them, so that an audit that was
# interrupted between the two tables is known: rows alone do not tell where there was no finding before.
_VERSION_PROPERTY = "fruits.audit"


def audit_version(seen: Totals, settings: AuditSettings) -> str:
    """Returns the version of an audit: equal for the same photos, features and settings, on any machine.

    Its first part, before the hyphen, depends on the settings of the split alone.

    Args:
        seen: Totals of mobilenet_features.
        settings: The settings of the audit.
    """
    everything = (_RULES, settings, seen.vectors, seen.photos, seen.paths, sorted(map(str, seen.made_by)))
    return f"{split_version(settings)}-{_digest(everything, 16)}"


def split_version(settings: AuditSettings) -> str:
    """Returns the first part of the version: photos keep their split as long as it is the same."""
    return _digest((settings.shares, settings.seed), 8)


def _digest(of: Any, digits: int) -> str:
    return hashlib.sha256(repr(of).encode()).hexdigest()[:digits]


def totals_of(table: FolderTable, files: Sequence[DataFile]) -> Totals:
    """Returns the totals of some files of a table."""
    return sum_of(table_totals(table, by_folder(files, {file.folder for file in files})).values())


def audit_is_outdated(store: Store, settings: AuditSettings) -> bool:
    """Returns whether an audit would change the tables photo_splits or photo_audit.

    Args:
        store: The store; it has features.
        settings: The settings of the audit.
    """
    seen, made = (sum_of(folder_totals(table).values()) for table in (store.mobilenet_features, store.photo_splits))
    version = audit_version(seen, settings)
    if not is_of(made, seen, version):
        return True
    return store.photo_audit.snapshot().property(_VERSION_PROPERTY) != version


def record_audit(audit: FolderTable, features: FolderTable, splits: FolderTable, settings: AuditSettings) -> None:
    """Records after a write of photo_audit which version its findings are of.

    Args:
        audit: The table photo_audit.
        features: The table mobilenet_features that the audit has read.
        splits: The table photo_splits that the findings are made from.
        settings: The settings of the audit.
    """
    seen = totals_of(features, features.files())
    version = audit_version(seen, settings)
    if is_of(totals_of(splits, splits.files()), seen, version):
        audit.log.set_property(_VERSION_PROPERTY, version, audit.snapshot().property(_VERSION_PROPERTY))


def is_of(splits: Totals, features: Totals, version: str) -> bool:
    """Returns whether photo_splits has the rows that the audit of a version gives the present photos.

    Args:
        splits: Totals of photo_splits.
        features: Totals of mobilenet_features.
        version: The version.
    """
    same_photos = (splits.photos, splits.paths) == (features.photos, features.paths)
    return same_photos and splits.made_by == ({version} if splits.rows else frozenset())
