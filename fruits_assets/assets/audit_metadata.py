"""The metadata of the audit's assets: numbers that the UI plots, tables and pictures; no path of a photo."""

from typing import Any

import dagster as dg

from fruits_assets.assets.charts.audit import findings_by_kind, fewest, photos_by_label, splits_by_label
from fruits_assets.assets.charts.drawing import picture
from fruits_assets.assets.metadata import table_of
from spark_steps.queries.audit_report import AuditReport
from spark_steps.queries.split_report import SplitReport

_LABELS_IN_TABLE = 200


def splits_metadata(split: SplitReport) -> dict[str, Any]:
    """Returns the metadata of ``photo_splits``: the split's counts by label as a table and a picture, and its groups.

    Args:
        split: What the table holds.
    """
    return {
        "split_by_label": split_table(split),
        "split_picture": picture(lambda: splits_by_label(split), "photos of each label in each split"),
        **{f"{name}_photos": photos for name, photos in split.splits.items()},
        "photos": split.photos,
        "labels": len(split.labels),
        "groups": split.groups,
        "photos_with_near_duplicates": split.photos_with_twins,
        "groups_of_several_labels": split.groups_of_several_labels,
        "largest_group": split.largest_groups[0].photos if split.largest_groups else 1,
        "groups_across_splits": split.groups_across_splits,
    }


def split_table(split: SplitReport) -> dg.TableMetadataValue:
    """Returns the counts of each label as a table: those with the fewest effective photos, where there are many."""
    rows = [
        {"label": one.label, "photos": one.photos, "effective": one.groups, **one.splits}
        for one in fewest(split.labels, _LABELS_IN_TABLE)
    ]
    return table_of(rows, ["label", "photos", "effective", *split.splits])


def audit_metadata(report: AuditReport) -> dict[str, Any]:
    """Returns the metadata of ``photo_audit``: findings by kind and balance as pictures, and a number for each kind.

    Args:
        report: The report of the audit.
    """
    metadata: dict[str, Any] = {
        "balance": picture(lambda: photos_by_label(report.split.labels), "photos of each label, and effective ones"),
        **{f"{severity}s": sum(found.values()) for severity, found in report.severities.items() if severity != "info"},
        **{one.kind: one.findings for one in report.kinds},
        "photos": report.split.photos,
    }
    if report.kinds:
        metadata["findings"] = picture(lambda: findings_by_kind(report.kinds), "findings by kind")
    return metadata
