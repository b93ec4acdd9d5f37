"""The asset ``store_report``, whose metadata summarise the whole store in the UI."""

import dagster as dg

from fruits_assets.assets.audit import photo_audit, photo_splits
from fruits_assets.assets.common import GROUP
from fruits_assets.assets.metadata import STORE_REPORT
from fruits_assets.assets.mobilenet import mobilenet_features, mobilenet_model
from fruits_assets.assets.overview import overview
from fruits_assets.assets.pca import pca_model, reduced_features
from fruits_assets.assets.raw_images import raw_images
from fruits_assets.instance.failures import reports_failures
from fruits_assets.money.cost_so_far import cost_so_far
from spark_steps.pca import model_store
from spark_steps.queries.report import read_report
from spark_steps.store.store import Store

_ASSETS = (raw_images, mobilenet_model, mobilenet_features, pca_model, reduced_features, photo_splits, photo_audit)
_WITH_COSTS = [asset.key for asset in _ASSETS]


@dg.asset(name=STORE_REPORT, deps=[reduced_features, pca_model], kinds={"markdown"}, **GROUP)
@reports_failures
def store_report(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> dg.MaterializeResult[None]:
    """All folders together: photos, rejected ones, labels, PCA model, variance kept, cost so far, folders to reduce.

    The other assets show the figures of one folder at a time; the UI plots these figures over time. They are read from
    the files of the three tables, as ``fruits report`` reads them, without Spark.
    """
    model = model_store.load(store.pca_models)
    cost = cost_so_far(context.instance, context.asset_key, _WITH_COSTS)
    return dg.MaterializeResult(metadata=overview(read_report(store.root), model, cost))
