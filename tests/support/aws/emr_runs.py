"""Runs on the emulator of EMR: what is there before, meanwhile and after."""

import gzip
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from fruits_assets.assets import raw_images
from fruits_assets.instance.partitions import IMAGE_FOLDERS
from fruits_assets.instance.tags import KEEP_TAG
from fruits_assets.resources import resources_of
from fruits_assets.settings import Settings
from spark_steps.store.store import Store
from tests.emr_emulator import Emulator

DATA, STAGING, LOCKS = (f"fruits-{kind}-123456789012-eu-west-3" for kind in ("data", "staging", "locks"))
OF_STORE = ("Results/", "PCA_Results/")


# What fits the emulator's workers; the defaults are those of an m5.xlarge.
SMALL = {"executor_cores": 1, "executor_memory": "512m", "executor_overhead": "512m", "idle_minutes": 5}


def upload(aws: Emulator, photos: Path, prefix: str) -> None:
    s3 = aws.client("s3")
    for file in photos.rglob("*.*"):
        s3.upload_file(str(file), DATA, f"{prefix}/{file.relative_to(photos)}")


def empty_data_bucket(aws: Emulator, prefixes: tuple[str, ...] = ("",)) -> None:
    """Deletes every version of the objects there: what tests share at the bucket's root is that of one after the other.

    Args:
        aws: The emulator.
        prefixes: Those below which to delete; ``OF_STORE`` leaves the photos.
    """
    s3 = aws.client("s3")
    for prefix in prefixes:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=DATA, Prefix=prefix):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            if versions := [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]:
                s3.delete_objects(Bucket=DATA, Delete={"Objects": versions})


def keys(aws: Emulator, bucket: str) -> list[str]:
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [item["Key"] for page in pages for item in page.get("Contents", []) if "environment/" not in item["Key"]]


def unpacked(files: dict[str, bytes]) -> dict[str, bytes]:
    """Files by name, logs as what they say."""
    return {name: gzip.decompress(one) if name.endswith(".gz") else one for name, one in files.items()}


def clusters(aws: Emulator) -> list[dict[str, Any]]:
    return [{"id": cluster_id, **cluster} for cluster_id, cluster in aws.state()["clusters"].items()]


def steps(aws: Emulator) -> list[dict[str, Any]]:
    return [{"id": step_id, **step} for cluster in clusters(aws) for step_id, step in cluster["steps"].items()]


def wait_until(condition: Callable[[], Any], seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.2)
    raise AssertionError("it did not come to that in time")


def end_clusters(aws: Emulator) -> None:
    """Ends every cluster, and waits until EMR lists none that could get another step."""

    def alive() -> list[str]:
        return [cluster["id"] for cluster in clusters(aws) if not cluster["state"].startswith("TERMINAT")]

    if there := alive():
        aws.client("emr").terminate_job_flows(JobFlowIds=there)
        wait_until(lambda: not alive())


def materialize_raw_images(
    aws: Emulator, settings: Settings, instance: dg.DagsterInstance, keep_cluster: bool = False
) -> Any:
    """Runs the asset for a folder, on a cluster that ends with the run unless it is kept for another."""
    instance.add_dynamic_partitions(IMAGE_FOLDERS, ["Banana"])
    result = dg.materialize(
        [raw_images],
        instance=instance,
        resources=resources_of(settings),
        partition_key="Banana",
        tags={KEEP_TAG: "true"} if keep_cluster else {},
        raise_on_error=False,
    )
    # The process of a step ends a moment after its last event; the next test waits for a step of its own.
    wait_until(lambda: not any(step["state"] == "RUNNING" for step in steps(aws)))
    return result


def failure_of(result: Any) -> str:
    return "\n".join(str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure)


def in_background(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def running_step(aws: Emulator) -> str:
    """Waits for a step that runs, and returns its id."""

    def found() -> str | None:
        return next((one["id"] for one in steps(aws) if one["state"] == "RUNNING"), None)

    return str(wait_until(found))


def rows(store: Store, images: str, table: str) -> list[tuple[Any, ...]]:
    """Returns the rows of a table, paths relative to the images, floats as they are."""
    columns = {"raw_images": ["folder", "path", "length", "label", "error"]}.get(table, ["folder", "path", "image_id"])
    numbers = {"mobilenet_features": ["features"], "reduced_features": ["reduced"]}.get(table, [])
    found = store.tables[table].arrow([*columns, *numbers]).to_pylist()
    return sorted(
        (
            (*(str(row[name]).removeprefix(images) for name in columns), *(tuple(row[name] or ()) for name in numbers))
            for row in found
        ),
        key=lambda row: row[:2],
    )
