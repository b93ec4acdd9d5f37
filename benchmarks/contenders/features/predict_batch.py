"""Spark's own way for networks, ``predict_batch_udf``, with Keras: the model is kept from batch to batch."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql.types import ArrayType, FloatType

from benchmarks.harness.job import read_job
from benchmarks.harness.plain_spark import plain_session


def main() -> None:
    """Writes the features; twice as many partitions as cores, because binaryFile's own are many and small."""
    job = read_job()
    spark = plain_session(job.cores)

    def make_predict() -> Callable[[NDArray[Any]], NDArray[np.float32]]:
        import keras
        import tensorflow as tf
        from PIL import Image

        from spark_steps.features.keras_model import build_model

        # There is a worker for each core.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        model = build_model(job.weights, job.weights)

        def predict(contents: NDArray[Any]) -> NDArray[np.float32]:
            images = [np.asarray(Image.open(io.BytesIO(one)).resize((224, 224)), np.float32) for one in contents]
            pixels = keras.applications.mobilenet_v2.preprocess_input(np.stack(images))
            predicted: NDArray[np.float32] = model.predict(pixels, batch_size=len(pixels), verbose=0)
            return predicted

        return predict

    udf = predict_batch_udf(make_predict, return_type=ArrayType(FloatType()), batch_size=64)
    photos = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(job.data)
    photos = photos.repartition(2 * job.cores)
    photos.select("path", udf("content").alias("features")).write.parquet(f"{job.output}/features")
    spark.stop()


if __name__ == "__main__":
    main()
