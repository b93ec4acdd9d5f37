"""Two stores row by row: what is lost, what is there twice, what differs."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from spark_steps.store.store import Store
from spark_steps.tables.folder_table import TableChangedError

# As they are in both stores; the reduced numbers may differ in their last bits, by the order of the files.
_COLUMNS = {
    "raw_images": ["folder", "path", "label", "length", "modification_time", "error"],
    "mobilenet_features": ["folder", "path", "image_id", "length", "modification_time", "features", "model", "error"],
    "reduced_features": ["folder", "path", "image_id", "reduced"],
}
_TOLERANCE = 1e-3


@dataclass
class Difference:
    """What a comparison found.

    Attributes:
        compared: Rows of the undisturbed store.
        lost: Of them, those that the other has not.
        doubled: Rows of the other that it has more than once, or that should not be there.
        wrong: Rows that both have, and that differ.
        named: A few of all these.
    """

    compared: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    named: tuple[str, ...] = ()

    def __add__(self, other: "Difference") -> "Difference":
        return Difference(
            self.compared + other.compared,
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.wrong + other.wrong,
            (self.named + other.named)[:10],
        )

    @property
    def is_none(self) -> bool:
        """Whether the stores hold the same."""
        return self.lost == self.doubled == self.wrong == 0


def differences(disturbed: Store, undisturbed: Store) -> Difference:
    """Compares all tables of two stores of the same photos."""
    found = Difference()
    for name, columns in _COLUMNS.items():
        found += _of_rows(name, _rows(disturbed, name, columns), _rows(undisturbed, name, columns))
    return found


def photos_seen_twice(store: Store) -> list[str]:
    """Returns photos of which a reader, at this moment, finds more than one row in a table."""
    twice = []
    for name, table in store.tables.items():
        try:
            paths = table.arrow(["path"])["path"].to_pylist()
        except TableChangedError:
            continue
        twice += [f"{name}: {path}" for path, count in Counter(paths).items() if count > 1]
    return twice


def _rows(store: Store, name: str, columns: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = store.tables[name].arrow(columns).to_pylist()
    return rows


def _of_rows(table: str, ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> Difference:
    counts = Counter(row["path"] for row in ours)
    expected = {row["path"]: row for row in theirs}
    lost = sorted(expected.keys() - counts.keys())
    doubled = sorted(path for path, count in counts.items() if count > 1 or path not in expected)
    wrong = sorted({row["path"] for row in ours if row["path"] in expected and not _same(row, expected[row["path"]])})
    named = [f"{table}: {what} {path}" for what, paths in _named(lost, doubled, wrong) for path in paths]
    return Difference(len(theirs), len(lost), len(doubled), len(wrong), tuple(named[:10]))


def _named(lost: list[str], doubled: list[str], wrong: list[str]) -> list[tuple[str, list[str]]]:
    return [("lost", lost), ("doubled", doubled), ("wrong", wrong)]


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(_equal(name, one[name], other[name]) for name in one)


def _equal(name: str, one: Any, other: Any) -> bool:
    if name == "reduced":
        return len(one) == len(other) and bool(np.allclose(one, other, atol=_TOLERANCE))
    return bool(one == other)
