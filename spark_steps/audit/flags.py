"""The quality flags of photos, from their measures."""

from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa


@dataclass(frozen=True)
class FlagThresholds:
    """The values of the measures from which photos are flagged."""


class Flag(NamedTuple):
    """A flag of a photo.

    Attributes:
        kind: Kind of the finding.
        score: The number that was compared.
        reason: A sentence.
    """

    kind: str
    score: float
    reason: str


def flags_of(rows: pa.Table | pa.RecordBatch, thresholds: FlagThresholds) -> list[list[Flag]]:
    """Returns the flags of each row of mobilenet_features.

    Args:
        rows: Rows with the measures, width and height.
        thresholds: The thresholds.
    """
    return [[] for _ in range(rows.num_rows)]
