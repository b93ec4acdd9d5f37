"""What the tests of erasures share: a store of six photos, an erasure as it is asked for, and what is left after it."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from fruits_assets.jobs.erasure_service import ErasureRequest, erase
from fruits_assets.settings import Settings, read_settings
from spark_steps.erasure.plan import Plan
from spark_steps.storage import locations
from spark_steps.store.store import Store
from tests.support.s3_server import S3
from tests.support.small_store import Photo, contents_below, make_photos, write_photos, write_rows


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
    write_rows(store, photos)
    return photos


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance whose records are files."""
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        yield instance


def settings_of(images: str, store: Store) -> Settings:
    return read_settings(images=images, store=store.root)


def erase_all(
    images: str, store: Store, instance: dg.DagsterInstance, **wanted: object
) -> tuple[list[Plan], list[str]]:
    """Erases what is wanted without asking, and returns the plans that were shown, and what was said."""
    plans: list[Plan] = []
    said: list[str] = []

    def agreed(plan: Plan) -> bool:
        plans.append(plan)
        return True

    erase(settings_of(images, store), instance, ErasureRequest(**wanted), agreed, said.append)  # type: ignore[arg-type]
    return plans, said


def all_but_the_lock(store: Store, images: str) -> dict[str, bytes]:
    return {name: said for name, said in contents_below(store.root, images).items() if not name.endswith("/lock")}


def receipts(store: Store) -> list[dict[str, object]]:
    return [locations.read_json(f"{store.erasures}/{one.base_name}") for one in locations.list_files(store.erasures)]


def versions(s3: S3) -> list[dict[str, object]]:
    pages = s3.client.get_paginator("list_object_versions").paginate(Bucket=s3.bucket.removeprefix("s3://"))
    return [
        {"key": one["Key"], "id": one["VersionId"], "marker": kind == "DeleteMarkers"}
        for page in pages
        for kind in ("Versions", "DeleteMarkers")
        for one in page.get(kind, [])
    ]


def all_versions(s3: S3) -> dict[str, bytes]:
    bucket = s3.bucket.removeprefix("s3://")
    return {
        f"{one['id']} {one['key']}": s3.client.get_object(Bucket=bucket, Key=one["key"], VersionId=one["id"])[
            "Body"
        ].read()
        for one in versions(s3)
        if not one["marker"]
    }
