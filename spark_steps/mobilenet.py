"""From photos to 1280 MobileNetV2 features each, on Spark: only what is new is run, and no row is lost."""

import hashlib
import io
import math
import pickle
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from pyspark import Accumulator, Broadcast, SparkContext
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_steps.errors import FruitsError, UnusablePhotoError
from spark_steps.extractor import FeatureExtractor
from spark_steps.fetching import fetch
from spark_steps.limits import PHOTOS_PER_TASK, DecodeLimits
from spark_steps.photos import ERASED, PASSING_REASONS, decode
from spark_steps.schemas import FEATURES_SCHEMA, with_folder
from spark_steps.spans import cut, rows_of_spans, task_sizes
from spark_steps.summaries import of_files
from spark_steps.tables import FolderTable
from spark_steps.task_rows import Compute, TaskRows
from spark_steps.tombstones import tombstone_of
from spark_steps.weights import MobileNetModel

_ARROW_SCHEMA = with_folder(FEATURES_SCHEMA)
Value = TypeVar("Value")
# What makes a photo the one that it was.
_KEYS = ["folder", "path", "length", "modification_time", "listing_error"]


@dataclass(frozen=True)
class FolderWork:
    """What one folder needs.

    Attributes:
        kept: Rows that stay as they are.
        computed: Photos that are new, changed, or to be tried again.
        outdated: Rows there were for photos that are gone or have changed.
    """

    kept: int
    computed: int
    outdated: int

    @property
    def is_current(self) -> bool:
        """Whether the folder's rows are right as they stand."""
        return self.computed == 0 and self.outdated == 0


@dataclass(frozen=True)
class FeatureUpdate:
    """The rows that bring folders up to date, not yet computed.

    Attributes:
        rows: All rows of the folders that change: those kept, and those that the write computes.
        work: What each folder needs, those without a photo included.
        inferences: Counts, as the rows are computed, the photos that went through the network.
        done: Counts, as the rows are computed, all photos, rejected ones too.
    """

    rows: TaskRows
    work: dict[str, FolderWork]
    inferences: Accumulator[int]
    done: Accumulator[int]

    @property
    def changed(self) -> list[str]:
        """The folders whose rows are to be replaced."""
        return [folder for folder, work in self.work.items() if not work.is_current]


def plan_features(
    spark: SparkSession,
    raw: FolderTable,
    features: FolderTable,
    folders: list[str],
    model: MobileNetModel,
    limits: DecodeLimits,
    *,
    full_refresh: bool = False,
    erased: frozenset[str] = frozenset(),
) -> FeatureUpdate:
    """Plans the rows of mobilenet_features for folders of raw_images, as ``update_features`` does.

    Where there are no rows yet, nothing is compared or shuffled: what is left is to share out the rows of raw_images.

    Args:
        spark: The session.
        raw: The table raw_images.
        features: The table mobilenet_features so far.
        folders: The folders.
        model: The network.
        limits: What workers may read and decode.
        full_refresh: Compute every row again.
        erased: Tombstones of photos that are refused, wherever they lie.
    """
    if features.files(folders):
        rows = raw.scan(spark, folders)
        return update_features(
            rows, features.read(spark, folders), folders, model, limits, full_refresh=full_refresh, erased=erased
        )
    return raw.while_unchanged(lambda: _first_features(spark, raw, folders, model, limits, erased))


def _first_features(
    spark: SparkSession,
    raw: FolderTable,
    folders: list[str],
    model: MobileNetModel,
    limits: DecodeLimits,
    erased: frozenset[str],
) -> FeatureUpdate:
    listed = raw.files(folders)
    files = [(file, summary.rows) for file, summary in zip(listed, of_files(raw, listed), strict=True)]
    photos = dict.fromkeys(folders, 0)
    for file, rows in files:
        photos[file.folder] += rows
    context = spark.sparkContext
    sizes = task_sizes(sum(photos.values()), context.defaultParallelism, PHOTOS_PER_TASK)
    inferences, done = context.accumulator(0), context.accumulator(0)
    compute = _computation(context, model, limits, erased, inferences, done)
    work = {folder: FolderWork(0, count, 0) for folder, count in photos.items()}
    return FeatureUpdate(rows_of_spans(spark, raw, cut(files, sizes), compute), work, inferences, done)


def update_features(
    raw: DataFrame,
    existing: DataFrame,
    folders: list[str],
    model: MobileNetModel,
    limits: DecodeLimits,
    *,
    full_refresh: bool = False,
    erased: frozenset[str] = frozenset(),
) -> FeatureUpdate:
    """Plans the rows of mobilenet_features for folders of raw_images; the network runs when they are written.

    A row stays when its photo's path, length and modification time, the model, and what the listing thought of the
    photo are the same, unless its error was one that may pass (vanished, unreadable).

    Args:
        raw: The folders' rows of raw_images.
        existing: The folders' rows of mobilenet_features so far.
        folders: The folders.
        model: The network.
        limits: What workers may read and decode.
        full_refresh: Compute every row again.
        erased: Tombstones of photos that are refused, wherever they lie.
    """
    # A null never equals a null in a join.
    listed = raw.withColumn("listing_error", F.coalesce("error", F.lit("")))
    reusable = F.lit(not full_refresh) & (F.col("model") == model.fingerprint) & ~_may_pass()
    existing = existing.withColumn("listing_error", _listing_error_of_features()).withColumn("reusable", reusable)
    work = _compare(listed, existing, folders)

    changed = F.col("folder").isin([folder for folder, one in work.items() if not one.is_current])
    kept_rows = sum(one.kept for one in work.values() if not one.is_current)
    new_rows = sum(one.computed for one in work.values())
    new = listed.where(changed).select(*_KEYS, "label", "error")
    existing = existing.where(changed & F.col("reusable"))
    if kept_rows:
        new = new.join(existing.select(_KEYS), _KEYS, "left_anti")
    source = _in_folder_order(new.drop("listing_error"), new_rows)
    if kept_rows:
        kept = existing.join(listed.select(_KEYS), _KEYS, "left_semi").select(_ARROW_SCHEMA.names)
        # Of other tasks, so that those that compute are of equal length.
        source = source.unionByName(_in_folder_order(kept, kept_rows), allowMissingColumns=True)
    context = raw.sparkSession.sparkContext
    inferences, done = context.accumulator(0), context.accumulator(0)
    rows = TaskRows(source, _computation(context, model, limits, erased, inferences, done))
    return FeatureUpdate(rows, work, inferences, done)


def _compare(listed: DataFrame, existing: DataFrame, folders: list[str]) -> dict[str, FolderWork]:
    none, one = F.lit(0), F.lit(1)
    both = listed.select(*_KEYS, one.alias("listed"), none.alias("existing"), none.alias("reusable")).union(
        existing.select(*_KEYS, none, one, F.col("reusable").cast("int"))
    )
    photos = both.groupBy(_KEYS).agg(*(F.max(name).alias(name) for name in ("listed", "existing", "reusable")))
    counts = photos.groupBy("folder").agg(
        F.sum(F.col("listed") * F.col("reusable")).alias("kept"),
        F.sum("listed").alias("listed"),
        F.sum("existing").alias("existing"),
    )
    work = {folder: FolderWork(0, 0, 0) for folder in folders}
    for row in counts.collect():
        kept = row["kept"]
        work[row["folder"]] = FolderWork(kept, row["listed"] - kept, row["existing"] - kept)
    return work


def _may_pass() -> Column:
    passing = F.lit(False)
    for reason in PASSING_REASONS:
        passing = passing | F.col("error").startswith(f"{reason}:")
    return F.coalesce(passing, F.lit(False))


def _listing_error_of_features() -> Column:
    # Only errors of the listing come without an image_id: a photo that was read has one, unless it has been erased.
    of_listing = F.col("image_id").isNull() & ~F.coalesce(F.col("error").startswith(f"{ERASED}:"), F.lit(False))
    return F.when(of_listing, F.coalesce("error", F.lit(""))).otherwise(F.lit(""))


def _in_folder_order(rows: DataFrame, count: int) -> DataFrame:
    """Spreads rows evenly over tasks that each hold a run of folders, so that each folder gets few files."""
    cores = rows.sparkSession.sparkContext.defaultParallelism
    tasks = max(cores, math.ceil(count / PHOTOS_PER_TASK / cores) * cores)
    return rows.repartitionByRange(min(tasks, max(1, count)), "folder", "path").sortWithinPartitions("folder", "path")


def _computation(
    context: SparkContext,
    model: MobileNetModel,
    limits: DecodeLimits,
    erased: frozenset[str],
    inferences: Accumulator[int],
    done: Accumulator[int],
) -> Compute:
    """Returns what a task does with its rows: those that have a model are kept, the others are computed."""
    broadcast, tombstones = _broadcast(context, model.flatbuffer), _broadcast(context, erased)
    fingerprint = model.fingerprint

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if "model" in batch.schema.names and batch["model"].null_count == 0:
                yield batch.select(_ARROW_SCHEMA.names)
                continue
            extractor = FeatureExtractor.of_process(fingerprint, broadcast)
            rows = [{**row, "model": fingerprint} for row in _extracted(batch, extractor, limits, tombstones.value)]
            inferences.add(sum(row["features"] is not None for row in rows))
            done.add(len(rows))
            yield _record_batch(rows)

    return run


def _broadcast(context: SparkContext, value: Value) -> Broadcast[Value]:
    try:
        # PySpark writes a stack trace there before it raises.
        with redirect_stderr(io.StringIO()):
            return context.broadcast(value)
    except pickle.PicklingError as error:
        # These values can be pickled; what fails is the file that holds them.
        raise FruitsError(
            f"Spark cannot keep the network in its temporary directory ({error}). Make room in /tmp, or set "
            "SPARK_LOCAL_DIRS to a directory with room, and run again."
        ) from error


def _record_batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Returns rows as Arrow; the features as one block, which takes a thousandth of the time of number by number."""
    features = [row["features"] for row in rows]
    lengths = [0, *(0 if one is None else len(one) for one in features)]
    block = np.concatenate([one for one in features if one is not None] or [np.empty(0, np.float32)])
    columns = [
        pa.ListArray.from_arrays(
            np.cumsum(lengths, dtype=np.int32), block, mask=pa.array([one is None for one in features])
        )
        if field.name == "features"
        else pa.array([row[field.name] for row in rows], field.type)
        for field in _ARROW_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_ARROW_SCHEMA)


def _extracted(
    batch: pa.RecordBatch, extractor: FeatureExtractor, limits: DecodeLimits, erased: frozenset[str]
) -> Iterator[dict[str, Any]]:
    """Yields each listed photo with its features or its error."""
    rows = batch.to_pylist()
    # Those that the listing has refused are not opened.
    contents = fetch(((row["path"], row["length"]) for row in rows if row["error"] is None), limits.fetch)
    for row in rows:
        content = next(contents) if row["error"] is None else None
        yield {**row, **_features_of(content, extractor, limits, erased)} if content is not None else {**_EMPTY, **row}


_EMPTY = dict.fromkeys(("image_id", "format", "width", "height", "features", "error"))


def _features_of(
    content: bytes | UnusablePhotoError, extractor: FeatureExtractor, limits: DecodeLimits, erased: frozenset[str]
) -> dict[str, Any]:
    if isinstance(content, UnusablePhotoError):
        return {**_EMPTY, "error": str(content)}
    image_id = hashlib.sha256(content).hexdigest()
    if erased and tombstone_of(image_id) in erased:
        # Without its image id, which is a part of what was erased.
        return {**_EMPTY, "error": f"{ERASED}: these bytes were erased on request; delete the file"}
    try:
        photo = decode(content, limits.max_pixels)
    except UnusablePhotoError as error:
        return {**_EMPTY, "image_id": image_id, "error": str(error)}
    features = extractor.extract(photo)
    about = {"image_id": image_id, "format": photo.format, "width": photo.width, "height": photo.height}
    return {**_EMPTY, **about, "features": features}
