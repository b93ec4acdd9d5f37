"""Which files of a table are replaced by which: one replacement after the other, decided in one moment, by any process.

In ``<table>/_replacing``, where no reader looks for rows:

- ``<id>/folder=<folder>/*.parquet`` are new files, written and not yet in place;
- ``<number>.json`` is a note of a replacement that is decided: its id, and for each folder the names of its new files.
  It appears in one piece and only where no note of that number is there yet (in S3 by a conditional put, on this
  machine under a file lock). So of two writers one comes first, and the other replaces what the first has put there;
- ``<number>-<id>.verdict`` says whether it holds, or is void because new files were deleted. There too one process
  comes first, and what it says is so for all of them;
- ``<number>-<id>.done`` says that the replacement is done, and repeats its note; ``<number>-<id>.void`` says that
  nothing is left of it.

A replacement is done by whoever meets its note: the new files are put in place, then the verdict is given, then all
other files of those folders go, or, where it is void, the new ones; then the mark of its end is made. What goes is
listed while it is certain that no later replacement has begun, so that a process which was asleep in the middle deletes
nothing newer. Numbers only grow, and the last marks are kept: two listings of them tell a reader whether anything was
replaced between. Marks of void ones are few, and kept for ever: their writer may sleep for however long.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from spark_steps import storage
from spark_steps.errors import FruitsError

Found = TypeVar("Found")

# Spark, pandas and pyarrow pass over names with an underscore.
REPLACING = "_replacing"
_NAME = re.compile(r"(?P<number>\d{12})(?:\.json|-(?P<id>[\w-]+)\.(?P<end>done|void))")
_TIDIED = re.compile(r"(?P<number>\d{12})(?:\.json|-[\w-]+\.(?:done|verdict))")
_HOLDS, _VOID = b"holds", b"void"
_MARKS_KEPT = 3
# Those of more folders are found by listing the whole table.
FEW_FOLDERS = 64
_FILES_AT_A_TIME = 16
_TRIES = 50


class TableChangedError(FruitsError):
    """A table was replaced in the moment in which it was read: another try finds it whole."""


@dataclass(frozen=True)
class Progress:
    """How far the replacements of a table are.

    Attributes:
        number: Of the last one decided.
        under_way: Whether it is not done yet.
        done: Ids of the last ones that are.
        void: Ids of those that came to nothing.
    """

    number: int = 0
    under_way: bool = False
    done: frozenset[str] = frozenset()
    void: frozenset[str] = frozenset()

    @classmethod
    def of_names(cls, names: Iterable[str]) -> "Progress":
        """Returns what the names of notes and marks say."""
        found = [match for name in names if (match := _NAME.fullmatch(name))]
        if not found:
            return cls()
        last = max(int(match["number"]) for match in found)
        ended = [match for match in found if match["end"]]
        done, void = (frozenset(match["id"] for match in ended if match["end"] == end) for end in ("done", "void"))
        return cls(last, all(int(match["number"]) != last for match in ended), done, void)

    def is_under_way(self, number: int) -> bool:
        """Returns whether that is the last one decided, and not done yet."""
        return self.under_way and self.number == number


@dataclass(frozen=True)
class Replacements:
    """The replacements of one table.

    Attributes:
        root: The table's directory, a normalised place.
        directory: Returns the directory of a folder's rows.
    """

    root: str
    directory: Callable[[str], str]

    def new_files(self, replacement: str) -> str:
        """Returns where the new files of a replacement wait, each folder's in a directory named as in the table."""
        return f"{self._notes}/{replacement}"

    @property
    def _notes(self) -> str:
        return f"{self.root}/{REPLACING}"

    def progress(self) -> Progress:
        """Returns how far the replacements are, by one listing."""
        return Progress.of_names(info.base_name for info in storage.list_files(self._notes))

    def settled(self) -> Progress:
        """Does what is decided and not done, and returns how far the replacements then are."""
        while (progress := self.progress()).under_way:
            note = self._read(progress.number)
            # Another process may have done it in the meantime, and a writer that was asleep come late with its number.
            if note and self.progress().is_under_way(progress.number):
                self._do(progress.number, note)
        return progress

    def undecided(self) -> dict[str, datetime]:
        """Returns the directories of new files without a note, and when each was last written to."""
        _, path = storage.filesystem_of(self._notes)
        newest: dict[str, datetime] = {}
        for info in storage.list_files(self._notes, recursive=True):
            name, below, _ = info.path.removeprefix(f"{path}/").partition("/")
            if below:
                newest[name] = max(info.mtime, newest.get(name, info.mtime))
        progress = self.progress()
        decided = self._read(progress.number).get("id") if progress.under_way else None
        return {self.new_files(name): time for name, time in newest.items() if name != decided}

    def unchanged(self, look: Callable[[], Found]) -> Found:
        """Returns what a look at the table's files finds, between two replacements and not in the middle of one.

        Raises:
            TableChangedError: Every try met a replacement.
        """
        for _ in range(_TRIES):
            before = self.settled()
            found = look()
            if self.progress() == before:
                return found
        raise TableChangedError(f"{self.root} is being written by other runs. Try again when they have ended.")

    def decide(
        self, replacement: str, come: Mapping[str, Sequence[str]], go: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Replaces files of folders by those that wait in ``new_files``; returns when that is done.

        Args:
            replacement: Letters, digits and hyphens, used once.
            come: The names of each folder's new files.
            go: The names of each folder's files that they replace; by default all that are there.

        Raises:
            TableChangedError: One of those to be replaced is there no more: what comes was made of an old state.
            FruitsError: Other writers were first, each time; or new files were deleted before they were in place, by an
                erasure, or while this process was asleep, as those of one that was killed are.
        """
        note: dict[str, Any] = {"id": replacement, "folders": _lists(come)}
        if go is not None:
            note["go"] = _lists(go)
        for _ in range(_TRIES):
            number = self.settled().number + 1
            self._check_all_wait(replacement, come)
            if go is not None:
                # Nothing can come between this look and the note: it would have the note's number.
                self._check_all_there(go)
            if not self._put(number, note):
                continue
            progress = self.progress()
            if progress.is_under_way(number):
                # Not by a look at how far it is: in S3 each takes as long as a file.
                if not self._do(number, note):
                    raise self._deleted()
                return
            if replacement in progress.void:
                raise self._deleted()
            if replacement in progress.done:
                return
            # The number was used before, while this process was asleep; or the note is done, and its mark tidied away.
            storage.delete_files(self._notes, [_note(number)])
            if not storage.list_files(self.new_files(replacement), recursive=True):
                raise FruitsError(
                    f"{self.root} was written by other runs again and again while this process was asleep, and nobody "
                    "can tell any more whether its rows were written before theirs. Run again."
                )
        raise FruitsError(f"{self.root} is being written by other runs. Run again when they have ended.")

    def _check_all_wait(self, replacement: str, come: Mapping[str, Sequence[str]]) -> None:
        if any(come.values()) and any(self._not_waiting(replacement, come).values()):
            raise self._deleted()

    def _not_waiting(self, replacement: str, come: Mapping[str, Sequence[str]]) -> dict[str, set[str]]:
        """Returns the names of new files that do not wait, of each folder."""
        new = self.new_files(replacement)
        _, path = storage.filesystem_of(new)
        there = {info.path.removeprefix(f"{path}/") for info in storage.list_files(new, recursive=True)}
        directories = {folder: self.directory(folder).rpartition("/")[2] for folder in come}
        return {
            folder: {name for name in names if f"{directories[folder]}/{name}" not in there}
            for folder, names in come.items()
        }

    def _deleted(self) -> FruitsError:
        return FruitsError(
            f"New files for {self.root} were deleted before they were in place: by an erasure, or because nothing "
            "was heard of this process for a day. The old rows are kept. Run again."
        )

    def _check_all_there(self, wanted: Mapping[str, Sequence[str]]) -> None:
        with ThreadPoolExecutor(_FILES_AT_A_TIME) as pool:
            there = self._files_of(list(wanted), pool)
        if any(set(names) - there[folder] for folder, names in wanted.items()):
            raise TableChangedError(f"{self.root} was changed while it was read. Try again.")

    def _put(self, number: int, note: Mapping[str, Any]) -> bool:
        place = f"{self._notes}/{_note(number)}"
        try:
            storage.write_new(place, _encoded(note))
        except FileExistsError:
            # Perhaps this very note, of a request whose answer was lost.
            progress = self.progress()
            return note["id"] in progress.done | progress.void or self._read(number).get("id") == note["id"]
        return True

    def _read(self, number: int) -> Mapping[str, Any]:
        place = f"{self._notes}/{_note(number)}"
        with suppress(FileNotFoundError):
            if (note := _note_of(storage.read_bytes(place))) is None:
                raise FruitsError(
                    f"{place} is no note of this platform: it is damaged, or names files elsewhere. Delete it."
                )
            return note
        return {}

    def _do(self, number: int, note: Mapping[str, Any]) -> bool:
        """Does a replacement, or what is left of it, and returns whether it holds."""
        replacement: str = note["id"]
        come: Mapping[str, list[str]] = note["folders"]
        verdict = f"{number:012}-{replacement}.verdict"
        with ThreadPoolExecutor(_FILES_AT_A_TIME) as pool:
            whole = self._put_in_place(replacement, come, pool)
            there = self._files_of(list(come), pool)
            holds = self._agreed(f"{self._notes}/{verdict}", whole)
            progress = self.progress()
            if not progress.is_under_way(number):
                # Another process has done it, and a later one may have replaced those files.
                storage.delete_files(self._notes, [verdict])
                # S3 may have made a copy after that.
                if replacement in progress.void:
                    self._take_back(come, pool)
                elif progress.number > number:
                    self._delete_replaced_since(number, come, pool)
                return replacement not in progress.void
            if holds:
                self._delete_replaced(come, note.get("go", there), there, pool)
            # What waits goes first where it is void: nobody can put it in place then.
            storage.delete_directory(self.new_files(replacement))
            if not holds:
                self._take_back(come, pool)
        end = "done" if holds else "void"
        storage.write_bytes(f"{self._notes}/{number:012}-{replacement}.{end}", _encoded(note) if holds else b"")
        self._tidy(number, verdict)
        return holds

    def _put_in_place(self, replacement: str, come: Mapping[str, Sequence[str]], pool: ThreadPoolExecutor) -> bool:
        """Moves new files to where readers look, and returns whether all of them are there."""
        new = self.new_files(replacement)

        def move(folder: str) -> bool:
            directory = self.directory(folder)
            try:
                storage.move_files(f"{new}/{directory.rpartition('/')[2]}", directory, come[folder])
            except FileNotFoundError:
                return False
            return True

        for _ in range(_TRIES):
            # A list: when it is there no move is under way any more.
            if all(list(pool.map(move, come))):
                return True
            # Or another process has moved the file just then, or deleted its directory, empty. In this order: a file
            # that has waited no more, and after that is not in place, is nowhere.
            not_waiting = self._not_waiting(replacement, come)
            in_place = self._files_of(list(come), pool)
            if any(names - in_place[folder] for folder, names in not_waiting.items()):
                return False
        raise TableChangedError(f"{self.root} is being written by other runs. Try again when they have ended.")

    def _agreed(self, verdict: str, holds: bool) -> bool:
        """Returns whether a replacement holds: what this process says, or what another has said before."""
        try:
            storage.write_new(verdict, _HOLDS if holds else _VOID)
        except FileExistsError:
            with suppress(FileNotFoundError):
                return storage.read_bytes(verdict) == _HOLDS
        return holds

    def _delete_replaced(
        self,
        come: Mapping[str, Sequence[str]],
        named: Mapping[str, Iterable[str]],
        there: Mapping[str, set[str]],
        pool: ThreadPoolExecutor,
    ) -> None:
        go = {folder: set(named.get(folder, ())) - set(come[folder]) for folder in come}
        self._delete(go, [folder for folder in come if not (there[folder] | set(come[folder])) - go[folder]], pool)

    def _delete_replaced_since(self, number: int, come: Mapping[str, Sequence[str]], pool: ThreadPoolExecutor) -> None:
        """Deletes new files of a replacement that later ones have replaced, as far as their marks are kept."""
        self.settled()
        for mark in [info.base_name for info in storage.list_files(self._notes)]:
            match = _NAME.fullmatch(mark)
            if not match or match["end"] != "done" or int(match["number"]) <= number:
                continue
            with suppress(FileNotFoundError):
                if later := _note_of(storage.read_bytes(f"{self._notes}/{mark}")):
                    both = come.keys() & later["folders"].keys()
                    go = later.get("go", come)
                    gone = {one: {*come[one]} & {*go.get(one, ())} - {*later["folders"][one]} for one in both}
                    self._delete(gone, [], pool)

    def _take_back(self, come: Mapping[str, Sequence[str]], pool: ThreadPoolExecutor) -> None:
        """Deletes what a void replacement has put in place: no other files have those names."""
        self._delete(come, list(come), pool)

    def _delete(self, names: Mapping[str, Iterable[str]], emptied: Sequence[str], pool: ThreadPoolExecutor) -> None:
        list(pool.map(lambda folder: storage.delete_files(self.directory(folder), sorted(names[folder])), names))
        list(pool.map(storage.delete_empty_directory, map(self.directory, emptied)))

    def _files_of(self, folders: Sequence[str], pool: ThreadPoolExecutor) -> dict[str, set[str]]:
        """Returns the names of the Parquet files of folders, those of many by one listing."""
        by_directory = {self.directory(folder).rpartition("/")[2]: folder for folder in folders}
        if len(folders) > FEW_FOLDERS:
            infos = storage.list_files(self.root, recursive=True)
        else:
            infos = [info for found in pool.map(storage.list_files, map(self.directory, folders)) for info in found]
        names: dict[str, set[str]] = {folder: set() for folder in folders}
        _, root = storage.filesystem_of(self.root)
        for info in infos:
            directory, _, name = info.path.removeprefix(f"{root}/").partition("/")
            if directory in by_directory and info.extension == "parquet" and "/" not in name:
                names[by_directory[directory]].add(name)
        return names

    def _tidy(self, number: int, verdict: str) -> None:
        names = [info.base_name for info in storage.list_files(self._notes)]
        numbers = {match[0]: int(match["number"]) for name in names if (match := _TIDIED.fullmatch(name))}
        old = [name for name, one in numbers.items() if one <= number - _MARKS_KEPT]
        storage.delete_files(self._notes, [_note(number), verdict, *old])


def _encoded(note: Mapping[str, Any]) -> bytes:
    return json.dumps(note, ensure_ascii=False).encode()


def _note_of(data: bytes) -> Mapping[str, Any] | None:
    """Returns a note, where all that it has moved and deleted lies in its table, whoever has written it."""
    try:
        note = json.loads(data)
        # Half of a surrogate pair can be in no name.
        _encoded(note)
    except (ValueError, RecursionError):
        return None
    if not isinstance(note, dict) or not {"id", "folders"} <= note.keys():
        return None
    if not isinstance(note["id"], str) or not re.fullmatch(r"[\w-]+", note["id"]):
        return None
    return note if all(_are_plain(note[way]) for way in ("folders", "go") if way in note) else None


def _are_plain(folders: object) -> bool:
    """Returns whether that names files of folders, and none elsewhere."""
    if not isinstance(folders, dict) or not all(isinstance(names, list) for names in folders.values()):
        return False
    names = [name for named in folders.values() for name in named]
    return not any("\0" in folder for folder in folders) and not any(
        not isinstance(name, str) or {"/", "\0"} & set(name) or name in ("", ".", "..") for name in names
    )


def _lists(names: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {folder: list(one) for folder, one in names.items()}


def _note(number: int) -> str:
    return f"{number:012}.json"


def new_id() -> str:
    """Returns the id of a new replacement."""
    return uuid.uuid4().hex
