"""The process from which Spark forks its Python workers, with all that they need imported once and shared.

Spark's own daemon imports nothing of it: each worker then took 1.5 seconds and its own memory for the same modules.
"""

import gc

import ai_edge_litert.interpreter
import pandas as pd
import PIL.JpegImagePlugin
import pyspark.daemon
from pyspark.sql.pandas import serializers

import spark_steps.features.mobilenet
import spark_steps.tables.folder_table

PRELOADED = (
    ai_edge_litert.interpreter,
    pd,
    PIL.JpegImagePlugin,
    serializers,
    spark_steps.features.mobilenet,
    spark_steps.tables.folder_table,
)

if __name__ == "__main__":
    # What is here stays until the end: collecting would touch, and so copy, the pages shared with the workers.
    gc.freeze()
    pyspark.daemon.manager()  # type: ignore[no-untyped-call]
