"""The data card of a store: what a data set holds, where it comes from and what is wrong with it, in Markdown.

No path of a photo is in it, so that it can be published with the data set. Names of labels are escaped: they may
contain what Markdown or HTML would execute or load.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fruits_assets.commands.support.audit_text import balance_line, groups_line, problems, settings_line, split_line
from fruits_assets.terminal.problems import printable
from spark_steps.queries.audit_report import KINDS, AuditReport
from spark_steps.queries.report import StoreReport, human

# The characters that have a meaning in a cell of Markdown, or begin a tag or an entity of HTML.
_SPECIAL = re.compile(r"[\\`*_\[\]<>|&~$]")


def escaped(words: str) -> str:
    """Returns words as Markdown shows them, whatever characters they contain."""
    return _SPECIAL.sub(r"\\\g<0>", printable(words))


@dataclass(frozen=True)
class Sources:
    """Where the data set comes from.

    Attributes:
        images: The images root.
        network: Fingerprint of the network that made the features.
        versions: The version of each table.
    """

    images: str
    network: str
    versions: Mapping[str, int]


def as_card(report: AuditReport, store: StoreReport, sources: Sources) -> str:
    """Returns the data card.

    Args:
        report: The audit.
        store: What the store holds.
        sources: Where it comes from.
    """
    split = report.split
    return "\n".join(
        [
            "# Data card",
            "",
            *_table(["", ""], _facts(report, store, sources)),
            "## Labels and split",
            "",
            f"{escaped(balance_line(split.labels))}. An effective photo is a group of near-duplicates. All photos of a "
            "group are in the same split, so no photo of validation or test has a near-duplicate in train."
            + "".join(f" **{escaped(problem)}**" for problem in problems(split)),
            "",
            *_table(
                ["label", "photos", "effective", *map(escaped, split.splits)],
                [
                    [escaped(one.label), f"{one.photos:,}", f"{one.groups:,}", *(f"{n:,}" for n in one.splits.values())]
                    for one in split.labels
                ],
            ),
            "## Findings",
            "",
            "What an automatic audit has found. It misses faults, and names photos that are right.",
            "",
            *_table(
                ["kind", "meaning", "error", "warning", "info"],
                [
                    [
                        escaped(one.kind),
                        KINDS.get(one.kind, ""),
                        *(f"{one.severities.get(severity, 0):,}" for severity in ("error", "warning", "info")),
                    ]
                    for one in report.kinds
                ],
            ),
            *_measures(report),
            *_rejected(store),
        ]
    )


def _facts(report: AuditReport, store: StoreReport, sources: Sources) -> list[list[str]]:
    split = report.split
    formats = ", ".join(f"{count:,} {escaped(name)}" for name, count in report.formats.items())
    variance = (
        f", {store.components} components, which keep {store.variance_kept:.1%} of the variance"
        if store.variance_kept is not None
        else ""
    )
    return [
        ["Made", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"],
        ["Photos", f"{store.photos:,} found, {store.usable:,} with features, {split.photos:,} audited"],
        ["Labels", f"{len(split.labels):,}, from {split.folders:,} folders"],
        ["Source", escaped(sources.images)],
        ["Formats", formats],
        ["Size", f"{human(store.bytes.get('photos', 0))} of photos"],
        ["Weights", f"{escaped(store.weights.get('source', ''))}, sha256 {escaped(store.weights.get('sha256', ''))}"],
        ["Network", escaped(sources.network)],
        ["PCA model", f"{escaped(store.pca_model or 'none')}{variance}"],
        ["Audit", f"{escaped(', '.join(split.audits))}{f', {report.written:%Y-%m-%d} UTC' if report.written else ''}"],
        ["Tables", escaped(", ".join(f"{name}@{version}" for name, version in sources.versions.items()))],
        ["Settings", escaped(settings_line(report.settings))],
        ["Split", escaped(split_line(split))],
        ["Near-duplicates", escaped(groups_line(split))],
    ]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns a table of cells that are Markdown already, and an empty line."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [*(f"| {' | '.join(cells)} |" for cells in lines), ""]


def _measures(report: AuditReport) -> list[str]:
    if not report.measures:
        return []
    rows = [
        [one.name.replace("_", " "), *(f"{value:.3g}" for value in one.quantiles.values())] for one in report.measures
    ]
    return ["## Measures of the photos", "", *_table(["", *report.measures[0].quantiles], rows)]


def _rejected(store: StoreReport) -> list[str]:
    if not store.rejected:
        return []
    rows = [[escaped(reason), f"{count:,}"] for reason, count in store.rejected.items()]
    return ["## Rejected photos", "", *_table(["reason", "photos"], rows)]
