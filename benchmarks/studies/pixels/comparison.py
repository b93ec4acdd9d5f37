"""Compares what the platform makes of a file with the picture that an independent library knows."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.studies.pixels.files import Picture
from spark_steps.errors import UnusablePhotoError
from spark_steps.features.extractor import FeatureExtractor
from spark_steps.photos.decoding import SIDE, Photo, decode
from spark_steps.photos.limits import DecodeLimits

EQUAL_FROM = 0.999
_SAME_LEVELS = 2


@dataclass
class Count:
    """What became of the files of a kind.

    Attributes:
        right: How many have the features of the reference's picture, and its size.
        refused: How many were refused.
        unknown: How many have pixels here, and no reference that reads them.
        wrong: The names of those whose features differ, with the cosine.
        reasons: The reasons of the refused, each with a name.
    """

    right: int = 0
    refused: int = 0
    unknown: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def tried(self) -> int:
        """How many there are."""
        return self.right + self.refused + len(self.unknown) + len(self.wrong)


class Comparison:
    """Counts by kind; the features of equal pixels are computed once."""

    def __init__(self, extractor: FeatureExtractor) -> None:
        self.counts: dict[str, Count] = defaultdict(Count)
        self._extractor = extractor
        self._known: dict[bytes, NDArray[np.float64]] = {}

    def add(self, kind: str, name: str, data: bytes, pictures: Iterable[Picture]) -> None:
        """Compares a file with the pictures that it may show; several where decoders take the standard differently."""
        count = self.counts[kind]
        try:
            photo = decode(data, DecodeLimits().max_pixels)
        except UnusablePhotoError as refused:
            count.refused += 1
            count.reasons.setdefault(str(refused), name)
            return
        compared = [self._difference(photo, picture) for picture in pictures]
        if not compared:
            count.unknown.append(name)
        elif "" in compared:
            count.right += 1
        else:
            count.wrong.append(f"{name}: {' or '.join(compared)}")

    def _difference(self, photo: Photo, picture: Picture) -> str:
        height, width = picture.shape[:2]
        if (photo.width, photo.height) != (width, height):
            return f"{photo.width} x {photo.height} for {width} x {height}"
        small = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        # Of a photo of one colour, features tell rounding from rounding.
        if np.abs(np.asarray(small, np.int16) - photo.pixels).max() <= _SAME_LEVELS:
            return ""
        expected = self._features(replace(photo, pixels=np.asarray(small, np.uint8)))
        found = self._features(photo)
        cosine = float(found @ expected / (np.linalg.norm(found) * np.linalg.norm(expected)))
        return "" if cosine >= EQUAL_FROM else f"cosine {cosine:.4f}"

    def _features(self, photo: Photo) -> NDArray[np.float64]:
        key = hashlib.sha256(photo.pixels.tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._extractor.extract(photo).astype(np.float64)
        return self._known[key]

    def as_markdown(self) -> str:
        """Returns the table of kinds, and below it what was wrong, or what no reference reads."""
        lines = ["| files | tried | right | refused | wrong |", "|---|---|---|---|---|"]
        rows = {**dict(sorted(self.counts.items())), "all": self._total()}
        for kind, count in rows.items():
            compared = count.tried - len(count.unknown)
            lines.append(f"| {kind} | {compared:,} | {count.right:,} | {count.refused:,} | {len(count.wrong):,} |")
        for kind, count in sorted(self.counts.items()):
            lines += [f"{kind}, wrong: {name}" for name in count.wrong]
            lines += [f"{kind}, no reference reads it: {name}" for name in count.unknown]
            lines += [f"{kind}, refused: {reason} ({name})" for reason, name in sorted(count.reasons.items())]
        return "\n".join([*lines[: len(rows) + 2], "", *lines[len(rows) + 2 :]])

    def _total(self) -> Count:
        total = Count()
        for count in self.counts.values():
            total.right, total.refused = total.right + count.right, total.refused + count.refused
            total.wrong, total.unknown = total.wrong + count.wrong, total.unknown + count.unknown
        return total
