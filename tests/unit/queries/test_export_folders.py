"""An export that is a folder is there when it is complete, and never in place of somebody's own files."""

import os
from pathlib import Path

import pytest

from spark_steps.errors import FruitsError
from spark_steps.queries.exports.target import whole_folder_or_none

NAMES = {"data"}


def write(target: Path, content: str = "export", *, force: bool = False) -> None:
    with whole_folder_or_none(target, force, NAMES) as folder:
        (folder / "data").write_text(content)


def below(directory: Path) -> dict[str, str]:
    return {str(file.relative_to(directory)): file.read_text() for file in directory.rglob("*") if file.is_file()}


def test_a_new_folder_is_made_with_those_above_it_and_an_empty_one_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b")
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty")
    assert below(tmp_path) == {"a/b/data": "export", "empty/data": "export"}
    assert {one.name for one in tmp_path.iterdir()} == {"a", "empty"}


def test_an_earlier_export_is_replaced_only_by_force_and_through_a_link(tmp_path: Path) -> None:
    write(tmp_path / "folder", "first")
    (tmp_path / "link").symlink_to("folder")
    with pytest.raises(FruitsError, match=r"is there already\. Give another name, or --force"):
        write(tmp_path / "link", "second")
    assert below(tmp_path / "folder") == {"data": "first"}
    write(tmp_path / "link", "second", force=True)
    assert (tmp_path / "link").is_symlink()
    assert below(tmp_path / "folder") == {"data": "second"}
    assert {one.name for one in tmp_path.iterdir()} == {"folder", "link"}


def test_a_folder_with_other_files_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("precious")
    for force in (False, True):
        with pytest.raises(FruitsError, match=r"other things than an export, such as 'thesis.txt', and is never") as no:
            write(tmp_path / "home", force=force)
        assert "--force" not in str(no.value)
    assert below(tmp_path) == {"home/thesis.txt": "precious"}


@pytest.mark.parametrize("target", ["-", "/dev/stdout", "/dev/null", "file", "pipe"])
def test_what_is_no_folder_is_refused(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("theirs")
    os.mkfifo("pipe")
    with pytest.raises(FruitsError, match=r"is no folder, and this export is one\. Give the name of a folder"):
        write(Path(target), force=True)
    assert Path("file").read_text() == "theirs"


@pytest.mark.parametrize("problem", [ValueError("halfway"), KeyboardInterrupt()])
@pytest.mark.parametrize("there", [False, True])
def test_an_export_that_fails_or_is_interrupted_leaves_all_as_it_was(
    tmp_path: Path, problem: BaseException, there: bool
) -> None:
    if there:
        write(tmp_path / "folder", "first")

    def fails() -> None:
        with whole_folder_or_none(tmp_path / "folder", True, NAMES) as folder:
            (folder / "data").write_text("half")
            raise problem

    with pytest.raises(type(problem)):
        fails()
    assert below(tmp_path) == ({"folder/data": "first"} if there else {})
    assert [one.name for one in tmp_path.iterdir()] == (["folder"] if there else [])


def test_a_folder_that_cannot_be_put_in_its_place_leaves_the_former_one(tmp_path: Path) -> None:
    write(tmp_path / "folder", "first")

    def loses_what_it_wrote() -> None:
        with whole_folder_or_none(tmp_path / "folder", True, NAMES) as folder:
            folder.rmdir()

    with pytest.raises(FruitsError, match="cannot be written"):
        loses_what_it_wrote()
    assert below(tmp_path) == {"folder/data": "first"}
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


def test_a_place_that_cannot_be_written_is_named() -> None:
    with pytest.raises(FruitsError, match=r"/proc/folder cannot be written"):
        write(Path("/proc/folder"))
