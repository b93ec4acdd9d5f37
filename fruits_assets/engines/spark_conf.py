"""Spark's settings of a step that are the same on every engine."""

from fruits_assets.settings import Settings
from spark_steps.spark.session import SESSION_CONFIG
from spark_steps.storage import parallel


def spark_conf(settings: Settings) -> dict[str, str]:
    """Returns the size of an executor, what its workers read from their environment, and the session's settings."""
    return {
        "spark.executor.cores": str(settings.executor_cores),
        "spark.executor.memory": settings.executor_memory,
        "spark.executorEnv.FRUITS_REGION": settings.region,
        f"spark.executorEnv.{parallel.VARIABLE}": str(settings.files_at_a_time),
        "spark.executorEnv.LC_ALL": "C.UTF-8",
        **SESSION_CONFIG,
    }
