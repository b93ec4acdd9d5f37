"""The resources of each deployment."""

from typing import Any

import dagster as dg
from dagster_pyspark import LazyPySparkResource
from pyspark.sql import SparkSession

from fruits_assets.assets.io_managers import FolderTableIOManager, MobileNetModelIOManager, PcaModelIOManager
from fruits_assets.aws.sessions import s3_resource
from fruits_assets.engines.launcher import launcher_resource
from fruits_assets.engines.registry import LOCAL, entry_of
from fruits_assets.jobs.jobs import ALL_JOBS
from fruits_assets.money.costs import CostModel
from fruits_assets.money.models import model_of_this_step
from fruits_assets.settings import Settings
from spark_steps.spark.session import SESSION_CONFIG, use_local_runtimes
from spark_steps.store.store import Store


class LocalPySparkResource(LazyPySparkResource):
    """Spark on this machine, started when a step first asks for it, on a Java that is found or brought along."""

    @property
    def spark_session(self) -> SparkSession:
        """The session of this process."""
        use_local_runtimes()
        session: SparkSession = super().spark_session
        return session


def local_resources(settings: Settings) -> dict[str, Any]:
    """Returns the resources for Spark on this machine; a step launcher sends steps elsewhere, and there is none."""
    pyspark = LocalPySparkResource(spark_config=settings.spark_config)
    return {**_resources(settings, pyspark), "pyspark_step_launcher": dg.ResourceDefinition.none_resource()}


def remote_resources(settings: Settings) -> dict[str, Any]:
    """Returns the resources for steps that run elsewhere, in the launching process and there alike."""
    # There spark-submit has said everything about the session; in the launching process none is started.
    pyspark = LazyPySparkResource(spark_config=SESSION_CONFIG)
    make_launcher = entry_of(settings.deployment).make_launcher
    return {
        **_resources(settings, pyspark),
        "pyspark_step_launcher": launcher_resource(make_launcher, settings, [job.name for job in ALL_JOBS]),
    }


def _resources(settings: Settings, pyspark: LazyPySparkResource) -> dict[str, Any]:
    settings.export()
    store = Store(settings.store)
    costs = model_of_this_step() or CostModel.of(settings)
    return {
        "settings": dg.ResourceDefinition.hardcoded_resource(settings),
        "store": dg.ResourceDefinition.hardcoded_resource(store),
        "costs": dg.ResourceDefinition.hardcoded_resource(costs),
        "pyspark": pyspark,
        "s3": s3_resource(settings.region),
        "tables": FolderTableIOManager(store, pyspark, costs, settings.maintenance),
        "mobilenet_models": MobileNetModelIOManager(store),
        "pca_models": PcaModelIOManager(store),
    }


def resources_of(settings: Settings) -> dict[str, Any]:
    """Returns the resources of the settings' deployment."""
    return local_resources(settings) if settings.deployment == LOCAL else remote_resources(settings)
