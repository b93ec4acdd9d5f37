"""Spark ML's ``StandardScaler`` and ``PCA`` on vectors made by ``array_to_vector``."""

import time

from pyspark.ml.feature import PCA, StandardScaler
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F

from benchmarks.harness.job import COMPONENTS, read_job, tell
from benchmarks.harness.plain_spark import plain_session
from spark_steps.spark.session import start_workers


def main() -> None:
    """Tells how long the two fits take in a session that has had its first query, as ours has."""
    job = read_job()
    spark = plain_session(job.cores)
    start_workers(spark)
    start = time.perf_counter()
    features = spark.read.parquet(f"{job.data}/Results/mobilenet_features")
    vectors = features.select(array_to_vector(F.col("features")).alias("vector"))
    scaler = StandardScaler(inputCol="vector", outputCol="scaled", withMean=True, withStd=True).fit(vectors)
    model = PCA(k=COMPONENTS, inputCol="scaled", outputCol="reduced").fit(scaler.transform(vectors))
    explained = model.explainedVariance.toArray().tolist()
    tell(fit_seconds=time.perf_counter() - start, explained=explained)
    spark.stop()


if __name__ == "__main__":
    main()
