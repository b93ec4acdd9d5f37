"""Computes the features of each photo on Spark; only new photos are run, and no row is lost."""

import hashlib
import io
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from pyspark import Accumulator, Broadcast, SparkContext
from pyspark.sql import SparkSession

from spark_steps.errors import FruitsError, UnusablePhotoError
from spark_steps.features.comparison import FolderPlan, FolderWork, Recheck, plan_folder
from spark_steps.features.extractor import FeatureExtractor
from spark_steps.features.weights import MobileNetModel
from spark_steps.photos.decoding import ERASED, decode
from spark_steps.photos.fetching import fetch
from spark_steps.photos.limits import PHOTOS_PER_TASK, DecodeLimits
from spark_steps.photos.measures import Measures
from spark_steps.photos.tombstones import tombstone_of
from spark_steps.storage.parallel import for_each
from spark_steps.tables.deferred_rows import DeferredRows
from spark_steps.tables.folder_table import FolderTable, TableChange
from spark_steps.tables.partitions import contiguous_partitions
from spark_steps.tables.row_ranges import FileRows, split, task_sizes
from spark_steps.tables.schemas import FEATURES_SCHEMA, by_folder, with_folder

_ARROW_SCHEMA = with_folder(FEATURES_SCHEMA)
Value = TypeVar("Value")


@dataclass(frozen=True)
class FeatureUpdate:
    """A planned update of folders, whose rows are not computed yet.

    Attributes:
        change: The rows to add, which are computed when they are written, and the files to remove.
        work: The work that each folder needs, also of folders without photos.
        inferences: Counts the photos that were run through the network, while the rows are computed.
        done: Counts all finished photos, also rejected ones, while the rows are computed.
    """

    change: TableChange
    work: dict[str, FolderWork]
    inferences: Accumulator[int]
    done: Accumulator[int]


def plan_features(
    spark: SparkSession,
    raw: FolderTable,
    features: FolderTable,
    folders: Sequence[str],
    model: MobileNetModel,
    limits: DecodeLimits,
    images: str,
    *,
    full_refresh: bool = False,
    erased: frozenset[str] = frozenset(),
) -> FeatureUpdate:
    """Plans the rows of mobilenet_features for folders of raw_images; the network runs when they are written.

    A row stays as ``plan_folder`` compares it; one that could not be read (vanished, unreadable) is tried again. If
    only the modification time differs, as after a move to another disk, the photo is read, and its row stays if the
    bytes are the same. Files whose rows all stay are not written again.

    Args:
        spark: The session.
        raw: The table raw_images.
        features: The table mobilenet_features.
        folders: The folders.
        model: The network.
        limits: What workers may read and decode.
        images: The images root, a normalised location.
        full_refresh: Whether to compute every row again.
        erased: Tombstones of erased photos, which are refused under any path.
    """
    context = spark.sparkContext
    inferences, done = context.accumulator(0), context.accumulator(0)
    listed, base = raw.snapshot(), features.snapshot()
    photos, existing = by_folder(listed.files, folders), by_folder(base.files, folders)

    def plan(folder: str) -> FolderPlan:
        fingerprint = None if full_refresh else model.fingerprint
        return plan_folder(raw, photos[folder], features, existing[folder], fingerprint, limits.max_pixels)

    plans = dict(zip(folders, for_each(plan, folders), strict=True))
    computed = [one for plan in plans.values() for one in plan.computed]
    rewritten = [one for plan in plans.values() for one in plan.rewritten]
    shares = _shared_out(computed, rewritten, context.defaultParallelism)
    work = {folder: plan.work for folder, plan in plans.items()}
    changed = frozenset(folder for folder, one in work.items() if not one.is_current)
    if not changed:
        return FeatureUpdate(TableChange(base), work, inferences, done)
    task = _Task(context, raw, features, model, limits, images, erased, inferences, done)
    rows = DeferredRows(context, shares, task.run, limits.max_pixels) if shares else None
    gone, kept = [stay.file for stay, _ in rewritten], sum(len(stay.rows) for stay, _ in rewritten)
    return FeatureUpdate(TableChange(base, rows, gone, changed, kept), work, inferences, done)


_Item = FileRows | tuple[FileRows, Recheck]


def _shared_out(
    computed: Sequence[FileRows], rewritten: Sequence[tuple[FileRows, Recheck]], cores: int
) -> list[Sequence[_Item]]:
    """Returns the items of each task; rechecks have their own tasks, so that computing tasks have the planned sizes."""
    sizes = task_sizes(sum(len(one.rows) for one in computed), cores, PHOTOS_PER_TASK)
    return [*split(computed, sizes), *_in_shares(rewritten, cores)]


def _in_shares(rewritten: Sequence[tuple[FileRows, Recheck]], tasks: int) -> list[list[tuple[FileRows, Recheck]]]:
    by_file = {kept.file.path: (kept, recheck) for kept, recheck in rewritten}
    shares = contiguous_partitions([kept.file for kept, _ in rewritten], tasks)
    return [[by_file[file.path] for file in share] for share in shares]


class _Task:
    """The function of a task: computes features for rows of raw_images, and copies rows of mobilenet_features."""

    def __init__(
        self,
        context: SparkContext,
        raw: FolderTable,
        features: FolderTable,
        model: MobileNetModel,
        limits: DecodeLimits,
        images: str,
        erased: frozenset[str],
        inferences: Accumulator[int],
        done: Accumulator[int],
    ) -> None:
        self._raw, self._features = raw, features
        self._flatbuffer, self._tombstones = _broadcast(context, model.flatbuffer), _broadcast(context, erased)
        self._fingerprint, self._spec = model.fingerprint, model.spec
        self._limits, self._images = limits, images
        self._inferences, self._done = inferences, done

    def run(self, items: Iterable[_Item]) -> Iterator[pa.RecordBatch]:
        """Yields the rows of a task."""
        for item in items:
            if isinstance(item, FileRows):
                yield from (self._computed(batch.to_pylist()) for batch in item.read(self._raw))
                continue
            kept, recheck = item
            yield from (batch.select(_ARROW_SCHEMA.names) for batch in kept.read(self._features))
            yield from self._rechecked(recheck)

    def _computed(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        return self._counted([self._with_features(row, content) for row, content in self._fetched(rows)])

    def _rechecked(self, recheck: Recheck) -> Iterator[pa.RecordBatch]:
        column, start = _ARROW_SCHEMA.get_field_index("modification_time"), 0
        for batch in FileRows(recheck.file, recheck.rows).read(self._features, _ARROW_SCHEMA.names[:-1]):
            modified = pa.array(recheck.modified[start : start + len(batch)], pa.int64())
            start += len(batch)
            batch = batch.set_column(column, "modification_time", modified.cast(_ARROW_SCHEMA.field(column).type))
            rows = batch.drop_columns(["features"]).to_pylist()
            same, others = [], []
            for number, (row, content) in enumerate(self._fetched([{**row, "error": None} for row in rows])):
                if self._is_same(row, content):
                    same.append(number)
                else:
                    others.append(self._with_features(row, content))
            self._done.add(len(same))
            yield batch.take(pa.array(same, pa.int64()))
            if others:
                yield self._counted(others)

    def _is_same(self, row: Mapping[str, Any], content: bytes | UnusablePhotoError | None) -> bool:
        if not isinstance(content, bytes):
            return False
        image_id = hashlib.sha256(content).hexdigest()
        return row["image_id"] == image_id and not self._is_erased(image_id)

    def _is_erased(self, image_id: str) -> bool:
        return bool(self._tombstones.value) and tombstone_of(image_id) in self._tombstones.value

    def _fetched(
        self, rows: list[dict[str, Any]]
    ) -> Iterator[tuple[dict[str, Any], bytes | UnusablePhotoError | None]]:
        """Yields each row with the bytes of its photo; None for a photo that the listing refused: it is not opened."""
        wanted = ((f"{self._images}/{row['path']}", row["length"]) for row in rows if row["error"] is None)
        contents = fetch(wanted, self._limits.fetch)
        for row in rows:
            yield row, next(contents) if row["error"] is None else None

    def _with_features(self, row: dict[str, Any], content: bytes | UnusablePhotoError | None) -> dict[str, Any]:
        found = {**_EMPTY, "error": row["error"]} if content is None else self._features_of(content)
        if found["features"] is not None:
            self._inferences.add(1)
        return {**row, **found, "model": self._fingerprint}

    def _features_of(self, content: bytes | UnusablePhotoError) -> dict[str, Any]:
        if isinstance(content, UnusablePhotoError):
            return {**_EMPTY, "error": str(content)}
        image_id = hashlib.sha256(content).hexdigest()
        if self._is_erased(image_id):
            # Leave out the image id: it was erased too.
            return {**_EMPTY, "error": f"{ERASED}: these bytes were erased on request; delete the file"}
        try:
            photo = decode(content, self._limits.max_pixels, self._spec.size)
        except UnusablePhotoError as error:
            return {**_EMPTY, "image_id": image_id, "error": str(error)}
        extractor = FeatureExtractor.of_process(self._fingerprint, self._flatbuffer, self._spec)
        features = extractor.extract(photo)
        about = {"image_id": image_id, "format": photo.format, "width": photo.width, "height": photo.height}
        return {**_EMPTY, **about, **asdict(photo.measures), "features": features}

    def _counted(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        self._done.add(len(rows))
        return _record_batch(rows)


_MEASURES = [field.name for field in fields(Measures)]
_EMPTY = dict.fromkeys(("image_id", "format", "width", "height", *_MEASURES, "features", "error"))


def _broadcast(context: SparkContext, value: Value) -> Broadcast[Value]:
    try:
        # PySpark writes a stack trace to standard error before it raises.
        with redirect_stderr(io.StringIO()):
            return context.broadcast(value)
    except pickle.PicklingError as error:
        # The values can be pickled, so this error means that Spark cannot write its temporary file.
        raise FruitsError(
            f"Spark cannot keep the network in its temporary directory ({error}). Make room in /tmp, or set "
            "TMPDIR to a directory with room, and run again."
        ) from error


def _record_batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Returns rows as Arrow. The features are converted as one block, in a thousandth of the time of single numbers."""
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
