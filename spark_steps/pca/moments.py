"""Mean and centred cross products of feature rows, folded in one pass and merged exactly."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spark_steps.tables.totals import digest_of

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Sufficient statistics of N rows of D numbers.

    Attributes:
        count: N.
        mean: Of shape (D,).
        cross_products: Sum over the rows of (x - mean)(x - mean)', of shape (D, D).
        digest: Sum modulo 2^256 of the rows' image ids read as numbers: the same for the same photos in any order.
    """

    count: int
    mean: Matrix
    cross_products: Matrix
    digest: int = 0

    @classmethod
    def of_rows(cls, rows: NDArray[np.floating], image_ids: Iterable[str] = ()) -> "Moments":
        """Returns the moments of a block of at least one row, of shape (N, D)."""
        values = rows.astype(np.float64)
        mean = values.mean(axis=0)
        values -= mean
        digest = digest_of(int(image_id, 16) for image_id in image_ids)
        return cls(len(values), mean, values.T @ values, digest)

    def merged(self, other: "Moments") -> "Moments":
        """Returns the moments of both sets of rows together.

        Pairwise update of Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance", in its
        matrix form. Raw sums of squares would lose half the digits where the mean is large beside the spread.
        """
        count = self.count + other.count
        difference = other.mean - self.mean
        mean = self.mean + difference * (other.count / count)
        cross_products = self.cross_products + other.cross_products
        cross_products += np.outer(difference, difference * (self.count * other.count / count))
        return Moments(count, mean, cross_products, digest_of([self.digest, other.digest]))

    def to_bytes(self) -> bytes:
        """Returns the moments packed, the symmetric matrix as its upper triangle: 6.6 MB at 1280 columns."""
        upper = self.cross_products[np.triu_indices(len(self.mean))]
        return b"".join(
            (self.count.to_bytes(8, "big"), self.digest.to_bytes(32, "big"), self.mean.tobytes(), upper.tobytes())
        )

    @classmethod
    def from_bytes(cls, packed: bytes, columns: int) -> "Moments":
        """Returns what ``to_bytes`` packed."""
        count, digest = int.from_bytes(packed[:8], "big"), int.from_bytes(packed[8:40], "big")
        numbers = np.frombuffer(packed, dtype=np.float64, offset=40)
        cross_products = np.zeros((columns, columns))
        cross_products[np.triu_indices(columns)] = numbers[columns:]
        cross_products += np.triu(cross_products, 1).T
        return cls(count, numbers[:columns].copy(), cross_products, digest)


class RunningMoments:
    """The moments of rows that come in pieces of any size.

    Small pieces are folded together: a merge takes as long as the fold of some hundred rows, and a table of many
    folders has many small files.
    """

    _ROWS_OF_BLOCK = 4096

    def __init__(self) -> None:
        self._total: Moments | None = None
        self._pieces: list[NDArray[np.floating]] = []
        self._image_ids: list[str] = []

    def add(self, rows: NDArray[np.floating], image_ids: Iterable[str]) -> None:
        """Takes a piece of shape (N, D)."""
        self._pieces.append(rows)
        self._image_ids.extend(image_ids)
        if len(self._image_ids) >= self._ROWS_OF_BLOCK:
            self._fold()

    def __bool__(self) -> bool:
        return self._total is not None or bool(self._image_ids)

    def total(self) -> Moments:
        """Returns the moments of all rows so far, at least one."""
        self._fold()
        assert self._total is not None  # noqa: S101
        return self._total

    def _fold(self) -> None:
        if self._image_ids:
            block = Moments.of_rows(np.concatenate(self._pieces), self._image_ids)
            self._total = block if self._total is None else self._total.merged(block)
        self._pieces, self._image_ids = [], []


def merge_in_pairs(parts: list[Moments]) -> Moments:
    """Returns the moments of all parts, at least one, merged as a balanced tree to keep rounding errors small."""
    while len(parts) > 1:
        merged = [one.merged(other) for one, other in zip(parts[::2], parts[1::2], strict=False)]
        parts = merged + parts[len(merged) * 2 :]
    return parts[0]


def packed_bytes(columns: int) -> int:
    """Returns how many bytes ``Moments.to_bytes`` takes for so many columns."""
    return 8 + 32 + 8 * (columns + columns * (columns + 1) // 2)


def version_of(count: int, digest: int, *settings: object) -> str:
    """Returns a short name for a model: equal for the same photos and settings, on any machine, in any order.

    Args:
        count: Photos it was fitted on.
        digest: Of their image ids, as ``digest_of`` has it.
        settings: The fingerprint of the network, and what was asked for: a share of variance or a number of components.
    """
    text = repr((count, digest, *settings))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
