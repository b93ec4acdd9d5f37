"""Every name of Dagster that is not public, and why it is used: the one module that imports from ``dagster._``.

Checked on Dagster 1.13.27, which ``pyproject.toml`` pins. ``REASONS`` states for each name what needs it, and so what
breaks without it. After an upgrade of Dagster, a test lists the names that are missing.
"""

from importlib import import_module
from typing import Any

from dagster._check import CheckError
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.data_version import (
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    CachingStaleStatusResolver,
    compute_logical_data_version,
)
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.partitions.utils.base import INVALID_PARTITION_SUBSTRINGS
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.definitions.repository_definition.valid_definitions import SINGLETON_REPOSITORY_NAME
from dagster._core.events import ASSET_EVENTS, DagsterEventBatchMetadata, generate_event_batch_id
from dagster._core.execution.api import execute_run
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill
from dagster._core.execution.context.metadata_logging import AssetMetadataHandle, OutputMetadataAccumulator
from dagster._core.execution.plan.execute_plan import dagster_event_sequence_for_step
from dagster._core.execution.plan.execute_step import (
    _build_data_version_tags,
    _get_code_version,
    _get_input_provenance_data,
)
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.retries import RetryMode
from dagster._core.instance import InstanceRef
from dagster._core.loader import LoadingContextForTest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.dagster_run import FINISHED_STATUSES, NOT_FINISHED_STATUSES
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata, SqlEventLogStorageTable
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)
from dagster._serdes import ConfigurableClassData

build_data_version_tags = _build_data_version_tags
get_code_version = _get_code_version
get_input_provenance_data = _get_input_provenance_data

_RANGES = "The tags of a run name its range of folders; without them no run of many folders is told from one of all."
_RELAY = "Materializations of a step on a cluster get their data versions here, where the records of the inputs are."
_REBUILD = "A step on a cluster is rebuilt from JSON; without it only pickles could be sent."
_BACKFILLS = "Automation waits for backfills; there is no public way to list those that are not finished."
_ORIGIN = "A run of the command has its place on the UI's timeline and on the page of its job."
_DATABASES = "An erasure replaces texts in every table of Dagster's SQLite databases."
_BATCHES = "Events of thousands of folders go into the databases in one transaction."
_OF_FOLDERS = "The metadata of thousands of folders are given to Dagster at once; each call for one would copy all."
_INTERVAL = "The runs of a backfill follow each other after seconds; Dagster waits half a minute before each."
_STALE = "A test asks, as the UI does, which assets are unsynced."
REASONS = {
    "dagster._check.CheckError": "An event that this Dagster cannot read is reported with its remedy.",
    "dagster._core.code_pointer.ModuleCodePointer": _REBUILD,
    "dagster._core.definitions.data_version.DATA_VERSION_IS_USER_PROVIDED_TAG": _RELAY,
    "dagster._core.definitions.data_version.DATA_VERSION_TAG": _RELAY,
    "dagster._core.definitions.data_version.CachingStaleStatusResolver": _STALE,
    "dagster._core.definitions.data_version.compute_logical_data_version": _RELAY,
    "dagster._core.definitions.job_base.InMemoryJob": _ORIGIN,
    "dagster._core.definitions.partitions.utils.base.INVALID_PARTITION_SUBSTRINGS": (
        "A folder whose name Dagster refuses as a partition is reported, in place of an error of Dagster."
    ),
    "dagster._core.definitions.reconstruct.ReconstructableJob": _REBUILD,
    "dagster._core.definitions.reconstruct.ReconstructableRepository": _REBUILD,
    "dagster._core.definitions.repository_definition.valid_definitions.SINGLETON_REPOSITORY_NAME": _ORIGIN,
    "dagster._core.events.ASSET_EVENTS": _BATCHES,
    "dagster._core.events.DagsterEventBatchMetadata": "Events of a step on a cluster are stored many at a time.",
    "dagster._core.events.generate_event_batch_id": "Events of a step on a cluster are stored many at a time.",
    "dagster._core.execution.api.execute_run": _ORIGIN,
    "dagster._core.execution.backfill.BulkActionsFilter": _BACKFILLS,
    "dagster._core.execution.backfill.BulkActionStatus": _BACKFILLS,
    "dagster._core.execution.backfill.PartitionBackfill": _BACKFILLS,
    "dagster._core.execution.context.metadata_logging.AssetMetadataHandle": _OF_FOLDERS,
    "dagster._core.execution.context.metadata_logging.OutputMetadataAccumulator": _OF_FOLDERS,
    "dagster._core.execution.plan.execute_plan.dagster_event_sequence_for_step": _REBUILD,
    "dagster._core.execution.plan.execute_step._build_data_version_tags": _RELAY,
    "dagster._core.execution.plan.execute_step._get_code_version": _RELAY,
    "dagster._core.execution.plan.execute_step._get_input_provenance_data": _RELAY,
    "dagster._core.execution.plan.state.KnownExecutionState": _REBUILD,
    "dagster._core.execution.retries.RetryMode": _REBUILD,
    "dagster._core.instance.InstanceRef": "A command leaves its output to the terminal, where a bar is drawn.",
    "dagster._core.loader.LoadingContextForTest": _STALE,
    "dagster._core.remote_origin.RegisteredCodeLocationOrigin": _ORIGIN,
    "dagster._core.remote_origin.RemoteJobOrigin": _ORIGIN,
    "dagster._core.remote_origin.RemoteRepositoryOrigin": _ORIGIN,
    "dagster._core.storage.dagster_run.FINISHED_STATUSES": "Sensors and guards tell runs that are over from others.",
    "dagster._core.storage.dagster_run.NOT_FINISHED_STATUSES": "Nothing is dropped from under a run at work.",
    "dagster._core.storage.event_log.SqliteEventLogStorage": _BATCHES,
    "dagster._core.storage.event_log.schema.SqlEventLogStorageMetadata": _DATABASES,
    "dagster._core.storage.event_log.schema.SqlEventLogStorageTable": _DATABASES,
    "dagster._core.storage.noop_compute_log_manager.NoOpComputeLogManager": (
        "A command leaves its output to the terminal, where a bar is drawn."
    ),
    "dagster._core.storage.runs.schema.RunStorageSqlMetadata": _DATABASES,
    "dagster._core.storage.schedules.schema.ScheduleStorageSqlMetadata": _DATABASES,
    "dagster._core.storage.sqlite.SQLITE_BUSY_TIMEOUT_SECONDS": _BATCHES,
    "dagster._core.storage.tags.ASSET_PARTITION_RANGE_END_TAG": _RANGES,
    "dagster._core.storage.tags.ASSET_PARTITION_RANGE_START_TAG": _RANGES,
    "dagster._core.storage.tags.PARTITION_NAME_TAG": _RANGES,
    "dagster._serdes.ConfigurableClassData": "dagster.yaml of each store's home names the storage of events.",
    "dagster._cli.dev.open_ipc_subprocess": (
        "The UI's webserver is started behind a guard that refuses pages of other sites."
    ),
    "dagster._cli.dev.dev_command": "The UI's webserver is started behind a guard that refuses pages of other sites.",
    "dagster._daemon.controller.DEFAULT_DAEMON_INTERVAL_SECONDS": _INTERVAL,
    "dagster._daemon.cli.main": _INTERVAL,
}


def dagster_dev() -> Any:
    """Returns the module of ``dagster dev``, which only the UI's own process imports."""
    return import_module("dagster._cli.dev")


def daemon_controller() -> Any:
    """Returns the module with the intervals of Dagster's daemon, which only the daemon's own process imports."""
    return import_module("dagster._daemon.controller")


def daemon_command() -> Any:
    """Returns the module of ``dagster-daemon``, which only the daemon's own process imports."""
    return import_module("dagster._daemon.cli")
