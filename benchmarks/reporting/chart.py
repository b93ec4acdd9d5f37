"""The results as a picture."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.cases import CASES
from benchmarks.reporting.results import Results

_OURS, _OTHERS = "#2b6cb0", "#a0aec0"
_UNITS = {
    "features": "photos/s, {size:,} photos of 100x100",
    "pipeline": "photos/s, whole pipeline, {size:,} photos",
    "phone": "photos/s, {size:,} photos of 12 megapixels",
    "pca": "seconds to fit a PCA to {size:,} x 1280",
}


def draw(results: Results, file: Path) -> None:
    """Draws a panel of bars for the largest size of each discipline, with the spread as a line."""
    panels = [(discipline, size) for discipline in _UNITS for size in _drawn(results, discipline)]
    figure = Figure(figsize=(8, 1 + 1.9 * max(1, len(panels))), layout="constrained")
    for number, (discipline, size) in enumerate(panels):
        _panel(figure.add_subplot(len(panels), 1, number + 1), results, discipline, size)
    figure.savefig(file, dpi=110)


def _drawn(results: Results, discipline: str) -> list[int]:
    sizes = results.sizes(discipline)
    return [sizes[0], sizes[-1]] if discipline == "features" and len(sizes) > 1 else sizes[-1:]


def _panel(axes: Axes, results: Results, discipline: str, size: int) -> None:
    of = "fit_seconds" if discipline == "pca" else None
    for case in reversed(CASES):
        seconds = results.figure(case.name, size, of)
        if case.discipline != discipline or seconds is None:
            continue
        values = (seconds.median, seconds.least, seconds.most)
        median, one, other = values if of else tuple(size / value for value in values)
        colour = _OURS if case.name.endswith("/ours") else _OTHERS
        spread = [[median - min(one, other)], [max(one, other) - median]]
        axes.barh(case.title, median, color=colour, xerr=spread, ecolor="#4a5568")
        axes.annotate(f" {median:,.3g}", (max(one, other), case.title), va="center", fontsize=8)
    axes.set_title(_UNITS[discipline].format(size=size), fontsize=9, loc="left")
    axes.tick_params(labelsize=8)
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
