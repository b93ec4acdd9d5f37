"""Flags of photos whose quality may harm what is trained on them, from the measures in their rows; no photo is read."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spark_steps.audit.settings import FlagThresholds

Numbers = NDArray[np.float64]
# The columns of mobilenet_features that flags are made of.
FLAG_COLUMNS = ("width", "height", "brightness", "contrast", "sharpness", "colour_spread")


@dataclass(frozen=True)
class Flag:
    """A flag of a photo.

    Attributes:
        kind: ``dark``, ``bright``, ``blurred``, ``low_contrast``, ``tiny``, ``odd_aspect`` or ``one_colour``.
        score: The number that was compared with the threshold.
        reason: A sentence with the number and the threshold.
    """

    kind: str
    score: float
    reason: str


@dataclass(frozen=True)
class _Rule:
    """What flags of one kind are made of.

    Attributes:
        kind: The kind.
        score: Returns the number of each row that is compared; NaN for rows without it.
        above: Whether the photos above the threshold are flagged, not those below.
        reason: The sentence, with ``{score}`` and ``{threshold}``.
    """

    kind: str
    score: Callable[[dict[str, Numbers]], Numbers]
    above: bool
    reason: str


def _shorter(columns: dict[str, Numbers]) -> Numbers:
    return np.minimum(columns["width"], columns["height"])


def _aspect(columns: dict[str, Numbers]) -> Numbers:
    return np.maximum(columns["width"], columns["height"]) / _shorter(columns)


_RULES = (
    _Rule("dark", lambda of: of["brightness"], False, "The photo is dark: brightness {score} is below {threshold}."),
    _Rule("bright", lambda of: of["brightness"], True, "The photo is bright: brightness {score} is above {threshold}."),
    _Rule(
        "blurred", lambda of: of["sharpness"], False, "The photo is blurred: sharpness {score} is below {threshold}."
    ),
    _Rule(
        "low_contrast",
        lambda of: of["contrast"],
        False,
        "The photo has low contrast: contrast {score} is below {threshold}.",
    ),
    _Rule("tiny", _shorter, False, "The photo is tiny: its shorter side of {score} pixels is below {threshold}."),
    _Rule(
        "odd_aspect",
        _aspect,
        True,
        "The photo has an odd aspect: its longer side is {score} times the shorter one, above {threshold}.",
    ),
    _Rule(
        "one_colour",
        lambda of: of["colour_spread"],
        False,
        "The photo is nearly one colour: colour spread {score} is below {threshold}.",
    ),
)
FLAG_KINDS = tuple(rule.kind for rule in _RULES)


def flags_of(rows: pa.Table | pa.RecordBatch, thresholds: FlagThresholds) -> list[tuple[Flag, ...]]:
    """Returns the flags of each row, in the order of ``FLAG_KINDS``; none for a measure that is null.

    Args:
        rows: N rows with ``FLAG_COLUMNS``, among other columns.
        thresholds: What is flagged.

    Returns:
        N tuples, most of them empty.
    """
    columns = {name: _numbers(rows[name]) for name in FLAG_COLUMNS}
    found: list[tuple[Flag, ...]] = [()] * rows.num_rows
    for rule in _RULES:
        threshold, scores = getattr(thresholds, rule.kind), rule.score(columns)
        # A comparison with NaN is false, so rows without a measure have no flag.
        for row in np.flatnonzero(scores > threshold if rule.above else scores < threshold):
            reason = rule.reason.format(score=_text(scores[row], threshold), threshold=f"{threshold:g}")
            found[row] += (Flag(rule.kind, float(scores[row]), reason),)
    return found


def _numbers(column: pa.Array | pa.ChunkedArray) -> Numbers:
    numbers: Numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return numbers


def _text(score: float, threshold: float) -> str:
    """Returns a score with three digits, or with as many as tell it from the threshold."""
    digits = range(3, 17)
    return next((text for some in digits if float(text := f"{score:.{some}g}") != threshold), f"{score:.17g}")
