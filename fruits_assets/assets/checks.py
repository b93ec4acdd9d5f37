"""Asset checks: invariants of the tables and models, each with its outcome as a sentence."""

from collections import Counter
from collections.abc import Iterator, Sequence

import dagster as dg
from dagster_pyspark import LazyPySparkResource

from fruits_assets.assets import mobilenet_features, pca_model, raw_images, reduced_features
from fruits_assets.assets.charts.drawing import picture, rejected_by_reason
from fruits_assets.assets.common import StepLauncher
from fruits_assets.assets.metadata import percent, significant, table_of
from fruits_assets.assets.scope import WHOLE_STORE_FOLDERS, Scope, scope_of
from fruits_assets.instance.failures import reports_failures
from fruits_assets.settings import Settings
from spark_steps.features.quality import feature_quality
from spark_steps.features.weights import current_spec
from spark_steps.pca.model import PcaModel
from spark_steps.photos.listing import count_photos
from spark_steps.store.staleness import Staleness, staleness_of
from spark_steps.store.store import Store
from spark_steps.store.summaries import Summary, summarise, total
from spark_steps.tables.folder_table import FolderTable


def differing_folders(
    one: FolderTable, other: FolderTable, folders: Sequence[str], *, usable: bool = False
) -> list[str]:
    """Returns the folders in which two tables do not have the same photos with the same number of rows, sorted.

    Args:
        one: A table.
        other: A table that should have the same photos.
        folders: The folders to compare.
        usable: Whether to leave out the first table's rows that have an error.
    """
    left, right = summarise(one, folders), summarise(other, folders)
    return sorted(
        folder for folder in folders if right[folder].photos != (left[folder].usable if usable else left[folder].photos)
    )


def same_photos(looked_at: Scope, differing: Sequence[str], what: str) -> dg.AssetCheckResult:
    """Returns the outcome of a comparison of photos as a sentence."""
    if not differing:
        return dg.AssetCheckResult(passed=True, description=looked_at.describe(f"{what}."))
    named = ", ".join(repr(folder) for folder in differing[:5])
    return dg.AssetCheckResult(
        passed=False,
        description=looked_at.describe(f"not so in {len(differing):,}, such as {named}: {what}. ")
        + "Run them again (fruits run, or the job whole_pipeline).",
        metadata={"folders": dg.MetadataValue.json(list(differing))},
    )


@dg.asset_check(asset=raw_images, name="every_photo_is_listed")
@reports_failures
def every_photo_is_listed(
    context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[Store], settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """A second listing finds the same photos in each folder of the run.

    Only the folders of the run are listed: a store may have millions of photos, and a request to S3 lists 1,000.
    """
    looked_at = scope_of(context, store.raw_images)
    listed = summarise(store.raw_images, looked_at.folders)
    found = count_photos(settings.images, looked_at.folders)
    differing = [folder for folder in looked_at.folders if listed[folder].rows != found.get(folder, 0)]
    return same_photos(looked_at, differing, "raw_images has one row for each photo there is")


@dg.asset_check(asset=mobilenet_features, name="no_photo_lost")
@reports_failures
def no_photo_lost(context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[Store]) -> dg.AssetCheckResult:
    """Every photo found has exactly one row, with its features or the reason why it has none.

    The paths of two tables are compared in the folders of the run only: photos of other folders may not have been run
    through the network yet.
    """
    looked_at = scope_of(context, store.raw_images)
    differing = differing_folders(store.raw_images, store.mobilenet_features, looked_at.folders)
    return same_photos(looked_at, differing, "every photo found has exactly one row")


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "features_are_finite_numbers",
            asset=mobilenet_features,
            description="Every row without an error has as many features as the network gives, all of them finite.",
        ),
        dg.AssetCheckSpec(
            "features_tell_photos_apart",
            asset=mobilenet_features,
            description="At least half of the features differ between photos; those of a broken network do not.",
        ),
    ]
)
@reports_failures
def features_are_sound(
    context: dg.AssetCheckExecutionContext,
    store: dg.ResourceParam[Store],
    pyspark: LazyPySparkResource,
    pyspark_step_launcher: StepLauncher,
) -> Iterator[dg.AssetCheckResult]:
    """Both checks read the features of the run's folders once; those of the whole store would take too long."""
    table = store.mobilenet_features
    looked_at = scope_of(context, table)
    width = current_spec(store.mobilenet_models).features
    quality = feature_quality(pyspark.spark_session, table, width, looked_at.folders)
    wrong = quality.wrong_length + quality.not_finite
    yield dg.AssetCheckResult(
        asset_key=mobilenet_features.key,
        check_name="features_are_finite_numbers",
        passed=wrong == 0,
        description=looked_at.describe(
            f"{quality.rows - wrong:,} of {quality.rows:,} rows have {width} finite features."
        )
        + (" Run the job whole_pipeline with full_refresh, and with other weights if it stays so." * bool(wrong)),
        metadata={"wrong_length": quality.wrong_length, "not_finite": quality.not_finite},
    )
    yield dg.AssetCheckResult(
        asset_key=mobilenet_features.key,
        check_name="features_tell_photos_apart",
        passed=not quality.degenerate,
        severity=dg.AssetCheckSeverity.WARN,
        description=looked_at.describe(
            f"{quality.constant:,} of {width} features are the same in all {quality.rows:,} rows."
        )
        + (" The photos are all alike, or mobilenet_model has the wrong weights." * quality.degenerate),
        metadata={"constant_features": quality.constant},
    )


@dg.asset_check(asset=mobilenet_features, name="almost_every_photo_is_usable")
@reports_failures
def almost_every_photo_is_usable(
    context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[Store], settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """The share of rejected photos is at most FRUITS_REJECTED_WARNING; a chart shows the reasons.

    The errors of all rows are read: of the whole store where it has up to 1,000 folders, else of the run's folders.
    """
    table = store.mobilenet_features
    looked_at = scope_of(context, table, WHOLE_STORE_FOLDERS)
    return usable_photos(total(summarise(table, looked_at.folders)), looked_at, settings.rejected_warning)


def usable_photos(found: Summary, looked_at: Scope, bearable: float) -> dg.AssetCheckResult:
    """Returns the outcome of the check on rejected photos.

    Args:
        found: The photos that were checked.
        looked_at: The folders of these photos.
        bearable: Share of rejected photos up to which the check passes.
    """
    counts = Counter(found.reasons)
    if not counts:
        return dg.AssetCheckResult(
            passed=True, description=looked_at.describe(f"all {found.rows:,} photos are usable.")
        )
    share = counts.total() / found.rows
    why = ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())
    limit = f"a warning comes above {percent(bearable)}"
    some = f"{counts.total():,} of {found.rows:,} photos are rejected ({percent(share)}; {limit})"
    return dg.AssetCheckResult(
        passed=share <= bearable,
        severity=dg.AssetCheckSeverity.WARN,
        description=looked_at.describe(f"{some}: {why}. ")
        + "Replace or delete those files, then run their folders again (fruits run, or the job whole_pipeline).",
        metadata={
            "rejected_by_reason": picture(lambda: rejected_by_reason(counts), "rejected photos by reason"),
            "rejected_photos": table_of(
                [{"path": path, "error": error} for path, error in found.rejected], ["path", "error"]
            ),
            "rejected": counts.total(),
            "rejected_share": significant(share),
        },
    )


@dg.asset_check(asset=pca_model, name="variance_is_kept")
@reports_failures
def variance_is_kept(pca_model: PcaModel, settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    """The components keep the share of variance that was asked for, or FRUITS_VARIANCE_WARNING where none was."""
    wanted = pca_model.asked_variance or settings.variance_warning
    kept = pca_model.explained_at(pca_model.k)
    return dg.AssetCheckResult(
        passed=kept >= wanted - 1e-9,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{pca_model.k} components keep {kept:.1%} of the variance; {wanted:.0%} needs "
        f"{pca_model.components_for(wanted)}."
        + (" Ask for as many components, or lower FRUITS_VARIANCE_WARNING." * (kept < wanted - 1e-9)),
        metadata={"variance_kept": significant(kept), "variance_wanted": wanted},
    )


@dg.asset_check(asset=reduced_features, name="one_pca_model")
@reports_failures
def one_pca_model(store: dg.ResourceParam[Store]) -> dg.AssetCheckResult:
    """All photos with features are reduced by the current PCA model: features of different models do not compare.

    The whole store is checked, not only the folders of the run. The severity is a warning: during a backfill, the
    folders that it has not reached yet are of the old model.
    """
    stale = staleness_of(store, listed=False)
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
    """Returns how to bring all reduced features up to date, as a sentence for the UI."""
    if stale.of_another_network:
        return "Materialize mobilenet_features for all folders, then pca_model, then reduced_features for all folders."
    return "Materialize reduced_features for them."


@dg.asset_check(asset=reduced_features, name="only_good_photos_and_all_of_them")
@reports_failures
def reduced_rows_match(context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[Store]) -> dg.AssetCheckResult:
    """Every photo with features has exactly one reduced row, and no other photo has one.

    The paths of two tables are compared in the folders of the run only: photos of other folders may not have been
    reduced yet.
    """
    looked_at = scope_of(context, store.mobilenet_features)
    differing = differing_folders(store.mobilenet_features, store.reduced_features, looked_at.folders, usable=True)
    return same_photos(looked_at, differing, "every photo with features has exactly one reduced row")


ALL_CHECKS = [
    every_photo_is_listed,
    no_photo_lost,
    features_are_sound,
    almost_every_photo_is_usable,
    variance_is_kept,
    one_pca_model,
    reduced_rows_match,
]
