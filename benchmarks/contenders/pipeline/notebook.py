"""The notebook's whole flow: features written, then standardised, then a PCA with 350 components, then written.

The features are neither cached nor read back, so each of these runs the whole network again: about six times in all.
"""

from pyspark.ml.feature import PCA, StandardScaler
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F

from benchmarks.contenders.features.notebook import features_of
from benchmarks.harness.job import COMPONENTS, read_job
from benchmarks.harness.plain_spark import plain_session


def main() -> None:
    """Photos to reduced rows."""
    job = read_job()
    spark = plain_session(job.cores)
    features = features_of(spark, job)
    features.write.parquet(f"{job.output}/features")
    vectors = features.withColumn("vector", array_to_vector(F.col("features"))).select("path", "label", "vector")
    scaler = StandardScaler(inputCol="vector", outputCol="scaled", withMean=True, withStd=True).fit(vectors)
    scaled = scaler.transform(vectors)
    pca = PCA(k=COMPONENTS, inputCol="scaled", outputCol="reduced").fit(scaled)
    pca.transform(scaled).select("path", "label", "reduced").write.parquet(f"{job.output}/reduced")
    spark.stop()


if __name__ == "__main__":
    main()
