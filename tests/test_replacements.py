"""Replacements of a table's files: one after the other, whoever decides and does them, and whatever ends whom."""

import json
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from spark_steps import storage
from spark_steps.errors import FruitsError
from spark_steps.replacements import Progress, Replacements, TableChangedError, new_id
from tests.s3_server import S3

pytest_plugins = ["tests.s3_server"]
FOLDERS = ("A", "B", "C")


def replacements_of(root: str) -> Replacements:
    return Replacements(root, lambda folder: f"{root}/folder={folder}")


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "table")
    s3: S3 = request.getfixturevalue("s3")
    return f"{s3.bucket}/table"


def write(root: str, writer: str, folders: tuple[str, ...] = FOLDERS, files: int = 2) -> str:
    """Puts files of a writer where they wait, and returns the id of their replacement."""
    replacement = new_id()
    for folder in folders:
        for number in range(files):
            storage.write_bytes(f"{root}/_replacing/{replacement}/folder={folder}/{writer}-{number}.parquet", b"x")
    return replacement


def come(writer: str, folders: tuple[str, ...] = FOLDERS, files: int = 2) -> dict[str, list[str]]:
    return {folder: [f"{writer}-{number}.parquet" for number in range(files)] for folder in folders}


def writers_of(root: str) -> dict[str, list[str]]:
    """Returns whose files each folder holds, each writer as often as it has files there."""
    names = {folder: storage.list_files(f"{root}/folder={folder}") for folder in FOLDERS}
    return {folder: sorted(info.base_name.partition("-")[0] for info in infos) for folder, infos in names.items()}


def replace(root: str, writer: str, folders: tuple[str, ...] = FOLDERS) -> None:
    replacements_of(root).decide(write(root, writer, folders), come(writer, folders))


def test_each_replacement_leaves_its_own_files_and_no_others(root: str) -> None:
    replace(root, "first")
    replace(root, "second", ("A", "B"))
    assert writers_of(root) == {"A": ["second"] * 2, "B": ["second"] * 2, "C": ["first"] * 2}
    replacements_of(root).decide(new_id(), {"A": []})
    assert writers_of(root) == {"A": [], "B": ["second"] * 2, "C": ["first"] * 2}


def test_a_writer_that_looked_before_another_replaced_the_folder_replaces_what_the_other_wrote(root: str) -> None:
    """Both have computed their rows from the same old ones: those of the second do not join those of the first."""
    one, other = write(root, "one"), write(root, "other")
    replacements_of(root).decide(one, come("one"))
    replacements_of(root).decide(other, come("other"))
    assert writers_of(root) == dict.fromkeys(FOLDERS, ["other"] * 2)


def test_files_that_are_named_go_and_others_stay(root: str) -> None:
    replace(root, "old")
    replacement = write(root, "new", ("A",), files=1)
    go = {"A": ["old-0.parquet"], "B": ["old-0.parquet", "old-1.parquet"]}
    replacements_of(root).decide(replacement, {"A": ["new-0.parquet"], "B": []}, go)
    assert writers_of(root) == {"A": ["new", "old"], "B": [], "C": ["old"] * 2}


def test_files_made_of_an_old_state_replace_nothing(root: str) -> None:
    """Somebody takes rows out of a file, and meanwhile the folder is computed anew."""
    replace(root, "old")
    replacement = write(root, "part", ("A",), files=1)
    replace(root, "new", ("A",))
    with pytest.raises(TableChangedError, match="was changed while it was read"):
        replacements_of(root).decide(replacement, {"A": ["part-0.parquet"]}, {"A": ["old-0.parquet"]})
    assert writers_of(root) == {"A": ["new"] * 2, "B": ["old"] * 2, "C": ["old"] * 2}


def test_of_writers_that_decide_at_once_each_folder_has_one_and_readers_see_one(root: str) -> None:
    writers, rounds = 4, 3
    together, ended, seen = threading.Barrier(writers + 1), threading.Event(), []

    def writing(writer: int) -> None:
        randomly = random.Random(writer)  # noqa: S311
        together.wait()
        for number in range(rounds):
            replace(root, f"w{writer}n{number}", tuple(randomly.sample(FOLDERS, randomly.randint(1, 3))))

    def reading() -> None:
        together.wait()
        while not ended.is_set():
            try:
                seen.append(replacements_of(root).unchanged(lambda: writers_of(root)))
            except TableChangedError:
                continue  # Busy all the time, and said so.

    replace(root, "before")
    with ThreadPoolExecutor(writers + 1) as pool:
        reader = pool.submit(reading)
        try:
            for one in [pool.submit(writing, writer) for writer in range(writers)]:
                one.result()
        finally:
            ended.set()
        reader.result()
    for found in [*seen, writers_of(root)]:
        assert all(len(names) == 2 and len(set(names)) == 1 for names in found.values()), found
    left = [info.path for info in storage.list_files(f"{root}/_replacing", recursive=True)]
    assert not [path for path in left if path.endswith((".parquet", ".json"))]


@pytest.mark.parametrize("at", range(12))
def test_a_process_that_dies_at_any_file_leaves_the_old_rows_or_the_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    root = str(tmp_path / "table")
    replace(root, "old")
    replacement = write(root, "new")
    with monkeypatch.context() as dying:
        dies_at(dying, at)
        try:
            replacements_of(root).decide(replacement, come("new"))
            survived = True
        except Killed:
            survived = False
    found = replacements_of(root).unchanged(lambda: writers_of(root))
    (writers,) = {tuple(names) for names in found.values()}
    assert writers in [("new", "new"), *([] if survived else [("old", "old")])]
    replace(root, "next")
    assert writers_of(root) == dict.fromkeys(FOLDERS, ["next"] * 2)


class Killed(BaseException):
    """The end of a process, at a call of the file system."""


def dies_at(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Has the so many-th change of a file, and all after it, not happen."""
    left = [at]

    def dying(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return function(*arguments)

        return call

    for name in ("write_new", "_move_file", "delete_files", "delete_directory", "write_bytes"):
        monkeypatch.setattr(storage, name, dying(getattr(storage, name)))


def test_a_process_that_was_asleep_in_the_middle_deletes_nothing_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(tmp_path / "table")
    replace(root, "old")
    replacement = write(root, "sleeper")
    move, asleep = storage._move_file, list[str]()

    def move_then_sleep(source: str, target: str, name: str) -> None:
        move(source, target, name)
        if not asleep:
            asleep.append(name)
            # Meanwhile others finish its work, and replace the rows again.
            replace(root, "newer")
            replace(root, "newest")

    monkeypatch.setattr(storage, "_move_file", move_then_sleep)
    replacements_of(root).decide(replacement, come("sleeper"))
    assert writers_of(root) == dict.fromkeys(FOLDERS, ["newest"] * 2)
    assert not replacements_of(root).progress().under_way


def test_a_note_of_a_number_that_was_used_before_counts_for_nothing(root: str) -> None:
    for writer in ("1", "2", "3"):
        replace(root, writer)
    stale = {"id": write(root, "stale"), "folders": come("stale")}
    storage.write_new(f"{root}/_replacing/000000000002.json", json.dumps(stale).encode())
    assert replacements_of(root).settled().number == 3
    assert writers_of(root) == dict.fromkeys(FOLDERS, ["3"] * 2)
    replace(root, "4")
    assert writers_of(root) == dict.fromkeys(FOLDERS, ["4"] * 2)


def test_a_note_that_comes_too_late_just_where_another_is_read_counts_for_nothing(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(root, "old")
    place, read, awake = f"{root}/_replacing/000000000002.json", storage.read_bytes, [True]
    notes = [{"id": write(root, writer), "folders": come(writer)} for writer in ("new", "late")]
    storage.write_new(place, json.dumps(notes[0]).encode())

    def sleep_then_read(location: str) -> bytes:
        if awake:
            awake.clear()
            replacements_of(root).settled()
            storage.write_new(place, json.dumps(notes[1]).encode())
        return read(location)

    monkeypatch.setattr(storage, "read_bytes", sleep_then_read)
    replacements_of(root).settled()
    assert writers_of(root) == dict.fromkeys(FOLDERS, ["new"] * 2)


def test_few_marks_are_kept_however_many_replacements_there_are(tmp_path: Path) -> None:
    for number in range(7):
        replace(str(tmp_path), str(number))
    marks = sorted(one.name for one in (tmp_path / "_replacing").glob("*.done"))
    assert [int(name[:12]) for name in marks] == [5, 6, 7]


def test_of_processes_that_write_a_new_file_at_once_one_succeeds(root: str) -> None:
    def write_new(number: int) -> bool:
        try:
            storage.write_new(f"{root}/new", str(number).encode())
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        succeeded = list(pool.map(write_new, range(16)))
    assert succeeded.count(True) == 1
    assert storage.read_bytes(f"{root}/new") == str(succeeded.index(True)).encode()


def test_progress_is_told_by_names() -> None:
    id_ = "ab" * 16
    assert Progress.of_names([]) == Progress()
    assert Progress.of_names(["000000000003.json", ".lock", "other"]) == Progress(3, True)
    done = ["000000000003.json", f"000000000003-{id_}.done"]
    assert Progress.of_names(done) == Progress(3, False, frozenset([id_]))
    assert Progress.of_names([*done, "000000000004.json"]).under_way


def test_a_table_that_is_replaced_all_the_time_is_told_in_a_sentence(tmp_path: Path) -> None:
    root = str(tmp_path / "table")
    with pytest.raises(FruitsError, match="is being written by other runs"):
        replacements_of(root).unchanged(lambda: replace(root, "again", ("A",)))


def test_files_that_were_deleted_while_their_writer_slept_leave_the_old_rows_and_stand_in_nobodys_way(
    root: str,
) -> None:
    replace(root, "old")
    replacement = write(root, "sleeper")
    storage.delete_files(f"{root}/_replacing/{replacement}/folder=B", ["sleeper-0.parquet"])
    with pytest.raises(FruitsError, match=r"were deleted before they were in place.*Run again"):
        replacements_of(root).decide(replacement, come("sleeper"))
    assert replacements_of(root).unchanged(lambda: writers_of(root)) == dict.fromkeys(FOLDERS, ["old"] * 2)
    replace(root, "next")
    assert writers_of(root) == dict.fromkeys(FOLDERS, ["next"] * 2)


def note_of_lost_files(root: str, writer: str) -> None:
    """Decides a replacement of which one file has been deleted, and another is in place already."""
    number, replacement = replacements_of(root).progress().number + 1, write(root, writer)
    storage.move_files(f"{root}/_replacing/{replacement}/folder=A", f"{root}/folder=A", [f"{writer}-0.parquet"])
    storage.delete_files(f"{root}/_replacing/{replacement}/folder=B", [f"{writer}-1.parquet"])
    note = {"id": replacement, "folders": come(writer)}
    storage.write_new(f"{root}/_replacing/{number:012}.json", json.dumps(note).encode())


def left_beside(root: str) -> list[str]:
    """Returns what lies beside a table's rows, and is no mark of an end."""
    infos = storage.list_files(f"{root}/_replacing", recursive=True)
    return [info.base_name for info in infos if info.extension not in ("done", "void", "lock")]


def test_a_note_that_names_lost_files_is_void_and_whoever_comes_next_reads_the_old_rows(root: str) -> None:
    replace(root, "old", ("A", "B"))
    note_of_lost_files(root, "lost")
    expected = {"A": ["old"] * 2, "B": ["old"] * 2, "C": []}
    assert replacements_of(root).unchanged(lambda: writers_of(root)) == expected
    assert left_beside(root) == []
    assert sorted(storage.list_directories(root)) == ["_replacing", "folder=A", "folder=B"]
    replace(root, "next")
    assert writers_of(root) == dict.fromkeys(FOLDERS, ["next"] * 2)


@pytest.mark.parametrize("later", [0, 1, 5])
def test_a_writer_whose_files_go_after_its_note_is_told_however_long_it_sleeps(
    root: str, later: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(root, "old")
    replacement = write(root, "sleeper")

    def meanwhile() -> None:
        storage.delete_files(f"{root}/_replacing/{replacement}/folder=B", ["sleeper-0.parquet"])
        for number in range(later):
            replace(root, f"later{number}", ("A",))

    sleeps_after_its_note(monkeypatch, meanwhile)
    with pytest.raises(FruitsError, match=r"were deleted before they were in place.*old rows are kept\. Run again"):
        replacements_of(root).decide(replacement, come("sleeper"))
    assert writers_of(root) == {
        "A": [f"later{later - 1}" if later else "old"] * 2,
        "B": ["old"] * 2,
        "C": ["old"] * 2,
    }


def test_a_writer_that_cannot_tell_any_more_whether_its_rows_were_written_says_so(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile() -> None:
        for number in range(5):
            replace(root, f"later{number}")

    sleeps_after_its_note(monkeypatch, meanwhile)
    with pytest.raises(FruitsError, match=r"nobody can tell any more .* Run again"):
        replace(root, "sleeper")
    assert writers_of(root) == dict.fromkeys(FOLDERS, ["later4"] * 2)
    assert left_beside(root) == []


def sleeps_after_its_note(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None]) -> None:
    """Has the first process that decides sleep just then, while others do something."""
    write_new, awake = storage.write_new, [True]

    def write_then_sleep(location: str, data: bytes) -> None:
        write_new(location, data)
        if awake and location.endswith(".json"):
            awake.clear()
            meanwhile()

    monkeypatch.setattr(storage, "write_new", write_then_sleep)


@pytest.mark.parametrize("at", range(16))
def test_a_process_that_dies_while_it_takes_a_void_replacement_back_leaves_the_old_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    root = str(tmp_path / "table")
    replace(root, "old")
    note_of_lost_files(root, "lost")
    with monkeypatch.context() as dying, suppress(Killed):
        dies_at(dying, at)
        replacements_of(root).settled()
    assert replacements_of(root).unchanged(lambda: writers_of(root)) == dict.fromkeys(FOLDERS, ["old"] * 2)
    replace(root, "next")
    assert writers_of(root) == dict.fromkeys(FOLDERS, ["next"] * 2)


@pytest.mark.parametrize("at", ["delete_directory", "delete_files", "write_bytes", "write_new"])
def test_a_process_that_was_asleep_while_it_took_a_void_replacement_back_takes_nothing_newer(
    root: str, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    replace(root, "old")
    note_of_lost_files(root, "lost")
    function, awake = getattr(storage, at), [True]

    def sleep_then(*arguments: object) -> object:
        # A verdict is written under a lock, which a process that sleeps keeps from the others, in one piece.
        if awake and (at, Path(str(arguments[0])).suffix) != ("write_bytes", ".verdict"):
            awake.clear()
            replace(root, "newer")
            replace(root, "newest", ("A",))
        return function(*arguments)

    monkeypatch.setattr(storage, at, sleep_then)
    replacements_of(root).settled()
    assert writers_of(root) == {"A": ["newest"] * 2, "B": ["newer"] * 2, "C": ["newer"] * 2}
    replace(root, "next")
    assert writers_of(root) == dict.fromkeys(FOLDERS, ["next"] * 2)


@pytest.mark.parametrize("lost", [True, False])
def test_of_processes_that_meet_a_note_at_once_all_come_to_the_same_end(root: str, lost: bool) -> None:
    """Moves by one must not look to another as if files were lost, nor the other way round."""
    replace(root, "0")
    for number in range(1, 6):
        before = writers_of(root)
        if lost:
            note_of_lost_files(root, str(number))
        else:
            note = {"id": write(root, str(number)), "folders": come(str(number))}
            storage.write_new(f"{root}/_replacing/{number + 1:012}.json", json.dumps(note).encode())
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: replacements_of(root).settled(), range(4)))
        assert writers_of(root) == (before if lost else dict.fromkeys(FOLDERS, [str(number)] * 2))
