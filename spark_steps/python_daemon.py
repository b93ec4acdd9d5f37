"""The process from which Spark forks its Python workers; it imports their modules once, and the workers share them.

Spark's own daemon does not import these modules: each worker would take 1.5 seconds and its own memory for them.
"""

import gc

import ai_edge_litert.interpreter
import pandas as pd  # Pyarrow imports it for its first array.
import PIL.JpegImagePlugin
import pyspark.daemon

import spark_steps.features.mobilenet
import spark_steps.tables.folder_table

PRELOADED = (
    ai_edge_litert.interpreter,
    pd,
    PIL.JpegImagePlugin,
    spark_steps.features.mobilenet,
    spark_steps.tables.folder_table,
)

if __name__ == "__main__":
    # Exclude the imported objects from garbage collection, which would write to, and so copy, the pages shared with
    # the workers. These objects are needed until the end anyway.
    gc.freeze()
    pyspark.daemon.manager()  # type: ignore[no-untyped-call]
