"""Names that an enemy would choose, and trees that change: each folder is processed or refused, none lost silently."""

import os
import unicodedata
from pathlib import Path

import dagster as dg
import pytest

from fruits_assets.instance.partitions import is_partition_key
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError
from spark_steps.photos.listing import list_image_folders
from spark_steps.store.store import Store
from tests.support.photos import save_photo
from tests.support.pipeline import run_pipeline

COMPOSED, DECOMPOSED = unicodedata.normalize("NFC", "Pêche"), unicodedata.normalize("NFD", "Pêche")
TAKEN = (
    COMPOSED,
    DECOMPOSED,
    "folder=Apple",
    "folder=Apple/folder=Pear",
    "_delta_log",
    "_x",
    "%41",
    "A",
    " spaces  ",
    "quo'te\" and `tick`",
    "a..b",
    "a,b;c|d",
    "$(HOME) ${HOME}",
    "-rf",
    "__HIVE_DEFAULT_PARTITION__",
    "folder=__HIVE_DEFAULT_PARTITION__",
    "*",
    "[!a]?",
    "\u202eright to left",
    "line\u2028separator\u0085",
    "🍎" * 61,
    "x" * 255,
    "%" * 100,
    # Longer than the name of a directory may be, were it one.
    "deep" * 50 + "/" + "deeper" * 40,
    "null",
    "None",
)
REFUSED = ("new\nline", "tab\tulator", "three...dots", "bell\a")
NAMES = ("1.jpg", "n\nl.jpg", "_DSC1.JPG", "%41.jpg", f"{COMPOSED}.jpg", f"{DECOMPOSED}.jpg", "z" * 251 + ".jpg")


def rows_by_folder(settings: Settings, table: str) -> dict[str, list[str]]:
    rows: dict[str, list[str]] = {}
    for row in Store(settings.store).tables[table].arrow(["folder", "path"]).to_pylist():
        rows.setdefault(row["folder"], []).append(row["path"])
    return {folder: sorted(paths) for folder, paths in rows.items()}


def test_a_folder_of_any_name_is_processed_or_refused_in_a_sentence(
    settings: Settings, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    images = tmp_path / "images of\nan enemy %41 [x]"
    for number, folder in enumerate((*TAKEN, *REFUSED)):
        save_photo(images / folder / "1.jpg", colour=number)
    for number, name in enumerate(NAMES):
        save_photo(images / "A" / name, colour=number + 100)
    for hidden in ("..a", ".x/deeper"):
        save_photo(images / hidden / "1.jpg")
    (images / "A" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    told: list[str] = []
    run_pipeline(settings.model_copy(update={"images": str(images)}), instance, say=told.append)
    expected = {folder: [f"{folder}/1.jpg"] for folder in TAKEN}
    expected["A"] = sorted(f"A/{name}" for name in NAMES)
    assert rows_by_folder(settings, "reduced_features") == expected
    expected["A"] = sorted([*expected["A"], "A/gone.jpg"])
    for table in ("raw_images", "mobilenet_features"):
        assert rows_by_folder(settings, table) == expected
    for folder in REFUSED:
        assert f"  warning: folder {folder!r} is not processed: no partition can have such a name; rename it" in told
    assert "  warning: '..a', '.x' not processed: folders that are hidden or a system's own" in told
    # Nothing lies outside of the tables, whatever a folder is called.
    tables = {Path(table.root).name for table in Store(settings.store).tables.values()}
    assert {one.name for one in Path(settings.store, "Results").iterdir()} <= tables | {"mobilenet_model"}
    assert {one.name for one in Path(settings.store).iterdir()} == {"Results", "PCA_Results"}


def test_the_names_taken_and_refused_are_told_apart_before_anything_is_written() -> None:
    assert [name for name in TAKEN if not is_partition_key(name)] == []
    assert [name for name in REFUSED if is_partition_key(name)] == []


@pytest.mark.parametrize("place", [b"caf\xe9/1.jpg", b"Apple/caf\xe9.jpg"])
def test_a_name_that_is_no_text_is_told_with_the_remedy(tmp_path: Path, place: bytes) -> None:
    save_photo(tmp_path / "Apple" / "1.jpg")
    file = os.path.join(os.fsencode(tmp_path), place)  # noqa: PTH118
    os.makedirs(os.path.dirname(file), exist_ok=True)  # noqa: PTH103, PTH120
    with open(file, "wb") as written:  # noqa: PTH123
        written.write(b"x")
    with pytest.raises(FruitsError, match=r"caf\\xe9.* is not UTF-8\. Rename it; convmv"):
        list_image_folders(str(tmp_path))


@pytest.mark.parametrize("links", [{"Apple/up": "."}, {"Apple/to Pear": "Pear", "Pear/to Apple": "Apple"}])
def test_links_in_a_circle_are_told_and_not_followed_for_ever(tmp_path: Path, links: dict[str, str]) -> None:
    for folder in ("Apple", "Pear"):
        save_photo(tmp_path / folder / "1.jpg")
    for link, target in links.items():
        (tmp_path / link).symlink_to(tmp_path / target)
    with pytest.raises(FruitsError, match=r"is a link to a folder that it lies in"):
        list_image_folders(str(tmp_path))


def test_a_link_to_a_folder_elsewhere_is_followed(tmp_path: Path) -> None:
    save_photo(tmp_path / "elsewhere" / "1.jpg")
    save_photo(tmp_path / "images" / "Apple" / "1.jpg")
    for name in ("Pear", "Apple/twice"):
        (tmp_path / "images" / name).symlink_to(tmp_path / "elsewhere")
    found = list_image_folders(str(tmp_path / "images"))
    assert found.photos == {"Apple": 1, "Apple/twice": 1, "Pear": 1}


def test_a_broken_link_is_a_row_where_it_has_the_name_of_a_photo_and_is_not_hidden(tmp_path: Path) -> None:
    save_photo(tmp_path / "Apple" / "1.jpg")
    (tmp_path / ".trash").mkdir()
    for link in ("Apple/2.jpg", "Apple/notes.txt", "Apple/.3.jpg", ".trash/4.jpg"):
        (tmp_path / link).symlink_to(tmp_path / "nowhere")
    (tmp_path / "Apple" / "itself.jpg").symlink_to("itself.jpg")
    assert list_image_folders(str(tmp_path)).photos == {"Apple": 3}
