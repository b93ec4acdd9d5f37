"""The pictures: small, of numbers alone, and nothing that fails a step."""

import base64
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from fruits_assets.assets.charts.colours import oklab, palette
from fruits_assets.assets.charts.drawing import picture, rejected_by_reason, variance_curve
from fruits_assets.assets.charts.name_positions import places_for_names
from fruits_assets.assets.charts.photo_map import photo_map, shortened
from fruits_assets.assets.charts.svg import Axes, width_of
from fruits_assets.assets.checks import usable_photos
from fruits_assets.assets.scope import scope
from spark_steps.features.weights import FEATURES
from spark_steps.pca.discriminants import separated
from spark_steps.pca.model import PcaModel
from spark_steps.pca.moments import Matrix
from spark_steps.pca.photo_map import MOST_LABELS, MOST_PHOTOS, PhotoMap, folders_of_labels, sample_map, spread
from spark_steps.store.summaries import Photos, Summary
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.schemas import FEATURES_SCHEMA

# Of 150 labels with long names.
MOST_CHARACTERS = 150_000
SVG = "{http://www.w3.org/2000/svg}"


def model_of(folders: list[str], components: int = 50) -> PcaModel:
    """A PCA whose components are the first features."""
    ratios = 0.98 ** np.arange(components)
    return PcaModel(
        version="v",
        features_model="f",
        rows=5000,
        folders=folders,
        k=components,
        asked_components=components,
        asked_variance=None,
        mean=np.zeros(FEATURES),
        scale=np.ones(FEATURES),
        components=np.eye(components, FEATURES),
        explained_variance_ratio=ratios / ratios.sum(),
    )


def write_features(root: Path, folder: str, photos: int, rejected: int = 0) -> None:
    """Writes the features of a folder: each photo's first two are 1 and 2."""
    features = np.zeros((photos, FEATURES), np.float32)
    features[:, :2] = 1, 2
    table, count = FolderTable(str(root), FEATURES_SCHEMA), photos + rejected
    columns: dict[str, Any] = {field.name: pa.nulls(count, field.type) for field in table.schema}
    columns |= {"label": [folder] * count, "features": [None] * rejected + list(features)}
    rows = DriverRows({folder: [pa.table(columns, table.schema)]})
    table.write(table.replacement(rows, [folder]))


def drawing_in(markdown: str) -> ET.Element:
    return ET.fromstring(base64.b64decode(markdown.partition("base64,")[2].removesuffix(")")))  # noqa: S314


def texts_of(drawing: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(drawing).iter(f"{SVG}text")]  # noqa: S314


def names_on(drawing: str) -> list[list[str]]:
    """The names of labels on each map of a drawing."""
    groups = [group for group in ET.fromstring(drawing).iter(f"{SVG}g") if group.get("class") == "names"]  # noqa: S314
    return [[text.text or "" for text in group] for group in groups]


def map_of(labels: list[str], photos: int, seed: int = 0) -> PhotoMap:
    """Photos about their label's centre, each label in turn."""
    random = np.random.default_rng(seed)
    of_photo = np.array([labels[number % len(labels)] for number in range(photos)])
    centres = dict(zip(labels, random.normal(size=(len(labels), 8)), strict=True))
    reduced = np.array([centres[label] for label in of_photo]) + 0.3 * random.normal(size=(photos, 8))
    return PhotoMap(of_photo, reduced[:, :2], separated(reduced, of_photo), len(labels))


def right_by_nearest_centre(points: Matrix, labels: NDArray[np.str_]) -> float:
    """Share of photos that are nearest to the middle of their own label."""
    names = np.unique(labels)
    centres = np.stack([points[labels == name].mean(axis=0) for name in names])
    nearest = np.square(points[:, np.newaxis] - centres).sum(axis=2).argmin(axis=1)
    return float((names[nearest] == labels).mean())


@pytest.fixture(scope="module")
def largest_map() -> str:
    """The map of the most photos of the most labels, as Markdown; it takes seconds to draw."""
    labels = [f"A fruit of a rather long name {number}" for number in range(MOST_LABELS)]
    sample, model = map_of(labels, MOST_PHOTOS), model_of(labels, 350)
    return str(picture(lambda: photo_map(sample, model), "a map").value)


def test_the_largest_pictures_are_small_enough_for_the_event_log(largest_map: str) -> None:
    model = model_of(["Fig"], 350)
    reasons = {f"a reason of some length {number}": number + 1 for number in range(30)}
    others = (lambda: variance_curve(model), lambda: rejected_by_reason(reasons))
    for markdown in (largest_map, *(str(picture(drawn, "a chart").value) for drawn in others)):
        assert len(markdown) < MOST_CHARACTERS
        drawing = drawing_in(markdown)
        assert min(float(drawing.attrib[side]) for side in ("width", "height")) > 300


def test_labels_of_any_characters_are_drawn_as_they_are_but_for_those_that_xml_cannot_have() -> None:
    labels = ["</text><script>", "Pêche & 'co\"", "_hidden", "تفاح أحمر", "りんご", "🍎 \x00\udcff"]
    (names,) = names_on(photo_map(PhotoMap(np.array(labels), np.eye(6, 2), None, 6), model_of(["a"])))
    assert sorted(names) == sorted([*labels[:-1], "🍎 \ufffd\ufffd"])


def test_a_text_is_as_wide_as_its_letters_and_characters_of_east_asia_are_wider() -> None:
    assert width_of("Pe\u0302che", 10) == width_of("Peche", 10) < width_of("りんごりん", 10) == 50


def test_the_lines_of_a_grid_are_at_round_numbers_within_the_axes() -> None:
    axes = Axes(0, 0, 100, 100, (-0.31, 0.42), (3, 12_345))
    texts = texts_of(f"<svg xmlns='{SVG[1:-1]}'>{''.join(axes.drawn('title', 'below', 'beside'))}</svg>")
    assert texts[:8] == ["-0.3", "-0.2", "-0.1", "0.0", "0.1", "0.2", "0.3", "0.4"]
    assert texts[8:] == ["2,000", "4,000", "6,000", "8,000", "10,000", "12,000", "title", "below", "beside"]
    counts = "".join(Axes(0, 0, 100, 100, (0, 1.15), (0, 1), counted=True).drawn("title", "below"))
    assert texts_of(f"<svg xmlns='{SVG[1:-1]}'>{counts}</svg>") == ["0", "1", "title", "below"]
    assert axes.pixels(np.array([[-0.31, 3], [0.42, 12_345]])).tolist() == [[0, 100], [100, 0]]


def test_both_maps_name_every_label_once_and_long_names_keep_their_ends() -> None:
    labels = [f"Fruit {number:03}" for number in range(130)]
    assert names_on(photo_map(map_of(labels, 520), model_of(labels))) == [labels, labels]
    assert shortened("Apple Granny Smith", 18) == "Apple Granny Smith"
    assert shortened("A fruit of a rather long name 17", 18) == "A fruit of …ame 17"


def test_each_label_has_a_colour_of_its_own_and_both_maps_have_a_mark_for_each_photo(largest_map: str) -> None:
    drawing = drawing_in(largest_map)
    markers = {f"marker:url(#{marker.attrib['id']})": marker.attrib["fill"] for marker in drawing.iter(f"{SVG}marker")}
    assert len({*markers.values()}) == len(markers) == MOST_LABELS
    lines = [line for line in drawing.iter(f"{SVG}path") if "style" in line.attrib]
    assert {line.attrib["style"] for line in lines} == {*markers}
    # Two numbers for each photo.
    assert sum(len(line.attrib["d"].split()) for line in lines) == 2 * 2 * MOST_PHOTOS


def test_colours_of_few_labels_are_further_apart_than_those_of_many_and_the_same_first() -> None:
    def nearest(count: int) -> float:
        places = oklab(np.array(palette(count)))
        apart = np.sqrt(np.square(places[:, np.newaxis] - places).sum(axis=2))
        return float(apart[np.triu_indices(count, 1)].min())

    assert palette(8) == palette(20)[:8]
    # Colours that differ by 0.02 are told apart side by side.
    assert nearest(8) > nearest(20) > nearest(150) > 0.02


def test_lightness_in_oklab_is_none_of_black_and_all_of_white_and_white_has_no_hue() -> None:
    black, white = oklab(np.array([[0, 0, 0], [1, 1, 1]]))
    assert np.allclose(black, 0)
    assert np.allclose(white, (1, 0, 0), atol=1e-4)


def test_names_of_one_place_stand_around_it_without_covering_each_other() -> None:
    points, sizes = np.full((60, 2), 300.0), np.tile([80.0, 10.0], (60, 1))
    places = places_for_names(points, sizes, (0, 0, 700, 600))
    apart = np.abs(places[:, np.newaxis] - places)
    both_near = (apart[..., 0] < 80) & (apart[..., 1] < 10)
    assert both_near.sum() == len(points)
    assert (places >= (40, 5)).all()
    assert (places <= (660, 595)).all()


def test_a_name_with_room_stands_on_its_point_and_one_at_the_edge_stays_inside() -> None:
    points, sizes = np.array([[300.0, 300.0], [699.0, 1.0]]), np.array([[80.0, 10.0], [80.0, 10.0]])
    assert places_for_names(points, sizes, (0, 0, 700, 600)).tolist() == [[300, 300], [660, 5]]


def test_discriminants_find_what_tells_labels_apart_where_most_variance_lies_elsewhere() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(["Fig", "Kiwi", "Lime", "Plum"], 100)
    reduced = random.normal(size=(400, 10)) * np.linspace(10, 1, 10)
    reduced[:, 8] += np.where(np.isin(labels, ["Fig", "Kiwi"]), 12, 0)
    reduced[:, 9] += np.where(np.isin(labels, ["Fig", "Lime"]), 12, 0)
    found = separated(reduced, labels)
    assert found is not None
    assert right_by_nearest_centre(found, labels) > 0.99
    assert right_by_nearest_centre(reduced[:, :2], labels) < 0.5
    within = np.concatenate([found[labels == name] - found[labels == name].mean(axis=0) for name in np.unique(labels)])
    assert within.std(axis=0) == pytest.approx([1, 1], abs=0.1)


def test_two_labels_far_away_do_not_leave_the_others_in_a_heap() -> None:
    random, angles = np.random.default_rng(0), 2 * np.pi * np.arange(8) / 8
    centres = np.zeros((10, 4))
    centres[:8, 2:] = 8 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    centres[8, 0] = centres[9, 1] = 100
    number = np.repeat(np.arange(10), 50)
    labels = number.astype(np.str_)
    found = separated(centres[number] + random.normal(size=(500, 4)), labels)
    assert found is not None
    # The axes of most scatter between labels are those of the two alone.
    assert right_by_nearest_centre(found, labels) > 0.9


def test_labels_given_at_random_to_few_photos_are_not_told_apart() -> None:
    random = np.random.default_rng(0)
    labels = random.choice(["Fig", "Kiwi", "Lime", "Plum"], size=40)
    found = separated(random.normal(size=(40, 39)), labels)
    assert found is not None
    assert right_by_nearest_centre(found, labels) < 0.6


@pytest.mark.parametrize(
    ("reduced", "labels"),
    [
        (np.zeros((0, 5)), []),
        (np.eye(5), ["Fig"] * 5),
        (np.arange(4.0)[:, np.newaxis], ["Fig", "Fig", "Kiwi", "Kiwi"]),
        (np.eye(3), ["Fig", "Kiwi", "Lime"]),
    ],
    ids=["no photo", "one label", "one number", "one photo of each"],
)
def test_where_there_is_nothing_to_tell_apart_there_is_one_map(reduced: Matrix, labels: list[str]) -> None:
    assert separated(reduced, np.array(labels, dtype=np.str_)) is None


def test_the_curve_says_how_many_components_each_of_its_lines_needs() -> None:
    model = model_of(["a"], components=200)
    told = [text for text in texts_of(variance_curve(model)) if "needs" in text]
    assert told == [f"{share}% needs {model.components_for(share / 100)}" for share in (90, 95, 99)]


def test_the_bars_are_those_of_the_most_common_reasons_and_one_of_the_rest() -> None:
    drawing = rejected_by_reason({f"reason {number}": number for number in range(1, 13)})
    bars = [bar for bar in ET.fromstring(drawing).iter(f"{SVG}rect") if bar.get("x")]  # noqa: S314
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert widths[0] == pytest.approx(4 * widths[-1], rel=1e-3)
    assert [text for text in texts_of(drawing) if text.startswith(("reason", "other"))] == [
        *(f"reason {number}" for number in range(12, 2, -1)),
        "other reasons",
    ]


def test_a_picture_that_cannot_be_drawn_says_so_and_fails_nothing() -> None:
    def draw() -> str:
        raise ValueError("no ink")

    assert picture(draw, "a chart").value == "a chart: could not be drawn: `ValueError('no ink')`"


def test_the_map_is_of_the_first_usable_photos_of_every_label(tmp_path: Path) -> None:
    folders = [f"fruit {number:02d}" for number in range(25)]
    for folder in folders:
        write_features(tmp_path, folder, photos=90, rejected=3)
    sample = sample_map(FolderTable(str(tmp_path), FEATURES_SCHEMA), model_of(folders))
    assert len(sample.labels) == MOST_PHOTOS
    assert set(sample.labels.tolist()) == set(folders)
    assert (sample.components == [1, 2]).all()


def test_each_label_has_folders_in_the_sample_however_many_another_has() -> None:
    many = [f"{place}/Apple" for place in range(1000)]
    chosen = folders_of_labels([*many, "Fig", "farm/Fig", "Kiwi"])
    assert {"Fig", "farm/Fig", "Kiwi"} < set(chosen)
    assert len([folder for folder in chosen if folder.endswith("Apple")]) == 100


def test_of_more_labels_than_a_picture_can_name_the_sample_is_evenly_spaced() -> None:
    labels = [f"fruit {number:04}" for number in range(1000)]
    assert folders_of_labels(labels) == spread(labels, MOST_LABELS)


def test_a_pca_of_one_component_has_a_map_too(tmp_path: Path) -> None:
    write_features(tmp_path, "Lemon", photos=2)
    model = model_of(["Lemon"], components=1)
    sample = sample_map(FolderTable(str(tmp_path), FEATURES_SCHEMA), model)
    assert sample.components.tolist() == [[1, 0], [1, 0]]
    assert "base64" in str(picture(lambda: photo_map(sample, model), "a map").value)


def test_the_check_on_rejected_photos_tells_reasons_and_remedy_and_bears_a_few() -> None:
    rejected = (("a", "truncated: x"), ("b", "empty: y"))
    found = Summary(photos=Photos(50, 0), reasons={"truncated": 1, "empty": 1}, rejected=rejected)
    everywhere = scope(None, ["Lemon", "Plum"])
    failed = usable_photos(found, everywhere, bearable=0.01)
    assert not failed.passed
    assert str(failed.description).startswith(
        "In all 2 folders of the store: 2 of 50 photos are rejected (4%; a warning comes above 1%): 1 truncated, "
        "1 empty. "
    )
    assert failed.metadata["rejected"].value == 2
    assert usable_photos(found, everywhere, bearable=0.05).passed
    passed = usable_photos(Summary(photos=Photos(50, 0)), everywhere, bearable=0)
    assert passed.description == "In all 2 folders of the store: all 50 photos are usable."
