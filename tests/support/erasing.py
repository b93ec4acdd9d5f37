"""What the tests of erasures share: a store of six photos, an erasure as it is asked for, and what is left after it."""

import dagster as dg

from fruits_assets.jobs.erasure_service import ErasureRequest, erase
from fruits_assets.settings import Settings, read_settings
from spark_steps.erasure.plan import Plan
from spark_steps.storage import locations
from spark_steps.store.store import Store
from tests.support.aws.s3_server import S3
from tests.support.small_store import contents_below


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
