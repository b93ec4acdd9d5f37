"""Finding photos with Spark: one row for each there is, whatever it is called."""

import os
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_steps.errors import FruitsError
from spark_steps.photos.listing import find_photos
from tests.support.names import HOSTILE_FOLDERS, HOSTILE_NAMES, write_hostile
from tests.support.photos import save_photo

MAX_BYTES = 1 << 20


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    return write_hostile(tmp_path)


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
