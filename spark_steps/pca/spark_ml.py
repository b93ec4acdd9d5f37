"""Writes PCA models as Spark ML ``PipelineModel``s, for any Spark user.

The files are those that Spark's own ``PipelineModel.save`` writes: a line of JSON for the pipeline and for each stage,
and a Parquet file of one row with the numbers of a stage. Their form is the same in all versions of Spark 3. They are
written without Spark, whose import of ``pyspark.ml`` and three jobs took two seconds.
"""

import io
import json
import time
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spark_steps.pca.model import PcaModel
from spark_steps.pca.moments import Matrix
from spark_steps.storage import locations

# The version of Spark whose form the files have; Spark chooses by it how it reads them.
_SPARK_VERSION = "3.5.0"
_INTEGERS = pa.list_(pa.field("element", pa.int32(), nullable=False))
_DOUBLES = pa.list_(pa.field("element", pa.float64(), nullable=False))
_VECTOR = pa.struct(
    [
        pa.field("type", pa.int8(), nullable=False),
        pa.field("size", pa.int32()),
        pa.field("indices", _INTEGERS),
        pa.field("values", _DOUBLES),
    ]
)
_MATRIX = pa.struct(
    [
        pa.field("type", pa.int8(), nullable=False),
        pa.field("numRows", pa.int32(), nullable=False),
        pa.field("numCols", pa.int32(), nullable=False),
        pa.field("colPtrs", _INTEGERS),
        pa.field("rowIndices", _INTEGERS),
        pa.field("values", _DOUBLES),
        pa.field("isTransposed", pa.bool_(), nullable=False),
    ]
)
# The type of a vector and of a matrix that is dense; the columns for sparse ones stay null.
_DENSE = 1
_USER_TYPES = {_VECTOR: "VectorUDT", _MATRIX: "MatrixUDT"}
_SPARK_TYPES: dict[pa.DataType, Any] = {
    pa.int8(): "byte",
    pa.int32(): "integer",
    pa.bool_(): "boolean",
    _INTEGERS: {"type": "array", "elementType": "integer", "containsNull": False},
    _DOUBLES: {"type": "array", "elementType": "double", "containsNull": False},
}


def write_spark_ml(model: PcaModel, location: str) -> None:
    """Writes a model as a Spark ML ``PipelineModel`` from a vector column ``features`` to ``reduced``.

    It has the model's numbers and is not fitted again, so both give the same results. Several runs may write one model
    at the same time: their files have the same names and the same numbers.

    Args:
        model: The model.
        location: The pipeline's directory, a normalised location.
    """
    scaler, pca = f"fruits_scaler_{model.version}", f"fruits_pca_{model.version}"
    _write_metadata(location, "PipelineModel", f"fruits_{model.version}", {"stageUids": [scaler, pca]})
    parameters = {"inputCol": "features", "outputCol": "standardised", "withMean": True, "withStd": True}
    stage = f"{location}/stages/0_{scaler}"
    _write_metadata(stage, "feature.StandardScalerModel", scaler, parameters)
    _write_numbers(stage, {"std": _vector(model.scale), "mean": _vector(model.mean)}, [_VECTOR, _VECTOR])
    stage = f"{location}/stages/1_{pca}"
    parameters = {"inputCol": "standardised", "outputCol": "reduced", "k": model.k}
    _write_metadata(stage, "feature.PCAModel", pca, parameters)
    explained = _vector(model.explained_variance_ratio[: model.k])
    _write_numbers(stage, {"pc": _matrix(model), "explainedVariance": explained}, [_MATRIX, _VECTOR])


def _write_metadata(directory: str, name: str, uid: str, parameters: dict[str, Any]) -> None:
    document = {
        "class": f"org.apache.spark.ml.{name}",
        "timestamp": int(time.time() * 1000),
        "sparkVersion": _SPARK_VERSION,
        "uid": uid,
        "paramMap": parameters,
        "defaultParamMap": {},
    }
    # Spark reads the first line of the file only.
    locations.write_bytes(f"{directory}/metadata/part-00000", f"{json.dumps(document)}\n".encode())


def _write_numbers(directory: str, row: dict[str, Any], types: Iterable[pa.DataType]) -> None:
    fields = [pa.field(name, of_column) for name, of_column in zip(row, types, strict=True)]
    # From this entry Spark knows which structs are vectors and matrices.
    about = {"org.apache.spark.sql.parquet.row.metadata": json.dumps(_struct(fields))}
    table = pa.Table.from_pylist([row], pa.schema(fields, about))
    buffer = io.BytesIO()
    # Uncompressed: the digits of the numbers are random. Every Spark reads it, also one without native libraries.
    pq.write_table(table, buffer, compression="none", use_dictionary=False)
    locations.write_bytes(f"{directory}/data/part-00000.parquet", buffer.getvalue())


def _struct(fields: Iterable[pa.Field]) -> dict[str, Any]:
    """Returns Spark's description of a struct, as its ``StructType.json`` has it."""
    described = [
        {"name": field.name, "type": _type(field.type), "nullable": field.nullable, "metadata": {}} for field in fields
    ]
    return {"type": "struct", "fields": described}


def _type(of_field: pa.DataType) -> Any:
    if of_field not in _USER_TYPES:
        return _SPARK_TYPES[of_field]
    name = _USER_TYPES[of_field]
    return {
        "type": "udt",
        "class": f"org.apache.spark.ml.linalg.{name}",
        "pyClass": f"pyspark.ml.linalg.{name}",
        "sqlType": _struct(of_field),
    }


def _vector(numbers: Matrix) -> dict[str, Any]:
    return {"type": _DENSE, "values": numbers}


def _matrix(model: PcaModel) -> dict[str, Any]:
    """Returns the loadings as Spark has them: a matrix of shape (features, k), its columns one after the other."""
    kept = model.components[: model.k]
    return {
        "type": _DENSE,
        "numRows": kept.shape[1],
        "numCols": model.k,
        "values": kept.ravel(),
        "isTransposed": False,
    }
