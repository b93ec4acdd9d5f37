"""Reduces the features of photos to k numbers: projects mobilenet_features on a PCA model."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import SparkSession

from spark_steps.errors import FruitsError
from spark_steps.pca.model import PcaModel, feature_matrix
from spark_steps.storage.parallel import for_each
from spark_steps.tables.deferred_rows import DeferredRows
from spark_steps.tables.folder_table import DataFile, FolderTable, TableChange
from spark_steps.tables.footers import table_totals
from spark_steps.tables.row_ranges import FileRows, compare, split, task_sizes
from spark_steps.tables.schemas import REDUCED_SCHEMA, by_folder, with_folder
from spark_steps.tables.totals import Totals, folders_to_reduce, of_others

_SCHEMA = with_folder(REDUCED_SCHEMA)
# This many rows of 1280 features take 40 MB.
_MOST_ROWS = 8192


def plan_reduced(
    spark: SparkSession,
    features: FolderTable,
    reduced: FolderTable,
    folders: Sequence[str],
    model: PcaModel,
    *,
    full_refresh: bool = False,
) -> TableChange:
    """Plans the change after which folders have reduced features of exactly the photos that have features.

    Folders that are up to date do not change. In a folder reduced by the same model, only files with rows of removed
    photos are replaced. A folder reduced by another model is replaced as a whole.

    Args:
        spark: The session.
        features: The table mobilenet_features.
        reduced: The table reduced_features.
        folders: The folders.
        model: The PCA.
        full_refresh: Whether to project every photo of the folders again.

    Raises:
        FruitsError: The features of a folder come from another network than the model's.
    """
    base = reduced.snapshot()
    sources, existing = by_folder(features.snapshot().files, folders), by_folder(base.files, folders)
    totals = table_totals(features, sources), table_totals(reduced, existing)
    check_one_network(totals[0], model)
    stale = folders_to_reduce(*totals, model.version).intersection(folders)
    behind = sorted(folders if full_refresh else stale)
    if not behind:
        return TableChange(base)
    same_model = {folder for folder in stale if not full_refresh and totals[1][folder].made_by == {model.version}}

    def plan(folder: str) -> tuple[list[FileRows], list[FileRows]]:
        if folder not in same_model:
            return [FileRows.all_of(file) for file in sources[folder]], [FileRows(one, []) for one in existing[folder]]
        return _difference(features, sources[folder], reduced, existing[folder])

    planned = for_each(plan, behind)
    computed, rewritten = ([one for plan in planned for one in plan[part]] for part in (0, 1))
    gone = [one.file for one in rewritten]
    # Tasks are sized by rows, because the size of a file of features is about proportional to its rows.
    tasks = [*computed, *(one for one in rewritten if one.rows)]
    sizes = task_sizes(sum(len(one.rows) for one in tasks), spark.sparkContext.defaultParallelism, _MOST_ROWS)
    shares = split(tasks, sizes)
    task = _task(features, reduced, {file.path for file in gone}, spark.sparkContext.broadcast(model))
    rows = DeferredRows(spark.sparkContext, shares, task) if shares else None
    return TableChange(base, rows, gone, frozenset(behind), kept=sum(len(one.rows) for one in rewritten))


def _task(
    features: FolderTable, reduced: FolderTable, rewritten: Collection[str], model: Broadcast[PcaModel]
) -> Callable[[Iterable[FileRows]], Iterator[pa.RecordBatch]]:
    """Returns the function of a task: projects rows of features, and copies those of the files to rewrite."""

    def run(items: Iterable[FileRows]) -> Iterator[pa.RecordBatch]:
        for one in items:
            if one.file.path in rewritten:
                yield from (batch.select(_SCHEMA.names) for batch in one.read(reduced))
                continue
            columns = ["image_id", "path", "label", "features"]
            yield from (_reduced(batch, model.value) for batch in one.read(features, columns))

    return run


def _difference(
    features: FolderTable, sources: Sequence[DataFile], reduced: FolderTable, existing: Sequence[DataFile]
) -> tuple[list[FileRows], list[FileRows]]:
    """Returns the rows of features to be reduced, and for each file to remove the rows that stay."""
    wanted = [(file, row, key) for file in sources for row, key in enumerate(_keys(features, file)) if key]
    difference = compare([key for _, _, key in wanted], [_keys(reduced, file) for file in existing])
    new = [wanted[number][:2] for number in difference.new]
    computed = [FileRows(file, [row for _, row in some]) for file, some in groupby(new, key=itemgetter(0))]
    changed = [
        FileRows(file, kept) for file, kept in zip(existing, difference.kept, strict=True) if len(kept) < file.rows
    ]
    return computed, changed


def _keys(table: FolderTable, file: DataFile) -> list[tuple[str, str] | None]:
    """Returns path and image id of each row, None for rows without features."""
    names = [name for name in ("path", "image_id", "error") if name in table.schema.names]
    with table.reading(file) as opened:
        rows = opened.read(columns=names).to_pylist()
    return [None if row.get("error") else (row["path"], row["image_id"]) for row in rows]


def check_one_network(features: Mapping[str, Totals], model: PcaModel) -> None:
    """Raises a FruitsError if features were made by another network than the features that the model was fitted on.

    Args:
        features: Totals of mobilenet_features, by folder.
        model: The PCA.
    """
    if others := of_others(features, model.features_model):
        raise FruitsError(
            f"The features of folder {others[0]!r} come from another network than the PCA model {model.version}. "
            "Make the features of all folders and the PCA anew (fruits run, or the job whole_pipeline)."
        )


def _reduced(batch: pa.RecordBatch, model: PcaModel) -> pa.RecordBatch:
    good = batch.filter(batch["features"].is_valid())
    numbers = model.project(feature_matrix(good["features"], len(model.mean)))
    rows = len(numbers)
    offsets = pa.array(range(0, (rows + 1) * model.k, model.k), pa.int32())
    reduced = pa.ListArray.from_arrays(offsets, pa.array(numbers.ravel()))
    return pa.RecordBatch.from_arrays(
        [
            good["image_id"],
            good["path"],
            good["label"],
            reduced,
            pa.array([model.version] * rows, pa.string()),
            good["folder"],
        ],
        names=_SCHEMA.names,
    )
