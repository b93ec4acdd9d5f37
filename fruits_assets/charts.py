"""Charts as pictures in metadata, drawn from numbers alone: no photo is ever embedded.

Dagster keeps metadata in its event log, so a picture is a few kilobytes, and a run has one of each kind, not one of
each folder. Matplotlib is imported where a chart is drawn: it takes half as long as Dagster, and most steps draw none.
"""

import base64
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
from PIL import Image

from spark_steps.pca import ANALYSED_COMPONENTS, PcaModel
from spark_steps.photo_map import PhotoMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED, GREY = "#2b6cb0", "#c53030", "#a0aec0"
REASONS_SHOWN = 10
_DOTS_PER_INCH = 90
# A chart has few colours; a palette of them halves its bytes.
_COLOURS = 256


def picture(draw: Callable[[], "Figure"], alternative_text: str) -> dg.MarkdownMetadataValue:
    """Returns a figure as metadata that the Dagster UI shows as a picture.

    A picture that cannot be drawn says so in its place: the numbers it is of are made, and a step does not fail for it.

    Args:
        draw: Makes the figure.
        alternative_text: What it shows.
    """
    try:
        import matplotlib as mpl

        # Labels are names of folders, and a dollar sign in one begins no formula.
        with mpl.rc_context({"text.parse_math": False}):
            encoded = base64.b64encode(_as_png(draw())).decode()
    except Exception as error:
        # Labels are names of folders, and one with a backtick in it ends no code here and begins no link.
        said = repr(error).replace("`", "'")
        return dg.MetadataValue.md(f"{alternative_text}: could not be drawn: `{said}`")
    return dg.MetadataValue.md(f"![{alternative_text}](data:image/png;base64,{encoded})")


def _as_png(figure: "Figure") -> bytes:
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DOTS_PER_INCH)
    # Not Pillow's default, the median cut, which gives the many greys of a chart its palette and mixes the hues.
    paletted = Image.open(drawn).convert("RGB").quantize(_COLOURS, method=Image.Quantize.FASTOCTREE)
    paletted.save(small, format="png", optimize=True)
    return small.getvalue()


def variance_curve(model: PcaModel) -> "Figure":
    """Draws the share of variance kept against the number of components, up to 350."""
    kept = np.cumsum(model.explained_variance_ratio[:ANALYSED_COMPONENTS])
    at = (model.k, 100 * model.explained_at(model.k))
    figure, axes = _axes(f"Variance kept, {model.rows:,} photos of {len(model.folders):,} folders")
    axes.plot(range(1, len(kept) + 1), 100 * kept, color=BLUE, linewidth=2)
    axes.scatter(*at, color=RED, zorder=3)
    # Beside the point, on the side where there is room.
    right = model.k < 0.6 * len(kept)
    axes.annotate(
        f"{model.k} components keep {model.explained_at(model.k):.1%}",
        at,
        xytext=(12 if right else -12, -18),
        textcoords="offset points",
        horizontalalignment="left" if right else "right",
    )
    for share in (90, 95, 99):
        axes.axhline(share, color=GREY, linewidth=0.8, linestyle="--")
    axes.set(xlabel="components", ylabel="variance kept (%)", ylim=(0, 102))
    return figure


def photo_map(sample: PhotoMap, model: PcaModel) -> "Figure":
    """Draws photos by their first two components, a colour for each label."""
    import matplotlib as mpl

    figure, axes = _axes(
        f"{len(sample.labels):,} of {model.rows:,} photos, of {sample.folders:,} of {len(model.folders):,} folders"
    )
    of_photo, labels = np.array(sample.labels), sorted(set(sample.labels))
    pairs = [mpl.colormaps["tab20"](number) for number in range(20)]
    # The strong ones before the pale ones.
    colours = [*pairs[::2], *pairs[1::2]]
    for number, label in enumerate(labels):
        first, second = sample.points[of_photo == label].T
        axes.scatter(first, second, s=20, linewidths=0, color=colours[number % 20])
    # Handles are given, because a label that begins with an underscore is else left out.
    figure.legend(axes.collections, labels, loc="outside right upper", fontsize="small", frameon=False)
    shares = [model.explained_variance_ratio[number : number + 1].sum() for number in (0, 1)]
    axes.set(xlabel=f"1st component ({shares[0]:.1%} of the variance)", ylabel=f"2nd component ({shares[1]:.1%})")
    return figure


def rejected_by_reason(counts: Mapping[str, int]) -> "Figure":
    """Draws how many photos are rejected for each reason, the commonest first."""
    from matplotlib.ticker import MaxNLocator

    ordered = sorted(counts.items(), key=lambda counted: -counted[1])
    shown = ordered[:REASONS_SHOWN]
    if rest := sum(count for _, count in ordered[REASONS_SHOWN:]):
        shown.append(("other reasons", rest))
    figure, axes = _axes(f"{sum(counts.values()):,} photos rejected, by reason", height=1.4 + 0.35 * len(shown))
    bars = axes.barh([reason for reason, _ in shown], [count for _, count in shown], color=RED, height=0.6)
    axes.bar_label(bars, labels=[f"{count:,}" for _, count in shown], padding=4)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.1)
    axes.set(xlabel="photos")
    return figure


def _axes(title: str, height: float = 4.2) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    return figure, axes
