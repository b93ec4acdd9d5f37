"""The map of the photos as a picture: a colour and a mark for each label, and its name where its photos lie."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fruits_assets.assets.charts.colours import palette
from fruits_assets.assets.charts.drawing import GRID
from fruits_assets.assets.charts.lettering import Lettering, lettering_of
from fruits_assets.assets.charts.name_positions import places_for_names
from spark_steps.pca.model import PcaModel
from spark_steps.pca.photo_map import PhotoMap, label_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Number of colours that people can distinguish; after so many labels the shape of the mark changes.
_COLOURS_A_MARK = 20
_MARKS = "os^DvP<X>p"
# Most characters of a name, with few labels and with many.
_LONGEST_NAME, _LONGEST_OF_MANY = 24, 20
_INK = "#222222"
_WIDTH, _HEIGHTS = 8.4, (4.8, 7.6)
# Number of labels from which the picture has its full height.
_MANY_LABELS = 100


def photo_map(sample: PhotoMap, model: PcaModel) -> "Figure":
    """Draws photos by their first two components, and by the two axes that best separate their labels."""
    from matplotlib.figure import Figure

    labels = labels_of(sample)
    lettering = lettering_of(labels)
    height = float(np.interp(len(labels), (20, _MANY_LABELS), _HEIGHTS))
    panels = 1 if sample.separated is None else 2
    figure = Figure(figsize=(_WIDTH, panels * height), layout="constrained")
    figure.suptitle(_title(sample, labels, model))
    shares = [model.explained_variance_ratio[number : number + 1].sum() for number in (0, 1)]
    first = figure.add_subplot(panels, 1, 1)
    first.set_title("Most variance: the first two components of the PCA", fontsize="medium")
    first.set(xlabel=f"1st component ({shares[0]:.1%} of the variance)", ylabel=f"2nd component ({shares[1]:.1%})")
    drawn = [(first, sample.components)]
    if sample.separated is not None:
        second = figure.add_subplot(panels, 1, 2)
        second.set_title("Labels apart: the two axes on which they differ most", fontsize="medium")
        second.set(xlabel="1st discriminant (standard deviations within a label)", ylabel="2nd discriminant")
        drawn.append((second, sample.separated))
    for axes, points in drawn:
        _draw_points(axes, points, sample.labels, labels)
    # The positions of names depend on the layout of the axes, which is computed here.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes, points in drawn:
        _draw_names(axes, points, sample.labels, lettering)
    return figure


def labels_of(sample: PhotoMap) -> list[str]:
    """Returns the labels of a map, sorted."""
    return sorted(set(sample.labels.tolist()))


def _title(sample: PhotoMap, labels: Sequence[str], model: PcaModel) -> str:
    all_labels = len({label_of(folder) for folder in model.folders})
    return (
        f"{len(sample.labels):,} of {model.rows:,} photos, {len(labels):,} of {all_labels:,} labels, "
        f"{sample.folders:,} of {len(model.folders):,} folders"
    )


def _draw_points(axes: "Axes", points: NDArray[np.floating], of_photo: NDArray[np.str_], labels: Sequence[str]) -> None:
    axes.grid(**GRID)
    axes.set_axisbelow(True)
    size = 16 if len(points) < 500 else 10
    number = np.searchsorted(labels, of_photo)
    colours = np.array(palette(len(labels))).reshape(-1, 3)
    for mark, shape in enumerate(_MARKS):
        here = number // _COLOURS_A_MARK % len(_MARKS) == mark
        # A colour for each point, even if all are equal: matplotlib draws points with a common colour with soft edges.
        first, second = points[here].T
        axes.scatter(first, second, size, colours[number[here]], marker=shape, linewidths=0, antialiased=False)


def _draw_names(axes: "Axes", points: NDArray[np.floating], of_photo: NDArray[np.str_], lettering: Lettering) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patheffects import withStroke

    labels = list(lettering.texts)
    centres = np.array([np.median(points[of_photo == label], axis=0) for label in labels]).reshape(-1, 2)
    size = float(np.interp(len(labels), (20, _MANY_LABELS), (9, 6.5)))
    longest = _LONGEST_NAME if len(labels) < _MANY_LABELS else _LONGEST_OF_MANY
    names = [
        axes.text(
            centre[0],
            centre[1],
            shortened(lettering.texts[label], longest),
            size=size,
            family=lettering.families,
            parse_math=False,
            color=_INK,
            horizontalalignment="center",
            verticalalignment="center",
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )
        for label, centre in zip(labels, centres, strict=True)
    ]
    # One renderer: left out, each name would make its own.
    renderer = FigureCanvasAgg(axes.get_figure(root=True)).get_renderer()  # type: ignore[no-untyped-call]
    boxes = [name.get_window_extent(renderer) for name in names]
    sizes = np.array([(box.width + 6, box.height + 2) for box in boxes]).reshape(-1, 2)
    at = axes.transData.transform(centres)
    places = places_for_names(at, sizes, axes.bbox.extents)
    # Without this, the lines to names would change the limits of the axes, and so the position of all points.
    axes.autoscale(enable=False)
    for name, place, here, extent in zip(names, places, at, sizes, strict=True):
        line = axes.transData.inverted().transform([here, place])
        name.set_position((line[1, 0], line[1, 1]))
        if (np.abs(place - here) > extent / 2).any():
            axes.plot(*line.T, color=_INK, linewidth=0.4, zorder=2)


def shortened(name: str, longest: int) -> str:
    """Returns a name, without its middle where it exceeds ``longest`` characters: names often differ at the end."""
    if len(name) <= longest:
        return name
    end = longest // 3
    return f"{name[: longest - end - 1]}…{name[-end:]}"
