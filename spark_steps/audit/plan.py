"""Plans the tables photo_splits and photo_audit.

Both are of the whole store: a photo that is added may join groups of other folders. So an audit replaces the rows of
all folders, which are narrow; where photos, features and settings are those of the last audit it changes nothing.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from spark_steps.audit.cells import CellLimits
from spark_steps.audit.findings import findings_of
from spark_steps.audit.flags import FLAG_COLUMNS
from spark_steps.audit.neighbourhoods import Neighbourhoods, compare
from spark_steps.audit.photos import AuditedPhotos, read_photos
from spark_steps.audit.settings import AuditSettings
from spark_steps.audit.split import SPLITS, split_photos
from spark_steps.audit.version import audit_version, is_of, split_version, totals_of
from spark_steps.errors import FruitsError
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import FolderTable, Snapshot, TableChange
from spark_steps.tables.schemas import FOLDER, SPLITS_SCHEMA, with_folder

_NOT_SPLIT = -1


@dataclass(frozen=True)
class SplitUpdate:
    """The plan of photo_splits.

    Attributes:
        change: The change of the table.
        moved: Number of photos that change their split, by folder: their groups have grown together.
        without_test: Labels that have no photo in test, sorted; empty where nothing was computed.
    """

    change: TableChange
    moved: Mapping[str, int] = field(default_factory=dict)
    without_test: tuple[str, ...] = ()


def plan_splits(
    spark: SparkSession,
    features: FolderTable,
    splits: FolderTable,
    settings: AuditSettings,
    *,
    full_refresh: bool = False,
    limits: CellLimits | None = None,
) -> SplitUpdate:
    """Plans the change after which photo_splits has a row for each photo that has features.

    Args:
        spark: The session.
        features: The table mobilenet_features.
        splits: The table photo_splits.
        settings: The settings of the audit.
        full_refresh: Whether to compare all photos again, and to assign every group to a split anew.
        limits: How many cells the photos are compared in.

    Raises:
        FruitsError: The features come from several networks, or some are not finite.
    """
    base, files = splits.snapshot(), features.snapshot().files
    seen = totals_of(features, files)
    version = audit_version(seen, settings)
    if not full_refresh and is_of(totals_of(splits, base.files), seen, version):
        return SplitUpdate(TableChange(base))
    if len(seen.made_by) > 1:
        raise FruitsError(
            "The features come from several networks, so photos cannot be compared. Make the features of all folders "
            "with the present one (fruits run, or the job whole_pipeline)."
        )
    photos = read_photos(features, files)
    if not photos.count:
        return SplitUpdate(_replacement(base, with_folder(SPLITS_SCHEMA).empty_table()))
    near = compare(spark.sparkContext, features, photos, settings, limits)
    groups = _numbered(near.groups[photos.distinct], photos.rows["path"])
    before = np.full(len(groups), _NOT_SPLIT, np.int64)
    if not full_refresh:
        before = _splits_before(splits, photos.rows, settings)
    labels = photos.labels[photos.distinct]
    split = split_photos(groups, labels, photos.rows["image_id"].to_pylist(), before, settings.shares, settings.seed)
    rows = _rows(photos, near, groups, split.splits, version)
    moved = Counter(photos.rows[FOLDER].filter(pa.array(split.moved)).to_pylist())
    with_test = set(np.unique(labels[split.splits == SPLITS.index("test")]).tolist())
    lacking = [name for number, name in enumerate(photos.label_names) if number not in with_test]
    return SplitUpdate(_replacement(base, rows), moved, tuple(lacking))


def _numbered(groups: NDArray[np.integer], paths: pa.ChunkedArray) -> NDArray[np.int64]:
    """Returns the numbers of groups in the order of the first path of each, whatever the order of the files is."""
    order = pc.sort_indices(paths).to_numpy()
    _, first, of_group = np.unique(groups[order], return_index=True, return_inverse=True)
    numbers = np.empty(len(groups), np.int64)
    numbers[order] = np.argsort(np.argsort(first))[of_group]
    return numbers


def _splits_before(splits: FolderTable, rows: pa.Table, settings: AuditSettings) -> NDArray[np.int64]:
    """Returns the split that each photo has, by its bytes or else by its path; -1 for none.

    A split that was made with another seed or other shares does not count.
    """
    known = splits.arrow(["image_id", "path", "split", "audit"])
    known = known.filter(pc.starts_with(known["audit"], f"{split_version(settings)}-"))
    numbers = pc.index_in(known["split"], value_set=pa.array(SPLITS)).to_numpy()
    before = np.full(rows.num_rows, _NOT_SPLIT, np.int64)
    for name in ("path", "image_id"):
        position = pc.index_in(rows[name], value_set=known[name])
        there = position.is_valid().to_numpy()
        before[there] = numbers[position.drop_null().to_numpy()]
    return before


def _rows(
    photos: AuditedPhotos,
    near: Neighbourhoods,
    groups: NDArray[np.int64],
    splits: NDArray[np.int8],
    version: str,
) -> pa.Table:
    """Returns the rows of photo_splits with the column ``folder``."""
    of, count = photos.distinct, photos.rows.num_rows
    names = pa.array([*photos.label_names, None], pa.string())
    nearest, cosine = near.nearest[of], near.nearest_cosine[of].copy()
    nearest_label = np.where(nearest >= 0, photos.labels[nearest], -1)
    # The nearest photo of a copy is the other copy.
    copied = np.bincount(of)[of] > 1
    cosine[copied], nearest_label[copied] = 1, photos.labels[of][copied]
    other = np.where(near.other[of] >= 0, photos.labels[near.other[of]], -1)
    columns = {
        **{name: photos.rows[name] for name in ("image_id", "path", "label", FOLDER)},
        "group": pa.array(groups),
        "split": pa.array(SPLITS).take(pa.array(splits)),
        "nearest_cosine": _or_null(cosine),
        "nearest_label": names.take(pa.array(nearest_label % len(names))),
        "other_label_cosine": _or_null(near.other_cosine[of]),
        "other_label": names.take(pa.array(other % len(names))),
        "label_agreement": _or_null(near.agreement[of]),
        "label_cosine": _or_null(near.label_cosine[of]),
        "audit": pa.array([version] * count, pa.string()),
    }
    schema = with_folder(SPLITS_SCHEMA)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _or_null(numbers: NDArray[np.float32]) -> pa.Array:
    return pa.array(numbers, pa.float32(), mask=np.isnan(numbers))


def plan_findings(
    features: FolderTable, splits: FolderTable, audit: FolderTable, settings: AuditSettings
) -> TableChange:
    """Plans the change after which photo_audit has the findings about all photos of photo_splits; without Spark.

    Args:
        features: The table mobilenet_features.
        splits: The table photo_splits.
        audit: The table photo_audit.
        settings: The settings of the audit.
    """
    base = audit.snapshot()
    found = findings_of(_with_measures(splits, features), settings)
    there = audit.arrow(found.schema.names)
    return TableChange(base) if _sorted(there).equals(_sorted(found)) else _replacement(base, found)


def _with_measures(splits: FolderTable, features: FolderTable) -> pa.Table:
    """Returns the rows of photo_splits that have features still, with the measures of their photos."""
    rows = splits.arrow(with_folder(splits.schema).names)
    measured = features.arrow(["path", "image_id", *FLAG_COLUMNS], where=pc.field("error").is_null())
    position = pc.index_in(rows["path"], value_set=measured["path"])
    rows, measured = rows.filter(position.is_valid()), measured.take(position.drop_null())
    for name in FLAG_COLUMNS:
        rows = rows.append_column(measured.schema.field(name), measured[name])
    return rows.filter(pc.equal(rows["image_id"], measured["image_id"]))


def _sorted(rows: pa.Table) -> pa.Table:
    return rows.sort_by([(name, "ascending") for name in ("folder", "path", "kind", "reason")]).combine_chunks()


def _replacement(base: Snapshot, rows: pa.Table) -> TableChange:
    """Returns the change that replaces all rows of a table."""
    order = pc.sort_indices(rows, sort_keys=[(FOLDER, "ascending"), ("path", "ascending")])
    rows = rows.take(order).combine_chunks()
    folders = rows[FOLDER].to_numpy()
    begins = np.flatnonzero(folders[1:] != folders[:-1]) + 1
    ends = [*begins.tolist(), rows.num_rows]
    by_folder = {
        folders[start]: [rows.slice(start, end - start).drop_columns([FOLDER])]
        for start, end in zip([0, *begins.tolist()], ends, strict=True)
        if end > start
    }
    changed = {file.folder for file in base.files} | by_folder.keys()
    return TableChange(base, DriverRows(by_folder) if by_folder else None, list(base.files), frozenset(changed))
