"""Photos and stores in S3: as a folder on this machine, with names as hostile, by pyarrow and by Spark."""

from pathlib import Path

import pytest
from pyarrow import fs

from fruits_assets.instance.home import ensure_dagster_home, last_store
from spark_steps.errors import FruitsError, UnusablePhotoError
from spark_steps.photos.fetching import fetch
from spark_steps.photos.limits import FetchLimits
from spark_steps.photos.listing import count_photos, find_photos, list_image_folders
from spark_steps.storage import locations
from spark_steps.storage import s3_client as s3_module
from tests.support.aws.s3_server import S3
from tests.support.names import HOSTILE_FOLDERS, HOSTILE_NAMES

# moto takes no line feed in a key.
NAMES = [name for name in HOSTILE_NAMES if "\n" not in name]


@pytest.fixture
def hostile(s3: S3) -> str:
    for folder in HOSTILE_FOLDERS:
        for name in NAMES:
            s3.put(f"Test/{folder}/{name}")
    return f"{s3.bucket}/Test"


@pytest.mark.parametrize("name", ["plain", "a b", "a%20b", "100%", "#1?", "é ü 林檎", "a+b=c", "[x]{y}*"])
def test_a_small_file_comes_back_under_the_name_it_was_written(s3: S3, name: str) -> None:
    place = f"{s3.bucket}/{name}/{name}.json"
    locations.write_json(place, {"is": name})
    assert locations.read_json(place) == {"is": name}
    assert s3.listing() == [f"{name}/{name}.json"]
    assert locations.file_type(f"{s3.bucket}/{name}") == fs.FileType.Directory


def test_deleting_leaves_no_marker_and_touches_no_neighbour(s3: S3) -> None:
    for key in ("a/b/", "a/b/1", "a/b/c/2", "a/bc/3"):
        s3.put(key)
    locations.delete_directory(f"{s3.bucket}/a/b")
    assert s3.listing() == ["a/bc/3"]
    locations.delete_files(f"{s3.bucket}/a/bc", ["3", "not there"])
    assert s3.listing() == []
    locations.delete_directory(f"{s3.bucket}/a/b")


def test_what_is_not_there_is_told_as_it_is_for_folders(s3: S3) -> None:
    assert locations.file_type(f"{s3.bucket}/nothing") == fs.FileType.NotFound
    with pytest.raises(FileNotFoundError):
        locations.read_bytes(f"{s3.bucket}/nothing")


def test_a_bucket_that_is_not_there_is_named_with_the_remedy(s3: S3) -> None:
    with pytest.raises(FruitsError, match="s3://nobody-made-it/a: there is no such bucket"):
        locations.write_bytes("s3://nobody-made-it/a", b"")
    with pytest.raises(FruitsError, match="s3://nobody-made-it/Test does not exist"):
        list_image_folders("s3://nobody-made-it/Test")


def test_without_credentials_there_is_one_sentence(no_credentials: None) -> None:
    with pytest.raises(FruitsError, match=r"There are no AWS credentials to reach S3.*aws sso login"):
        locations.read_bytes("s3://any-bucket/key")


def test_folders_with_hostile_names_are_listed_with_their_counts(hostile: str, s3: S3) -> None:
    for key in ("Test/at the root.jpg", "Test/a//no name.jpg", "Test/.thumbnails/hidden.jpg", "Test/empty/"):
        s3.put(key)
    found = list_image_folders(hostile)
    assert found.photos == dict.fromkeys(sorted(HOSTILE_FOLDERS), len(NAMES))
    assert found.root_photos == 2
    assert count_photos(hostile, HOSTILE_FOLDERS) == found.photos


def test_photos_with_hostile_names_are_found_once_each_and_can_be_fetched(hostile: str) -> None:
    found = find_photos(hostile, HOSTILE_FOLDERS, 100).rows
    rows = [(folder, row["path"], row["length"]) for folder, rows in found.items() for row in rows.to_pylist()]
    assert sorted((folder, path) for folder, path, _ in rows) == sorted(
        (folder, f"{folder}/{name}") for folder in HOSTILE_FOLDERS for name in NAMES
    )
    contents = fetch(((f"{hostile}/{path}", length) for _, path, length in rows), FetchLimits())
    assert set(contents) == {b"x"}


def test_empty_photos_markers_and_other_files_are_told_apart(s3: S3) -> None:
    for key in ("Test/Apple/", "Test/Apple/sub/", "Test/Apple/empty.jpg", "Test/Apple/_empty notes.txt"):
        s3.put(key, b"")
    s3.put("Test/Apple/good.jpg")
    s3.put("Test/Apple/large.jpg", bytes(101))
    found = find_photos(f"{s3.bucket}/Test", ["Apple"], 100)
    rows = {row["path"].rpartition("/")[2]: row for row in found.rows["Apple"].to_pylist()}
    errors = {name: row["error"] and row["error"].split(":")[0] for name, row in rows.items()}
    assert errors == {"empty.jpg": "empty", "good.jpg": None, "large.jpg": "too large"}
    assert found.others == {"Apple": ["_empty notes.txt"]}
    bucket = s3.bucket.removeprefix("s3://")
    modified = s3.client.head_object(Bucket=bucket, Key="Test/Apple/good.jpg")["LastModified"]
    assert rows["good.jpg"]["modification_time"].timestamp() == modified.timestamp()


def test_a_folder_that_is_gone_is_named(s3: S3) -> None:
    s3.put("Test/Apple/1.jpg")
    with pytest.raises(FruitsError, match=r"'Pear'.*sync_image_folders"):
        find_photos(f"{s3.bucket}/Test", ["Apple", "Pear"], 100)


def test_a_photo_that_vanishes_or_cannot_be_read_is_said_to(s3: S3) -> None:
    (gone,) = fetch([(f"{s3.bucket}/Test/gone.jpg", 1)], FetchLimits())
    assert isinstance(gone, UnusablePhotoError)
    assert gone.reason == "vanished"


def test_no_more_of_a_photo_is_read_than_is_let_through(s3: S3) -> None:
    for name, size in (("empty", 0), ("whole", 10), ("large", 11)):
        s3.put(name, bytes(size))
    empty, whole, large = fetch([(f"{s3.bucket}/{n}", 5) for n in ("empty", "whole", "large")], FetchLimits(4, 99, 10))
    assert isinstance(empty, UnusablePhotoError)
    assert empty.reason == "empty"
    assert whole == bytes(10)
    assert isinstance(large, UnusablePhotoError)
    assert large.reason == "too large"
    assert locations.read_bytes(f"{s3.bucket}/large", 4) == bytes(4)


def test_the_filesystem_waits_longer_than_the_sdk(s3: S3) -> None:
    _, (options,) = s3_module.filesystem().__reduce__()
    assert (options["connect_timeout"], options["request_timeout"]) == (10, 60)


def test_a_thousand_photos_take_a_listing_and_not_a_request_each(s3: S3) -> None:
    for number in range(1100):
        s3.put(f"Test/Apple/{number}.jpg")
    assert list_image_folders(f"{s3.bucket}/Test").photos == {"Apple": 1100}
    assert find_photos(f"{s3.bucket}/Test", ["Apple"], 100).rows["Apple"].num_rows == 1100


def test_a_store_in_s3_can_be_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    ensure_dagster_home("s3://bucket/store")
    assert last_store() == "s3://bucket/store"
