"""How labels are written in a picture: by a font that has their characters, or as a number where no font has them.

matplotlib brings DejaVu Sans, which has neither Chinese, Japanese, Korean nor Thai characters, and few emoji. Fonts are
not installed with this project: one that covers these scripts has tens of megabytes.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

_OWN_FONT = "DejaVu Sans"
# It has a glyph for every character: a box with the name of the script.
_ONLY_BOXES = "Last Resort High-Efficiency"


@dataclass(frozen=True)
class Lettering:
    """The texts that stand for labels in a picture.

    Attributes:
        families: Families of fonts, in the order in which they are tried for each character.
        texts: For each label, the label itself or a number.
    """

    families: list[str]
    texts: Mapping[str, str]

    @property
    def numbered(self) -> dict[str, str]:
        """The labels that are written as numbers, by number."""
        return {text: label for label, text in self.texts.items() if text != label}


def lettering_of(labels: Iterable[str]) -> Lettering:
    """Returns how labels are written.

    Args:
        labels: The labels, in the order of their numbers.
    """
    labels = list(dict.fromkeys(labels))
    own = _characters(_own_file())
    lacking = {label: missing for label in labels if (missing := {*map(ord, label)} - own)}
    families = [_OWN_FONT]
    for family, file in _other_fonts() if lacking else ():
        characters = _characters(file)
        covered = [label for label, missing in lacking.items() if missing <= characters]
        if covered:
            families.append(family)
        for label in covered:
            del lacking[label]
        if not lacking:
            break
    numbers = {label: f"#{number}" for number, label in enumerate(lacking, start=1)}
    return Lettering(families, {label: numbers.get(label, label) for label in labels})


def _own_file() -> str:
    from matplotlib.font_manager import FontProperties, findfont

    return str(findfont(FontProperties(family=[_OWN_FONT])))


def _other_fonts() -> list[tuple[str, str]]:
    """Returns the families of this machine's fonts, sorted, each with the file that matplotlib takes for it."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    # matplotlib keeps its list of fonts in a file, and does not know those that were installed since.
    known = {font.fname for font in fontManager.ttflist}
    for file in sorted({*findSystemFonts()} - known):
        # A font that matplotlib cannot use, such as one of bitmaps.
        with suppress(Exception):
            fontManager.addfont(file)
    regular = {font.name: font.fname for font in fontManager.ttflist if (font.weight, font.style) == (400, "normal")}
    return sorted((name, file) for name, file in regular.items() if name != _OWN_FONT and name != _ONLY_BOXES)


def _characters(file: str) -> set[int]:
    """Returns the characters of a font; none where it cannot be read."""
    from matplotlib.font_manager import get_font

    with suppress(OSError, RuntimeError, ValueError):
        return set(get_font(file).get_charmap())
    return set()
