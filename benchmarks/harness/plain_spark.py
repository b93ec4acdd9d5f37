"""A Spark session without the platform's settings, for the contenders that run on Spark in another way."""

from pyspark.sql import SparkSession

from spark_steps.spark.session import use_local_runtimes


def plain_session(cores: int, **settings: str) -> SparkSession:
    """Returns a session on this machine with Spark's own defaults, and memory enough.

    Args:
        cores: Cores to use.
        settings: More settings, with ``_`` for each dot.
    """
    use_local_runtimes()
    builder = (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.driver.memory", "4g")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
    )
    for name, value in settings.items():
        builder = builder.config(name.replace("_", "."), value)
    return builder.getOrCreate()
