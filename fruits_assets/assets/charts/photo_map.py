"""The map of the photos as a picture: a colour and a mark for each label, and its name where its photos lie."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fruits_assets.assets.charts import svg
from fruits_assets.assets.charts.colours import palette
from fruits_assets.assets.charts.name_positions import places_for_names
from spark_steps.pca.model import PcaModel
from spark_steps.pca.moments import Matrix
from spark_steps.pca.photo_map import PhotoMap, label_of

# Number of colours that people can distinguish; after so many labels the shape of the mark changes.
_COLOURS_A_MARK = 20
# Circle, square, triangles up and down, diamond, and bars across and upright: each about as large as the others.
_MARKS = (
    "M-2 0a2 2 0 0 0 4 0a2 2 0 0 0-4 0",
    "M-2-2h4v4h-4z",
    "M-2.5 2h5l-2.5-4.5z",
    "M-2.5-2h5l-2.5 4.5z",
    "M-2.8 0l2.8-2.8 2.8 2.8-2.8 2.8z",
    "M-3.2-1.2h6.4v2.4h-6.4z",
    "M-1.2-3.2h2.4v6.4h-2.4z",
    "M-3-1h2v-2h2v2h2v2h-2v2h-2v-2h-2z",
)
# Most characters of a name, with few labels and with many.
_LONGEST_NAME, _LONGEST_OF_MANY = 24, 20
_WIDTH, _HEIGHTS, _TOP = 756, (432, 684), 24
# Below so many photos the marks are larger.
_FEW_PHOTOS = 500
# Number of labels from which the picture has its full height.
_MANY_LABELS = 100


def photo_map(sample: PhotoMap, model: PcaModel) -> str:
    """Draws photos by their first two components, and by the two axes that best separate their labels."""
    labels = sorted(set(sample.labels.tolist()))
    height = float(np.interp(len(labels), (20, _MANY_LABELS), _HEIGHTS))
    shares = [model.explained_variance_ratio[number : number + 1].sum() for number in (0, 1)]
    parts = [
        svg.text(_WIDTH / 2, 18, _title(sample, labels, model), svg.LARGE),
        *_marks(len(labels), 1.4 if len(sample.labels) < _FEW_PHOTOS else 1),
    ]
    titles = (
        "Most variance: the first two components of the PCA",
        f"1st component ({shares[0]:.1%} of the variance)",
        f"2nd component ({shares[1]:.1%})",
    )
    parts += _panel(_TOP, height, sample.components, sample.labels, labels, titles)
    if sample.separated is None:
        return svg.document(_WIDTH, _TOP + height, parts)
    titles = (
        "Labels apart: the two axes on which they differ most",
        "1st discriminant (standard deviations within a label)",
        "2nd discriminant",
    )
    parts += _panel(_TOP + height, height, sample.separated, sample.labels, labels, titles)
    return svg.document(_WIDTH, _TOP + 2 * height, parts)


def _title(sample: PhotoMap, labels: Sequence[str], model: PcaModel) -> str:
    all_labels = len({label_of(folder) for folder in model.folders})
    return (
        f"{len(sample.labels):,} of {model.rows:,} photos, {len(labels):,} of {all_labels:,} labels, "
        f"{sample.folders:,} of {len(model.folders):,} folders"
    )


def _marks(labels: int, size: float) -> list[str]:
    """Returns the mark of each label, ``size`` times as large as usual.

    SVG repeats a mark at all points of a line, so a photo takes some 8 bytes.
    """
    hexadecimal = ["#" + "".join(f"{round(255 * part):02x}" for part in colour) for colour in palette(labels)]
    return [
        f'<marker id="m{number}" markerUnits="userSpaceOnUse" overflow="visible" fill="{colour}">'
        f'<path d="{_MARKS[number // _COLOURS_A_MARK % len(_MARKS)]}" transform="scale({size:g})"/></marker>'
        for number, colour in enumerate(hexadecimal)
    ]


def _panel(
    top: float,
    height: float,
    points: NDArray[np.floating],
    of_photo: NDArray[np.str_],
    labels: Sequence[str],
    titles: tuple[str, str, str],
) -> list[str]:
    axes = svg.Axes(66, top + 26, _WIDTH - 8, top + height - 50, svg.limits(points[:, 0]), svg.limits(points[:, 1]))
    here = axes.pixels(points)
    parts = axes.drawn(*titles)
    for number, label in enumerate(labels):
        line = " ".join(f"{x:.0f} {y:.0f}" for x, y in here[of_photo == label])
        # A line of one point would have no mark.
        parts.append(f'<path d="M{line}h0" fill="none" style="marker:url(#m{number})"/>')
    centres = np.array([np.median(here[of_photo == label], axis=0) for label in labels]).reshape(-1, 2)
    return parts + _names(axes, centres, labels)


def _names(axes: svg.Axes, centres: Matrix, labels: Sequence[str]) -> list[str]:
    size = float(np.interp(len(labels), (20, _MANY_LABELS), (12, 8.5)))
    longest = _LONGEST_NAME if len(labels) < _MANY_LABELS else _LONGEST_OF_MANY
    names = [shortened(label, longest) for label in labels]
    sizes = np.array([(svg.width_of(name, size) + 4, size + 2) for name in names]).reshape(-1, 2)
    places = places_for_names(centres, sizes, (axes.left, axes.top, axes.right, axes.bottom))
    lines, texts = [], []
    for name, place, centre, extent in zip(names, places, centres, sizes, strict=True):
        if (np.abs(place - centre) > extent / 2).any():
            (x, y), (to_x, to_y) = centre, place
            lines.append(svg.line(x, y, to_x, to_y, svg.INK, ' stroke-width=".5"'))
        texts.append(f'<text x="{place[0]:.0f}" y="{place[1] + size / 3:.0f}">{svg.escaped(name)}</text>')
    halo = 'stroke="#fff" stroke-width="2.5" stroke-linejoin="round" paint-order="stroke"'
    return [*lines, f'<g class="names" font-size="{size:g}" {halo}>', *texts, "</g>"]


def shortened(name: str, longest: int) -> str:
    """Returns a name, without its middle where it exceeds ``longest`` characters: names often differ at the end."""
    if len(name) <= longest:
        return name
    end = longest // 3
    return f"{name[: longest - end - 1]}…{name[-end:]}"
