"""The whole pipeline from folders to reduced features, as runs of the same jobs that the UI starts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg

from fruits_assets.instance.failures import reason
from fruits_assets.instance.in_flight import what_is_under_way
from fruits_assets.instance.liveness import tagged_as_alive
from fruits_assets.instance.partitions import IMAGE_FOLDERS, partition_tags, synchronise
from fruits_assets.instance.runs import run_in_process
from fruits_assets.instance.tags import CHECK_FAILED_TAG, locations
from fruits_assets.jobs.due import Due
from fruits_assets.jobs.folders import check_before_work, find_folders, matching_folders, report_folders
from fruits_assets.jobs.look import NOTHING_NEW, forget, maintain, remember, state_of
from fruits_assets.settings import Settings
from fruits_assets.terminal.progress import PROGRESS_LOGGER
from spark_steps.errors import FruitsError
from spark_steps.features.weights import fetch_weights
from spark_steps.store.store import Store


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
    check_before_work(settings)
    store = Store(settings.store)
    forget(instance)
    wanted = register_folders(settings, instance, patterns, report)
    due = Due(settings, instance, runs.full_refresh)
    to_featurise = due.to_featurise(wanted)
    if not to_featurise and not due.pca() and not due.to_reduce():
        report(NOTHING_NEW)
        maintain(settings, store)
        _remember(settings, instance, wanted)
        return
    # Download the weights before Spark starts, so that a failed download does not cost the start of Spark.
    fetch_weights(settings.weights, store.mobilenet_models)
    _run_stages(due, to_featurise, definitions_for(settings), runs, report)
    _remember(settings, instance, wanted)


def _run_stages(
    due: Due, to_featurise: Sequence[str], definitions: dg.Definitions, runs: Runs, report: Callable[[str], None]
) -> None:
    # Imported here: it imports boto3 and dagster-aws, which take a second, and a run with nothing to do needs neither.
    from fruits_assets.engines.guards import kept_between_runs

    settings, instance = due.settings, due.instance
    with tagged_as_alive(instance) as own_tags, kept_between_runs(settings, instance, report) as kept_tags:
        runs = replace(runs, tags={**runs.tags, **locations(settings), **kept_tags, **own_tags})
        if to_featurise:
            _run_stage(EXTRACT, to_featurise, definitions, runs, instance, report)
        if due.pca():
            _run_stage(FIT, [], definitions, runs, instance, report)
        if to_reduce := due.to_reduce():
            _run_stage(REDUCE, to_reduce, definitions, runs, instance, report)


def _remember(settings: Settings, instance: dg.DagsterInstance, wanted: Sequence[str]) -> None:
    # A run of some folders leaves the others unrecorded. An instance of a test has no home.
    if instance.is_persistent and set(wanted) == set(instance.get_dynamic_partitions(IMAGE_FOLDERS)):
        remember(Path(instance.root_directory), state_of(Store(settings.store)), wanted)


def register_folders(
    settings: Settings, instance: dg.DagsterInstance, patterns: Sequence[str], report: Callable[[str], None]
) -> list[str]:
    """Synchronises the partitions with the folders, and returns the folders that match at least one pattern.

    Raises:
        FruitsError: No folder has a photo, or no folder with photos matches.
    """
    found = find_folders(settings.images, patterns)
    changes = synchronise(instance, Store(settings.store), settings.images, found)
    report_folders(found, settings.images, report)
    if changes.moved:
        report(f"  {changes.moved}")
    for folder in changes.refused:
        report(f"  warning: folder {folder!r} is not processed: no partition can have such a name; rename it")
    if changes.drop:
        report(f"  no longer partitions, because they are not below {settings.images}: {', '.join(changes.drop)}")
    if changes.kept:
        busy = what_is_under_way(instance) or ""
        report(
            f"  kept though gone, because a run or backfill of them is not finished: {', '.join(changes.kept)}. {busy}"
        )
    return matching_folders(found, settings.images, patterns, changes.refused, report)


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
        instance.add_run_tags(result.run_id, {CHECK_FAILED_TAG: broken[0].check_name})
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
