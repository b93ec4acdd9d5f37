"""Tables and models of the store as inputs and outputs of assets."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster_pyspark import LazyPySparkResource
from pyspark.sql import DataFrame

from fruits_assets import metadata
from fruits_assets.costs import local_cost
from spark_steps import pca_store, weights
from spark_steps.pca import PcaModel
from spark_steps.store import Store
from spark_steps.tables import FolderTable
from spark_steps.weights import MobileNetModel


@dataclass(frozen=True)
class TableUpdate:
    """What an asset gives for the folders of its run.

    Attributes:
        rows: The rows of the folders that change; not read where none does.
        changed: The folders whose rows they replace.
        started: ``time.perf_counter()`` when the work began.
        computed: Photos worked on, by folder; what the rate and the shares of the cost are computed from.
        notes: More metadata, by folder.
    """

    rows: DataFrame
    changed: Sequence[str]
    started: float
    computed: Mapping[str, int]
    notes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class FolderTableIOManager(dg.ConfigurableIOManager):
    """Parquet tables partitioned by image folder: writes the folders that change, reads those of the run."""

    store: str
    pyspark: dg.ResourceDependency[LazyPySparkResource]
    cores: int
    core_nodes: int
    usd_to_eur: float

    def _table(self, key: dg.AssetKey) -> FolderTable:
        return Store(self.store).tables[key.path[-1]]

    def handle_output(self, context: dg.OutputContext, obj: TableUpdate) -> None:
        """Replaces the changed folders, and gives each folder of the run its own metadata."""
        table = self._table(context.asset_key)
        if obj.changed:
            table.write(obj.rows, obj.changed)
        seconds = time.perf_counter() - obj.started
        cost = local_cost(seconds, self.cores, self.core_nodes, self.usd_to_eur)
        described = metadata.of_folders(table, context.asset_partition_keys, obj.computed, cost)
        for folder, entries in described.items():
            # The step's context, because an IO manager's own metadata is the same for all partitions of a run.
            context.step_context.add_asset_metadata({**entries, **obj.notes.get(folder, {})}, partition_key=folder)
        photos = sum(obj.computed.values())
        context.log.info(
            f"{table_name(context)}: {len(described):,} folders, {photos:,} photos worked on, "
            f"{len(obj.changed):,} folders written, {seconds:.1f} s"
        )

    def load_input(self, context: dg.InputContext) -> DataFrame | FolderTable:
        """Returns the rows of the folders of the run; the table itself where the asset asks for a FolderTable."""
        table = self._table(context.asset_key)
        if context.dagster_type.typing_type is FolderTable:
            return table
        folders = context.asset_partition_keys if context.has_asset_partitions else None
        return table.read(self.pyspark.spark_session, folders)


def table_name(context: dg.OutputContext) -> str:
    """Returns the name of the table that an output is written to."""
    return context.asset_key.path[-1]


class MobileNetModelIOManager(dg.ConfigurableIOManager):
    """The network that features are made with: a note of which of the converted ones it is."""

    store: str

    def handle_output(self, context: dg.OutputContext, obj: MobileNetModel) -> None:
        """Makes the model the current one."""
        weights.make_current(obj, Store(self.store).mobilenet_models)
        context.add_output_metadata(metadata.of_mobilenet_model(obj))
        context.log.info(f"mobilenet_model: {obj.source}, weights {obj.weights_sha256[:12]}")

    def load_input(self, context: dg.InputContext) -> MobileNetModel:
        """Returns the current model."""
        return weights.current_model(Store(self.store).mobilenet_models)


class PcaModelIOManager(dg.ConfigurableIOManager):
    """PCA models by version; the last one fitted is the current one."""

    store: str
    pyspark: dg.ResourceDependency[LazyPySparkResource]

    def handle_output(self, context: dg.OutputContext, obj: PcaModel) -> None:
        """Writes the model where it is new, and makes it the current one."""
        pca_store.save(self.pyspark.spark_session, obj, Store(self.store).pca_models)
        context.add_output_metadata(metadata.of_pca_model(obj, Store(self.store).pca_models))
        context.log.info(
            f"pca_model: {obj.rows:,} photos, {obj.k} components keep {obj.explained_at(obj.k):.1%} of the variance"
        )

    def load_input(self, context: dg.InputContext) -> PcaModel:
        """Returns the current model."""
        return pca_store.load(Store(self.store).pca_models)
