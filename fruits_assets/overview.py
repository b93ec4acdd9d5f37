"""A store in one table and a few numbers, for the Dagster UI."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from fruits_assets.cost_so_far import EQUIVALENT, PAID, CostSoFar
from fruits_assets.metadata import rounded
from fruits_assets.report import StoreReport, human

# The UI shows Markdown in its place up to 999 characters, and behind a button from there on.
SHOWN_IN_PLACE = 999
_REASONS = 4
_NAMED = 20


def overview(report: StoreReport, stale: Sequence[str], cost: CostSoFar) -> dict[str, Any]:
    """Returns the metadata of the store as a whole: a table for people, and numbers that plot over time.

    Args:
        report: What the store holds.
        stale: The folders whose reduced features do not follow from their features and the current PCA model.
        cost: What that has cost.
    """
    rejected = sum(report.rejected.values())
    numbers = {
        "photos": report.photos,
        "usable": report.usable,
        "rejected": rejected,
        "rejected_share": rejected / report.photos,
        "folders": report.folders,
        "labels": _labels(report),
        "reduced": report.reduced,
        "components": report.components,
        "variance_kept": report.variance_kept,
        "stale_folders": len(stale),
        "photo_bytes": report.bytes["photos"],
        "features_bytes": report.bytes["features"],
        "reduced_bytes": report.bytes["reduced"],
        PAID: cost.paid,
        EQUIVALENT: cost.equivalent,
    }
    told = {name: value for name, value in numbers.items() if value is not None}
    table = {"summary": dg.MetadataValue.md(summary_table(report, stale, cost)), **rounded(told)}
    return {**table, "stale_folders_named": list(stale[:_NAMED])} if stale else table


def summary_table(report: StoreReport, stale: Sequence[str], cost: CostSoFar) -> str:
    """Returns the store as a Markdown table."""
    share = sum(report.rejected.values()) / report.photos
    sizes = ", ".join(f"{name} {human(size)}" for name, size in report.bytes.items())
    rows = {
        "Photos": f"{report.photos:,} in {report.folders:,} folders, {_labels(report):,} labels",
        "Rejected": f"{_rejected(report.rejected)} ({share:.1%})" if report.rejected else "none",
        "PCA model": f"`{report.pca_model}`" if report.pca_model else "none yet",
        "Variance": f"{report.variance_kept:.1%} kept by {report.components} components" if report.pca_model else "",
        "Reduced": f"{report.reduced:,} of {report.usable:,} usable photos",
        # Not by name: a folder may be called what Markdown takes for a link or a picture.
        "Stale": f"**{len(stale):,} folders**: materialize reduced_features" if stale else "no folder",
        "Cost so far": f"{cost.paid:.2f} EUR"
        + (f"; what was done here, on a cluster: {cost.equivalent:.2g} EUR" if cost.equivalent else ""),
        "Size": sizes,
    }
    lines = [f"| {name} | {_cell(value)} |" for name, value in rows.items() if value]
    return "\n".join(["| | |", "|---|---|", *lines])


def _labels(report: StoreReport) -> int:
    return len({folder.rpartition("/")[2] for folder in report.photos_by_folder})


def _rejected(reasons: Mapping[str, int]) -> str:
    """Returns how many photos are rejected for which reasons, the commonest first."""
    shown = [f"{count:,} {reason}" for reason, count in list(reasons.items())[:_REASONS]]
    if rest := sum(list(reasons.values())[_REASONS:]):
        shown.append(f"{rest:,} for other reasons")
    return ", ".join(shown)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
