"""Charts as pictures in metadata, drawn from numbers alone: no photo is ever embedded."""

import base64
import io

import dagster as dg
import numpy as np
from matplotlib.figure import Figure

from spark_steps.pca import ANALYSED_COMPONENTS, PcaModel


def variance_curve(model: PcaModel) -> Figure:
    """Draws the share of variance kept against the number of components, up to 350."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    kept = np.cumsum(model.explained_variance_ratio[:ANALYSED_COMPONENTS])
    axes.plot(range(1, len(kept) + 1), 100 * kept, color="#2b6cb0", linewidth=2)
    axes.scatter([model.k], [100 * model.explained_at(model.k)], color="#c53030", zorder=3)
    axes.annotate(
        f"{model.k} components keep {model.explained_at(model.k):.1%}",
        (model.k, 100 * model.explained_at(model.k)),
        xytext=(12, -18),
        textcoords="offset points",
    )
    for share in (90, 95, 99):
        axes.axhline(share, color="#a0aec0", linewidth=0.8, linestyle="--")
    axes.set(
        xlabel="components",
        ylabel="variance kept (%)",
        ylim=(0, 102),
        title=f"Variance kept, {model.rows:,} photos of {len(model.folders)} folders",
    )
    axes.grid(alpha=0.25)
    return figure


def as_markdown(figure: Figure, alternative_text: str) -> dg.MarkdownMetadataValue:
    """Returns a figure as metadata that the Dagster UI shows as a picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return dg.MetadataValue.md(f"![{alternative_text}](data:image/png;base64,{encoded})")
