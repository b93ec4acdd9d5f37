"""The columns of the tables, as Arrow has them, so that they can be read without Spark."""

from typing import TYPE_CHECKING

import pyarrow as pa

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


def with_folder(schema: pa.Schema) -> pa.Schema:
    """Returns a table's columns with the partition column ``folder`` last, as readers give them."""
    return schema.append(pa.field(FOLDER, pa.string()))


def to_spark(schema: pa.Schema) -> "StructType":
    """Returns columns as Spark has them."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(schema)
