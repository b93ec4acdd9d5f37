"""A store of six photos, and a Dagster home beside it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from spark_steps.store.store import Store
from tests.support.small_store import Photo, make_photos, write_photos, write_rows


@pytest.fixture
def images(tmp_path: Path) -> str:
    return str(tmp_path / "images")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def some(images: str, store: Store) -> list[Photo]:
    """Six photos in two folders, with their rows."""
    photos = make_photos(images, ["Fig", "Red Fruit/Açaí"], 3)
    write_photos(photos)
    write_rows(store, photos, audited=True)
    return photos


@pytest.fixture
def home(empty_home: Path, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance whose records are files."""
    shutil.copytree(empty_home / "schedules", tmp_path / "home" / "schedules")
    shutil.copytree(empty_home / "history", tmp_path / "home" / "history")
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        yield instance
