"""What an enemy may send or ask for, and what comes of it: a refusal. docs/security.md lists the threats."""

import json
import re
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fruits_assets.assets.charts.drawing import picture
from fruits_assets.serving.guard import is_of_another_site
from fruits_assets.settings import read_settings
from spark_steps.errors import FruitsError, UnusablePhotoError
from spark_steps.features.keras_classes import refuse_foreign_classes
from spark_steps.photos import decoding
from spark_steps.photos.listing import count_photos, find_photos, list_image_folders
from spark_steps.store.store import Store
from tests.support.photos import save_photo
from tests.support.project import PROJECT
from tests.support.small_store import make_photos, write_photos, write_rows


@pytest.mark.parametrize("folder", ["..", "../other", "a/../../b", "/etc", "a//b", ".", "a/."])
def test_a_partition_that_leads_out_of_the_images_folder_is_refused(folder: str, tmp_path: Path) -> None:
    save_photo(tmp_path / "images" / "Apple" / "1.jpg")
    save_photo(tmp_path / "other" / "1.jpg")
    for listing in (
        lambda: find_photos(str(tmp_path / "images"), [folder], 1000),
        lambda: count_photos(str(tmp_path / "images"), [folder]),
    ):
        with pytest.raises(FruitsError, match="is no folder below the images root"):
            listing()


def test_a_folder_that_is_only_written_like_a_way_out_is_a_folder(tmp_path: Path) -> None:
    folders = ["%2e%2e", "..%2F..", "folder=..", "...", "~"]
    for folder in folders:
        save_photo(tmp_path / "images" / folder / "1.jpg")
    found = find_photos(str(tmp_path / "images"), folders, 10_000).rows
    assert {folder: rows["path"].to_pylist() for folder, rows in found.items()} == {
        folder: [f"{folder}/1.jpg"] for folder in folders
    }


def test_a_store_inside_the_images_folder_and_photos_inside_a_store_are_told_apart(tmp_path: Path) -> None:
    found = make_photos(str(tmp_path / "images"), ["Fig"], 2)
    write_photos(found)
    write_rows(Store(str(tmp_path / "images" / "store")), found)
    assert list_image_folders(str(tmp_path / "images")).photos == {"Fig": 2}
    inside = make_photos(str(tmp_path / "other" / "photos"), ["Fig"], 2)
    write_photos(inside)
    other = Store(str(tmp_path / "other"))
    write_rows(other, inside)
    other.raw_images.drop(["Fig"])
    assert all(Path(photo.location).exists() for photo in inside)


def test_formats_that_nobody_asked_for_are_not_decoded_though_pillow_could(tmp_path: Path) -> None:
    assert {"EPS", "PDF", "PSD", "ICO", "JPEG2000", "PPM"} & {*Image.registered_extensions().values()}
    for suffix in ("eps", "ppm", "ico", "jp2", "tga", "pcx", "sgi", "icns", "pdf"):
        file = tmp_path / f"1.{suffix}"
        Image.new("RGB", (32, 32)).save(file)
        with pytest.raises(UnusablePhotoError, match="not an image"):
            decoding.decode(file.read_bytes(), 10_000)


def test_what_a_picture_says_in_place_of_itself_ends_no_code_and_begins_no_link() -> None:
    def fails() -> Any:
        raise ValueError("`[x](javascript:alert(1))`<script>")

    text = str(picture(fails, "photos").md_str)
    assert text.count("`") == 2
    assert text.endswith("`")


@pytest.mark.parametrize(
    "named",
    [
        {"class_name": "Lambda", "module": "keras.layers", "config": {}},
        {"class_name": "__lambda__", "config": {}},
        {"class_name": "function", "module": "builtins", "config": "exec"},
        {"class_name": "Dense", "module": "os", "config": {}},
        {"class_name": "TorchModuleWrapper", "module": "keras.src.utils.torch_utils", "config": {}},
        {"class_name": "TextVectorization", "module": "keras.layers", "config": {"vocabulary": "/etc/passwd"}},
    ],
)
def test_a_keras_file_that_would_build_more_than_a_network_is_refused_before_keras_reads_it(
    named: dict[str, object], tmp_path: Path
) -> None:
    config = {"class_name": "Functional", "config": {"layers": [{"class_name": "ReLU", "config": {"deep": [named]}}]}}
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    with pytest.raises(
        FruitsError, match=r"has a part .*, which may run code as it is loaded\. Convert the model yourself"
    ):
        refuse_foreign_classes(str(tmp_path / "net.keras"), "net.keras")


@pytest.mark.parametrize(
    "place",
    [
        "s3://AKIAX:hush/hush@bucket/x",
        "s3://me@bucket",
        "https://me:hush@host/net.h5",
        "https://h/x?X-Amz-Signature=hush",
    ],
)
@pytest.mark.parametrize("setting", ["images", "store", "weights"])
def test_a_secret_in_a_place_is_refused_and_not_repeated(setting: str, place: str) -> None:
    with pytest.raises(FruitsError, match=r"\*\*\*: .* holds a password or a signature") as refused:
        read_settings(**{setting: place})
    chain: BaseException | None = refused.value
    while chain is not None:
        assert "hush" not in str(chain)
        assert "me@" not in str(chain)
        chain = chain.__cause__


OWN = {"host": "127.0.0.1:3000"}
FETCHED = {**OWN, "origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"}


@pytest.mark.parametrize(
    ("headers", "path", "refused"),
    [
        (OWN, "/graphql", False),
        (FETCHED, "/graphql", False),
        ({**OWN, "sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, "/graphql", False),
        ({"host": "localhost:3000", "origin": "http://localhost:3000"}, "/graphql", False),
        ({"host": "[::1]:3000"}, "/graphql", False),
        ({**OWN, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, "/runs", False),
        ({**OWN, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, "/graphql", True),
        ({**OWN, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, "/graphql", True),
        ({**OWN, "sec-fetch-site": "same-site"}, "/graphql", True),
        ({**OWN, "origin": "https://evil.example"}, "/graphql", True),
        ({**OWN, "origin": "http://127.0.0.1:8000"}, "/graphql", True),
        ({**OWN, "origin": "null"}, "/graphql", True),
        # A name whose address its owner changes to 127.0.0.1 once the page is loaded.
        ({"host": "rebound.example:3000"}, "/graphql", True),
        ({"host": "127.0.0.1.evil.example:3000"}, "/", True),
        ({}, "/graphql", True),
    ],
)
def test_the_ui_answers_its_own_pages_and_programs_and_no_other_site(
    headers: dict[str, str], path: str, refused: bool
) -> None:
    assert is_of_another_site(headers, path, "/graphql") == refused


def locked() -> Iterator[tuple[str, dict[str, Any]]]:
    """The files of the locked packages."""
    locks = [PROJECT / "uv.lock", *(PROJECT / "benchmarks").rglob("*.lock")]
    for lock in locks:
        for package in tomllib.loads(lock.read_text())["package"]:
            if "virtual" not in package["source"] and "editable" not in package["source"]:
                assert package["source"] == {"registry": "https://pypi.org/simple"}, package["name"]
                for file in [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]:
                    yield package["name"], file


def test_every_file_of_every_locked_package_has_its_sha256() -> None:
    files = list(locked())
    assert len(files) > 500
    assert [name for name, file in files if not re.fullmatch(r"sha256:[0-9a-f]{64}", file.get("hash", ""))] == []


def test_packages_are_installed_as_locked_and_never_newer() -> None:
    for file in ("Makefile", ".ci/run"):
        for line in (PROJECT / file).read_text().splitlines():
            if re.search(r"\$\(UV\) (?:sync|run|export)\b", line):
                assert "--locked" in line, f"{file}: {line}"
            # uv itself, and what runs apart from the project.
            if "pip install" in line:
                assert line.strip().endswith("--quiet uv)"), f"{file}: {line}"
