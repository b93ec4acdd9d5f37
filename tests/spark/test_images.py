"""Finding and fetching: one row for each photo there is, whatever it is called."""

import os
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_steps.errors import FruitsError, UnusablePhotoError
from spark_steps.photos.fetching import fetch
from spark_steps.photos.limits import FetchLimits
from spark_steps.photos.listing import (
    ImageFolders,
    find_photos,
    hidden_from_spark,
    is_photo,
    list_image_folders,
    listing_roots,
)
from tests.support.names import HOSTILE_FOLDERS, HOSTILE_NAMES
from tests.support.photos import save_photo

MAX_BYTES = 1 << 20


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    for folder in HOSTILE_FOLDERS:
        for name in HOSTILE_NAMES:
            file = tmp_path / folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"photo")
    return tmp_path


def rows_of(spark: SparkSession, images: Path, *folders: str) -> list[tuple[str, str, str]]:
    found = find_photos(spark, str(images), folders, MAX_BYTES).rows
    return sorted((folder, row["label"], row["path"]) for folder, rows in found.items() for row in rows.to_pylist())


def test_photos_with_hostile_names_are_found_once_each_in_the_right_folder(spark: SparkSession, hostile: Path) -> None:
    expected = sorted(
        (folder, folder.rsplit("/", 1)[-1], f"{folder}/{name}") for folder in HOSTILE_FOLDERS for name in HOSTILE_NAMES
    )
    assert rows_of(spark, hostile, *HOSTILE_FOLDERS) == expected


@pytest.mark.parametrize("folder", ["Training", "Training/Sub one", "br[1]ackets", "_under", "a%20b"])
def test_one_folder_alone_has_its_own_photos_and_no_others(spark: SparkSession, hostile: Path, folder: str) -> None:
    assert [path for _, _, path in rows_of(spark, hostile, folder)] == sorted(
        f"{folder}/{name}" for name in HOSTILE_NAMES
    )


def test_the_folders_that_hold_photos_are_listed_with_their_counts(hostile: Path) -> None:
    save_photo(hostile / "at the root.jpg")
    save_photo(hostile / ".thumbnails" / "hidden.jpg")
    (hostile / "empty").mkdir()
    found = list_image_folders(str(hostile))
    assert found.photos == dict.fromkeys(sorted(HOSTILE_FOLDERS), len(HOSTILE_NAMES))
    assert found.root_photos == 1


def test_a_row_tells_length_and_time_and_what_the_listing_thinks(spark: SparkSession, tmp_path: Path) -> None:
    good = save_photo(tmp_path / "Apple" / "good.jpg")
    (tmp_path / "Apple" / "empty.jpg").touch()
    (tmp_path / "Apple" / "large.jpg").write_bytes(bytes(MAX_BYTES + 1))
    os.utime(good, (1_700_000_000, 1_700_000_000))
    found = find_photos(spark, str(tmp_path), ["Apple"], MAX_BYTES).rows["Apple"]
    rows = {Path(row["path"]).name: row for row in found.to_pylist()}
    assert rows["good.jpg"]["length"] == good.stat().st_size
    assert rows["good.jpg"]["modification_time"].timestamp() == 1_700_000_000
    assert rows["good.jpg"]["error"] is None
    assert rows["empty.jpg"]["error"].startswith("empty:")
    assert rows["large.jpg"]["error"] == f"too large: {MAX_BYTES + 1} bytes, and at most {MAX_BYTES} are read"


def test_files_that_are_no_photos_are_named_and_have_no_row(spark: SparkSession, tmp_path: Path) -> None:
    save_photo(tmp_path / "Apple" / "1.jpg")
    for name in ("notes.txt", ".DS_Store", "._1.jpg", "jpg", "_notes.md"):
        (tmp_path / "Apple" / name).write_text("x")
    found = find_photos(spark, str(tmp_path), ["Apple"], MAX_BYTES)
    assert found.rows["Apple"].num_rows == 1
    assert found.others == {"Apple": [".DS_Store", "._1.jpg", "_notes.md", "jpg", "notes.txt"]}


def test_a_folder_that_is_gone_is_named_with_the_remedy(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(FruitsError, match=r"'Pear'.*sync_image_folders"):
        find_photos(spark, str(tmp_path), ["Pear"], MAX_BYTES)


def test_a_root_that_does_not_exist_or_is_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FruitsError, match="does not exist"):
        list_image_folders(str(tmp_path / "nowhere"))
    with pytest.raises(FruitsError, match="is a file"):
        list_image_folders(str(save_photo(tmp_path / "a.jpg")))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.jpg", True), ("a.JPeG", True), ("a.b.tiff", True), (".a.jpg", False), ("a.txt", False), ("jpg", False)],
)
def test_a_photo_is_known_by_its_extension(name: str, expected: bool) -> None:
    assert is_photo(name) is expected


def test_a_folder_below_another_is_reached_from_it_unless_spark_hides_it() -> None:
    assert listing_roots(["A", "A/B", "A/B/C", "A/_D", "A/_D/E", "F/G"]) == ["A", "A/_D", "F/G"]


def test_spark_hides_underscores_and_dots_but_not_partition_directories() -> None:
    assert hidden_from_spark("_DSC1.JPG")
    assert hidden_from_spark(".x")
    assert not hidden_from_spark("_a=b")
    assert not hidden_from_spark("a_b.jpg")


@pytest.mark.parametrize("ahead", [1, 4, 16, 256])
def test_photos_are_fetched_in_their_order_and_a_vanished_one_says_so(tmp_path: Path, ahead: int) -> None:
    for number in range(30):
        (tmp_path / f"{number}.jpg").write_bytes(b"%d" % number)
    (tmp_path / "7.jpg").unlink()
    contents = list(fetch(((str(tmp_path / f"{n}.jpg"), 2) for n in range(30)), FetchLimits(photos=ahead)))
    assert isinstance(contents[7], UnusablePhotoError)
    assert contents[7].reason == "vanished"
    assert [c for n, c in enumerate(contents) if n != 7] == [b"%d" % n for n in range(30) if n != 7]


def test_no_more_is_read_ahead_than_the_limits_allow(tmp_path: Path) -> None:
    asked: list[int] = []

    def photos() -> object:
        for number in range(20):
            asked.append(number)
            yield str(tmp_path / f"{number}.jpg"), 400

    for number in range(20):
        (tmp_path / f"{number}.jpg").write_bytes(b"x" * 400)
    contents = fetch(photos(), FetchLimits(photos=8, total_bytes=1000))  # type: ignore[arg-type]
    next(contents)
    # Two fit into 1000 bytes; the third has been asked for, and waits for room.
    assert asked == [0, 1, 2]


def test_a_photo_that_has_grown_above_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x" * 100)
    (content,) = fetch([(str(tmp_path / "a.jpg"), 5)], FetchLimits(max_bytes=99))
    assert isinstance(content, UnusablePhotoError)
    assert content.reason == "too large"


def passed_over_in(images: Path, *files: str) -> ImageFolders:
    save_photo(images / "Fig" / "1.jpg")
    for name in files:
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(b"no photo")
    return list_image_folders(str(images))


def test_files_that_are_no_photos_are_counted_by_their_endings(tmp_path: Path) -> None:
    found = passed_over_in(
        tmp_path,
        "Fig/1.HEIC",
        "Fig/2.heic",
        "Fig/notes.txt",
        "README",
        "Fig/v1.2 (final)",
        ".DS_Store",
        "Fig/Thumbs.db",
    )
    assert found.passed_over.endings == {".heic": 2, "without an ending": 2, ".txt": 1}
    assert list(found.passed_over.sentences(found.contents)) == [
        "5 files are no photos that can be read: 2 .heic, 2 without an ending, 1 .txt; docs/formats.md says how to "
        "convert photos"
    ]


def test_a_folder_with_photos_of_other_formats_alone_is_named_with_the_remedy(tmp_path: Path) -> None:
    found = passed_over_in(tmp_path, "Kiwi/1.heic", "Kiwi/2.heic", "Kiwi/list.txt", "Fig/1.heic", "papers/a.pdf")
    assert "Kiwi" not in found.contents
    _, warning = found.passed_over.sentences(found.contents)
    assert warning == "warning: no photo can be read in 'Kiwi' (2 .heic, 1 .txt): save the photos as JPEG"


def test_files_of_hidden_folders_are_not_counted_and_nothing_is_said_of_nothing(tmp_path: Path) -> None:
    found = passed_over_in(tmp_path, ".git/config", "Fig/.hidden/notes.txt")
    assert found.passed_over.endings == {}
    assert list(found.passed_over.sentences(found.contents)) == []


def test_many_endings_and_many_folders_are_summed_up(tmp_path: Path) -> None:
    found = passed_over_in(tmp_path, *(f"f{n}/1.heic" for n in range(7)), *(f"Fig/x.e{n}" for n in range(7)))
    told, warning = found.passed_over.sentences(found.contents)
    assert told.startswith("14 files are no photos that can be read: 7 .heic, ")
    assert told.endswith(", 2 with others; docs/formats.md says how to convert photos")
    assert "'f4' (1 .heic) and 2 more folders: " in warning
