"""The asset ``audit_report``, whose metadata show the audit of the whole store in the UI; no path of a photo.

The two tables of the audit have a materialization for each folder. A picture of the whole store would be in all of
them.
"""

from typing import Any

import dagster as dg

from fruits_assets.assets.audit import photo_audit, photo_splits
from fruits_assets.assets.charts.audit import findings_by_kind, photos_by_label, splits_by_label
from fruits_assets.assets.charts.drawing import picture
from fruits_assets.assets.common import GROUP
from fruits_assets.assets.metadata import rounded, table_of
from fruits_assets.instance.failures import reports_failures
from fruits_assets.settings import Settings
from spark_steps.queries.audit_report import AuditReport, read_audit
from spark_steps.queries.split_report import SplitReport, fewest
from spark_steps.store.store import Store

_LABELS_IN_TABLE = 200


@dg.asset(deps=[photo_splits, photo_audit], kinds={"markdown"}, **GROUP)
@reports_failures
def audit_report(store: dg.ResourceParam[Store], settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult[None]:
    """All folders together: findings by kind, photos of each label before and after grouping, the split, groups.

    The numbers are plotted over time. ``fruits audit`` prints the same with names of photos, and makes pages of it.
    """
    report = read_audit(store, settings.audit, examples=0)
    return dg.MaterializeResult(metadata=rounded({**audit_metadata(report), **splits_metadata(report.split)}))


def splits_metadata(split: SplitReport) -> dict[str, Any]:
    """Returns the metadata of the split: its counts by label as a table and a picture, and its groups.

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
    """Returns the metadata of the findings: those by kind and balance as pictures, and a number for each kind.

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
