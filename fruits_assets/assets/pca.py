"""The PCA model, and the photos reduced by it."""

import time

import dagster as dg
from dagster_pyspark import LazyPySparkResource
from pydantic import Field, model_validator

from fruits_assets.assets import metadata
from fruits_assets.assets.common import GROUP, StepLauncher, folder_table, folders_of
from fruits_assets.assets.io_managers import PcaUpdate, TableUpdate
from fruits_assets.instance.failures import reports_failures
from fruits_assets.money.costs import CostModel, entries
from fruits_assets.settings import Settings
from spark_steps.erasure.carry_out import finished
from spark_steps.features.names import MOST_FEATURES
from spark_steps.features.weights import MobileNetModel
from spark_steps.pca.model import PcaModel, PcaSettings, fit, settings_for_next
from spark_steps.pca.model_store import asked_before
from spark_steps.pca.reduce import plan_reduced
from spark_steps.store.outdated import pca_is_outdated
from spark_steps.store.staleness import named, reducible_folders
from spark_steps.store.store import Store
from spark_steps.store.summaries import summarise
from spark_steps.tables.folder_table import FolderTable, TableChange
from spark_steps.tables.schemas import REDUCED_SCHEMA


class PcaConfig(dg.Config):
    """How many components are kept: a number of them, or as many as keep a share of the variance.

    With neither, FRUITS_COMPONENTS or FRUITS_VARIANCE apply, else the setting of the store's last fit, and 50
    components in a new store.
    """

    components: int | None = Field(
        None,
        ge=1,
        le=MOST_FEATURES,
        description="Components; both left out: FRUITS_COMPONENTS or FRUITS_VARIANCE, else what the store was asked "
        "for before, 50 components in a new one.",
    )
    variance: float | None = Field(None, gt=0, le=1, description="Share of variance to keep instead, such as 0.95.")
    full_refresh: bool = Field(False, description="Fit again, also where it would give the store's current model.")

    @model_validator(mode="after")
    def _one_of_them(self) -> "PcaConfig":
        if self.components is not None and self.variance is not None:
            raise ValueError("components and variance exclude each other: leave one out")
        return self

    @property
    def asked(self) -> PcaSettings | None:
        """The settings given here, None where none is given."""
        return PcaSettings.of(self.components, self.variance)


@dg.asset(io_manager_key="pca_models", kinds={"spark", "numpy"}, **GROUP)
@reports_failures
def pca_model(
    context: dg.AssetExecutionContext,
    config: PcaConfig,
    mobilenet_features: FolderTable,
    mobilenet_model: MobileNetModel,
    pyspark: LazyPySparkResource,
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[Store],
    costs: dg.ResourceParam[CostModel],
    pyspark_step_launcher: StepLauncher,
) -> PcaUpdate:
    """A standardised PCA of all photos of all folders, fitted in one pass.

    Its metadata have the share of variance that it keeps, a curve of that share, and a map of the photos.
    """
    started, erased = time.perf_counter(), finished(store)
    wanted, reason = settings_for_next(config.asked or settings.pca, asked_before(store.pca_models))
    if reason:
        context.log.info(reason)
    model = None if config.full_refresh or pca_is_outdated(store, wanted) else store.existing_pca_model()
    if model is None:
        model = fit(pyspark.spark_session, mobilenet_features, mobilenet_model, wanted)
    else:
        context.add_output_metadata(metadata.NOTHING_NEW)
    if wanted.variance is None and model.k < wanted.components:
        context.log.warning(
            f"{wanted.components} components were asked for; {model.rows} photos span only {model.k}, which are kept."
        )
    described = metadata.of_pca_model(model, store.pca_models, mobilenet_features)
    cost = costs.of_seconds(time.perf_counter() - started)
    context.add_output_metadata(metadata.rounded({**described, **entries(cost, images=model.rows)}))
    context.set_data_version(context.asset_key, dg.DataVersion(model.version))
    return PcaUpdate(model, erased)


class ReducedConfig(dg.Config):
    """Which photos are projected."""

    full_refresh: bool = Field(False, description="Project every photo again, also those that are up to date.")


@dg.asset(**folder_table("reduced_features", REDUCED_SCHEMA))
@reports_failures
def reduced_features(
    context: dg.AssetExecutionContext,
    config: ReducedConfig,
    mobilenet_features: FolderTable,
    pca_model: PcaModel,
    store: dg.ResourceParam[Store],
    pyspark: LazyPySparkResource,
    pyspark_step_launcher: StepLauncher,
) -> TableUpdate:
    """The k numbers of each photo that has features, ready to train on.

    Folders whose rows are not of the current PCA model are projected too, also if the run is for other folders:
    features reduced by different models cannot be compared.
    """
    started, erased = time.perf_counter(), finished(store)
    chosen = folders_of(context)
    others = [folder for folder in reducible_folders(store, pca_model) if folder not in chosen]
    if others:
        context.log.info(f"Projected too, because they do not follow from the current PCA model: {named(others)}.")
    folders = [*chosen, *others]
    table = store.reduced_features
    photo_bytes = {folder: summary.photo_bytes for folder, summary in summarise(mobilenet_features, folders).items()}

    def plan() -> TableChange:
        return plan_reduced(
            pyspark.spark_session, mobilenet_features, table, folders, pca_model, full_refresh=config.full_refresh
        )

    return TableUpdate(folders, plan, started, erased, photo_bytes=photo_bytes)
