"""A summary of the store for the Dagster UI: one table and a few numbers."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from fruits_assets.assets.charts.variance_sketch import variance_sketch
from fruits_assets.assets.metadata import percent, rounded
from fruits_assets.money.cost_so_far import EQUIVALENT, PAID, CostSoFar
from spark_steps.pca.model import PcaModel
from spark_steps.queries.report import StoreReport, human
from spark_steps.store.staleness import Staleness

_REASONS = 4
_NAMED = 20
_DECIMALS = 6


def overview(report: StoreReport, model: PcaModel, cost: CostSoFar) -> dict[str, Any]:
    """Returns the metadata of the whole store: a table and a curve for people, and numbers that the UI plots over time.

    Args:
        report: The content of the store.
        model: The store's PCA model.
        cost: The cost of the store so far.
    """
    rejected, stale = sum(report.rejected.values()), report.stale.folders
    numbers = {
        "photos": report.photos,
        "usable": report.usable,
        "rejected": rejected,
        "rejected_share": rejected / report.photos,
        "folders": report.folders,
        "labels": _labels(report),
        "reduced": report.reduced,
        "components": model.k,
        "variance_kept": model.explained_at(model.k),
        "stale_folders": len(stale),
        "photo_bytes": report.bytes["photos"],
        "features_bytes": report.bytes["features"],
        "reduced_bytes": report.bytes["reduced"],
    }
    # Rounded to a millionth of a euro, not to 4 digits: the next report adds to these sums, and small costs would be
    # lost.
    costs = {PAID: round(cost.paid, _DECIMALS), EQUIVALENT: round(cost.equivalent, _DECIMALS)}
    named = {"stale_folders_named": list(stale[:_NAMED])} if stale else {}
    table = dg.MetadataValue.md(summary_table(report, cost))
    return {"summary": table, "variance": variance_sketch(model), **rounded(numbers), **costs, **named}


def summary_table(report: StoreReport, cost: CostSoFar) -> str:
    """Returns the store as a Markdown table."""
    share = sum(report.rejected.values()) / report.photos
    sizes = ", ".join(f"{name} {human(size)}" for name, size in report.bytes.items())
    rows = {
        "Photos": f"{report.photos:,} in {report.folders:,} folders, {_labels(report):,} labels",
        "Rejected": f"{_rejected(report.rejected)} ({percent(share)})" if report.rejected else "none",
        "PCA model": f"`{report.pca_model}`",
        "Variance": f"{report.variance_kept:.1%} kept by {report.components} components",
        "Reduced": f"{report.reduced:,} of {report.usable:,} usable photos",
        # Without names of folders: Markdown could read a name as a link or a picture.
        "Stale": _stale(report.stale),
        "Cost so far": f"{cost.paid:.2f} EUR"
        + (f"; the work done here would have cost {cost.equivalent:.2g} EUR on a cluster" if cost.equivalent else ""),
        "Size": sizes,
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def _stale(stale: Staleness) -> str:
    if stale.folders:
        folders = "1 folder" if len(stale.folders) == 1 else f"{len(stale.folders):,} folders"
        return f"**{folders}**: run the job whole_pipeline"
    if stale.pca_is_of_other_photos:
        return "**the PCA model**, fitted on other photos than have features: run the job whole_pipeline"
    return "nothing"


def _labels(report: StoreReport) -> int:
    return len({folder.rpartition("/")[2] for folder in report.photos_by_folder})


def _rejected(reasons: Mapping[str, int]) -> str:
    """Returns the number of rejected photos for each reason, the most common first."""
    shown = [f"{count:,} {reason}" for reason, count in list(reasons.items())[:_REASONS]]
    if rest := sum(list(reasons.values())[_REASONS:]):
        shown.append(f"{rest:,} for other reasons")
    return ", ".join(shown)
