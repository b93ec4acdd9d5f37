"""The report of an audit as text for a terminal."""

from collections.abc import Iterable, Mapping, Sequence

from fruits_assets.terminal.problems import printable
from spark_steps.queries.audit_report import KINDS, AuditReport, Finding, Kind
from spark_steps.queries.split_report import LabelCounts, SplitReport, fewest
from spark_steps.store.staleness import named

_LABELS_SHOWN, _LABELS_NAMED, _FOLDERS_SHOWN, _LONGEST_LABEL = 30, 3, 5, 30


def as_text(report: AuditReport) -> str:
    """Returns the report as text: the counts, then examples of each kind, errors first, then the labels."""
    split = report.split
    lines = [
        f"Store       {report.store}",
        f"Audit       {', '.join(split.audits)}: {split.photos:,} photos, {len(split.labels):,} labels, "
        f"{split.folders:,} folders{f', written {report.written:%Y-%m-%d %H:%M:%S} UTC' if report.written else ''}",
        f"Settings    {printable(settings_line(report.settings))}",
        *_severities(report),
        f"Groups      {groups_line(split)}",
        f"Split       {split_line(split)}",
        f"Balance     {balance_line(split.labels)}",
        *(f"Drift       {line}" for line in [drift_line(report)] if line),
        *(f"{'Problem':<12}{line}" for line in problems(split)),
        *_findings(report.kinds),
        "",
        *label_table(split),
    ]
    return "\n".join(lines)


def settings_line(settings: Mapping[str, object]) -> str:
    """Returns settings as a phrase; those that are groups of settings come last."""

    def phrase(name: str, value: object) -> str:
        if isinstance(value, Mapping):
            return ", ".join(phrase(*one) for one in value.items())
        if isinstance(value, (list, tuple)):
            value = " / ".join(map(str, value))
        return f"{name.replace('_', ' ')} {value}"

    grouped = sorted(settings.items(), key=lambda one: isinstance(one[1], Mapping))
    return ", ".join(phrase(name, value) for name, value in grouped)


def groups_line(split: SplitReport) -> str:
    """Returns the groups of near-duplicates as a sentence without a full stop."""
    if not split.groups_of_several:
        return f"{split.groups:,}; no photo has a near-duplicate"
    largest = split.largest_groups[0].photos
    return (
        f"{split.groups:,}; {split.photos_with_twins:,} photos ({split.photos_with_twins / split.photos:.1%}) are near-"
        f"duplicates of others, in {split.groups_of_several:,} groups of up to {largest:,}; "
        f"{split.groups_of_several_labels:,} of these have several labels, {split.groups_of_several_folders:,} several "
        "folders"
    )


def split_line(split: SplitReport) -> str:
    """Returns the photos of each split, with their shares."""
    return ", ".join(f"{name} {photos:,} ({photos / split.photos:.1%})" for name, photos in split.splits.items())


def balance_line(labels: Sequence[LabelCounts]) -> str:
    """Returns the range of the photos of a label, before and after grouping."""
    photos, groups = [one.photos for one in labels], [one.groups for one in labels]
    return (
        f"{min(photos):,} to {max(photos):,} photos a label; {min(groups):,} to {max(groups):,} effective ones, after "
        "grouping"
    )


def drift_line(report: AuditReport) -> str:
    """Returns the folders that the PCA model fits worst; empty where no drift is known."""
    shown = [f"{printable(one.folder)} {one.drift.relative:.2f}" for one in report.drift[:_FOLDERS_SHOWN]]
    if newer := report.drift_of_newer:
        shown.append(f"{newer.photos:,} photos newer than the PCA model {newer.relative:.2f}")
    return f"{', '.join(shown)} (1: as in all photos)" if shown else ""


def problems(split: SplitReport) -> list[str]:
    """Returns a sentence for each fault of the split itself; a sound audit has none."""
    found = []
    if split.uncovered:
        found.append(f"The split is not of the photos that have features in {named(split.uncovered)}.")
    if split.groups_across_splits or split.copies_across_splits:
        found.append(
            f"Groups of near-duplicates across splits: {split.groups_across_splits:,}; exact copies across splits: "
            f"{split.copies_across_splits:,}."
        )
    if len(split.audits) > 1:
        found.append(f"The rows are of {len(split.audits):,} audits.")
    found += [
        f"The split {name} has no photo of {_named_labels(labels)}." for name, labels in split.labels_missing.items()
    ]
    return found


def _named_labels(labels: Sequence[str]) -> str:
    names = ", ".join(f"'{printable(label)}'" for label in labels[:_LABELS_NAMED])
    return f"the label {names}" if len(labels) == 1 else f"{len(labels):,} labels such as {names}"


def _severities(report: AuditReport) -> Iterable[str]:
    titles = {"error": "Errors", "warning": "Warnings", "info": "Notes"}
    for severity, title in titles.items():
        found = report.severities.get(severity, {})
        yield f"{title:<12}" + (", ".join(f"{count:,} {kind}" for kind, count in found.items()) or "none")


def _findings(kinds: Sequence[Kind]) -> Iterable[str]:
    for kind in kinds:
        counts = ", ".join(f"{count:,} of severity {severity}" for severity, count in kind.severities.items())
        meaning = f": {KINDS[kind.kind]}" if kind.kind in KINDS else ""
        yield ""
        yield f"{printable(kind.kind)}{meaning} ({counts})"
        yield from (f"  {_example(one)}" for one in kind.examples)
        if more := kind.findings - len(kind.examples):
            yield f"  and {more:,} more" if kind.examples else f"  {more:,}"


def _example(finding: Finding) -> str:
    return f"{printable(finding.path)}: {printable(finding.reason)}"


def label_table(split: SplitReport) -> list[str]:
    """Returns a line for each label: those with the fewest effective photos, where there are many."""
    shown = fewest(split.labels, _LABELS_SHOWN)
    names = [printable(one.label)[:_LONGEST_LABEL] for one in shown]
    width = max(len("label"), *map(len, names))
    heads = ["photos", "effective", *split.splits]
    lines = [f"{'label':<{width}}" + "".join(f"  {head:>{_column(head)}}" for head in heads)]
    for name, one in zip(names, shown, strict=True):
        numbers = [one.photos, one.groups, *one.splits.values()]
        cells = (f"  {number:>{_column(head)},}" for head, number in zip(heads, numbers, strict=True))
        lines.append(f"{name:<{width}}" + "".join(cells))
    if more := len(split.labels) - len(shown):
        lines.append(f"and {more:,} labels with more effective photos: --json, or --html FILE")
    return lines


def _column(head: str) -> int:
    return max(len(head), 9)
