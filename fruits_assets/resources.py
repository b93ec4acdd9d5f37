"""The resources of each deployment."""

from typing import Any

import dagster as dg
from dagster_pyspark import LazyPySparkResource
from pyspark.sql import SparkSession

from fruits_assets.costs import CostModel
from fruits_assets.io_managers import FolderTableIOManager, MobileNetModelIOManager, PcaModelIOManager
from fruits_assets.settings import Settings
from spark_steps.session import local_spark_config, use_local_runtimes
from spark_steps.store import Store


class LocalPySparkResource(LazyPySparkResource):
    """Spark on this machine, started when a step first asks for it, on a Java that is found or brought along."""

    @property
    def spark_session(self) -> SparkSession:
        """The session of this process."""
        use_local_runtimes()
        session: SparkSession = super().spark_session
        return session


def local_resources(settings: Settings) -> dict[str, Any]:
    """Returns the resources for a folder store and Spark on this machine."""
    store = Store(settings.store)
    pyspark = LocalPySparkResource(spark_config=local_spark_config(settings.cores, settings.driver_memory))
    costs = CostModel.of(settings.cores, settings.core_nodes, settings.usd_to_eur)
    return {
        "settings": dg.ResourceDefinition.hardcoded_resource(settings),
        "store": dg.ResourceDefinition.hardcoded_resource(store),
        "costs": dg.ResourceDefinition.hardcoded_resource(costs),
        "pyspark": pyspark,
        # A step launcher sends steps to a cluster; here they run where they are.
        "pyspark_step_launcher": dg.ResourceDefinition.none_resource(),
        "tables": FolderTableIOManager(store, pyspark, costs),
        "mobilenet_models": MobileNetModelIOManager(store),
        "pca_models": PcaModelIOManager(store, pyspark),
    }


RESOURCES = {"local": local_resources}
