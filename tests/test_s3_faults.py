"""S3 on a bad day: what was asked for is done all the same, or told in a sentence; what readers see is whole."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.latency_proxy import LatencyServer, Request, forward_to, response
from spark_steps import pca_store, storage
from spark_steps import s3 as s3_module
from spark_steps.errors import FruitsError, UnusablePhotoError
from spark_steps.fetching import fetch
from spark_steps.images import list_image_folders
from spark_steps.limits import FetchLimits
from spark_steps.pca import PcaModel
from spark_steps.row_removal import delete_former_versions
from spark_steps.tables import FolderTable
from spark_steps.task_rows import DriverRows
from spark_steps.weights import load_model
from tests.chaos.faulty_s3 import KINDS, BadDay, FaultyS3, faulty_s3
from tests.s3_server import S3

pytest_plugins = ["tests.s3_server"]
SCHEMA = pa.schema([("path", pa.string())])
# Only a copy within S3 can end so, and nothing here copies.
OF_REQUESTS = tuple(kind for kind in KINDS if kind != "200 and then an error")


@pytest.fixture
def bad(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """A proxy before the S3 of the test, which fails as it is told to, and clients that wait less long."""
    monkeypatch.setattr("spark_steps.s3.ANSWER_SECONDS", 2)
    with faulty_s3(os.environ["AWS_ENDPOINT_URL"], seed=1) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        yield proxy


def replace(table: FolderTable, row: str, check: Callable[[], None] = lambda: None) -> None:
    rows = {folder: [pa.table({"path": [row]}, SCHEMA)] for folder in "AB"}
    table.write(table.replacement(DriverRows(rows), ["A", "B"]), check=check)


def rows_of(table: FolderTable) -> list[str]:
    rows: list[str] = table.arrow(["path"])["path"].to_pylist()
    return rows


def model_of(version: str, components: int = 3) -> PcaModel:
    numbers = np.arange(components * 1280, dtype=np.float64).reshape(components, 1280)
    ratio = np.linspace(0.5, 0.1, components)
    return PcaModel(
        version=version,
        features_model="f" * 64,
        rows=10,
        folders=["A", "B"],
        k=components,
        asked_components=components,
        asked_variance=None,
        mean=np.zeros(1280),
        scale=np.ones(1280),
        components=numbers,
        explained_variance_ratio=ratio,
        weights={},
    )


def test_a_day_of_all_kinds_of_faults_is_outlived(s3: S3, bad: FaultyS3, network_file: Path) -> None:
    table = FolderTable(f"{s3.bucket}/table", SCHEMA)
    photos = {f"Test/Apple/{number}.jpg": os.urandom(2000) for number in range(20)}
    for key, body in photos.items():
        s3.put(key, body)
    bad.has(BadDay(0.15, OF_REQUESTS, silence=4))
    asked = [(f"{s3.bucket}/{key}", 2000) for key in photos]
    for number in range(30):
        if set(bad.injected) == set(OF_REQUESTS):
            break
        replace(table, f"n{number}")
        assert rows_of(table) == [f"n{number}"] * 2
        assert list(fetch(asked, FetchLimits())) == list(photos.values())
    assert list_image_folders(f"{s3.bucket}/Test").photos == {"Apple": 20}
    model = load_model(str(network_file), f"{s3.bucket}/models")
    assert model.flatbuffer == network_file.read_bytes()
    pca_store.save_numbers(model_of("1"), f"{s3.bucket}/pca")
    assert pca_store.load(f"{s3.bucket}/pca").version == "1"
    storage.delete_directory(f"{s3.bucket}/Test")
    bad.has(BadDay())
    assert storage.list_files(f"{s3.bucket}/Test", recursive=True) == []
    assert set(bad.injected) == set(OF_REQUESTS)


@pytest.mark.parametrize("right", ["PUT .*part-", "GET .*list-type", "GET .*_delta_log", "PUT .*_delta_log"])
def test_a_right_that_is_lost_leaves_the_old_rows_and_is_told(s3: S3, bad: FaultyS3, right: str) -> None:
    table = FolderTable(f"{s3.bucket}/table", SCHEMA)
    replace(table, "old")
    bad.has(BadDay(denied=right))
    # A process that has the table open does not read again what it knows of its log.
    with pytest.MonkeyPatch.context() as another:
        another.setenv("AWS_TEST_OF", right)
        with pytest.raises(FruitsError, match="AWS denies access"):
            replace(table, "new")
    bad.has(BadDay())
    assert rows_of(table) == ["old"] * 2
    replace(table, "next")
    assert rows_of(table) == ["next"] * 2


def test_photos_that_may_not_be_read_have_a_reason_and_disturb_no_other(s3: S3, bad: FaultyS3) -> None:
    for number in range(6):
        s3.put(f"Test/Apple/{number}.jpg", b"photo")
    bad.has(BadDay(denied=r"/[24]\.jpg$"))
    contents = list(fetch(((f"{s3.bucket}/Test/Apple/{number}.jpg", 5) for number in range(6)), FetchLimits()))
    refused = {number for number, one in enumerate(contents) if isinstance(one, UnusablePhotoError)}
    assert refused == {2, 4}
    assert "AWS denies access" in str(contents[2])


@pytest.mark.parametrize("denied", ["components.parquet", "model.json", "current.json"])
def test_a_pca_model_of_which_a_part_is_written_is_never_used(s3: S3, bad: FaultyS3, denied: str) -> None:
    root = f"{s3.bucket}/pca"
    pca_store.save_numbers(model_of("whole"), root)
    bad.has(BadDay(denied=f"PUT .*{denied}"))
    with suppress(FruitsError):
        pca_store.save_numbers(model_of("next", components=5), root)
    found = pca_store.load(root)
    assert (found.version, len(found.components)) == ("whole", 3)
    bad.has(BadDay())
    pca_store.save_numbers(model_of("next", components=5), root)
    assert pca_store.load(root).k == 5


def test_an_s3_that_answers_nothing_is_told_after_so_many_attempts(
    s3: S3, bad: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_module, "ATTEMPTS", 2)
    monkeypatch.setattr(s3_module, "ANSWER_SECONDS", 1)
    bad.has(BadDay(1, ("silence",), silence=3))
    attempts: tuple[Callable[[], None], ...] = (
        lambda: storage.write_bytes(f"{s3.bucket}/a.json", b"{}"),
        lambda: storage.delete_directory(f"{s3.bucket}/a"),
    )
    for attempt in attempts:
        with pytest.raises(FruitsError, match=r"S3 could not be reached\. Check the network"):
            attempt()


def test_an_old_file_of_which_s3_does_not_delete_a_version_just_then_does_not_come_back(
    s3: S3, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 deletes one by one: had the delete marker gone before it, the old file would be there again."""
    monkeypatch.setattr(s3_module, "_PAUSES_SECONDS", (0,))
    bucket, address = s3.bucket.removeprefix("s3://"), urlsplit(s3_endpoint)
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("table/old.parquet", "table/newest.parquet"):
        s3.put(key)
    s3.client.delete_object(Bucket=bucket, Key="table/old.parquet")
    stubborn = s3.client.list_object_versions(Bucket=bucket, Prefix="table/old")["Versions"][0]["VersionId"]
    forward, refusing = forward_to(str(address.hostname), int(address.port or 80)), [True]

    async def all_but_one(request: Request) -> bytes:
        if not refusing or stubborn not in request.raw.decode():
            return await forward(request)
        for key, version in re.findall("<Key>(.*?)</Key><VersionId>(.*?)</VersionId>", request.raw.decode()):
            if version != stubborn:
                s3.client.delete_object(Bucket=bucket, Key=key, VersionId=version)
        error = f"<Error><Key>table/old.parquet</Key><VersionId>{stubborn}</VersionId><Code>InternalError</Code>"
        return response(200, f"<DeleteResult>{error}<Message>No.</Message></Error></DeleteResult>".encode(), {})

    with LatencyServer(all_but_one) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        with pytest.raises(FruitsError, match=r"old\.parquet: S3 refused\. InternalError"):
            delete_former_versions(f"{s3.bucket}/table")
        assert s3.listing() == ["table/newest.parquet"]
        refusing.clear()
        delete_former_versions(f"{s3.bucket}/table")
    left = s3.client.list_object_versions(Bucket=bucket)
    assert not left.get("DeleteMarkers")
    assert [one["Key"] for one in left["Versions"]] == ["table/newest.parquet"]


@pytest.mark.parametrize("allowed", [True, False])
def test_rows_of_a_write_that_is_refused_stay_in_no_version_where_those_may_be_deleted(
    s3: S3, bad: FaultyS3, allowed: bool
) -> None:
    """On EMR they may not, and the run says the same."""
    bucket = s3.bucket.removeprefix("s3://")
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    table = FolderTable(f"{s3.bucket}/table", SCHEMA)

    def files() -> list[str]:
        return [key for key in s3.listing() if key.endswith(".parquet")]

    def refuse() -> None:
        assert files()
        raise FruitsError("Photos were erased.")

    bad.has(BadDay(denied="" if allowed else r"\?.*versions"))
    with pytest.raises(FruitsError, match=r"^Photos were erased\.$"):
        replace(table, "erased", refuse)
    assert files() == []
    found = s3.client.list_object_versions(Bucket=bucket, Prefix="table/part-")
    assert bool(found.get("Versions") or found.get("DeleteMarkers")) is not allowed
