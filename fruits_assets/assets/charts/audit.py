"""The charts of the audit: findings by kind, photos and splits by label, drift by folder, and the measures."""

from collections.abc import Sequence

from fruits_assets.assets.charts.bars import Bar, histogram, horizontal_bars
from fruits_assets.assets.charts.photo_map import shortened
from fruits_assets.terminal.problems import printable
from spark_steps.queries.audit_report import FolderDrift, Kind, Measure
from spark_steps.queries.split_report import LabelCounts, SplitReport, fewest

ERROR, WARNING, INFO = "#c53030", "#dd8a1f", "#2b6cb0"
_SEVERITIES = {"error": ERROR, "warning": WARNING, "info": INFO}
_EFFECTIVE, _TWINS = "#2b6cb0", "#bcd3ee"
_SPLITS = ("#2b6cb0", "#dd8a1f", "#38a169", "#805ad5", "#a0aec0")
_MOST_BARS, _LONGEST_NAME = 40, 28


def findings_by_kind(kinds: Sequence[Kind]) -> str:
    """Draws the number of findings of each kind, by severity.

    Args:
        kinds: The kinds, one at least.
    """
    bars = [
        Bar(
            one.kind,
            tuple((count, _SEVERITIES.get(severity, INFO)) for severity, count in one.severities.items()),
            f"{one.findings:,}",
        )
        for one in kinds
    ]
    title = f"{sum(one.findings for one in kinds):,} findings by kind"
    return horizontal_bars(title, "findings", bars, list(_SEVERITIES.items()))


def photos_by_label(labels: Sequence[LabelCounts]) -> str:
    """Draws the photos of each label, and how many groups of near-duplicates they are."""
    shown = fewest(labels, _MOST_BARS)
    bars = [
        Bar(
            _name(one.label),
            ((one.groups, _EFFECTIVE), (one.photos - one.groups, _TWINS)),
            f"{one.photos:,}, {one.groups:,} effective",
        )
        for one in shown
    ]
    legend = [("effective, after grouping", _EFFECTIVE), ("near-duplicates of these", _TWINS)]
    return horizontal_bars("Photos by label", _of_labels("photos", shown, labels), bars, legend)


def splits_by_label(split: SplitReport) -> str:
    """Draws how the photos of each label are divided between the splits, in percent."""
    shown = fewest(split.labels, _MOST_BARS)
    colours = dict(zip(split.splits, (*_SPLITS, *["#666666"] * len(split.splits)), strict=False))
    bars = [
        Bar(
            _name(one.label),
            tuple((100 * photos / one.photos, colours[name]) for name, photos in one.splits.items()),
            " / ".join(f"{photos:,}" for photos in one.splits.values()),
        )
        for one in shown
    ]
    below = _of_labels("percent of the photos", shown, split.labels)
    return horizontal_bars("Split of each label", below, bars, list(colours.items()))


def _of_labels(what: str, shown: Sequence[LabelCounts], labels: Sequence[LabelCounts]) -> str:
    if len(shown) == len(labels):
        return what
    return f"{what}; the {len(shown):,} labels with the fewest effective photos, of {len(labels):,}"


def _name(name: str) -> str:
    return shortened(printable(name), _LONGEST_NAME)


def drift_by_folder(drift: Sequence[FolderDrift]) -> str:
    """Draws the drift of the folders with the most, relative to all photos.

    Args:
        drift: The folders, the greatest drift first, one at least.
    """
    shown = drift[:_MOST_BARS]
    bars = [Bar(_name(one.folder), ((one.drift.relative, INFO),), f"{one.drift.relative:.2f}") for one in shown]
    of = "" if len(shown) == len(drift) else f"; the {len(shown):,} greatest of {len(drift):,} folders"
    below = f"unexplained variance, 1: as in all photos{of}"
    return horizontal_bars("Drift by folder", below, bars, counted=False)


def measure_histogram(measure: Measure) -> str:
    """Draws how many photos have which value of a measure."""
    name = measure.name.replace("_", " ")
    return histogram(f"{name.capitalize()} of {measure.photos:,} photos", name, measure.edges, measure.counts, INFO)
