"""Photos as somebody names them, and the PCA models that saw them."""

import hashlib
import json
from pathlib import Path

import pytest

from fruits_assets.instance.records import ERASED_TEXT, replacement
from spark_steps.erasure.model_photos import Photos, saw
from spark_steps.erasure.plan import path_below, plan_erasure, read_list, read_request
from spark_steps.errors import FruitsError
from spark_steps.photos.tombstones import tombstone_of
from spark_steps.store.store import Store
from tests.support.small_store import (
    make_photos,
    write_model,
    write_photos,
    write_rows,
)


def test_a_tombstone_is_not_the_image_id_and_not_its_plain_hash() -> None:
    image_id = hashlib.sha256(b"photo").hexdigest()
    assert tombstone_of(image_id) not in (image_id, hashlib.sha256(bytes.fromhex(image_id)).hexdigest())


def test_relative_paths_are_those_of_the_current_directory_or_of_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images = str(tmp_path / "photos")
    assert path_below("photos/Fig/1.jpg", images) == path_below("Fig/1.jpg", images) == f"{images}/Fig/1.jpg"
    assert path_below("Fig/1.jpg", "s3://bucket/Test") == "s3://bucket/Test/Fig/1.jpg"
    for elsewhere in ("s3://bucket/Tests/1.jpg", "s3://bucket/Test/../1.jpg", "../1.jpg"):
        with pytest.raises(FruitsError, match="does not lie below"):
            path_below(elsewhere, "s3://bucket/Test")


def test_a_list_has_image_ids_and_paths_in_any_order() -> None:
    request = read_list(f"/photos/a b.jpg\r\n\n{'A' * 64}\nFig/2.jpg\n", "The list", "/photos")
    assert request == read_request(["a" * 64], ["/photos/a b.jpg", "/photos/Fig/2.jpg"], "/photos")


def test_which_models_saw_a_photo_is_told_from_their_versions(images: str, store: Store) -> None:
    photos = make_photos(images, ["Fig", "Plum", "Lime"], 2)
    write_photos(photos)
    write_rows(store, photos)
    versions = {
        "without the first": write_model(store, photos[1:]),
        "without another": write_model(store, photos[:3]),
        "of another folder": write_model(store, photos[2:]),
        "all": write_model(store, photos),
    }
    models = plan_erasure(store, read_request([photos[0].image_id], [], images), images).models
    assert {(one.version, one.certain, one.current) for one in models} == {
        (versions["all"], True, True),
        (versions["without another"], False, False),
    }
    assert models[0].current


def test_a_model_of_other_folders_saw_nothing() -> None:
    assert saw({"folders": ["Plum"]}, Photos(2, 3, frozenset({"Fig"})), Photos(1, 1, frozenset({"Fig"}))) is False


@pytest.mark.parametrize("path", ["/photos/é '\"\\.jpg", "/photos/line\nbreak.jpg"])
def test_a_path_is_found_however_it_is_written_down(path: str) -> None:
    replace = replacement([path, "a" * 64])
    assert replace("A" * 64) == ERASED_TEXT
    for text in (path, json.dumps(path), json.dumps({"deep": json.dumps(path)}), json.dumps(path, ensure_ascii=False)):
        assert ERASED_TEXT in replace(text)
        assert "/photos" not in replace(text)
    assert replace("sha " + "a" * 64) == f"sha {ERASED_TEXT}"
    assert replace("b" * 64) == "b" * 64
