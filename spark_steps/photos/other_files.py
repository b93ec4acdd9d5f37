"""Files below an images root that are no photos which can be read: counted by ending, for a word about them."""

import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Photos in formats that this platform does not decode: those of phones, and cameras' own.
_PHOTOS_TO_CONVERT = frozenset(
    (".heic", ".heif", ".avif", ".jxl", ".jp2", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".psd")
)
# What systems write into folders by themselves; .DS_Store is hidden by its dot.
_OF_SYSTEMS = ("thumbs.db", "desktop.ini")
_ENDINGS_SHOWN = 6
_FOLDERS_SHOWN = 5


@dataclass(frozen=True)
class PassedOver:
    """The files passed over.

    Attributes:
        by_folder: How many there are, by folder and by ending: ``.heic``, or ``""``.
    """

    by_folder: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def endings(self) -> dict[str, int]:
        """How many there are in all, by ending, the most first; those without an ending under those words."""
        total: Counter[str] = Counter()
        for endings in self.by_folder.values():
            total.update(endings)
        return _most_first({ending or "without an ending": count for ending, count in total.items()})

    @property
    def in_words(self) -> str:
        """One sentence without its full stop; nothing where no file was passed over."""
        count = sum(self.endings.values())
        files = "1 file is no photo" if count == 1 else f"{count:,} files are no photos"
        return f"{files} that can be read: {_listed(self.endings)}" if count else ""

    def to_convert(self, with_photos: Container[str]) -> dict[str, Mapping[str, int]]:
        """Returns the folders that hold photos of formats that cannot be read, and none that can be.

        Args:
            with_photos: Folders that hold a photo that can be read.
        """
        return {
            folder: endings
            for folder, endings in sorted(self.by_folder.items())
            if folder not in with_photos and not _PHOTOS_TO_CONVERT.isdisjoint(endings)
        }

    @property
    def after_no_photo(self) -> str:
        """What follows the sentence that there is no photo at all, with a blank before it, or nothing."""
        convert = " Save photos of other formats as JPEG." if self.to_convert(()) else ""
        return f" {self.in_words}.{convert}" if self.by_folder else ""

    def sentences(self, with_photos: Container[str]) -> Iterator[str]:
        """Yields what there is to say, without full stops.

        Args:
            with_photos: Folders that hold a photo that can be read.
        """
        if self.by_folder:
            known = not _PHOTOS_TO_CONVERT.isdisjoint(self.endings)
            yield self.in_words + ("; docs/formats.md says how to convert photos" if known else "")
        if folders := self.to_convert(with_photos):
            named = [f"{folder!r} ({_listed(endings)})" for folder, endings in list(folders.items())[:_FOLDERS_SHOWN]]
            more = len(folders) - len(named)
            yield (
                f"warning: no photo can be read in {', '.join(named)}{f' and {more:,} more folders' if more else ''}: "
                "save the photos as JPEG"
            )


def ending_of(name: str) -> str | None:
    """Returns the ending of a file's name in small letters, ``""`` where it has none.

    Args:
        name: Of a file that is no photo; None is returned for one that is hidden, or that a system writes by itself.
    """
    if name.startswith(".") or name.lower() in _OF_SYSTEMS:
        return None
    ending = Path(name).suffix.lower()
    return ending if re.fullmatch(r"\.\w{1,10}", ending) else ""


def _most_first(endings: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(endings.items(), key=lambda one: (-one[1], one[0])))


def _listed(endings: Mapping[str, int]) -> str:
    most = list(_most_first(endings).items())
    kinds = [f"{count:,} {ending or 'without an ending'}" for ending, count in most[:_ENDINGS_SHOWN]]
    if others := sum(count for _, count in most[_ENDINGS_SHOWN:]):
        kinds.append(f"{others:,} with others")
    return ", ".join(kinds)
