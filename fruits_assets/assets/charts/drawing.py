"""Charts as pictures in metadata, drawn from numbers alone: no photo is ever embedded.

Dagster stores metadata in its event log. So a picture has only some kilobytes, and a run has one of each kind, not one
for each folder.
"""

import base64
from collections.abc import Callable, Mapping

import dagster as dg
import numpy as np

from fruits_assets.assets.charts import svg
from fruits_assets.assets.charts.bars import Bar, horizontal_bars
from spark_steps.pca.model import ANALYSED_COMPONENTS, PcaModel

BLUE, RED, GREY = "#2b6cb0", "#c53030", "#a0aec0"
REASONS_SHOWN = 10
_WIDTH, _HEIGHT, _POINTS = 680, 380, 200


def picture(draw: Callable[[], str], alternative_text: str) -> dg.MarkdownMetadataValue:
    """Returns a drawing as metadata that the Dagster UI shows as a picture.

    Where drawing fails, the metadata have the error in place of the picture. The step does not fail, because its
    results are already computed.

    Args:
        draw: Makes the drawing, an SVG document.
        alternative_text: What the drawing shows.
    """
    try:
        encoded = base64.b64encode(draw().encode()).decode()
    except Exception as error:
        # The error may contain names of folders: a backtick in a name would end the code span, and a link could follow.
        message = repr(error).replace("`", "'")
        return dg.MetadataValue.md(f"{alternative_text}: could not be drawn: `{message}`")
    return dg.MetadataValue.md(f"![{alternative_text}](data:image/svg+xml;base64,{encoded})")


def variance_curve(model: PcaModel) -> str:
    """Draws the share of variance kept against the number of components, up to 99 % and to at least 350 components.

    Beside the lines at 90, 95 and 99 % stand the numbers of components that these shares need.
    """
    needed = {share: model.components_for(share / 100) for share in (90, 95, 99)}
    kept = 100 * np.cumsum(model.explained_variance_ratio[: max(ANALYSED_COMPONENTS, needed[99])])
    axes = svg.Axes(58, 30, _WIDTH - 110, _HEIGHT - 48, svg.limits(np.array([1, len(kept)])), (0, 102))
    title = f"Variance kept, {model.rows:,} photos of {len(model.folders):,} folders"
    parts = axes.drawn(title, "components", "variance kept (%)")
    counts = np.unique(np.linspace(1, len(kept), _POINTS).round().astype(int))
    curve = axes.pixels(np.stack([counts, kept[counts - 1]], axis=1))
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in curve)
    marks = []
    for share, components in needed.items():
        (x, y), (_, level) = axes.pixels(np.array([[components, kept[components - 1]], [0, share]]))
        parts.append(svg.line(axes.left, level, axes.right, level, GREY, ' stroke-dasharray="4 3"'))
        marks.append(svg.circle(x, y, 3, BLUE))
        marks.append(svg.text(axes.right + 6, level + 4, f"{share}% needs {components:,}", svg.SMALL, "start"))
    parts.append(f'<path d="M{path}" fill="none" stroke="{BLUE}" stroke-width="2"/>')
    ((x, y),) = axes.pixels(np.array([[model.k, 100 * model.explained_at(model.k)]]))
    # Beside the point, on the side where there is room.
    right = model.k < 0.6 * len(kept)
    words = f"{model.k:,} components keep {model.explained_at(model.k):.1%}"
    label = svg.text(x + (14 if right else -14), y + 24, words, anchor="start" if right else "end")
    return svg.document(_WIDTH, _HEIGHT, [*parts, *marks, svg.circle(x, y, 4, RED), label])


def rejected_by_reason(counts: Mapping[str, int]) -> str:
    """Draws the number of rejected photos for each reason, the most common first."""
    ordered = sorted(counts.items(), key=lambda counted: -counted[1])
    shown = ordered[:REASONS_SHOWN]
    if rest := sum(count for _, count in ordered[REASONS_SHOWN:]):
        shown.append(("other reasons", rest))
    bars = [Bar(reason, ((count, RED),), f"{count:,}") for reason, count in shown]
    return horizontal_bars(f"{sum(counts.values()):,} photos rejected, by reason", "photos", bars)
