"""Asset checks: the promises of the tables, each told as a sentence."""

from collections import Counter
from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)
from dagster_pyspark import LazyPySparkResource

from fruits_assets.assets import mobilenet_features, pca_model, raw_images, reduced_features
from fruits_assets.assets.common import StepLauncher
from fruits_assets.charts import picture, rejected_by_reason
from fruits_assets.metadata import table_of
from fruits_assets.partitions import IMAGE_FOLDERS
from fruits_assets.settings import Settings
from spark_steps.images import count_photos
from spark_steps.pca import PcaModel
from spark_steps.quality import feature_quality
from spark_steps.staleness import Staleness, look
from spark_steps.store import Store
from spark_steps.summaries import Summary, summarise, total
from spark_steps.tables import FolderTable
from spark_steps.weights import FEATURES


def folders_of_run(context: dg.AssetCheckExecutionContext, table: FolderTable) -> list[str]:
    """Returns the folders that the check's run is about: those of its partitions, or all that the table has.

    Args:
        context: Of the check.
        table: The table whose rows are the reason for those of the table checked, so that a folder that is missing
            there altogether is not overlooked.
    """
    tags = context.run.tags
    if key := tags.get(PARTITION_NAME_TAG):
        return [key]
    first, last = tags.get(ASSET_PARTITION_RANGE_START_TAG), tags.get(ASSET_PARTITION_RANGE_END_TAG)
    if first and last:
        keys = list(context.instance.get_dynamic_partitions(IMAGE_FOLDERS))
        # A folder of the range may have been dropped since the run began.
        return keys[keys.index(first) : keys.index(last) + 1] if {first, last} <= set(keys) else table.folders()
    return table.folders()


def differing_folders(
    one: FolderTable, other: FolderTable, folders: Sequence[str], *, usable: bool = False
) -> list[str]:
    """Returns the folders in which two tables do not hold the same photos the same number of times, sorted.

    Args:
        one: A table.
        other: A table that should hold the same photos.
        folders: The folders to compare.
        usable: Leave out the first table's rows that have an error.
    """
    left, right = summarise(one, folders), summarise(other, folders)
    return sorted(
        folder for folder in folders if right[folder].photos != (left[folder].usable if usable else left[folder].photos)
    )


def same_photos(folders: Sequence[str], differing: Sequence[str], what: str) -> dg.AssetCheckResult:
    """Returns the outcome of a comparison of photos as a sentence."""
    if not differing:
        return dg.AssetCheckResult(passed=True, description=f"{what} in all {len(folders):,} folders.")
    named = ", ".join(repr(folder) for folder in differing[:5])
    return dg.AssetCheckResult(
        passed=False,
        description=f"Not so in {len(differing):,} of {len(folders):,} folders, such as {named}: {what}. "
        "Materialize raw_images, mobilenet_features and reduced_features for them.",
        metadata={"folders": dg.MetadataValue.json(list(differing))},
    )


@dg.asset_check(asset=raw_images, name="every_photo_is_listed")
def every_photo_is_listed(
    context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[Store], settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """A second listing, not by Spark, finds the same photos in each folder."""
    folders = folders_of_run(context, store.raw_images)
    listed = summarise(store.raw_images, folders)
    found = count_photos(settings.images, folders)
    differing = [folder for folder in folders if listed[folder].rows != found.get(folder, 0)]
    return same_photos(folders, differing, "raw_images has one row for each photo there is")


@dg.asset_check(asset=mobilenet_features, name="no_photo_lost")
def no_photo_lost(context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[Store]) -> dg.AssetCheckResult:
    """Every photo found has exactly one row, with its features or the reason why it has none."""
    folders = folders_of_run(context, store.raw_images)
    differing = differing_folders(store.raw_images, store.mobilenet_features, folders)
    return same_photos(folders, differing, "every photo found has exactly one row")


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "features_are_1280_finite_numbers",
            asset=mobilenet_features,
            description="Every row without an error has 1280 features, none of them NaN or infinite.",
        ),
        dg.AssetCheckSpec(
            "features_tell_photos_apart",
            asset=mobilenet_features,
            description="At least half of the features differ between photos; those of a broken network do not.",
        ),
    ]
)
def features_are_sound(
    context: dg.AssetCheckExecutionContext,
    store: dg.ResourceParam[Store],
    pyspark: LazyPySparkResource,
    pyspark_step_launcher: StepLauncher,
) -> Iterator[dg.AssetCheckResult]:
    """Both in one pass over the features."""
    table = store.mobilenet_features
    quality = feature_quality(pyspark.spark_session, table, folders_of_run(context, table))
    wrong = quality.wrong_length + quality.not_finite
    yield dg.AssetCheckResult(
        asset_key=mobilenet_features.key,
        check_name="features_are_1280_finite_numbers",
        passed=wrong == 0,
        description=f"{quality.rows - wrong:,} of {quality.rows:,} rows have {FEATURES} finite features."
        + (" Materialize mobilenet_features with full_refresh, and with other weights if it stays so." * bool(wrong)),
        metadata={"wrong_length": quality.wrong_length, "not_finite": quality.not_finite},
    )
    yield dg.AssetCheckResult(
        asset_key=mobilenet_features.key,
        check_name="features_tell_photos_apart",
        passed=not quality.degenerate,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{quality.constant:,} of {FEATURES} features are the same in all {quality.rows:,} rows."
        + (" The photos are all alike, or mobilenet_model has the wrong weights." * quality.degenerate),
        metadata={"constant_features": quality.constant},
    )


@dg.asset_check(asset=mobilenet_features, name="almost_every_photo_is_usable")
def almost_every_photo_is_usable(
    context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[Store], settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """No larger share of the photos is rejected than FRUITS_REJECTED_WARNING; a chart shows for which reasons."""
    table = store.mobilenet_features
    folders = folders_of_run(context, table)
    return usable_photos(total(summarise(table, folders)), settings.rejected_warning)


def usable_photos(found: Summary, bearable: float) -> dg.AssetCheckResult:
    """Returns the outcome of the check on rejected photos.

    Args:
        found: The photos looked at.
        bearable: Share of rejected photos up to which the check passes.
    """
    counts = Counter(found.reasons)
    if not counts:
        return dg.AssetCheckResult(passed=True, description=f"All {found.rows:,} photos are usable.")
    share = counts.total() / found.rows
    why = ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())
    some = f"{counts.total():,} of {found.rows:,} photos are rejected ({share:.1%}; up to {bearable:.1%} pass)"
    return dg.AssetCheckResult(
        passed=share <= bearable,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{some}: {why}. "
        "Replace or delete those files, then materialize raw_images and mobilenet_features of their folders.",
        metadata={
            "rejected_by_reason": picture(lambda: rejected_by_reason(counts), "rejected photos by reason"),
            "rejected_photos": table_of(
                [{"path": path, "error": error} for path, error in found.rejected], ["path", "error"]
            ),
            "rejected": counts.total(),
            "rejected_share": share,
        },
    )


@dg.asset_check(asset=pca_model, name="variance_is_kept")
def variance_is_kept(pca_model: PcaModel, settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    """The components kept hold as much of the variance as was asked for, or as FRUITS_VARIANCE_WARNING wants."""
    wanted = pca_model.asked_variance or settings.variance_warning
    kept = pca_model.explained_at(pca_model.k)
    return dg.AssetCheckResult(
        passed=kept >= wanted - 1e-9,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{pca_model.k} components keep {kept:.1%} of the variance; {wanted:.0%} needs "
        f"{pca_model.components_for(wanted)}."
        + (" Materialize pca_model with as many, or lower FRUITS_VARIANCE_WARNING." * (kept < wanted - 1e-9)),
        metadata={"variance_kept": kept, "variance_wanted": wanted},
    )


@dg.asset_check(asset=reduced_features, name="one_pca_model")
def one_pca_model(store: dg.ResourceParam[Store]) -> dg.AssetCheckResult:
    """All photos that have features are reduced by the current PCA model; numbers of different models do not compare.

    Of the whole store, whichever folders the run is of. A warning and no error: while a backfill goes on, the folders
    whose turn is still to come are of the old model.
    """
    stale = look(store, listed=False)
    return dg.AssetCheckResult(
        passed=not stale.incomparable,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join([*stale.incomparable, remedy_for(stale)])
        if stale.incomparable
        else f"All photos with features are reduced by PCA model {stale.pca_model}.",
        metadata={
            "of_another_network": dg.MetadataValue.json(stale.of_another_network),
            "of_another_pca_model": dg.MetadataValue.json(stale.of_another_pca_model),
            "not_reduced": dg.MetadataValue.json(stale.not_reduced),
        },
    )


def remedy_for(stale: Staleness) -> str:
    """Returns what brings all reduced features up to date, as a sentence for the UI."""
    if stale.of_another_network:
        return "Materialize mobilenet_features for all folders, then pca_model, then reduced_features for all folders."
    return "Materialize reduced_features for them."


@dg.asset_check(asset=reduced_features, name="only_good_photos_and_all_of_them")
def reduced_rows_match(context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[Store]) -> dg.AssetCheckResult:
    """Every photo with features has exactly one reduced row, and no other photo has one."""
    folders = folders_of_run(context, store.mobilenet_features)
    differing = differing_folders(store.mobilenet_features, store.reduced_features, folders, usable=True)
    return same_photos(folders, differing, "every photo with features has exactly one reduced row")


ALL_CHECKS = [
    every_photo_is_listed,
    no_photo_lost,
    features_are_sound,
    almost_every_photo_is_usable,
    variance_is_kept,
    one_pca_model,
    reduced_rows_match,
]
