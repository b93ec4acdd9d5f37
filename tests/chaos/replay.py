"""What a table's rows were at each version, from the order of its commits and what writers had noted before them.

A writer notes which folders it found with which rows, and which rows it is about to give them, under a name that goes
into its commit. The log then tells which of these came to pass, and in which order; what a reader has seen has to be
the rows of one version, and of none older than what had been committed when it began to look.
"""

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from spark_steps.tables.snapshots import Commit

NAME = "chaos"
# The length of each photo, by path.
Rows = Mapping[str, int]
# The same by folder.
Folders = Mapping[str, Rows]


@dataclass(frozen=True)
class Look:
    """What a reader saw.

    Attributes:
        reader: Who it was.
        began: When it began, monotonic seconds.
        low: The oldest version that it may be.
        high: The newest.
        rows: Path and length of each row; -1 for the length of one that was never written so.
    """

    reader: str
    began: float
    low: int
    high: int
    rows: Sequence[tuple[str, int]]


@dataclass
class Journal:
    """What all processes have noted.

    Attributes:
        found: What writes found in the folders that they change, by name.
        made: What they make of them.
        erasing: The paths that each erasure is to take out, by name.
        committed: Writes whose commit was confirmed: when, name and version.
        erased: Erasures that were confirmed: when, and the paths.
        looks: What readers saw.
        ended: How often what else came to pass.
        broken: What must not be, in sentences.
    """

    found: dict[str, Folders] = field(default_factory=dict)
    made: dict[str, Folders] = field(default_factory=dict)
    erasing: dict[str, list[str]] = field(default_factory=dict)
    committed: list[tuple[float, str, int]] = field(default_factory=list)
    erased: list[tuple[float, list[str]]] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, directory: Path) -> "Journal":
        """Reads what processes have noted, one file each; the last line of one that was killed may be cut off."""
        journal = cls()
        for file in sorted(directory.glob("*.jsonl")):
            for line in file.read_text().splitlines(keepends=True):
                if line.endswith("\n"):
                    journal._add(json.loads(line))
        journal.committed.sort()
        return journal

    def _add(self, one: dict[str, object]) -> None:
        values: tuple[object, ...] = tuple(one.values())[1:]
        match one["note"]:
            case "plans":
                name, self.found[name], self.made[name] = values  # type: ignore[index, assignment]
            case "erases":
                name, self.erasing[name] = values  # type: ignore[index, assignment]
            case "committed":
                self.committed.append(values)  # type: ignore[arg-type]
            case "erased":
                self.erased.append(values)  # type: ignore[arg-type]
            case "looked":
                reader, began, low, high, rows = values
                self.looks.append(Look(reader, began, low, high, [tuple(row) for row in rows]))  # type: ignore[arg-type, attr-defined]
            case "ended":
                self.ended[str(values[0])] += 1
            case _:
                self.broken.append(str(values[0]))


@dataclass
class Verdict:
    """What a replay found.

    Attributes:
        looks: Looks compared, by reader.
        rows: Rows compared.
        commits: Commits, by what they did.
        lost: Rows that a look or the table should have had.
        doubled: Rows that were seen more than once, or that were no longer to be there.
        wrong: Rows that were seen as they never were.
        named: Some of all these.
        ended: How often what else came to pass.
        broken: What must not be, in sentences.
    """

    looks: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    commits: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    named: list[str] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is lost, doubled, wrong or broken."""
        return not (self.lost or self.doubled or self.wrong or self.broken)

    def report(self) -> str:
        """Returns what was done and found."""

        def told(counts: Counter[str]) -> str:
            return ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items())) or "none"

        lines = [
            f"Looks          {self.looks.total():,}: {told(self.looks)}",
            f"Commits        {self.commits.total():,}: {told(self.commits)}",
            f"Else           {told(self.ended)}",
            f"Rows compared  {self.rows:,}",
            f"Rows lost      {self.lost}",
            f"Rows doubled   {self.doubled}",
            f"Rows wrong     {self.wrong}",
            *(f"  {one}" for one in self.named[:10]),
            *(f"BROKEN: {one}" for one in self.broken[:10]),
        ]
        return "\n".join(lines)


def judge(journal: Journal, commits: Iterable[Commit]) -> Verdict:
    """Compares all looks with the rows that the table had.

    Args:
        journal: What the processes have noted.
        commits: The table's versions, the oldest first.
    """
    verdict = Verdict(ended=journal.ended, broken=list(journal.broken))
    # The first is that before there is a table, which is called version -1.
    versions = [{}, *(_flat(state) for state in _states(journal, list(commits), verdict))]
    # What had been committed at a moment: the newest of all that was confirmed by then.
    moments = [at for at, _, _ in journal.committed]
    newest = [-1, *accumulate((version for _, _, version in journal.committed), max)]
    for look in journal.looks:
        verdict.looks[look.reader] += 1
        verdict.rows += len(look.rows)
        low = max(look.low, newest[bisect_left(moments, look.began)])
        seen = Counter(path for path, _ in look.rows)
        gone = {path for at, paths in journal.erased if at < look.began for path in paths} & seen.keys()
        if gone:
            verdict.wrong += len(gone)
            verdict.named.append(f"{look.reader} saw {sorted(gone)[0]}, which had been erased")
        expected = versions[low + 1 : look.high + 2]
        if not expected:
            verdict.broken.append(f"{look.reader} saw version {look.high}, and {low} had been committed before")
        elif not any(len(look.rows) == len(one) and dict(look.rows) == one for one in expected):
            _name_differences(look, seen, expected[0], verdict)
    return verdict


def _flat(state: Folders) -> Rows:
    return {path: length for rows in state.values() for path, length in rows.items()}


def _states(journal: Journal, commits: Sequence[Commit], verdict: Verdict) -> list[Folders]:
    """Returns the rows at each version; what cannot be so is added to a verdict."""
    state: dict[str, Rows] = {}
    states: list[Folders] = []
    versions: dict[str, int] = {}
    for number, commit in enumerate(commits):
        if commit.version != number:
            verdict.broken.append(f"the log goes from {number - 1} to {commit.version}")
            break
        name = commit.about.get(NAME, "")
        verdict.commits[name.partition(" ")[0] or "without rows"] += 1
        if name in journal.made:
            if name in versions:
                verdict.broken.append(f"{name} was committed as {versions[name]} and as {number}")
            versions[name] = number
            for folder, rows in journal.found[name].items():
                if rows != state.get(folder, {}):
                    verdict.broken.append(f"{name}, version {number}, had seen other rows in {folder}")
            state = {**state, **journal.made[name]}
        elif name in journal.erasing:
            gone = set(journal.erasing[name])
            state = {folder: {p: n for p, n in rows.items() if p not in gone} for folder, rows in state.items()}
        elif (commit.files_added or commit.files_removed) and not name.startswith("compact"):
            verdict.broken.append(f"nobody knows of version {number}, {commit.about}")
        states.append(state)
    for _, name, version in journal.committed:
        if versions.get(name) != version:
            verdict.broken.append(f"{name} was confirmed as version {version}, which is another's")
    return states


def _name_differences(look: Look, seen: Counter[str], expected: Rows, verdict: Verdict) -> None:
    lost = sorted(expected.keys() - seen.keys())
    doubled = sorted(path for path, count in seen.items() if count > 1 or path not in expected)
    wrong = sorted({path for path, length in look.rows if expected.get(path, length) != length})
    verdict.lost += len(lost)
    verdict.doubled += len(doubled)
    verdict.wrong += len(wrong)
    kinds = (("lost", lost), ("doubled", doubled), ("wrong", wrong))
    verdict.named += [
        f"{look.reader}, version {look.low} to {look.high}: {kind} {path}" for kind, paths in kinds for path in paths
    ]
