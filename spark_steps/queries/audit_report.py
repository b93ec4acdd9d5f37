"""The audit of a store in numbers, for the command, its pages, the UI and scripts.

The tables are read by columns and never the features: memory does not grow with the findings, and with the photos only
by the few narrow columns of ``split_report`` and the four measures.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_steps.audit.drift import Drift, drift_of
from spark_steps.audit.settings import AuditSettings
from spark_steps.pca import model_store
from spark_steps.queries.split_report import SplitReport, read_split
from spark_steps.storage.parallel import results
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import DataFile, FolderTable
from spark_steps.tables.footers import folder_totals
from spark_steps.tables.totals import sum_of

# The kinds of findings, in the order in which they are shown, with what is meant by each.
KINDS: Mapping[str, str] = {
    "exact_copy": "the same bytes as another photo",
    "near_duplicate": "almost the same features as another photo",
    "label_conflict": "almost the same features as a photo of another label",
    "label_candidate": "neighbours that nearly all have another label",
    "outlier": "far from the photos of its label",
    "dark": "low brightness",
    "bright": "high brightness",
    "blurred": "low sharpness",
    "low_contrast": "a narrow range of brightness",
    "tiny": "few pixels",
    "odd_aspect": "very wide or very high",
    "one_colour": "little spread of the colours",
}
SEVERITIES = ("error", "warning", "info")
MEASURES = ("brightness", "contrast", "sharpness", "colour_spread")
# Shares of photos: a quantile of a measure is the value below which so many are.
QUANTILES = (0.01, 0.05, 0.5, 0.95, 0.99)
DEFAULT_EXAMPLES = 5
# The kinds of which the lowest score is the worst; of the others it is the highest.
_LOWEST_FIRST = frozenset({"label_candidate", "outlier", "dark", "blurred", "low_contrast", "tiny", "one_colour"})
_FINDING = ("path", "label", "kind", "severity", "score", "reason", "group")
_ROWS_AT_A_TIME = 65_536
_BINS = 40


@dataclass(frozen=True)
class Finding:
    """A finding of the audit.

    Attributes:
        path: The photo's path below the images root.
        label: The photo's label.
        kind: A kind of ``KINDS``.
        severity: A severity of ``SEVERITIES``.
        score: The number that was compared.
        reason: A sentence.
        group: Number of the group of near-duplicates, None where the kind is not about a group.
    """

    path: str
    label: str
    kind: str
    severity: str
    score: float | None
    reason: str
    group: int | None


@dataclass(frozen=True)
class Kind:
    """The findings of one kind.

    Attributes:
        kind: The kind.
        findings: Number of findings.
        severities: Number of findings of each severity, the worst first.
        examples: The first findings, the worst first.
    """

    kind: str
    findings: int
    severities: dict[str, int]
    examples: list[Finding]


@dataclass(frozen=True)
class Measure:
    """The distribution of a measure of the photos.

    Attributes:
        name: A name of ``MEASURES``.
        photos: Number of photos that were measured.
        quantiles: The values below which 1, 5, 50, 95 and 99 % of the photos are.
        edges: Limits of the bars of a histogram, from the least value to the 99 % quantile.
        counts: Number of photos in each bar; the last one has all above it too.
    """

    name: str
    photos: int
    quantiles: dict[str, float]
    edges: list[float]
    counts: list[int]


@dataclass(frozen=True)
class FolderDrift:
    """How badly the PCA model fits the photos of a folder.

    Attributes:
        folder: The folder.
        drift: Its drift.
    """

    folder: str
    drift: Drift


@dataclass(frozen=True)
class AuditReport:
    """The audit of a store.

    Attributes:
        store: The store's location.
        written: When the audit's tables were last written, None where the log has no record of it.
        settings: The settings of the audit.
        split: The split, the labels and the groups.
        kinds: The findings of each kind that there is, errors first, then in the order of ``KINDS``.
        measures: The distribution of each measure that any photo has.
        formats: Number of photos with features of each file format, the most common first.
        drift: The drift of each folder, the greatest first; empty before there is a PCA model of these features.
        drift_of_newer: That of the photos that are newer than the PCA model, None where there are none.
    """

    store: str
    written: datetime | None
    settings: dict[str, Any]
    split: SplitReport
    kinds: list[Kind]
    measures: list[Measure] = field(default_factory=list)
    formats: dict[str, int] = field(default_factory=dict)
    drift: list[FolderDrift] = field(default_factory=list)
    drift_of_newer: Drift | None = None

    @property
    def severities(self) -> dict[str, dict[str, int]]:
        """Number of findings by severity, the worst first, and by kind; only where there are any."""
        return {
            severity: found
            for severity in SEVERITIES
            if (found := {one.kind: one.severities[severity] for one in self.kinds if severity in one.severities})
        }

    def findings(self, kind: str, severity: str | None = None) -> int:
        """Returns the number of findings of a kind, of one severity or of all."""
        found = next((one for one in self.kinds if one.kind == kind), None)
        if found is None:
            return 0
        return found.findings if severity is None else found.severities.get(severity, 0)

    def as_json(self) -> dict[str, Any]:
        """Returns the report as JSON takes it; docs/auditing.md describes it."""
        return {**asdict(self), "written": self.written and f"{self.written:%Y-%m-%dT%H:%M:%SZ}"}


def read_audit(store: Store, settings: AuditSettings, examples: int = DEFAULT_EXAMPLES) -> AuditReport:
    """Returns the report of a store's last audit.

    Args:
        store: The store.
        settings: The settings of the audit.
        examples: The most examples of each kind.

    Raises:
        FruitsError: The store has not been audited.
    """
    split = read_split(store)
    measures, formats = read_measures(store)
    drift, drift_of_newer = _read_drift(store)
    last = store.photo_splits.log.history(limit=1)
    return AuditReport(
        store=store.root,
        written=last[0].at if last else None,
        settings=asdict(settings),
        split=split,
        kinds=read_findings(store, examples),
        measures=measures,
        formats=formats,
        drift=drift,
        drift_of_newer=drift_of_newer,
    )


def _read_drift(store: Store) -> tuple[list[FolderDrift], Drift | None]:
    # A model that is lost or damaged is no reason to report nothing; the next run makes it again.
    model = model_store.load_if_sound(store.pca_models)
    features = sum_of(folder_totals(store.mobilenet_features).values())
    # Features of another network than the model's cannot be compared with it.
    if model is None or features.made_by != {model.features_model}:
        return [], None
    found = drift_of(store)
    folders = [FolderDrift(folder, drift) for folder, drift in found.folders.items()]
    return sorted(folders, key=lambda one: (-one.drift.relative, one.folder)), found.newer


def read_findings(store: Store, examples: int = DEFAULT_EXAMPLES) -> list[Kind]:
    """Returns the findings of each kind that there is, errors first, then in the order of ``KINDS``.

    Args:
        store: The store.
        examples: The most examples of each kind; no more findings than these are in memory.
    """
    table = store.photo_audit
    return table.while_unchanged(lambda: _read_findings(table, examples))


def _read_findings(table: FolderTable, examples: int) -> list[Kind]:
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[str, list[Finding]] = {}
    for of_file, found in results(lambda file: _findings_of(table, file, examples), table.files()):
        counts += of_file
        for kind, some in found.items():
            first[kind] = _worst([*first.get(kind, []), *some], examples)
    kinds = [
        Kind(
            kind,
            sum(count for (name, _), count in counts.items() if name == kind),
            {severity: counts[kind, severity] for severity in SEVERITIES if counts[kind, severity]},
            first[kind],
        )
        for kind in first
    ]
    order = {kind: number for number, kind in enumerate(KINDS)}
    return sorted(kinds, key=lambda one: ("error" not in one.severities, order.get(one.kind, len(order)), one.kind))


def _findings_of(
    table: FolderTable, file: DataFile, examples: int
) -> tuple[Counter[tuple[str, str]], dict[str, list[Finding]]]:
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[str, list[Finding]] = {}
    with table.reading(file) as opened:
        for batch in opened.iter_batches(_ROWS_AT_A_TIME, columns=list(_FINDING)):
            rows = pa.Table.from_batches([batch])
            pairs = rows.group_by(["kind", "severity"]).aggregate([([], "count_all")])
            for row in pairs.to_pylist():
                kind, severity = row["kind"], row["severity"]
                counts[kind, severity] += row["count_all"]
                some = _first_rows(rows, kind, severity, examples)
                first[kind] = _worst([*first.get(kind, []), *some], examples)
    return counts, first


def _first_rows(rows: pa.Table, kind: str, severity: str, examples: int) -> Iterable[Finding]:
    chosen = rows.filter((pc.field("kind") == kind) & (pc.field("severity") == severity))
    by_score = "ascending" if kind in _LOWEST_FIRST else "descending"
    order = [("score", by_score), ("group", "ascending"), ("path", "ascending")]
    worst = chosen.take(pc.sort_indices(chosen, sort_keys=order)[:examples])
    return (Finding(**row) for row in worst.select(_FINDING).to_pylist())


def _worst(findings: Iterable[Finding], most: int) -> list[Finding]:
    """Returns the first findings of one kind, the worst first; twins of a group are neighbours."""

    def order(one: Finding) -> tuple[int, bool, float, int, str]:
        score = one.score or 0.0
        return (
            SEVERITIES.index(one.severity) if one.severity in SEVERITIES else len(SEVERITIES),
            one.score is None,
            score if one.kind in _LOWEST_FIRST else -score,
            -1 if one.group is None else one.group,
            one.path,
        )

    return sorted(findings, key=order)[:most]


def read_measures(store: Store) -> tuple[list[Measure], dict[str, int]]:
    """Returns the distribution of each measure that a photo with features has, and the number of photos by format."""
    rows = store.mobilenet_features.arrow([*MEASURES, "format"], where=pc.field("error").is_null())
    formats = {
        row["values"]: row["counts"] for row in rows["format"].value_counts().to_pylist() if row["values"] is not None
    }
    measures = [_measure(name, rows[name].drop_null()) for name in MEASURES if rows[name].null_count < rows.num_rows]
    return measures, dict(sorted(formats.items(), key=lambda one: (-one[1], one[0])))


def _measure(name: str, values: pa.ChunkedArray) -> Measure:
    numbers = values.to_numpy()
    quantiles = np.quantile(numbers, QUANTILES)
    least, most = float(numbers.min()), float(quantiles[-1])
    edges = np.linspace(least, most if most > least else least + 1, _BINS + 1)
    counts, _ = np.histogram(numbers.clip(edges[0], edges[-1]), edges)
    return Measure(
        name=name,
        photos=len(numbers),
        quantiles={f"{share:.0%}": float(value) for share, value in zip(QUANTILES, quantiles, strict=True)},
        edges=edges.tolist(),
        counts=counts.tolist(),
    )
