"""From 1280 features to k: the projection of mobilenet_features on a PCA model."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyspark.sql import SparkSession

from spark_steps.errors import FruitsError
from spark_steps.pca import PcaModel, feature_matrix
from spark_steps.schemas import REDUCED_SCHEMA, with_folder
from spark_steps.summaries import summarise
from spark_steps.tables import DataFile, FolderTable, contiguous_shares, rows_of_shares
from spark_steps.task_rows import TaskRows

_ROWS_AT_A_TIME = 2048


def reduce_features(spark: SparkSession, features: FolderTable, folders: Sequence[str], model: PcaModel) -> TaskRows:
    """Returns the rows of reduced_features of some folders: all photos that have features, and no others.

    Args:
        spark: The session.
        features: The table mobilenet_features.
        folders: The folders.
        model: The PCA.

    Raises:
        FruitsError: (as the rows are computed) The features of a folder come from another network than the model's.
    """
    broadcast = spark.sparkContext.broadcast(model)

    def run(share: Iterator[DataFile]) -> Iterator[pa.RecordBatch]:
        for file in share:
            columns = ["image_id", "path", "label", "features", "model"]
            for batch in features.open(file).iter_batches(_ROWS_AT_A_TIME, columns=columns):
                yield _reduced(batch, file.folder, broadcast.value)

    check_one_network(features, folders, model)
    shares = contiguous_shares(features.files(folders), spark.sparkContext.defaultParallelism)
    return rows_of_shares(spark, shares, run)


def check_one_network(features: FolderTable, folders: Sequence[str], model: PcaModel) -> None:
    """Raises a FruitsError where features come from another network than the one the model was fitted on."""
    for folder, summary in summarise(features, folders).items():
        if summary.models - {model.features_model}:
            raise FruitsError(
                f"The features of folder {folder!r} come from another network than the PCA model {model.version}. "
                "Make the features of all folders and the PCA anew (fruits run, or the job whole_pipeline)."
            )


def _reduced(batch: pa.RecordBatch, folder: str, model: PcaModel) -> pa.RecordBatch:
    good = batch.filter(batch["features"].is_valid())
    numbers = model.project(feature_matrix(good["features"]))
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
            pa.array([folder] * rows, pa.string()),
        ],
        names=with_folder(REDUCED_SCHEMA).names,
    )
