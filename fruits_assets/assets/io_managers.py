"""IO managers: tables and models of the store as inputs and outputs of assets."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

import dagster as dg
from dagster_pyspark import LazyPySparkResource
from pyspark.sql import DataFrame

from fruits_assets.assets import metadata
from fruits_assets.instance.failures import reports_failures
from fruits_assets.instance.store_lock import one_at_a_time
from fruits_assets.money.costs import CostModel
from fruits_assets.terminal.progress import PROGRESS_LOGGER, photos_counted
from spark_steps.erasure.carry_out import refuse_after_erasing, refuse_while_erasing
from spark_steps.features import weights
from spark_steps.features.weights import MobileNetModel
from spark_steps.pca import model_store
from spark_steps.pca.model import PcaModel
from spark_steps.store.store import Store
from spark_steps.store.summaries import summarise
from spark_steps.tables.folder_table import FolderTable, TableChange, TableChangedError
from spark_steps.tables.maintenance import MaintenanceLimits, maintain


@dataclass(frozen=True)
class TableUpdate:
    """The output of an asset that is a table, for the folders of its run.

    Attributes:
        folders: The folders that the run reports on; some may not be partitions of the run.
        plan: Plans the change of the table; called again where another process has changed one of the folders before
            the commit.
        started: ``time.perf_counter()`` at the start of the work.
        erased: The erasures that were complete at the start of the work.
        computed: Number of photos worked on, by folder, where it is not the number of rows; the rate and the shares of
            the cost are computed from it.
        photo_bytes: Bytes of the photos, by folder, where the table has no column with them.
        notes: More metadata, by folder.
        done: Returns how many of the photos worked on are done, while the rows are written.
        rows: What the rows are, for people.
        record: Called after the write and the maintenance of the table.
    """

    folders: Sequence[str]
    plan: Callable[[], TableChange]
    started: float
    erased: frozenset[str]
    computed: Mapping[str, int] | None = None
    photo_bytes: Mapping[str, int] | None = None
    notes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    done: Callable[[], int] | None = None
    rows: str = "photos"
    record: Callable[[], None] | None = None


def planned_before(change: TableChange, plan_anew: Callable[[], TableChange]) -> Callable[[], TableChange]:
    """Returns a ``TableUpdate.plan`` whose first plan has been made already, because the asset describes it.

    Args:
        change: The first plan.
        plan_anew: Plans what is left, after another process has changed one of the folders.
    """
    changes = chain([change], (plan_anew() for _ in count()))
    return lambda: next(changes)


@dataclass(frozen=True)
class PcaUpdate:
    """A PCA model that has been fitted.

    Attributes:
        model: The model.
        erased: The erasures that were complete at the start of the fit; photos erased since then are in the model.
    """

    model: PcaModel
    erased: frozenset[str]


class FolderTableIOManager(dg.IOManager):
    """IO manager of the Delta tables: writes the changes, and reads the folders of the run."""

    _PLANS = 5

    def __init__(
        self, store: Store, pyspark: LazyPySparkResource, costs: CostModel, maintenance: MaintenanceLimits
    ) -> None:
        self._store = store
        self._maintenance = maintenance
        self._tables = store.tables
        self._pyspark = pyspark
        self._costs = costs

    @reports_failures
    def handle_output(self, context: dg.OutputContext, obj: TableUpdate) -> None:
        """Commits the change, maintains the table, and gives each folder of the update its own metadata.

        Dagster records a materialization for each partition of the run; this method logs those of other folders.
        """
        name = context.asset_key.path[-1]
        table = self._tables[name]
        about = {"run_id": context.run_id, "asset": name, "step": context.step_key}
        changed = self._write(context, table, obj, about)
        maintain(table, changed, self._maintenance, about)
        if obj.record is not None:
            obj.record()
        context.step_context.set_data_version(context.asset_key, _version(table, context.asset_partition_keys))
        summaries = summarise(table, obj.folders)
        rows = {folder: summary.rows for folder, summary in summaries.items()}
        computed = rows if obj.computed is None else obj.computed
        sizes = {folder: summary.photo_bytes for folder, summary in summaries.items()}
        # The duration includes reading the metadata: with thousands of folders in S3 that is a part of the cost.
        cost = self._costs.of_seconds(time.perf_counter() - obj.started)
        described = metadata.of_folders(table, summaries, computed, obj.photo_bytes or sizes, cost)
        version = table.snapshot().version
        described = {
            folder: {**one, "table_version": version, **({} if folder in changed else metadata.NOTHING_NEW)}
            for folder, one in described.items()
        }
        described = {folder: {**one, **obj.notes.get(folder, {})} for folder, one in described.items()}
        of_run = {folder: described.pop(folder) for folder in context.asset_partition_keys}
        metadata.add_to_partitions(context.step_context, of_run)
        for folder, one in described.items():
            context.log_event(dg.AssetMaterialization(context.asset_key, partition=folder, metadata=one))
        new = "" if obj.computed is None else f", {sum(computed.values()):,} of them new or changed"
        context.log.info(
            f"{name}: {sum(rows.values()):,} {obj.rows}, folders: {len(rows):,}{new}; {cost.seconds:.1f} s"
        )

    def _write(
        self, context: dg.OutputContext, table: FolderTable, update: TableUpdate, about: Mapping[str, str]
    ) -> frozenset[str]:
        """Commits the change, plans it anew after a conflicting commit, and returns the folders that changed."""
        for tries_left in reversed(range(self._PLANS)):
            change = update.plan()
            try:
                with _counted(context, update):
                    table.write(change, about, lambda: refuse_after_erasing(self._store, update.erased))
                return change.folders
            except TableChangedError:
                if not tries_left:
                    raise
                context.log.info(f"{table.root} was changed by another run meanwhile: what is left is planned anew.")
        raise AssertionError

    @reports_failures
    def load_input(self, context: dg.InputContext) -> DataFrame | FolderTable:
        """Returns the rows of the run's folders; the table itself where the asset's input has the type FolderTable."""
        refuse_while_erasing(self._store)
        table = self._tables[context.asset_key.path[-1]]
        if context.dagster_type.typing_type is FolderTable:
            return table
        folders = context.asset_partition_keys if context.has_asset_partitions else None
        return table.scan(self._pyspark.spark_session, folders)


def _version(table: FolderTable, folders: Sequence[str]) -> dg.DataVersion:
    """Returns the data version of the folders of a run, which is equal as long as none of their files is rewritten.

    Dagster has one data version for all partitions of a run. So where a run has other folders than the run before,
    Dagster considers the data of its folders as changed, even if no file is.
    """
    names = [(file.folder, file.path) for file in table.files(folders)]
    return dg.DataVersion(hashlib.sha256(repr(names).encode()).hexdigest()[:16])


def _counted(context: dg.OutputContext, update: TableUpdate) -> AbstractContextManager[None]:
    if update.done is None or not update.computed:
        return nullcontext()
    # Only runs of fruits run configure this logger. In other runs, standard error does not belong to this process
    # alone.
    loggers = context.step_context.dagster_run.run_config.get("loggers")
    return photos_counted(
        update.done,
        sum(update.computed.values()),
        context.log.info,
        bar=isinstance(loggers, Mapping) and PROGRESS_LOGGER in loggers,
    )


class MobileNetModelIOManager(dg.IOManager):
    """IO manager of the current network: stores which of the converted networks it is."""

    def __init__(self, store: Store) -> None:
        self._cache = store.mobilenet_models

    @reports_failures
    def handle_output(self, context: dg.OutputContext, obj: MobileNetModel) -> None:
        """Makes the model the current one."""
        weights.make_current(obj, self._cache)
        context.add_output_metadata(metadata.of_mobilenet_model(obj))
        context.log.info(f"mobilenet_model: {obj.source}, weights {obj.weights_sha256[:12]}")

    @reports_failures
    def load_input(self, context: dg.InputContext) -> MobileNetModel:
        """Returns the current model."""
        return weights.current_model(self._cache)


class PcaModelIOManager(dg.IOManager):
    """IO manager of the PCA models, one directory for each version; the model fitted last is the current one."""

    # To wait for the lock: another process may need some seconds to write its model, into S3 for example.
    _PATIENCE_SECONDS = 120.0

    def __init__(self, store: Store) -> None:
        self._store, self._root = store, store.pca_models

    @reports_failures
    def handle_output(self, context: dg.OutputContext, obj: PcaUpdate) -> None:
        """Writes the model unless its version exists, and makes it the current one."""
        refuse_after_erasing(self._store, obj.erased)
        model = obj.model
        with one_at_a_time(
            f"{self._root}/lock", f"saves a PCA model below {self._root}", self._PATIENCE_SECONDS
        ) as check_alone:
            model_store.save(model, self._root)
            check_alone()
        kept = f"{model.k} components keep {model.explained_at(model.k):.1%} of the variance"
        context.log.info(f"pca_model: {model.rows:,} photos, {kept}")

    @reports_failures
    def load_input(self, context: dg.InputContext) -> PcaModel:
        """Returns the current model."""
        return model_store.load(self._root)
