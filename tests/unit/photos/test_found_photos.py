"""Finding photos: one row for each there is, whatever it is called, whatever it is, and whenever it was changed."""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spark_steps.errors import FruitsError
from spark_steps.photos.listing import _may_match, count_photos, find_photos, list_image_folders
from spark_steps.storage import locations
from tests.support.names import HOSTILE_FOLDERS, HOSTILE_NAMES, write_hostile
from tests.support.photos import save_photo

MAX_BYTES = 1 << 20


DATETIME_MIN, DATETIME_MAX = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: file systems on disks have times of a few centuries only."""
    memory = Path("/dev/shm")  # noqa: S108
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as made:
        yield Path(made)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    return write_hostile(tmp_path)


def rows_of(images: Path, *folders: str) -> list[tuple[str, str, str]]:
    found = find_photos(str(images), folders, MAX_BYTES).rows
    return sorted((folder, row["label"], row["path"]) for folder, rows in found.items() for row in rows.to_pylist())


def test_photos_with_hostile_names_are_found_once_each_in_the_right_folder(hostile: Path) -> None:
    expected = sorted(
        (folder, folder.rsplit("/", 1)[-1], f"{folder}/{name}") for folder in HOSTILE_FOLDERS for name in HOSTILE_NAMES
    )
    assert rows_of(hostile, *HOSTILE_FOLDERS) == expected


@pytest.mark.parametrize("folder", ["Training", "Training/Sub one", "br[1]ackets", "_under", "a%20b"])
def test_one_folder_alone_has_its_own_photos_and_no_others(hostile: Path, folder: str) -> None:
    assert [path for _, _, path in rows_of(hostile, folder)] == sorted(f"{folder}/{name}" for name in HOSTILE_NAMES)


def test_a_row_tells_length_and_time_and_what_the_listing_thinks(tmp_path: Path) -> None:
    good = save_photo(tmp_path / "Apple" / "good.jpg")
    (tmp_path / "Apple" / "empty.jpg").touch()
    (tmp_path / "Apple" / "large.jpg").write_bytes(bytes(MAX_BYTES + 1))
    os.utime(good, (1_700_000_000, 1_700_000_000))
    found = find_photos(str(tmp_path), ["Apple"], MAX_BYTES).rows["Apple"]
    rows = {Path(row["path"]).name: row for row in found.to_pylist()}
    assert rows["good.jpg"]["length"] == good.stat().st_size
    assert rows["good.jpg"]["modification_time"].timestamp() == 1_700_000_000
    assert rows["good.jpg"]["error"] is None
    assert rows["empty.jpg"]["error"].startswith("empty:")
    assert rows["large.jpg"]["error"] == f"too large: {MAX_BYTES + 1} bytes, and at most {MAX_BYTES} are read"


def test_files_that_are_no_photos_are_named_and_have_no_row(tmp_path: Path) -> None:
    save_photo(tmp_path / "Apple" / "1.jpg")
    for name in ("notes.txt", ".DS_Store", "._1.jpg", "jpg", "_notes.md"):
        (tmp_path / "Apple" / name).write_text("x")
    Path(os.fsdecode(bytes(tmp_path / "Apple") + b"/caf\xe9.txt")).write_text("x")
    found = find_photos(str(tmp_path), ["Apple"], MAX_BYTES)
    assert found.rows["Apple"].num_rows == 1
    assert found.others == {"Apple": [".DS_Store", "._1.jpg", "_notes.md", "caf\\xe9.txt", "jpg", "notes.txt"]}


@pytest.mark.parametrize(
    "moment",
    [
        "0001-01-01T00:00:00",
        "1601-01-01T00:00:00",
        "1676-12-31T23:59:59.999",
        "1969-12-31T23:59:59.001",
        "2300-01-01T00:00:00.123",
        "9999-12-31T23:59:59",
    ],
)
@pytest.mark.parametrize("name", ["1.jpg", "_x.jpg", "~1.jpg"])
def test_a_row_has_the_time_of_its_photo_however_long_ago_or_far_ahead(name: str, moment: str, images: Path) -> None:
    milliseconds = round((datetime.fromisoformat(moment) - datetime(1970, 1, 1)) / timedelta(milliseconds=1))
    photo = save_photo(images / "Apple" / name)
    os.utime(photo, ns=(0, milliseconds * 1_000_000 + 999_999))
    if photo.stat().st_mtime_ns // 1_000_000 != milliseconds:
        pytest.skip("this file system has no such times")
    row = find_photos(str(images), ["Apple"], MAX_BYTES).rows["Apple"].to_pylist()[0]
    assert row["modification_time"].replace(tzinfo=None) == datetime.fromisoformat(moment)
    assert row["error"] is None
    assert list_image_folders(str(images)).contents["Apple"].newest == max(0, milliseconds)


@pytest.mark.parametrize("seconds", [910_692_720_000, -70_000_000_000])
def test_a_time_that_no_calendar_of_a_reader_has_is_the_error_of_its_row(seconds: int, images: Path) -> None:
    photo = save_photo(images / "Apple" / "1.jpg")
    os.utime(photo, (0, seconds))
    if photo.stat().st_mtime != seconds:
        pytest.skip("this file system has no such times")
    row = find_photos(str(images), ["Apple"], MAX_BYTES).rows["Apple"].to_pylist()[0]
    assert row["modification_time"] is None
    assert row["error"].startswith("unreadable: its modification time lies outside of the years 1 to 9999")
    assert locations.modified(str(photo)) in (DATETIME_MAX, DATETIME_MIN)


def test_what_is_no_file_has_a_row_with_its_reason_and_is_not_waited_for(images: Path) -> None:
    apple = images / "Apple"
    save_photo(apple / "good.jpg")
    save_photo(apple / "folder with photos.jpg" / "1.jpg")
    (apple / "folder.jpg").mkdir()
    os.mkfifo(apple / "pipe.jpg")
    (apple / "gone.jpg").symlink_to(images / "nowhere")
    (apple / "itself.jpg").symlink_to("itself.jpg")
    (apple / "device.jpg").symlink_to("/dev/zero")
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        # A path of a socket has 108 characters at most.
        descriptor = os.open(apple, os.O_RDONLY)
        listening.bind(f"/proc/self/fd/{descriptor}/socket.jpg")
        os.close(descriptor)
    found = find_photos(str(images), ["Apple"], MAX_BYTES).rows["Apple"]
    errors = {Path(row["path"]).name: row["error"] for row in found.to_pylist()}
    assert errors == {
        "good.jpg": None,
        "folder.jpg": "unreadable: it is a folder, not a file",
        "pipe.jpg": "unreadable: it is a pipe, not a file",
        "socket.jpg": "unreadable: it is a socket, not a file",
        "device.jpg": "unreadable: it is a device, not a file",
        "gone.jpg": "unreadable: the link leads nowhere (No such file or directory)",
        "itself.jpg": "unreadable: the link leads nowhere (Too many levels of symbolic links)",
    }
    listed = list_image_folders(str(images)).photos
    assert listed == {"Apple": len(errors), "Apple/folder with photos.jpg": 1}
    assert count_photos(str(images), listed) == listed


def test_a_folder_that_is_gone_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FruitsError, match=r"'Pear'.*sync_image_folders"):
        find_photos(str(tmp_path), ["Pear"], MAX_BYTES)


def test_folders_that_are_called_like_photos_are_listed_once_at_any_depth(images: Path) -> None:
    save_photo(images / "/".join(["x.jpg"] * 40) / "1.png")
    assert list_image_folders(str(images)).photos == {"/".join(["x.jpg"] * 40): 1}


def test_links_to_the_folder_that_they_lie_in_are_told_though_they_are_called_like_photos(images: Path) -> None:
    save_photo(images / "Apple" / "1.png")
    for name in ("p.jpg", "q.jpg"):
        (images / "Apple" / name).symlink_to(".")
    with pytest.raises(FruitsError, match="is a link to a folder that it lies in"):
        list_image_folders(str(images))


@pytest.mark.parametrize("label", ["Recycled", "recycler", "Temporary Items"])
def test_a_label_that_was_once_a_folder_of_windows_is_a_label(images: Path, label: str) -> None:
    save_photo(images / label / "1.png")
    assert list_image_folders(str(images)).photos == {label: 1}


@pytest.mark.parametrize("pattern", ["*", "Fr*", "*Apple", "Fruit/A*", "F?uit*", "Fruit/deep/Apple"])
def test_a_folder_that_cannot_be_listed_may_hold_what_a_pattern_asks_for(pattern: str) -> None:
    assert _may_match("Fruit", pattern)


@pytest.mark.parametrize("pattern", ["Apple", "Apple*", "Fruits/*", "A*Fruit"])
def test_a_folder_that_cannot_be_listed_does_not_hold_what_lies_elsewhere(pattern: str) -> None:
    assert not _may_match("Fruit", pattern)
