"""Charts as pictures in metadata, drawn from numbers alone: no photo is ever embedded.

Dagster stores metadata in its event log. So a picture has only a few kilobytes, and a run has one of each kind, not one
for each folder. Matplotlib is imported where a chart is drawn: its import takes half as long as Dagster's, and most
steps draw no chart.
"""

import base64
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fruits_assets.assets.charts.colours import STEPS
from spark_steps.pca.model import ANALYSED_COMPONENTS, PcaModel
from spark_steps.pca.moments import Matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED, GREY = "#2b6cb0", "#c53030", "#a0aec0"
GRID: dict[str, Any] = {"color": "#cccccc", "linewidth": 0.4}
REASONS_SHOWN = 10
_DOTS_PER_INCH = 90
# A chart has few colours; a palette of them halves its bytes.
_COLOURS = 256
_GREYS, _NEARLY_GREY = 6, 45


def picture(draw: Callable[[], "Figure"], alternative_text: str) -> dg.MarkdownMetadataValue:
    """Returns a figure as metadata that the Dagster UI shows as a picture.

    Where drawing fails, the metadata have the error in place of the picture. The step does not fail, because its
    results are already computed.

    Args:
        draw: Makes the figure.
        alternative_text: What the figure shows.
    """
    try:
        import matplotlib as mpl

        # Labels are names of folders: a dollar sign in a name must not begin a formula.
        with mpl.rc_context({"text.parse_math": False}):
            encoded = base64.b64encode(_as_png(draw())).decode()
    except Exception as error:
        # The error may contain names of folders: a backtick in a name would end the code span, and a link could follow.
        message = repr(error).replace("`", "'")
        return dg.MetadataValue.md(f"{alternative_text}: could not be drawn: `{message}`")
    return dg.MetadataValue.md(f"![{alternative_text}](data:image/png;base64,{encoded})")


def _as_png(figure: "Figure") -> bytes:
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DOTS_PER_INCH)
    image = Image.fromarray(few_colours(np.asarray(Image.open(drawn).convert("RGB"))))
    # Not the palette that Pillow computes: it mixes hues, so that labels of different colours would get the same.
    counted = sorted(image.getcolors(image.width * image.height) or [], key=lambda counted: -counted[0])
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.array([colour for _, colour in counted[:_COLOURS]], np.uint8).tobytes())
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()


def few_colours(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns a picture with rounded colours: most bytes of a chart come from the soft edges of its letters.

    Args:
        pixels: Red, green and blue, of shape (height, width, 3); colours of ``palette`` stay as they are.
    """
    grey = np.ptp(pixels, axis=2, keepdims=True) < _NEARLY_GREY
    greys = _rounded(pixels.mean(axis=2, keepdims=True), _GREYS)
    few: NDArray[np.uint8] = np.where(grey, greys, _rounded(pixels, STEPS)).astype(np.uint8)
    return few


def _rounded(parts: NDArray[np.floating | np.uint8], steps: int) -> Matrix:
    rounded: Matrix = np.round(np.round(parts.astype(np.float64) / 255 * (steps - 1)) / (steps - 1) * 255)
    return rounded


def variance_curve(model: PcaModel) -> "Figure":
    """Draws the share of variance kept against the number of components, up to 99 % and to at least 350 components.

    Beside the lines at 90, 95 and 99 % stand the numbers of components that these shares need.
    """
    needed = {share: model.components_for(share / 100) for share in (90, 95, 99)}
    kept = 100 * np.cumsum(model.explained_variance_ratio[: max(ANALYSED_COMPONENTS, needed[99])])
    at = (model.k, 100 * model.explained_at(model.k))
    figure, axes = _axes(f"Variance kept, {model.rows:,} photos of {len(model.folders):,} folders")
    axes.plot(range(1, len(kept) + 1), kept, color=BLUE, linewidth=2)
    for share, components in needed.items():
        axes.axhline(share, color=GREY, linewidth=0.8, linestyle="--")
        axes.scatter(components, kept[components - 1], s=18, color=BLUE, zorder=3)
    axes.scatter(*at, color=RED, zorder=3)
    # Beside the point, on the side where there is room.
    right = model.k < 0.6 * len(kept)
    axes.annotate(
        f"{model.k:,} components keep {model.explained_at(model.k):.1%}",
        at,
        xytext=(12 if right else -12, -18),
        textcoords="offset points",
        horizontalalignment="left" if right else "right",
    )
    axes.set(xlabel="components", ylabel="variance kept (%)", ylim=(0, 102))
    beside = axes.secondary_yaxis("right")
    beside.set_yticks(list(needed), [f"{share}% needs {components:,}" for share, components in needed.items()])
    beside.tick_params(labelsize="small", length=0)
    return figure


def rejected_by_reason(counts: Mapping[str, int]) -> "Figure":
    """Draws the number of rejected photos for each reason, the most common first."""
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
    axes.grid(**GRID)
    axes.set_axisbelow(True)
    return figure, axes
