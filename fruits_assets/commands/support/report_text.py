"""The report on a store as text for a terminal."""

from collections.abc import Mapping, Sequence

from fruits_assets.terminal.problems import printable
from spark_steps.photos.other_files import alone, summed_up
from spark_steps.queries.report import StoreReport, human
from spark_steps.store.store import Store

_REJECTED_NAMED = 5


def as_text(report: StoreReport) -> str:
    """Returns the report as text."""
    lines = [
        f"Store       {report.store}",
        *_moment(report),
        f"Photos      {report.photos:,} in {report.folders:,} folders, {report.usable:,} usable",
        "Rejected    " + (", ".join(f"{count:,} {reason}" for reason, count in report.rejected.items()) or "none"),
        *_first_rejected(report),
        *_passed_over(report),
        f"Reduced     {report.reduced:,} photos",
    ]
    if report.pca_model:
        at, needed = report.variance_at, report.components_for
        lines += [
            f"PCA model   {report.pca_model}",
            f"Variance    {report.variance_kept:.1%} kept by {report.components} components",
            "            " + ", ".join(f"{share:.1%} by {count}" for count, share in at.items()),
            "            " + ", ".join(f"{share} needs {count}" for share, count in needed.items()) + " components",
            f"Weights     {report.weights.get('source')}, sha256 {report.weights.get('sha256')}",
        ]
    sizes = report.bytes
    line = "Size        " + ", ".join(f"{name} {human(size)}" for name, size in sizes.items())
    if sizes["photos"] and sizes["reduced"]:
        line += f" ({sizes['reduced'] / sizes['photos']:.1%} of the photos)"
    return "\n".join([*lines, line, *_stale(report)])


def _moment(report: StoreReport) -> list[str]:
    if report.as_of is None:
        return []
    versions = ", ".join(f"{name}@{version}" for name, version in report.as_of.versions if version >= 0)
    return [f"As of       {report.as_of}: {versions}"]


def _first_rejected(report: StoreReport) -> list[str]:
    lines = [f"            {line}" for line in rejected_lines(report.rejected_photos[:_REJECTED_NAMED], ": ")]
    if more := len(report.rejected_photos) - len(lines):
        as_of = f" --as-of {report.as_of.at.isoformat()}" if report.as_of else ""
        lines.append(f"            and {more:,} more: fruits report {Store(report.store).option}{as_of} --rejected")
    return lines


def rejected_lines(photos: Sequence[Mapping[str, str]], separator: str = "\t") -> list[str]:
    """Returns a line for each rejected photo with its path and the reason; control characters in names are escaped."""
    return [printable(photo["path"]) + separator + printable(photo["error"]) for photo in photos]


def _passed_over(report: StoreReport) -> list[str]:
    if not report.passed_over:
        return []
    folders = [f"            {printable(alone(report.to_convert))}"] if report.to_convert else []
    return [f"Passed over {printable(summed_up(report.passed_over))}: no photos that can be read", *folders]


def _stale(report: StoreReport) -> list[str]:
    sentences = report.stale.sentences
    if not sentences:
        return []
    remedy = [] if report.as_of else [Store(report.store).remedy]
    return [f"{'' if number else 'Stale':<12}{sentence}" for number, sentence in enumerate([*sentences, *remedy])]
