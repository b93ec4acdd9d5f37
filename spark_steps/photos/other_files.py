"""Counts the files below an images root that are not readable photos, by ending, for a message about them."""

import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Formats of photos that this platform does not decode: those of phones, and raw formats of cameras.
_PHOTOS_TO_CONVERT = frozenset(
    (".heic", ".heif", ".avif", ".jxl", ".jp2", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".psd")
)
# Files that operating systems create in folders. .DS_Store is not listed here because its dot hides it.
_OF_SYSTEMS = ("thumbs.db", "desktop.ini")
_ENDINGS_SHOWN = 6
_FOLDERS_SHOWN = 5


@dataclass(frozen=True)
class PassedOver:
    """The files that a listing skipped.

    Attributes:
        by_folder: Number of files by folder and by ending, such as ``.heic``, or ``""`` for none.
    """

    by_folder: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def endings(self) -> dict[str, int]:
        """Number of files by ending, the most frequent first; the key of files without one is "without an ending"."""
        total: Counter[str] = Counter()
        for endings in self.by_folder.values():
            total.update(endings)
        return _most_first({ending or "without an ending": count for ending, count in total.items()})

    @property
    def in_words(self) -> str:
        """One sentence without its full stop; empty if no file was skipped."""
        count = sum(self.endings.values())
        files = "1 file is no photo" if count == 1 else f"{count:,} files are no photos"
        return f"{files} that can be read: {_listed(self.endings)}" if count else ""

    def to_convert(self, with_photos: Container[str]) -> dict[str, Mapping[str, int]]:
        """Returns the folders whose only photos are of formats that cannot be read.

        Args:
            with_photos: Folders with at least one readable photo.
        """
        return {
            folder: endings
            for folder, endings in sorted(self.by_folder.items())
            if folder not in with_photos and not _PHOTOS_TO_CONVERT.isdisjoint(endings)
        }

    @property
    def after_no_photo(self) -> str:
        """Text to append to the message that there is no photo at all; it begins with a blank, or is empty."""
        convert = " Save photos of other formats as JPEG." if self.to_convert(()) else ""
        return f" {self.in_words}.{convert}" if self.by_folder else ""

    def sentences(self, with_photos: Container[str]) -> Iterator[str]:
        """Yields the messages about the skipped files, without full stops.

        Args:
            with_photos: Folders with at least one readable photo.
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
    """Returns the ending of a file's name in lower case, ``""`` if it has none.

    Returns None for a hidden file and for a file that an operating system creates.

    Args:
        name: Name of a file that is not a photo.
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
