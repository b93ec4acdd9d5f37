"""Files that are no photos: counted, and told where a folder holds nothing else."""

from pathlib import Path

from spark_steps.photos.listing import (
    ImageFolders,
    list_image_folders,
)
from tests.support.photos import save_photo


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
