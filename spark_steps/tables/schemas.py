"""The schemas of the tables, as Arrow schemas, so that the tables can be read without Spark."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spark_steps.tables.snapshots import DataFile

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

FOLDER = "folder"
_TIME = pa.timestamp("us", tz="UTC")

RAW_IMAGES_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("label", pa.string()),
        pa.field("length", pa.int64()),
        pa.field("modification_time", _TIME),
        pa.field("error", pa.string()),
    ]
)
FEATURES_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("path", pa.string()),
        pa.field("label", pa.string()),
        pa.field("length", pa.int64()),
        pa.field("modification_time", _TIME),
        pa.field("format", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("brightness", pa.float32()),
        pa.field("contrast", pa.float32()),
        pa.field("sharpness", pa.float32()),
        pa.field("colour_spread", pa.float32()),
        pa.field("features", pa.list_(pa.float32())),
        pa.field("model", pa.string()),
        pa.field("error", pa.string()),
    ]
)
REDUCED_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("path", pa.string()),
        pa.field("label", pa.string()),
        pa.field("reduced", pa.list_(pa.float32())),
        pa.field("pca_model", pa.string()),
    ]
)

# One row for each photo with features: its group of near-duplicates, its split, and how its neighbours are labelled.
SPLITS_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("path", pa.string()),
        pa.field("label", pa.string()),
        pa.field("group", pa.int64()),
        pa.field("split", pa.string()),
        pa.field("nearest_cosine", pa.float32()),
        pa.field("nearest_label", pa.string()),
        pa.field("other_label_cosine", pa.float32()),
        pa.field("other_label", pa.string()),
        pa.field("label_agreement", pa.float32()),
        pa.field("label_cosine", pa.float32()),
        pa.field("audit", pa.string()),
    ]
)
# One row for each finding of the audit.
AUDIT_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("path", pa.string()),
        pa.field("label", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("severity", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("reason", pa.string()),
        pa.field("group", pa.int64()),
        pa.field("audit", pa.string()),
    ]
)


def with_folder(schema: pa.Schema) -> pa.Schema:
    """Returns a table's schema with the partition column ``folder`` last, as readers return it."""
    return schema.append(pa.field(FOLDER, pa.string()))


def to_spark(schema: pa.Schema) -> "StructType":
    """Returns an Arrow schema as a Spark schema."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(schema)


def conform(rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Returns rows with the columns of a schema, in its order and with its types, and with no others.

    A column that the rows lack is null, as in every reader of Delta Lake: it was added to the table after their file
    was written.

    Raises:
        ArrowInvalid: A column has values that its type in the schema cannot hold.
    """
    for field in schema:
        if field.name not in rows.schema.names:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows.select(schema.names).cast(schema)


def by_folder(files: Iterable[DataFile], folders: Iterable[str]) -> dict[str, list[DataFile]]:
    """Returns the files of each of the given folders; a folder without files has an empty list."""
    found: dict[str, list[DataFile]] = {folder: [] for folder in folders}
    for file in files:
        if file.folder in found:
            found[file.folder].append(file)
    return found


def with_folder_column(batch: pa.RecordBatch, folder: str) -> pa.RecordBatch:
    """Returns the rows of one folder with the column ``folder`` added."""
    return batch.append_column(FOLDER, pa.array([folder] * len(batch), pa.string()))


def matrix_of(lists: pa.ListArray) -> NDArray[Any]:
    """Returns N lists of k numbers each, none of them null, as a matrix of shape (N, k) without a copy."""
    values = lists.flatten()
    # to_numpy would import pandas, which takes half of the time of a small command.
    numbers = np.frombuffer(values.buffers()[1], values.type.to_pandas_dtype())
    return numbers[values.offset : values.offset + len(values)].reshape(len(lists), -1)
