"""What the assets have in common."""

from typing import Any

import dagster as dg
import pyarrow as pa

from fruits_assets.assets.metadata import column_schema
from fruits_assets.instance.partitions import image_folders
from fruits_assets.instance.tags import tagged_folders

GROUP: dict[str, Any] = {
    "group_name": "fruit_features",
    "owners": ["team:fruits-data"],
    # Any number of folders in one run. The assets without folders have this policy too: Dagster's command line accepts
    # a range of partitions only if all selected assets have it.
    "backfill_policy": dg.BackfillPolicy.single_run(),
}
# Dagster passes a step to a step launcher among the resources that the step requires. So an asset with a parameter
# ``pyspark_step_launcher`` of this type runs where the deployment says: in the launching process in the local one.
StepLauncher = dg.ResourceParam[Any]


def folder_table(name: str, schema: pa.Schema) -> dict[str, Any]:
    """Returns arguments of ``dg.asset`` for a table partitioned by image folder; one Spark job takes any number."""
    return {
        "name": name,
        "partitions_def": image_folders,
        "io_manager_key": "tables",
        "kinds": {"spark", "deltalake"},
        "metadata": {"dagster/column_schema": column_schema(schema), "dagster/table_name": name},
        **GROUP,
    }


def folders_of(context: dg.AssetExecutionContext) -> list[str]:
    """Returns the folders of a run: those in its tag where it has one, else its partitions."""
    return tagged_folders(context.run.tags) or list(context.partition_keys)
