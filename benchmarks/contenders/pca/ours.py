"""The platform's PCA: one pass in Spark, whose tasks read their own Parquet files."""

import os
import time

from benchmarks.harness.feature_tables import NETWORK, table_of
from benchmarks.harness.job import COMPONENTS, read_job, tell
from fruits_assets.resources import LocalPySparkResource
from spark_steps.pca.model import PcaSettings, fit
from spark_steps.spark.session import local_spark_config, start_workers


def main() -> None:
    """Tells how long the fit takes in a session whose workers have started, as they have when a run comes to it."""
    job = read_job()
    spark = LocalPySparkResource(spark_config=local_spark_config(str(job.cores))).spark_session
    start_workers(spark)
    start = time.perf_counter()
    model = fit(spark, table_of(job.data), NETWORK, PcaSettings(COMPONENTS))
    seconds = time.perf_counter() - start
    tell(fit_seconds=seconds, explained=model.explained_variance_ratio[:COMPONENTS].tolist())


if __name__ == "__main__":
    main()
    # As the command ``fruits`` ends.
    os._exit(0)
