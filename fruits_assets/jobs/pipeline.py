"""The whole pipeline from folders to reduced features, as runs of the same jobs that the UI starts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import dagster as dg

from fruits_assets.aws.residency import check_residency
from fruits_assets.engines.guards import one_cluster_for_all
from fruits_assets.instance.failures import reason
from fruits_assets.instance.in_flight import what_is_under_way
from fruits_assets.instance.liveness import tagged_as_alive
from fruits_assets.instance.partitions import IMAGE_FOLDERS, partition_tags, synchronise
from fruits_assets.instance.runs import run_in_process
from fruits_assets.instance.tags import locations
from fruits_assets.jobs.due import Due
from fruits_assets.settings import Settings
from fruits_assets.terminal.progress import PROGRESS_LOGGER
from spark_steps.erasure.carry_out import refuse_while_erasing
from spark_steps.errors import FruitsError
from spark_steps.features.weights import check_source, fetch_weights
from spark_steps.photos.listing import PHOTO_EXTENSIONS, list_image_folders
from spark_steps.store.store import Store
from spark_steps.tables.maintenance import vacuum


@dataclass(frozen=True)
class Stage:
    """One job of the pipeline.

    Attributes:
        job: Name of the job.
        title: What the job does, for people.
        asset: The asset that it computes.
    """

    job: str
    title: str
    asset: str


EXTRACT = Stage("extract_features", "photos to features", "mobilenet_features")
FIT = Stage("fit_pca", "features to a PCA model", "pca_model")
REDUCE = Stage("reduce_folders", "features to reduced features", "reduced_features")


@dataclass(frozen=True)
class Runs:
    """How the runs of a pipeline are started.

    Attributes:
        tags: Tags of each run, besides those with its locations and folders.
        config: Run configuration of each run.
        full_refresh: Whether to run all stages on everything, also on what is up to date.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    full_refresh: bool = False

    def config_of(self, stage: Stage) -> dict[str, Any]:
        """Returns the run configuration of a stage."""
        if not self.full_refresh:
            return dict(self.config)
        return {**self.config, "ops": {stage.asset: {"config": {"full_refresh": True}}}}


FORCE = "To run everything all the same: fruits run --force, or the job whole_pipeline with full_refresh."

# Messages of the steps are printed to the terminal.
AT_A_TERMINAL = Runs(config={"loggers": {PROGRESS_LOGGER: {}}})


def run_pipeline(
    settings: Settings,
    instance: dg.DagsterInstance,
    definitions_for: Callable[[Settings], dg.Definitions],
    patterns: Sequence[str] = ("*",),
    report: Callable[[str], None] = print,
    runs: Runs = AT_A_TERMINAL,
) -> None:
    """Registers the folders, and brings features, PCA and reduced features up to date with the photos.

    There are up to three runs: one for the features of the folders that match, one for the PCA, and one for the
    projection. A stage for which nothing is due is left out. Where nothing is due at all, the code location is not made
    and Spark does not start.

    Args:
        settings: The locations of photos and store, the weights and the number of components.
        instance: The Dagster instance that keeps the runs.
        definitions_for: Returns the code location for some settings.
        patterns: Shell patterns of the folders to featurise; a folder has to match one of them.
        report: Takes progress messages, a line at a time.
        runs: How the runs are started.

    Raises:
        FruitsError: There are no photos to work on, or a run has failed; the message has the reason.
    """
    store = Store(settings.store)
    check_residency(settings)
    refuse_while_erasing(store)
    # Check the path of the weights first: else a wrong path would fail only after the listing of a million photos.
    if settings.weights is not None:
        check_source(settings.weights)
    wanted = register_folders(settings, instance, patterns, report)
    due = Due(settings, instance, runs.full_refresh)
    to_featurise = due.to_featurise(wanted)
    if not to_featurise and not due.pca() and not due.to_reduce():
        report(f"Nothing is new: features, PCA model and reduced features are those of the photos. {FORCE}")
        for table in store.tables.values():
            vacuum(table, settings.maintenance.keep)
        return
    # Download the weights before Spark starts, so that a failed download does not cost the start of Spark.
    fetch_weights(settings.weights, store.mobilenet_models)
    definitions = definitions_for(settings)
    with tagged_as_alive(instance) as own_tags, one_cluster_for_all(settings, instance, report) as cluster_tags:
        runs = replace(runs, tags={**runs.tags, **locations(settings), **cluster_tags, **own_tags})
        if to_featurise:
            _run_stage(EXTRACT, to_featurise, definitions, runs, instance, report)
        if due.pca():
            _run_stage(FIT, [], definitions, runs, instance, report)
        if to_reduce := due.to_reduce():
            _run_stage(REDUCE, to_reduce, definitions, runs, instance, report)


def register_folders(
    settings: Settings, instance: dg.DagsterInstance, patterns: Sequence[str], report: Callable[[str], None]
) -> list[str]:
    """Synchronises the partitions with the folders, and returns the folders that match at least one pattern.

    Raises:
        FruitsError: No folder has a photo, or no folder with photos matches.
    """
    found = list_image_folders(settings.images)
    if not found.photos:
        at_root = f" {found.root_photos} lie at the root itself: move them into a folder." if found.root_photos else ""
        raise FruitsError(
            f"There is no photo in a folder below {settings.images}.{at_root} Photos are files ending in "
            f".{', .'.join(PHOTO_EXTENSIONS)}, in folders named by their label.{found.passed_over.after_no_photo}"
        )
    changes = synchronise(instance, Store(settings.store), settings.images, found)
    report(f"{sum(found.photos.values()):,} photos in {len(found.photos):,} folders of {settings.images}")
    if changes.moved:
        report(f"  {changes.moved}")
    if found.root_photos:
        report(f"  warning: {found.root_photos} photos lie at the root, belong to no folder, and are not processed")
    if found.hidden_photos:
        report(f"  warning: {found.hidden_photos} photos in folders whose name begins with a dot are not processed")
    for sentence in found.passed_over.sentences(found.contents):
        report(f"  {sentence}")
    for link in found.broken_links:
        report(f"  warning: {link} is a link that leads nowhere, and is not processed")
    for folder in changes.refused:
        report(f"  warning: folder {folder!r} is not processed: no partition can have such a name; rename it")
    if changes.drop:
        report(f"  no longer partitions, because they are not below {settings.images}: {', '.join(changes.drop)}")
    if changes.kept:
        busy = what_is_under_way(instance) or ""
        report(
            f"  kept though gone, because a run or backfill of them is not finished: {', '.join(changes.kept)}. {busy}"
        )
    matches = {pattern: [folder for folder in found.photos if fnmatchcase(folder, pattern)] for pattern in patterns}
    matching = {folder for folders in matches.values() for folder in folders}
    wanted = [folder for folder in found.photos if folder in matching and folder not in changes.refused]
    if not wanted:
        some = ", ".join(repr(folder) for folder in list(found.photos)[:5])
        raise FruitsError(
            f"None of the {len(found.photos)} folders below {settings.images} matches "
            f"{' or '.join(map(repr, patterns))}. There are {some}..."
        )
    for pattern in (pattern for pattern, folders in matches.items() if not folders):
        report(f"  warning: no folder matches {pattern!r}")
    return wanted


def _run_stage(
    stage: Stage,
    folders: Sequence[str],
    definitions: dg.Definitions,
    runs: Runs,
    instance: dg.DagsterInstance,
    report: Callable[[str], None],
) -> None:
    report(stage.title)
    tags = _tags_of(folders, instance) if folders else {}
    job = definitions.resolve_job_def(stage.job)
    result = run_in_process(job, runs.config_of(stage), {**runs.tags, **tags}, instance)
    if not result.success:
        raise FruitsError(f"The run {result.run_id} of {stage.job} failed. {reason(result.all_events)}")
    failed = [evaluation for evaluation in result.get_asset_check_evaluations() if not evaluation.passed]
    for evaluation in failed:
        report(f"  {evaluation.severity.value.lower()}: {evaluation.check_name}: {evaluation.description}")
    if broken := [evaluation for evaluation in failed if evaluation.severity == dg.AssetCheckSeverity.ERROR]:
        raise FruitsError(f"The check {broken[0].check_name} failed. {broken[0].description}")


def _tags_of(folders: Sequence[str], instance: dg.DagsterInstance) -> dict[str, str]:
    """Returns the tags of one run of some folders.

    Raises:
        FruitsError: A folder is not a partition.
    """
    registered = list(instance.get_dynamic_partitions(IMAGE_FOLDERS))
    if missing := sorted(set(folders) - set(registered)):
        raise FruitsError(
            f"{len(missing)} folders, such as {missing[0]!r}, are no partitions of {instance.root_directory} any more: "
            "another run with other images has dropped them. Run again, or give each store a DAGSTER_HOME of its own."
        )
    return partition_tags(folders, registered)
