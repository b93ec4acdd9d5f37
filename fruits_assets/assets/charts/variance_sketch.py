"""A picture of a few hundred bytes, which the Dagster UI shows inline; larger pictures are behind a button."""

import base64

import dagster as dg
import numpy as np

from spark_steps.pca.model import ANALYSED_COMPONENTS, PcaModel

# The UI shows Markdown inline up to 999 characters (MetadataEntry.tsx of Dagster 1.13).
SHOWN_IN_PLACE = 999
# This grey is visible on the UI's light and dark backgrounds.
_CURVE, _WORDS = "#4a90e2", "#888"
_WIDTH, _HEIGHT, _POINTS = 320, 80, 25


def variance_sketch(model: PcaModel) -> dg.MarkdownMetadataValue:
    """Returns a curve of the variance kept against the number of components, with a mark at the model's number."""
    kept = np.cumsum(model.explained_variance_ratio[: max(ANALYSED_COMPONENTS, model.k)])
    counts = np.unique(np.linspace(1, len(kept), _POINTS).round().astype(int))
    line = "L".join(f"{_x(count, len(kept))} {_y(kept[count - 1])}" for count in counts)
    at = f"{_x(model.k, len(kept))} {_y(model.explained_at(model.k))}"
    # The text stands to the right of the mark where there is room, else to its left.
    anchor = "start" if model.k < len(kept) / 2 else "end"
    words = f"{model.k} components keep {model.explained_at(model.k):.1%}"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-6 -6 {_WIDTH + 12} {_HEIGHT + 12}" width="{_WIDTH}">'
        f'<g fill="none" stroke="{_CURVE}" stroke-width="2"><path d="M0 {_HEIGHT}L{line}"/>'
        f'<path d="M{at}h.1" stroke-width="9" stroke-linecap="round"/></g>'
        f'<text fill="{_WORDS}" font-family="sans-serif" font-size="12" text-anchor="{anchor}" '
        f'x="{_x(model.k, len(kept))}" y="{_y(model.explained_at(model.k)) + 24}">{words}</text></svg>'
    )
    encoded = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"![{words} of the variance](data:image/svg+xml;base64,{encoded})")


def _x(count: int, of: int) -> int:
    return round(_WIDTH * count / of)


def _y(share: float) -> int:
    return round(_HEIGHT * (1 - share))
