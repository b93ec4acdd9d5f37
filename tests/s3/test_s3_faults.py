"""S3 on a bad day: what was asked for is done all the same, or told in a sentence; what readers see is whole."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from benchmarks.studies.latency_proxy import LatencyServer, Request, forward_to, response
from spark_steps.errors import FruitsError, UnusablePhotoError
from spark_steps.features.weights import load_model
from spark_steps.pca import model_store
from spark_steps.pca.model import PcaModel
from spark_steps.photos.fetching import fetch
from spark_steps.photos.limits import FetchLimits
from spark_steps.photos.listing import list_image_folders
from spark_steps.storage import locations, s3_address
from spark_steps.storage import s3_client as s3_module
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.maintenance import vacuum
from spark_steps.tables.schemas import RAW_IMAGES_SCHEMA
from tests.chaos.faulty_s3 import KINDS, BadDay, FaultyS3, faulty_s3
from tests.support.aws.s3_server import S3
from tests.support.tables import addition, paths, rows, versions

# S3 begins only copies with 200 and then an error, and nothing is copied.
KINDS_OF_ANY = tuple(kind for kind in KINDS if kind != "200 and then an error")
COMMITS = r"PUT .*/_delta_log/\d{20}\.json"


@pytest.fixture
def faults(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """A proxy before the S3 of the test, which fails as it is told to, and clients that wait less long."""
    monkeypatch.setattr("spark_steps.storage.s3_address.ANSWER_SECONDS", 2)
    with faulty_s3(os.environ["AWS_ENDPOINT_URL"], seed=1) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        yield server


@pytest.fixture
def table(s3: S3) -> FolderTable:
    return FolderTable(f"{s3.bucket}/store/raw_images", RAW_IMAGES_SCHEMA)


def replace_rows(table: FolderTable, *named: str) -> None:
    """Makes the rows of folder A those of some paths."""
    table.write(table.replacement(DriverRows({"A": [rows(*named)]}), ["A"]))


def data_files(s3: S3) -> list[str]:
    return [key for key in s3.listing() if key.startswith("store/raw_images/part-")]


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


def test_a_day_of_all_kinds_of_faults_is_outlived(
    s3: S3, table: FolderTable, faults: FaultyS3, network_file: Path
) -> None:
    photos = {f"Test/Apple/{number}.jpg": os.urandom(2000) for number in range(20)}
    for key, body in photos.items():
        s3.put(key, body)
    faults.has(BadDay(0.15, KINDS_OF_ANY, silence=4.0))
    asked = [(f"{s3.bucket}/{key}", 2000) for key in photos]
    written: list[str] = []
    for number in range(30):
        if set(faults.injected) == set(KINDS_OF_ANY):
            break
        new = [f"A/{number}.jpg", f"B/{number}.jpg"]
        table.write(addition(table, *new))
        written += new
        assert paths(table) == sorted(written)
        assert list(fetch(asked, FetchLimits())) == list(photos.values())
    assert list_image_folders(f"{s3.bucket}/Test").photos == {"Apple": 20}
    model = load_model(str(network_file), f"{s3.bucket}/models")
    assert model.flatbuffer == network_file.read_bytes()
    model_store.save(model_of("1"), f"{s3.bucket}/pca")
    assert model_store.load(f"{s3.bucket}/pca").version == "1"
    locations.delete_directory(f"{s3.bucket}/Test")
    faults.has(BadDay())
    assert locations.list_files(f"{s3.bucket}/Test", recursive=True) == []
    assert set(faults.injected) == set(KINDS_OF_ANY)
    # Each write is in the log once, whatever became of its answer.
    assert versions(table) == list(range(len(written) // 2, -1, -1))
    assert {key.rpartition("/")[2] for key in data_files(s3)} == {file.path for file in table.files()}


@pytest.mark.parametrize("kind", ["lost answer", "half a body", "silence", "reset", "500"])
def test_a_commit_of_which_s3_does_not_tell_is_made_once(table: FolderTable, faults: FaultyS3, kind: str) -> None:
    table.write(addition(table, "A/1.jpg"))
    # Only of what is read can half a body come: that is the log, after the commit.
    faults.has(BadDay(1.0, (kind,), only="GET .*json" if kind == "half a body" else COMMITS, most=1, silence=4.0))
    table.write(addition(table, "A/2.jpg"))
    assert faults.injected == {kind: 1}
    assert paths(table) == ["A/1.jpg", "A/2.jpg"]
    assert versions(table) == [2, 1, 0]


@pytest.mark.parametrize("kind", ["lost answer", "silence", "reset", "500", "503"])
def test_a_bucket_is_found_to_have_conditional_writes_whatever_becomes_of_the_first_answer(
    table: FolderTable, faults: FaultyS3, kind: str
) -> None:
    faults.has(BadDay(1.0, (kind,), only="PUT .*_conditional_write_", most=1, silence=4.0))
    table.write(addition(table, "A/1.jpg"))
    assert faults.injected == {kind: 1}
    assert paths(table) == ["A/1.jpg"]


@pytest.mark.parametrize(
    "denied", [r"PUT .*/part-", COMMITS, r"GET .*list-type=2.*_delta_log", r"GET .*\.parquet", r"GET .*\.json"]
)
def test_rights_that_are_lost_at_any_request_leave_the_old_rows_or_the_new_ones(
    table: FolderTable, faults: FaultyS3, denied: str
) -> None:
    replace_rows(table, "A/old.jpg")
    faults.has(BadDay(denied=denied))
    with suppress(FruitsError):
        replace_rows(table, "A/new.jpg")
    if denied.startswith("GET"):
        with pytest.raises(FruitsError, match="AWS denies access"):
            table.arrow(["path"])
    assert faults.injected["403"]
    faults.has(BadDay())
    assert paths(table) in (["A/old.jpg"], ["A/new.jpg"])
    replace_rows(table, "A/next.jpg")
    assert paths(table) == ["A/next.jpg"]


def test_photos_that_may_not_be_read_have_a_reason_and_disturb_no_other(s3: S3, faults: FaultyS3) -> None:
    for number in range(6):
        s3.put(f"Test/Apple/{number}.jpg", b"photo")
    faults.has(BadDay(denied="/[24].jpg$"))
    contents = list(fetch(((f"{s3.bucket}/Test/Apple/{number}.jpg", 5) for number in range(6)), FetchLimits()))
    refused = {number for number, one in enumerate(contents) if isinstance(one, UnusablePhotoError)}
    assert refused == {2, 4}
    assert "AWS denies access" in str(contents[2])


@pytest.mark.parametrize("denied", ["components.parquet", "next/model.json", "current.json", "nothing"])
def test_a_pca_model_of_which_a_part_is_written_is_never_used(s3: S3, faults: FaultyS3, denied: str) -> None:
    root = f"{s3.bucket}/pca"
    model_store.save(model_of("whole"), root)
    faults.has(BadDay(denied=f"PUT .*{denied}"))
    with suppress(FruitsError):
        model_store.save(model_of("next", components=5), root)
    found = model_store.load(root)
    assert (found.version, len(found.components)) == (("next", 5) if denied == "nothing" else ("whole", 3))
    faults.has(BadDay())
    model_store.save(model_of("next", components=5), root)
    assert model_store.load(root).k == 5


def test_an_s3_that_answers_nothing_is_told_after_so_many_attempts(
    s3: S3, table: FolderTable, faults: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_address, "ATTEMPTS", 2)
    monkeypatch.setattr(s3_address, "ANSWER_SECONDS", 1)
    faults.has(BadDay(1.0, ("silence",), silence=3.0))
    attempts: tuple[Callable[[], object], ...] = (
        lambda: locations.write_bytes(f"{s3.bucket}/a.json", b"{}"),
        lambda: locations.delete_directory(f"{s3.bucket}/a"),
        table.snapshot,
        table.log.create,
    )
    for attempt in attempts:
        with pytest.raises(FruitsError, match=r"S3 could not be reached\. Check the network"):
            attempt()


def test_an_old_file_of_which_s3_does_not_delete_a_version_just_then_does_not_come_back(
    s3: S3, table: FolderTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 deletes one by one: had the delete marker gone before it, the old file would be there again."""
    monkeypatch.setattr(s3_module, "_PAUSES_SECONDS", (0,))
    bucket, address = s3.bucket.removeprefix("s3://"), urlsplit(os.environ["AWS_ENDPOINT_URL"])
    forward = forward_to(str(address.hostname), address.port or 80)
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    replace_rows(table, "A/old.jpg")
    (old,) = table.files()
    replace_rows(table, "A/new.jpg")
    assert vacuum(table, timedelta(0)) == [old.path]
    present = data_files(s3)
    (stubborn,) = [
        one["VersionId"]
        for one in s3.client.list_object_versions(Bucket=bucket)["Versions"]
        if one["Key"].endswith(old.path)
    ]

    async def all_but_one(request: Request) -> bytes:
        if stubborn not in request.raw.decode():
            return await forward(request)
        for key, version in re.findall("<Key>(.*?)</Key><VersionId>(.*?)</VersionId>", request.raw.decode()):
            if version != stubborn:
                s3.client.delete_object(Bucket=bucket, Key=key, VersionId=version)
        error = f"<Error><Key>{old.path}</Key><VersionId>{stubborn}</VersionId><Code>InternalError</Code>"
        return response(200, f"<DeleteResult>{error}<Message>No.</Message></Error></DeleteResult>".encode(), {})

    with LatencyServer(all_but_one) as server, monkeypatch.context() as proxied:
        proxied.setenv("AWS_ENDPOINT_URL", server.address)
        with pytest.raises(FruitsError, match=rf"{old.path}: S3 refused\. InternalError"):
            locations.delete_former_versions(table.root)
    assert data_files(s3) == present
    locations.delete_former_versions(table.root)
    assert data_files(s3) == present
    assert paths(table) == ["A/new.jpg"]
    left = s3.client.list_object_versions(Bucket=bucket)
    assert not left.get("DeleteMarkers")
    assert all(one["IsLatest"] for one in left["Versions"])


@pytest.mark.parametrize("allowed", [True, False])
def test_rows_of_a_write_that_is_refused_stay_in_no_version_where_those_may_be_deleted(
    s3: S3, table: FolderTable, faults: FaultyS3, allowed: bool
) -> None:
    """On EMR they may not, and the run says the same."""
    bucket = s3.bucket.removeprefix("s3://")
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def refuse() -> None:
        assert data_files(s3)
        raise FruitsError("Photos were erased.")

    faults.has(BadDay(denied="" if allowed else "versions"))
    with pytest.raises(FruitsError, match=r"^Photos were erased\.$"):
        table.write(addition(table, "A/1.jpg"), {}, refuse)
    assert data_files(s3) == []
    assert paths(table) == []
    found = s3.client.list_object_versions(Bucket=bucket)
    kept = [one["Key"] for kind in ("Versions", "DeleteMarkers") for one in found.get(kind, [])]
    assert bool([key for key in kept if key.endswith(".parquet")]) is not allowed
