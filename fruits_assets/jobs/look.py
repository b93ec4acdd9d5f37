"""A look at a store before any work, without Dagster, which takes seconds to import, and without Spark.

What it compares is what a run would compare (``spark_steps.store.outdated``). It answers only for stores whose present
versions were recorded by runs of the same Dagster home, if nothing was recorded or deleted there since: a file in the
home has these versions, and size and time of Dagster's database of events. All others are left to ``run_pipeline``,
which compares the folders with Dagster's partitions and records too.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fruits_assets.jobs.folders import Report, check_before_work, find_folders, matching_folders, report_folders
from fruits_assets.settings import Settings
from spark_steps.pca import model_store
from spark_steps.storage.locations import write_json
from spark_steps.store import outdated
from spark_steps.store.store import Store
from spark_steps.tables.maintenance import vacuum

if TYPE_CHECKING:
    import dagster as dg

NOTHING_NEW = (
    "Nothing is new: features, PCA model and reduced features are those of the photos. "
    "To run everything all the same: fruits run --force, or the job whole_pipeline with full_refresh."
)
_FILE = "recorded.json"


def is_up_to_date(settings: Settings, home: Path, patterns: Sequence[str], report: Report) -> bool | None:
    """Returns whether a store is up to date; then its tables are maintained, as a run would have done.

    Args:
        settings: The locations of photos and store, the weights and the number of components.
        home: The Dagster home.
        patterns: Shell patterns of the folders to featurise.
        report: Takes the same messages as for a run, if the store is up to date.

    Returns:
        True if it is, False if a run would change something, None if only Dagster's records can tell.

    Raises:
        FruitsError: There is no photo, no folder matches, or the photos are outside the region.
    """
    check_before_work(settings)
    store = Store(settings.store)
    recorded = _read(home)
    if (recorded.get("state"), recorded.get("events")) != (state_of(store), _events_of(home)):
        return None
    if store.images != settings.images:
        return None
    found = find_folders(settings.images, patterns)
    if sorted(found.photos) != recorded.get("folders"):
        return None
    messages: list[str] = []
    report_folders(found, settings.images, messages.append)
    wanted = matching_folders(found, settings.images, patterns, (), messages.append)
    if _is_outdated(settings, store, wanted):
        return False
    for message in messages:
        report(message)
    report(NOTHING_NEW)
    store.keep_passed_over(found.passed_over)
    maintain(settings, store)
    return True


def _is_outdated(settings: Settings, store: Store, wanted: Sequence[str]) -> bool:
    return bool(
        outdated.folders_to_featurise(
            store, settings.images, wanted, settings.weights, settings.decode_limits, settings.scaling
        )
        or outdated.pca_is_outdated(store, settings.pca)
        or outdated.folders_to_reduce(store)
    )


def maintain(settings: Settings, store: Store) -> None:
    """Deletes what the tables have replaced long enough ago, as the runs that write them do."""
    for table in store.tables.values():
        vacuum(table, settings.maintenance.keep)


def state_of(store: Store) -> dict[str, Any]:
    """Returns the versions of a store's tables and of its PCA model."""
    versions = {name: table.snapshot().version for name, table in store.tables.items()}
    return {"store": store.root, "pca_model": model_store.current_version(store.pca_models), **versions}


def remember(home: Path, state: dict[str, Any], folders: Sequence[str]) -> None:
    """Records in a home that its runs have brought a store up to date.

    Args:
        home: The Dagster home.
        state: The store's state, as it was when its tables were compared for the last time.
        folders: The folders that are partitions.
    """
    document = {"state": state, "events": _events_of(home), "folders": sorted(folders)}
    write_json(str(home / _FILE), document)


def forget(instance: "dg.DagsterInstance") -> None:
    """Removes the record, before something is done that may change partitions, records or the store."""
    # An instance of a test has no home.
    if instance.is_persistent:
        (Path(instance.root_directory) / _FILE).unlink(missing_ok=True)


def _events_of(home: Path) -> dict[str, list[int]]:
    """Returns size and modification time of Dagster's database of events and partitions, and of its log."""
    files = [home / "history" / "runs" / name for name in ("index.db", "index.db-wal")]
    known = {file.name: file.stat() for file in files if file.exists()}
    return {name: [status.st_size, status.st_mtime_ns] for name, status in known.items()}


def _read(home: Path) -> dict[str, Any]:
    try:
        read = json.loads((home / _FILE).read_text())
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}
