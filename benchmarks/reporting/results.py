"""The runs measured so far, kept as JSON after each of them, and what they add up to."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spark_steps.errors import FruitsError


@dataclass(frozen=True)
class Run:
    """One process of one contender.

    Attributes:
        case: Name of the case.
        size: Photos or rows.
        seconds: From the start of the process to its end.
        peak_bytes: Most memory of its processes at once.
        workers_bytes: The same of Spark's Python workers alone.
        facts: What it told itself, and how its results compare.
    """

    case: str
    size: int
    seconds: float
    peak_bytes: int = 0
    workers_bytes: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """A median with its spread."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        """Returns the figure of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def told(self, digits: int = 1) -> str:
        """Returns the median, and the least and the most in brackets where they differ."""
        if self.least == self.most:
            return f"{self.median:,.{digits}f}"
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f} to {self.most:,.{digits}f})"


@dataclass
class Results:
    """All runs, and on what they were made.

    Attributes:
        machine: Processor, cores, memory, system.
        versions: Of packages.
        inputs: Which photos and weights.
        runs: In the order in which they were made.
        left_out: Why a case did not run, by its name.
    """

    machine: dict[str, Any]
    versions: dict[str, str]
    inputs: dict[str, Any]
    runs: list[Run] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def of(self, case: str, size: int) -> list[Run]:
        """Returns the runs of a case at a size."""
        return [run for run in self.runs if (run.case, run.size) == (case, size)]

    def sizes(self, discipline: str) -> list[int]:
        """Returns the sizes at which a discipline was run, smallest first."""
        return sorted({run.size for run in self.runs if run.case.split("/")[0] == discipline})

    def figure(self, case: str, size: int, of: str | None = None) -> Figure | None:
        """Returns seconds, or another number that the runs told; None where there is no run."""
        values = self._values(case, size, of)
        return Figure.of(values) if values else None

    def ratio(self, case: str, other: str, size: int, of: str | None = None) -> Figure | None:
        """Returns how many times as fast a case is as another one; None where one of them was not run.

        That is the ratio of the medians. The least and the most are those within a round.
        """
        ours, others = self._values(case, size, of), self._values(other, size, of)
        if not ours or not others:
            return None
        ratio = statistics.median(others) / statistics.median(ours)
        rounds = [theirs / own for own, theirs in zip(ours, others, strict=False)]
        return Figure(ratio, min(ratio, *rounds), max(ratio, *rounds))

    def _values(self, case: str, size: int, of: str | None) -> list[float]:
        return [run.seconds if of is None else float(run.facts[of]) for run in self.of(case, size)]

    def memory(self, case: str, size: int, *, workers: bool = False) -> float | None:
        """Returns the median of the peaks in bytes; None where it was not measured."""
        peaks = [run.workers_bytes if workers else run.peak_bytes for run in self.of(case, size)]
        return statistics.median(peaks) if peaks and min(peaks) > 0 else None

    def save(self, file: Path, **more: object) -> None:
        """Writes them, and what was derived from them."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**asdict(self), **more}, indent=1, ensure_ascii=False) + "\n")


def load_results(file: Path) -> Results:
    """Returns the results of a file.

    Raises:
        FruitsError: There is no such file.
    """
    if not file.exists():
        raise FruitsError(f"There are no results in {file} to go on from. Leave out --resume.")
    content = json.loads(file.read_text())
    runs = [Run(**run) for run in content["runs"]]
    return Results(content["machine"], content["versions"], content["inputs"], runs, content["left_out"])
