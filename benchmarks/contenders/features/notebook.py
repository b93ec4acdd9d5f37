"""The notebook that the platform replaces: binaryFile with content, 20 partitions, a Keras model rebuilt in each task.

As it was, but for two things in its favour: the weights are not read again from a file in each task before they are
replaced by the broadcast ones, and the network is built without its classifier at once.
"""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from benchmarks.harness.job import Job, read_job
from benchmarks.harness.plain_spark import plain_session


def features_of(spark: SparkSession, job: Job) -> DataFrame:
    """Returns path, label and features of all photos: a plan, which every action on it runs again."""
    import keras
    from PIL import Image

    from spark_steps.features.keras_model import build_model

    broadcast = spark.sparkContext.broadcast(build_model(job.weights, job.weights).get_weights())

    def model_of_task() -> Any:
        model = keras.applications.MobileNetV2(
            weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3)
        )
        for layer in model.layers:
            layer.trainable = False
        model.set_weights(broadcast.value)
        return model

    def preprocess(content: bytes) -> Any:
        image = Image.open(io.BytesIO(content)).resize((224, 224))
        return keras.applications.mobilenet_v2.preprocess_input(keras.utils.img_to_array(image))

    def featurise(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        model = model_of_task()
        for contents in batches:
            predicted = model.predict(np.stack([preprocess(content) for content in contents]), verbose=0)
            yield pd.Series([row.flatten() for row in predicted])

    udf = pandas_udf(featurise, "array<float>")  # type: ignore[call-overload]
    photos = (
        spark.read.format("binaryFile")
        .option("pathGlobFilter", "*.jpg")
        .option("recursiveFileLookup", "true")
        .load(job.data)
    )
    photos = photos.withColumn("label", F.element_at(F.split(photos["path"], "/"), -2))
    return photos.repartition(20).select("path", "label", udf("content").alias("features"))


def main() -> None:
    """Writes the features."""
    job = read_job()
    spark = plain_session(job.cores)
    features_of(spark, job).write.parquet(f"{job.output}/features")
    spark.stop()


if __name__ == "__main__":
    main()
