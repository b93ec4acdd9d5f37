"""Counts what is passed over below an images root: files that are not readable photos, and folders of systems."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field

# Formats of photos that this platform does not decode, most of them raw formats of cameras.
_PHOTOS_TO_CONVERT = frozenset((".jxl", ".jp2", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".psd"))
_ENDINGS_SHOWN = 6
_FOLDERS_SHOWN = 5


@dataclass(frozen=True)
class PassedOver:
    """The files and folders that a listing skipped.

    Attributes:
        by_folder: Number of files by folder and by ending, such as ``.dng``, or ``""`` for none.
        system_folders: Paths of the folders that are hidden or a system's own, sorted.
    """

    by_folder: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    system_folders: tuple[str, ...] = ()

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
        return f"{files} that can be read: {summed_up(self.endings)}" if count else ""

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
            yield f"warning: {alone(folders)}"
        if self.system_folders:
            names = Counter(folder.rpartition("/")[2] for folder in self.system_folders)
            most = [f"{name!r}{f' ({count:,} times)' if count > 1 else ''}" for name, count in names.most_common()]
            more = f" and {len(most) - _FOLDERS_SHOWN:,} more" if len(most) > _FOLDERS_SHOWN else ""
            yield (
                f"warning: {', '.join(most[:_FOLDERS_SHOWN])}{more} not processed: folders that are hidden or a "
                "system's own"
            )


def alone(folders: Mapping[str, Mapping[str, int]]) -> str:
    """Returns a sentence, without its full stop, about folders with photos of unreadable formats alone."""
    named = [f"{folder!r} ({summed_up(endings)})" for folder, endings in list(folders.items())[:_FOLDERS_SHOWN]]
    more = f" and {len(folders) - len(named):,} more folders" if len(folders) > len(named) else ""
    return f"no photo can be read in {', '.join(named)}{more}: save the photos as JPEG"


def _most_first(endings: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(endings.items(), key=lambda one: (-one[1], one[0])))


def summed_up(endings: Mapping[str, int]) -> str:
    """Returns numbers of files by ending as text, such as "2 .dng, 1 .txt"."""
    most = list(_most_first(endings).items())
    kinds = [f"{count:,} {ending or 'without an ending'}" for ending, count in most[:_ENDINGS_SHOWN]]
    if others := sum(count for _, count in most[_ENDINGS_SHOWN:]):
        kinds.append(f"{others:,} with others")
    return ", ".join(kinds)
