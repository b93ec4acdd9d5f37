"""PCA models in the store: ``<root>/<version>/``, complete or not there, and the same for any Spark user."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyspark.ml import PipelineModel
from pyspark.ml.feature import PCAModel, StandardScalerModel
from pyspark.sql import SparkSession

from spark_steps import storage
from spark_steps.errors import FruitsError
from spark_steps.pca import ANALYSED_COMPONENTS, PcaModel

_CURRENT = "current.json"


def save(spark: SparkSession, model: PcaModel, root: str) -> None:
    """Writes a model, unless it is there already, and makes it the current one.

    ``model.json`` comes last: a version without it is not there for readers, so that a part is never used.

    Args:
        spark: A session, for the export to Spark ML.
        model: The model.
        root: Directory of all versions, a normalised place.
    """
    directory = f"{root}/{model.version}"
    if not exists(root, model.version):
        table = pa.table(
            {
                "component": pa.array(range(1, len(model.components) + 1), pa.int32()),
                "explained_variance_ratio": model.explained_variance_ratio[: len(model.components)],
                "loadings": pa.array(list(model.components), pa.list_(pa.float64())),
            }
        )
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        storage.write_bytes(f"{directory}/components.parquet", buffer.getvalue())
        export_to_spark_ml(spark, model, f"{directory}/pipeline")
        document = {
            "version": model.version,
            "features_model": model.features_model,
            "weights": model.weights,
            "rows": model.rows,
            "folders": model.folders,
            "k": model.k,
            "asked_components": model.asked_components,
            "asked_variance": model.asked_variance,
            "variance_kept": model.explained_at(model.k),
            "mean": model.mean.tolist(),
            "scale": model.scale.tolist(),
            "explained_variance_ratio": model.explained_variance_ratio[:ANALYSED_COMPONENTS].tolist(),
            "components_for": {f"{share:.0%}": model.components_for(share) for share in (0.9, 0.95, 0.99)},
            # Those above 350 too, for whoever asks for another share later.
            "all_explained_variance_ratio": model.explained_variance_ratio.tolist(),
        }
        storage.write_json(f"{directory}/model.json", document)
    storage.write_json(f"{root}/{_CURRENT}", {"version": model.version})


def exists(root: str, version: str) -> bool:
    """Returns whether a version is there, whole."""
    return bool(storage.file_type(f"{root}/{version}/model.json") == fs.FileType.File)


def current_version(root: str) -> str | None:
    """Returns the version that the next projection uses, None where there is none yet."""
    if storage.file_type(f"{root}/{_CURRENT}") != fs.FileType.File:
        return None
    version: str = storage.read_json(f"{root}/{_CURRENT}")["version"]
    return version


def load(root: str, version: str | None = None) -> PcaModel:
    """Returns a model, by default the current one.

    Raises:
        FruitsError: There is none, or not of that version.
    """
    version = version or current_version(root)
    if version is None or not exists(root, version):
        raise FruitsError(f"There is no PCA model {version or ''} under {root}. Materialize pca_model first.")
    document = storage.read_json(f"{root}/{version}/model.json")
    table = pq.read_table(pa.BufferReader(storage.read_bytes(f"{root}/{version}/components.parquet")))
    return PcaModel(
        version=document["version"],
        features_model=document["features_model"],
        rows=document["rows"],
        folders=document["folders"],
        k=document["k"],
        asked_components=document["asked_components"],
        asked_variance=document["asked_variance"],
        mean=np.array(document["mean"]),
        scale=np.array(document["scale"]),
        components=np.array(table["loadings"].to_pylist()),
        explained_variance_ratio=np.array(document["all_explained_variance_ratio"]),
        weights=document["weights"],
    )


def export_to_spark_ml(spark: SparkSession, model: PcaModel, location: str) -> None:
    """Writes a model as a Spark ML ``PipelineModel`` from a vector column ``features`` to ``reduced``.

    Built from the model's numbers through the JVM, so that both give the same: there is nothing to fit again.
    """
    PipelineModel([_scaler(spark, model), _pca(spark, model)]).write().overwrite().save(location)


def _scaler(spark: SparkSession, model: PcaModel) -> StandardScalerModel:
    jvm = spark.sparkContext._jvm
    assert jvm is not None  # noqa: S101
    java = jvm.org.apache.spark.ml.feature.StandardScalerModel(
        f"fruits_scaler_{model.version}", _vector(spark, model.scale), _vector(spark, model.mean)
    )
    scaler = StandardScalerModel(java)
    scaler._resetUid(java.uid())
    for name, value in (("inputCol", "features"), ("outputCol", "standardised"), ("withMean", True), ("withStd", True)):
        scaler.set(scaler.getParam(name), value)
    return scaler


def _pca(spark: SparkSession, model: PcaModel) -> PCAModel:
    jvm = spark.sparkContext._jvm
    assert jvm is not None  # noqa: S101
    kept = np.ascontiguousarray(model.components[: model.k])
    # Column-major, as Spark's matrices are: the columns of the (1280, k) matrix are the rows of ours.
    matrix = jvm.org.apache.spark.ml.linalg.DenseMatrix(
        kept.shape[1], model.k, _java_doubles(spark, kept.ravel()), False
    )
    explained = _vector(spark, model.explained_variance_ratio[: model.k])
    java = jvm.org.apache.spark.ml.feature.PCAModel(f"fruits_pca_{model.version}", matrix, explained)
    pca = PCAModel(java)
    pca._resetUid(java.uid())
    for name, value in (("inputCol", "standardised"), ("outputCol", "reduced"), ("k", model.k)):
        pca.set(pca.getParam(name), value)
    return pca


def _vector(spark: SparkSession, numbers: np.ndarray) -> object:
    jvm = spark.sparkContext._jvm
    assert jvm is not None  # noqa: S101
    return jvm.org.apache.spark.ml.linalg.DenseVector(_java_doubles(spark, numbers))


def _java_doubles(spark: SparkSession, numbers: np.ndarray) -> object:
    """Returns a Java ``double[]``, sent in one piece: py4j sends an array's elements one call at a time."""
    jvm = spark.sparkContext._jvm
    gateway = spark.sparkContext._gateway
    assert jvm is not None  # noqa: S101
    assert gateway is not None  # noqa: S101
    buffer = jvm.java.nio.ByteBuffer.wrap(bytearray(np.ascontiguousarray(numbers, dtype=">f8").tobytes()))
    array = gateway.new_array(jvm.double, len(numbers))
    buffer.asDoubleBuffer().get(array)
    # get() filled a copy on the Java side only if the array is Java's own, which new_array's is.
    return array
