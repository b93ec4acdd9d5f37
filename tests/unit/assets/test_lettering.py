"""Labels in scripts that matplotlib's own font has not: written by another font, or as a number."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager

from fruits_assets.assets.charts.drawing import picture
from fruits_assets.assets.charts.lettering import lettering_of
from fruits_assets.assets.charts.photo_map import photo_map
from spark_steps.pca.photo_map import PhotoMap
from tests.support.reduced_store import model

# Of a private area, so that no font of the machine on which the tests run has it.
ABSENT = "\U0010fffd"


def font_with(characters: str, file: Path, family: str) -> None:
    """Writes a font in which each of some characters is a square."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 700), (600, 700), (600, 0)):
        pen.lineTo(corner)
    pen.closePath()
    names = [".notdef", *(f"u{ord(one):05X}" for one in characters)]
    font = FontBuilder(1000)
    font.setupGlyphOrder(names)
    font.setupCharacterMap({ord(one): name for one, name in zip(characters, names[1:], strict=True)})
    font.setupGlyf(dict.fromkeys(names, pen.glyph()))
    font.setupHorizontalMetrics(dict.fromkeys(names, (650, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": family, "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(file)


@pytest.fixture
def a_font(tmp_path: Path) -> Iterator[str]:
    """A family that has the first of the private characters alone."""
    family = "Fruits Test"
    font_with("\U0010fff0", tmp_path / "font.ttf", family)
    before = list(fontManager.ttflist)
    fontManager.addfont(tmp_path / "font.ttf")
    yield family
    fontManager.ttflist = before


def test_labels_that_the_own_font_has_are_written_by_it_alone() -> None:
    lettering = lettering_of(["Apple", "Pêche", "груша", "تفاح"])
    assert lettering.families == ["DejaVu Sans"]
    assert all(text == label for label, text in lettering.texts.items())
    assert lettering.numbered == {}


def test_a_font_of_the_machine_writes_what_it_has_and_the_rest_is_numbered(a_font: str) -> None:
    here = "\U0010fff0 apple"
    lettering = lettering_of([here, ABSENT, "Fig", f"\U0010fff0{ABSENT}"])
    assert lettering.families == ["DejaVu Sans", a_font]
    assert list(lettering.texts.values()) == [here, "#1", "Fig", "#2"]
    assert lettering.numbered == {"#1": ABSENT, "#2": f"\U0010fff0{ABSENT}"}


def test_no_label_on_the_map_is_a_box(a_font: str) -> None:
    labels = ["Fig", "\U0010fff0", ABSENT]
    sample = PhotoMap(np.array(labels), np.eye(3, 2), None, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = str(picture(lambda: photo_map(sample, model()), "a map").value)
    assert drawn.startswith("![a map](data:image/png;base64,")
    (axes,) = photo_map(sample, model()).axes
    assert [text.get_text() for text in axes.texts] == ["Fig", "\U0010fff0", "#1"]
