"""The whole way from folders to reduced features, as runs of the same jobs that the UI starts."""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from fruits_assets.definitions import build_definitions
from fruits_assets.emr.guards import one_cluster_for_all
from fruits_assets.in_flight import what_is_under_way
from fruits_assets.liveness import tagged_as_alive
from fruits_assets.partitions import IMAGE_FOLDERS, contiguous_ranges, synchronise
from fruits_assets.progress import PROGRESS_LOGGER
from fruits_assets.residency import check_residency
from fruits_assets.settings import Settings
from fruits_assets.tags import places
from fruits_assets.terminal import damaged, of_the_system
from spark_steps.erasure import refuse_while_erasing
from spark_steps.errors import FruitsError
from spark_steps.images import PHOTO_EXTENSIONS, list_image_folders
from spark_steps.store import Store
from spark_steps.weights import check_source, fetch_weights


@dataclass(frozen=True)
class Stage:
    """One job of the pipeline.

    Attributes:
        job: Its name.
        title: What it does.
        per_folder: Whether it runs on ranges of folders.
    """

    job: str
    title: str
    per_folder: bool


# What a call into a Java process that has ended raises.
_SPARK_IS_GONE = re.compile(r"\s*(?:py4j\.protocol\.Py4JNetworkError|ConnectionRefusedError|ConnectionResetError)\b")
_OWN_ERROR = re.compile(r"(?:FruitsError|TableChangedError): (.+)")
_OF_THE_SYSTEM = re.compile(r"\w+Error: (?P<said>\[Errno (?P<number>\d+)\] .+)")
# In the words of pyarrow, and of Spark.
_NO_PARQUET = re.compile(r"ArrowInvalid: (.*Parquet.*)|RuntimeException: (?:file:)?(.+ is not a Parquet file.*)")
EXTRACT = Stage("extract_features", "photos to features", per_folder=True)
FIT = Stage("fit_pca", "features to a PCA model", per_folder=False)
REDUCE = Stage("reduce_folders", "features to reduced features", per_folder=True)


def run_pipeline(
    settings: Settings, instance: dg.DagsterInstance, pattern: str = "*", say: Callable[[str], None] = print
) -> None:
    """Registers the folders, featurises those that match, refits the PCA and projects all folders that have features.

    Args:
        settings: Where the photos and the store are, which weights, how many components.
        instance: The Dagster instance that keeps the runs.
        pattern: Shell pattern of the folders to featurise.
        say: Takes progress, a line at a time.

    Raises:
        FruitsError: There is nothing to do, or a run has failed; the message says why.
    """
    check_residency(settings)
    refuse_while_erasing(Store(settings.store))
    # Before any work: a wrong path should not come to light after the listing of a million photos.
    if settings.weights is not None:
        check_source(settings.weights)
    wanted = register_folders(settings, instance, pattern, say)
    # And what cannot be downloaded, not after the start of Spark.
    fetch_weights(settings.weights, Store(settings.store).mobilenet_models)
    definitions = build_definitions(settings)
    with tagged_as_alive(instance) as own_tags, one_cluster_for_all(settings, instance, say) as cluster_tags:
        tags = {**places(settings), **cluster_tags, **own_tags}
        _run_stage(EXTRACT, wanted, definitions, tags, instance, say)
        _run_stage(FIT, [], definitions, tags, instance, say)
        # All of them, not only those that match: numbers of different PCA models do not compare.
        _run_stage(REDUCE, Store(settings.store).mobilenet_features.folders(), definitions, tags, instance, say)


def register_folders(
    settings: Settings, instance: dg.DagsterInstance, pattern: str, say: Callable[[str], None]
) -> list[str]:
    """Makes the partitions those of the folders, and returns the folders that match a pattern.

    Raises:
        FruitsError: There is no photo, or none in a folder that matches.
    """
    found = list_image_folders(settings.images)
    if not found.photos:
        at_root = f" {found.root_photos} lie at the root itself: move them into a folder." if found.root_photos else ""
        raise FruitsError(
            f"There is no photo in a folder below {settings.images}.{at_root} Photos are files ending in "
            f".{', .'.join(PHOTO_EXTENSIONS)}, in folders named by their label.{found.passed_over.told_after_no_photo}"
        )
    changes = synchronise(instance, Store(settings.store), settings.images, found)
    say(f"{sum(found.photos.values()):,} photos in {len(found.photos):,} folders of {settings.images}")
    if found.root_photos:
        say(f"  warning: {found.root_photos} photos lie at the root, belong to no folder, and are not processed")
    if found.hidden_photos:
        say(f"  warning: {found.hidden_photos} photos in folders whose name begins with a dot are not processed")
    for sentence in found.passed_over.sentences(found.contents):
        say(f"  {sentence}")
    for link in found.broken_links:
        say(f"  warning: {link} is a link that leads nowhere, and is not processed")
    for folder in changes.refused:
        say(f"  warning: folder {folder!r} is not processed: no partition can have such a name; rename it")
    if changes.drop:
        say(f"  no longer partitions, because they are not below {settings.images}: {', '.join(changes.drop)}")
    if changes.kept:
        busy = what_is_under_way(instance) or ""
        say(f"  kept though gone, because a run or backfill of them is not finished: {', '.join(changes.kept)}. {busy}")
    wanted = [folder for folder in found.photos if fnmatchcase(folder, pattern) and folder not in changes.refused]
    if not wanted:
        some = ", ".join(repr(folder) for folder in list(found.photos)[:5])
        raise FruitsError(
            f"None of the {len(found.photos)} folders below {settings.images} matches {pattern!r}. There are {some}..."
        )
    return wanted


def _run_stage(
    stage: Stage,
    folders: Sequence[str],
    definitions: dg.Definitions,
    tags: dict[str, str],
    instance: dg.DagsterInstance,
    say: Callable[[str], None],
) -> None:
    say(stage.title)
    if not stage.per_folder:
        _run(stage.job, tags, definitions, instance, say)
        return
    registered = list(instance.get_dynamic_partitions(IMAGE_FOLDERS))
    if missing := sorted(set(folders) - set(registered)):
        raise FruitsError(
            f"{len(missing)} folders, such as {missing[0]!r}, are no partitions of {instance.root_directory} any more: "
            "another run with other images has dropped them. Run again, or give each store a DAGSTER_HOME of its own."
        )
    for first, last in contiguous_ranges(set(folders), registered):
        partition_tags = {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
        _run(stage.job, tags | partition_tags, definitions, instance, say)


def _run(
    job: str,
    tags: dict[str, str],
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    say: Callable[[str], None],
) -> None:
    result = definitions.resolve_job_def(job).execute_in_process(
        run_config={"loggers": {PROGRESS_LOGGER: {}}}, instance=instance, tags=tags, raise_on_error=False
    )
    if not result.success:
        raise FruitsError(f"The run {result.run_id} of {job} failed. {_reason(result)}")
    failed = [evaluation for evaluation in result.get_asset_check_evaluations() if not evaluation.passed]
    for evaluation in failed:
        say(f"  {evaluation.severity.value.lower()}: {evaluation.check_name}: {evaluation.description}")
    if broken := [evaluation for evaluation in failed if evaluation.severity == dg.AssetCheckSeverity.ERROR]:
        raise FruitsError(f"The check {broken[0].check_name} failed. {broken[0].description}")


def _reason(result: dg.ExecuteInProcessResult) -> str:
    """Returns the message of the first step that failed: that of our own error, else of the innermost one."""
    for event in result.all_events:
        if event.is_step_failure and (error := event.step_failure_data.error):
            messages = [error.message]
            while error.cause:
                error = error.cause
                messages.append(error.message)
            return readable(next((message for message in messages if _OWN_ERROR.search(message)), messages[-1]))
    return "No step says why."


def readable(message: str) -> str:
    """Returns what an error says, without the names of exceptions that wrap ours and without a stack trace.

    Args:
        message: As Dagster keeps it, ``module.Name: text``; Java's causes and traces follow on lines of their own.
    """
    if own := _OWN_ERROR.search(message) or re.search(r"StepError: (.+)", message, re.DOTALL):
        return own.group(1).strip()
    if _SPARK_IS_GONE.match(message):
        return (
            "Spark's Java process has ended under way; most often the system has killed it for memory. Run again, with "
            "fewer FRUITS_CORES or a smaller FRUITS_DRIVER_MEMORY if it happens again."
        )
    if system := _OF_THE_SYSTEM.match(message):
        return of_the_system(int(system["number"]), system["said"].rstrip("."))
    if no_parquet := _NO_PARQUET.search(message):
        return damaged(f"{(no_parquet[1] or no_parquet[2]).rstrip('.')}.")
    lines = [line.strip() for line in message.strip().splitlines() if line.strip()]
    java = next((line[2:] for line in lines if line.startswith(": ")), None)
    before_trace = itertools.takewhile(lambda line: not line.startswith(("at ", "JVM stacktrace")), lines)
    return java or " ".join(before_trace)
