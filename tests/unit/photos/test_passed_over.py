"""Files that are no photos: counted, and told where a folder holds nothing else."""

from dataclasses import replace
from pathlib import Path

from fruits_assets.commands.support.report_text import as_text
from spark_steps.photos.listing import (
    ImageFolders,
    list_image_folders,
)
from spark_steps.photos.other_files import PassedOver
from spark_steps.queries.report import StoreReport
from spark_steps.store.staleness import Staleness
from spark_steps.store.store import Store
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
        "Fig/1.DNG",
        "Fig/2.dng",
        "Fig/notes.txt",
        "README",
        "Fig/v1.2 (final)",
        ".DS_Store",
        "Fig/Thumbs.db",
    )
    assert found.passed_over.endings == {".dng": 2, "without an ending": 2, ".txt": 1}
    assert list(found.passed_over.sentences(found.contents)) == [
        "5 files are no photos that can be read: 2 .dng, 2 without an ending, 1 .txt; docs/formats.md says how to "
        "convert photos"
    ]


def test_a_folder_with_photos_of_other_formats_alone_is_named_with_the_remedy(tmp_path: Path) -> None:
    found = passed_over_in(tmp_path, "Kiwi/1.dng", "Kiwi/2.dng", "Kiwi/list.txt", "Fig/1.dng", "papers/a.pdf")
    assert "Kiwi" not in found.contents
    _, warning = found.passed_over.sentences(found.contents)
    assert warning == "warning: no photo can be read in 'Kiwi' (2 .dng, 1 .txt): save the photos as JPEG"


def test_files_of_hidden_folders_are_not_counted_and_nothing_is_said_of_nothing(tmp_path: Path) -> None:
    found = passed_over_in(tmp_path)
    assert list(found.passed_over.sentences(found.contents)) == []
    found = passed_over_in(tmp_path, ".git/config", *(f"Fig/.hidden{n}/notes.txt" for n in range(6)))
    assert found.passed_over.endings == {}
    (told,) = found.passed_over.sentences(found.contents)
    assert "'.git'" in told or " and 2 more not processed: folders that are hidden" in told


def test_what_was_passed_over_is_in_the_store_for_its_report(tmp_path: Path) -> None:
    found = passed_over_in(tmp_path / "photos", "Kiwi/1.dng", "Fig/notes.txt")
    store = Store(str(tmp_path / "store"))
    assert store.passed_over == PassedOver()
    store.keep_passed_over(found.passed_over)
    assert store.passed_over.endings == {".dng": 1, ".txt": 1}
    report = replace(StoreReport("store", 1, 1, {}, 1, {}, [], Staleness(), 1), bytes={"photos": 1, "reduced": 1})
    told = as_text(replace(report, passed_over={".dng": 1, ".txt": 1}, to_convert={"Kiwi": {".dng": 1}}))
    assert "\nPassed over 1 .dng, 1 .txt: no photos that can be read\n" in told
    assert "\n            no photo can be read in 'Kiwi' (1 .dng): save the photos as JPEG\n" in told
    assert "Passed over" not in as_text(report)
    Path(store.root, "Results", "passed_over.json").write_text('{"Kiwi": 5}')
    assert store.passed_over == PassedOver()


def test_many_endings_and_many_folders_are_summed_up(tmp_path: Path) -> None:
    found = passed_over_in(tmp_path, *(f"f{n}/1.dng" for n in range(7)), *(f"Fig/x.e{n}" for n in range(7)))
    told, warning = found.passed_over.sentences(found.contents)
    assert told.startswith("14 files are no photos that can be read: 7 .dng, ")
    assert told.endswith(", 2 with others; docs/formats.md says how to convert photos")
    assert "'f4' (1 .dng) and 2 more folders: " in warning
