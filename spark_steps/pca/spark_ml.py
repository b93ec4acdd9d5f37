"""Exports PCA models as Spark ML ``PipelineModel``s, for any Spark user."""

import uuid

import numpy as np
from pyspark.ml import PipelineModel
from pyspark.ml.feature import PCAModel, StandardScalerModel
from pyspark.sql import SparkSession

from spark_steps.pca.model import PcaModel
from spark_steps.storage import locations


def export_to_spark_ml(spark: SparkSession, model: PcaModel, location: str) -> None:
    """Writes a model as a Spark ML ``PipelineModel`` from a vector column ``features`` to ``reduced``.

    It is built in the JVM from the model's numbers and not fitted again, so both give the same results.

    Two runs may export one version at the same time, and Spark's writer fails where another one writes. So each writes
    a directory of its own, which is moved then.
    """
    own = f"{location}-{uuid.uuid4().hex}"
    try:
        PipelineModel([_scaler(spark, model), _pca(spark, model)]).write().save(own)
        locations.move_directory(own, location)
    except BaseException:
        locations.delete_directory(own)
        raise


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
    # Spark's matrices are column-major: the columns of its (1280, k) matrix are the rows of ``kept``.
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
    """Returns a Java ``double[]``, sent as one byte buffer: py4j would send an array with one call per element."""
    jvm = spark.sparkContext._jvm
    gateway = spark.sparkContext._gateway
    assert jvm is not None  # noqa: S101
    assert gateway is not None  # noqa: S101
    buffer = jvm.java.nio.ByteBuffer.wrap(bytearray(np.ascontiguousarray(numbers, dtype=">f8").tobytes()))
    array = gateway.new_array(jvm.double, len(numbers))
    buffer.asDoubleBuffer().get(array)
    # get() fills this array because new_array made it in Java; a Python list would be sent as a copy.
    return array
