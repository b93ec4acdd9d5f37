"""The cost model that a step elsewhere finds in its environment."""

import json
import os

from fruits_assets.money.costs import COST_VARIABLE, ClusterCostModel, CostModel
from fruits_assets.money.dbus.workers import DbuCostModel
from fruits_assets.money.dpus.workers import DpuCostModel
from fruits_assets.money.jobs.workers import WorkerCostModel


def model_of_this_step() -> CostModel | None:
    """Returns the model in this process's environment; None where the process is no step that was sent here."""
    given = os.environ.get(COST_VARIABLE)
    if not given:
        return None
    document = json.loads(given)
    if "eur_per_dpu_hour" in document:
        return DpuCostModel.from_json(document)
    if "eur_per_databricks_node_hour" in document:
        return DbuCostModel.from_json(document)
    return WorkerCostModel.from_json(document) if "workers" in document else ClusterCostModel.from_json(document)
