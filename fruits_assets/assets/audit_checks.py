"""Asset checks of the audit: what would spoil a training, each with its outcome as a sentence.

Each check is of the whole store, because the audit compares all photos with each other.
"""

from collections.abc import Iterator

import dagster as dg

from fruits_assets.assets.audit_report import split_table
from fruits_assets.assets.charts.audit import findings_by_kind, splits_by_label
from fruits_assets.assets.charts.drawing import picture
from fruits_assets.assets.metadata import percent, significant
from fruits_assets.instance.failures import reports_failures
from fruits_assets.settings import Settings
from spark_steps.queries.audit_report import Kind, read_findings
from spark_steps.queries.split_report import SplitReport, read_split
from spark_steps.store.staleness import named
from spark_steps.store.store import Store

PHOTO_SPLITS, PHOTO_AUDIT = dg.AssetKey("photo_splits"), dg.AssetKey("photo_audit")
_LABELS_NAMED = 5


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "every_photo_with_features_has_a_split",
            asset=PHOTO_SPLITS,
            description="Every photo with features has one row with its split, and no other photo has one.",
        ),
        dg.AssetCheckSpec(
            "no_near_duplicates_across_the_split",
            asset=PHOTO_SPLITS,
            description="All photos of a group of near-duplicates are in the same split, and so are exact copies.",
        ),
        dg.AssetCheckSpec(
            "every_label_is_in_every_split",
            asset=PHOTO_SPLITS,
            description="Train, validation and test each have photos of every label.",
        ),
    ]
)
@reports_failures
def split_is_sound(store: dg.ResourceParam[Store]) -> Iterator[dg.AssetCheckResult]:
    """All three checks read the narrow columns of photo_splits once."""
    split = read_split(store)
    yield covers_all_photos(split)
    yield does_not_leak(split)
    yield has_every_label(split)


def covers_all_photos(split: SplitReport) -> dg.AssetCheckResult:
    """Returns whether the split is of the photos that have features."""
    return dg.AssetCheckResult(
        asset_key=PHOTO_SPLITS,
        check_name="every_photo_with_features_has_a_split",
        passed=not split.uncovered,
        description=f"The photos of photo_splits are not those with features in {named(split.uncovered)}. "
        "Audit again: fruits audit, or the job audit_photos."
        if split.uncovered
        else f"All {split.photos:,} photos with features have a split.",
        metadata={"folders": dg.MetadataValue.json(split.uncovered), "photos": split.photos},
    )


def does_not_leak(split: SplitReport) -> dg.AssetCheckResult:
    """Returns whether near-duplicates and exact copies are in one split each."""
    leaks = split.groups_across_splits + split.copies_across_splits
    return dg.AssetCheckResult(
        asset_key=PHOTO_SPLITS,
        check_name="no_near_duplicates_across_the_split",
        passed=not leaks,
        description=f"{split.groups_across_splits:,} groups of near-duplicates and {split.copies_across_splits:,} "
        "photos with exact copies are in several splits, so a score on test would be too good. Audit again: fruits "
        "audit, or the job audit_photos."
        if leaks
        else f"Each of the {split.groups_of_several:,} groups of near-duplicates, with {split.photos_with_twins:,} "
        "photos, is in one split.",
        metadata={
            "groups_across_splits": split.groups_across_splits,
            "copies_across_splits": split.copies_across_splits,
            "groups_of_several": split.groups_of_several,
            "photos_with_near_duplicates": split.photos_with_twins,
        },
    )


def has_every_label(split: SplitReport) -> dg.AssetCheckResult:
    """Returns whether every label has photos in every split; a label of few groups cannot be divided."""
    missing = split.labels_missing
    lacking = [f"{name} has no photo of {_few(labels)}" for name, labels in missing.items()]
    return dg.AssetCheckResult(
        asset_key=PHOTO_SPLITS,
        check_name="every_label_is_in_every_split",
        passed=not missing,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{'; '.join(lacking)}. Add photos of these labels that are no near-duplicates of those there are."
        if missing
        else f"All {len(split.labels):,} labels have photos in each split.",
        metadata={
            "split_by_label": split_table(split),
            "split_picture": picture(lambda: splits_by_label(split), "photos of each label in each split"),
        },
    )


def _few(labels: list[str]) -> str:
    named_labels = ", ".join(map(repr, labels[:_LABELS_NAMED]))
    return named_labels if len(labels) <= _LABELS_NAMED else f"{len(labels):,} labels such as {named_labels}"


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "no_exact_copy_under_two_labels",
            asset=PHOTO_AUDIT,
            description="No photo is there with the same bytes under two labels.",
        ),
        dg.AssetCheckSpec(
            "almost_every_photo_fits_its_label",
            asset=PHOTO_AUDIT,
            description="The share of label candidates is at most FRUITS_CANDIDATES_WARNING.",
        ),
    ]
)
@reports_failures
def findings_are_few(
    store: dg.ResourceParam[Store], settings: dg.ResourceParam[Settings]
) -> Iterator[dg.AssetCheckResult]:
    """Both checks count the findings once; a chart shows them by kind."""
    kinds = {one.kind: one for one in read_findings(store, examples=0)}
    yield no_copy_under_two_labels(kinds)
    # The number of photos is in the log, so no row is read for it.
    photos = sum(file.rows for file in store.photo_splits.files())
    yield few_label_candidates(kinds, photos, settings.candidates_warning)


def no_copy_under_two_labels(kinds: dict[str, Kind]) -> dg.AssetCheckResult:
    """Returns whether the same bytes have one label only."""
    copies = kinds["exact_copy"].severities.get("error", 0) if "exact_copy" in kinds else 0
    return dg.AssetCheckResult(
        asset_key=PHOTO_AUDIT,
        check_name="no_exact_copy_under_two_labels",
        passed=not copies,
        description=f"{copies:,} photos have the same bytes as a photo of another label. Find them with fruits audit, "
        "delete the wrong ones, and run again."
        if copies
        else "No photo has the same bytes as a photo of another label.",
        metadata={
            "photos": copies,
            **({"findings": picture(lambda: findings_by_kind([*kinds.values()]), "findings by kind")} if kinds else {}),
        },
    )


def few_label_candidates(kinds: dict[str, Kind], photos: int, bearable: float) -> dg.AssetCheckResult:
    """Returns whether few photos have neighbours of another label.

    Args:
        kinds: The findings by kind.
        photos: Number of photos that were audited.
        bearable: Share of label candidates up to which the check passes.
    """
    candidates = kinds["label_candidate"].findings if "label_candidate" in kinds else 0
    share = candidates / photos if photos else 0.0
    return dg.AssetCheckResult(
        asset_key=PHOTO_AUDIT,
        check_name="almost_every_photo_fits_its_label",
        passed=share <= bearable,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{candidates:,} of {photos:,} photos have neighbours that nearly all have another label "
        f"({percent(share)}; a warning comes above {percent(bearable)})."
        + (" Look at them with fruits audit --with-photos, and move those with a wrong label." * (share > bearable)),
        metadata={"label_candidates": candidates, "label_candidate_share": significant(share)},
    )


ALL_AUDIT_CHECKS = [split_is_sound, findings_are_few]
