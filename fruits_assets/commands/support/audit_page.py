"""The report of an audit as one HTML page: no script, nothing from elsewhere, and no photo.

Names of photos and folders may contain anything. They are escaped for HTML, and characters that change how a text is
shown, such as those that reverse it, are shown as their codes. The page is well-formed XML too.
"""

from collections.abc import Iterable, Sequence

from fruits_assets.assets.charts import svg
from fruits_assets.assets.charts.audit import (
    drift_by_folder,
    findings_by_kind,
    measure_histogram,
    photos_by_label,
    splits_by_label,
)
from fruits_assets.commands.support.audit_text import balance_line, groups_line, problems, settings_line, split_line
from fruits_assets.terminal.problems import printable
from spark_steps.queries.audit_report import KINDS, AuditReport, Kind
from spark_steps.queries.split_report import Group

# Styles within the page and images within it are allowed, and nothing else: no script, and no request to anywhere.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
body { font: 15px/1.45 sans-serif; color: #222; background: #fff; max-width: 60em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .2em .8em; text-align: left; vertical-align: top;
border-bottom: 1px solid #ddd; overflow-wrap: anywhere } td.number, th.number { text-align: right; white-space: nowrap }
svg { max-width: 100%; height: auto } .error { color: #c53030 } .warning { color: #a05a00 } summary { cursor: pointer }
figure { display: inline-block; margin: .4em; width: 180px; vertical-align: top; font-size: 12px }
figcaption { overflow-wrap: anywhere; margin-top: .3em } h2 { margin-top: 2em }
"""


def text(words: str) -> str:
    """Returns words as HTML shows them, whatever characters they contain."""
    return svg.escaped(printable(words))


def document(title: str, parts: Iterable[str]) -> str:
    """Returns a whole page; ``parts`` are HTML."""
    return (
        '<!DOCTYPE html>\n<html lang="en" xmlns="http://www.w3.org/1999/xhtml"><head><meta charset="utf-8"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/><meta name="referrer" '
        f'content="no-referrer"/><title>{text(title)}</title><style>{_STYLE}</style></head><body>\n'
        f"<h1>{text(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def as_page(report: AuditReport) -> str:
    """Returns the report as a page with charts."""
    split = report.split
    written = f"{report.written:%Y-%m-%d %H:%M:%S} UTC" if report.written else ""
    return document(
        f"Audit of {report.store}",
        [
            _table(
                [
                    ["Photos", f"{split.photos:,} of {len(split.labels):,} labels in {split.folders:,} folders"],
                    ["Groups of near-duplicates", groups_line(split)],
                    ["Split", split_line(split)],
                    ["Balance", balance_line(split.labels)],
                    ["Settings", settings_line(report.settings)],
                    ["Audit", f"{', '.join(split.audits)} {written}".strip()],
                ]
            ),
            *(f'<p class="error">{text(problem)}</p>' for problem in problems(split)),
            "<h2>Findings</h2>",
            *(_findings(report.kinds) if report.kinds else ["<p>None.</p>"]),
            "<h2>Labels</h2>",
            _chart(photos_by_label(split.labels)),
            _chart(splits_by_label(split)),
            _labels(report),
            *_groups(split.largest_groups),
            *_drift(report),
            *_measures(report),
            "<p>This page has no photo, but names of photos. An erasure does not reach it.</p>",
        ],
    )


def _chart(drawing: str) -> str:
    return f"<div>{drawing}</div>"


def _table(rows: Iterable[Sequence[str]], heads: Sequence[str] = (), numbers: Iterable[int] = ()) -> str:
    """Returns a table of texts, which are escaped here.

    Args:
        rows: The cells of each row.
        heads: The heads of the columns; without them the first cell of each row is its head.
        numbers: The columns that hold numbers.
    """
    right = set(numbers)

    def cells(row: Sequence[str], tag: str, first: str) -> str:
        tags = [first, *[tag] * (len(row) - 1)]
        classes = [' class="number"' if column in right else "" for column in range(len(row))]
        made = zip(tags, classes, row, strict=True)
        return "<tr>" + "".join(f"<{one}{kind}>{text(cell)}</{one}>" for one, kind, cell in made) + "</tr>"

    head = f"<thead>{cells(heads, 'th', 'th')}</thead>" if heads else ""
    return f"<table>{head}<tbody>{''.join(cells(row, 'td', 'td' if heads else 'th') for row in rows)}</tbody></table>"


def _findings(kinds: Sequence[Kind]) -> Iterable[str]:
    yield _chart(findings_by_kind(kinds))
    for kind in kinds:
        worst = next(iter(kind.severities), "info")
        counts = ", ".join(f"{count:,} {severity}" for severity, count in kind.severities.items())
        meaning = f": {KINDS[kind.kind]}" if kind.kind in KINDS else ""
        yield f'<h3 class="{worst if worst in ("error", "warning") else "info"}">{text(kind.kind + meaning)}</h3>'
        yield f"<p>{text(counts)}</p>"
        if kind.examples:
            rows = [
                [one.path, one.label, "" if one.score is None else f"{one.score:.4g}", one.reason]
                for one in kind.examples
            ]
            yield _table(rows, ["photo", "label", "score", "reason"], [2])


def _labels(report: AuditReport) -> str:
    rows = [
        [one.label, f"{one.photos:,}", f"{one.groups:,}", *(f"{photos:,}" for photos in one.splits.values())]
        for one in report.split.labels
    ]
    heads = ["label", "photos", "effective", *report.split.splits]
    table = _table(rows, heads, range(1, len(heads)))
    return f"<details><summary>All {len(rows):,} labels as a table</summary>{table}</details>"


def _groups(groups: Sequence[Group]) -> Iterable[str]:
    if groups:
        yield "<h2>The largest groups of near-duplicates</h2>"
        rows = [
            [
                str(one.group),
                f"{one.photos:,}",
                f"{one.folders:,}",
                ", ".join(f"{label} {photos:,}" for label, photos in one.labels.items()),
                ", ".join(one.splits),
            ]
            for one in groups
        ]
        yield _table(rows, ["group", "photos", "folders", "labels", "split"], [1, 2])


def _drift(report: AuditReport) -> Iterable[str]:
    if report.drift:
        yield "<h2>Drift</h2>"
        yield _chart(drift_by_folder(report.drift))
    if newer := report.drift_of_newer:
        yield f"<p>{newer.photos:,} photos are newer than the PCA model; their drift is {newer.relative:.2f}.</p>"


def _measures(report: AuditReport) -> Iterable[str]:
    if report.measures:
        yield "<h2>Measures of the photos</h2>"
        yield from (_chart(measure_histogram(one)) for one in report.measures)
        names = list(report.measures[0].quantiles)
        rows = [[one.name, *(f"{value:.3g}" for value in one.quantiles.values())] for one in report.measures]
        yield _table(rows, ["measure", *names], range(1, len(names) + 1))
