"""Finding and fetching: one row for each photo there is, whatever it is called."""

from pathlib import Path

import pytest

from spark_steps.errors import FruitsError
from spark_steps.photos.listing import (
    hidden_from_spark,
    is_photo,
    list_image_folders,
    listing_roots,
)
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
