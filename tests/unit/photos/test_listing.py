"""Finding and fetching: one row for each photo there is, whatever it is called."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spark_steps.errors import FruitsError
from spark_steps.photos.listing import (
    find_photos,
    list_image_folders,
)
from spark_steps.photos.names import is_photo
from tests.support.names import HOSTILE_FOLDERS, HOSTILE_NAMES, write_hostile
from tests.support.photos import save_photo

MAX_BYTES = 1 << 20


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    return write_hostile(tmp_path)


def test_the_folders_that_hold_photos_are_listed_with_their_counts(hostile: Path) -> None:
    save_photo(hostile / "at the root.jpg")
    save_photo(hostile / ".thumbnails" / "hidden.jpg")
    (hostile / "empty").mkdir()
    found = list_image_folders(str(hostile))
    assert found.photos == dict.fromkeys(sorted(HOSTILE_FOLDERS), len(HOSTILE_NAMES))
    assert found.root_photos == 1


def test_a_root_that_does_not_exist_or_is_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FruitsError, match="does not exist"):
        list_image_folders(str(tmp_path / "nowhere"))
    with pytest.raises(FruitsError, match="is a file"):
        list_image_folders(str(save_photo(tmp_path / "a.jpg")))


@contextmanager
def unreadable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes a folder unreadable; root may read everything, so its calls are refused here."""
    folder.chmod(0)
    if os.access(folder, os.R_OK):
        scandir = os.scandir

        def refusing(path: str) -> object:
            if Path(path) == folder:
                raise PermissionError(13, "Permission denied", path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refusing)
    yield
    folder.chmod(0o700)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jpg", True),
        ("a.JFIF", True),
        ("a.jpe", True),
        ("a.jpg_large", True),
        ("a.mpo", True),
        ("a.HEIC", True),
        ("a.avif", True),
        ("a.jxl", False),
        ("a.JPeG", True),
        ("a.b.tiff", True),
        (".a.jpg", False),
        ("a.txt", False),
        ("jpg", False),
    ],
)
def test_a_photo_is_known_by_its_extension(name: str, expected: bool) -> None:
    assert is_photo(name) is expected


@pytest.mark.parametrize(
    "name", ["lost+found", "System Volume Information", "$RECYCLE.BIN", "@eaDir", ".snapshot", "__MACOSX"]
)
def test_a_folder_that_a_system_made_is_passed_over_unseen_and_named(name: str, tmp_path: Path) -> None:
    save_photo(tmp_path / "Fig" / "1.jpg")
    for folder in (tmp_path / name, tmp_path / "Fig" / name):
        save_photo(folder / "1.jpg" / "thumbnail.jpg")
    found = list_image_folders(str(tmp_path))
    assert found.photos == {"Fig": 1}
    assert found.passed_over.system_folders == tuple(sorted([f"Fig/{name}", name]))
    assert list(found.passed_over.sentences(found.contents)) == [
        f"warning: {name!r} (2 times) not processed: folders that are hidden or a system's own"
    ]


def test_a_folder_that_cannot_be_listed_is_an_error_where_it_is_asked_for_and_else_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_photo(tmp_path / "Fig" / "1.jpg")
    save_photo(tmp_path / "Locked" / "Plum" / "1.jpg")
    with unreadable(tmp_path / "Locked", monkeypatch):
        for patterns in (["*"], ["Fig", "Locked/Plum"]):
            with pytest.raises(
                FruitsError, match=r"/Locked cannot be listed: Permission denied\. Check its permissions"
            ):
                list_image_folders(str(tmp_path), patterns)
        found = list_image_folders(str(tmp_path), ["Fig"])
        with pytest.raises(FruitsError, match=r"/Locked cannot be listed: Permission denied"):
            find_photos(str(tmp_path), ["Locked"], MAX_BYTES)
    assert found.photos == {"Fig": 1}
    assert found.unreadable == {"Locked": "Permission denied"}
    assert found.unseen(["Fig", "Locked/Plum", "Lockedness"]) == {"Locked/Plum"}
