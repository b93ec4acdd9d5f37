"""S3 on a bad day: what was asked for is done all the same, or told in a sentence; what readers see is whole."""

import os
import random
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.latency_proxy import Request, response
from spark_steps import pca_store, storage
from spark_steps import s3 as s3_module
from spark_steps.errors import FruitsError, UnusablePhotoError
from spark_steps.fetching import fetch
from spark_steps.images import list_image_folders
from spark_steps.limits import FetchLimits
from spark_steps.pca import PcaModel
from spark_steps.row_removal import delete_former_versions
from spark_steps.tables import FolderTable
from spark_steps.task_rows import TaskRows, write_file
from spark_steps.weights import load_model
from tests.chaos.faulty_s3 import KINDS, Faults, faulty_server
from tests.s3_server import S3
from tests.test_replacements import FOLDERS, come, replace, replacements_of, write, writers_of

pytest_plugins = ["tests.s3_server"]


@pytest.fixture
def faults(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """A proxy before the S3 of the test, which fails as it is told to, and clients that wait less long."""
    monkeypatch.setattr("spark_steps.s3.ANSWER_SECONDS", 2)
    server, made = faulty_server(os.environ["AWS_ENDPOINT_URL"], silence=4.0)
    with server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        yield made


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


def test_a_day_of_all_kinds_of_faults_is_outlived(s3: S3, faults: Faults, network_file: Path) -> None:
    root = f"{s3.bucket}/table"
    photos = {f"Test/Apple/{number}.jpg": os.urandom(2000) for number in range(20)}
    for key, body in photos.items():
        s3.put(key, body)
    faults.share, faults.randomly = 0.15, random.Random(1)  # noqa: S311
    asked = [(f"{s3.bucket}/{key}", 2000) for key in photos]
    for number in range(30):
        if set(faults.injected) == set(KINDS):
            break
        replace(root, f"n{number}", ("A", "B"))
        assert writers_of(root) == {"A": [f"n{number}"] * 2, "B": [f"n{number}"] * 2, "C": []}
        assert list(fetch(asked, FetchLimits())) == list(photos.values())
    assert list_image_folders(f"{s3.bucket}/Test").photos == {"Apple": 20}
    model = load_model(str(network_file), f"{s3.bucket}/models")
    assert model.flatbuffer == network_file.read_bytes()
    pca_store.save_numbers(model_of("1"), f"{s3.bucket}/pca")
    assert pca_store.load(f"{s3.bucket}/pca").version == "1"
    storage.delete_directory(f"{s3.bucket}/Test")
    faults.share = 0
    assert storage.list_files(f"{s3.bucket}/Test", recursive=True) == []
    assert set(faults.injected) == set(KINDS)
    left = [key for key in s3.listing() if key.startswith("table/_replacing") and not key.endswith(".done")]
    assert left == []


@pytest.mark.parametrize("at", [0, 1, 2, 4, 6, 8, 11])
def test_rights_that_are_lost_at_any_request_leave_the_old_rows_or_the_new_ones(
    s3: S3, faults: Faults, at: int
) -> None:
    root = f"{s3.bucket}/table"
    replace(root, "old")
    replacement = write(root, "new")
    requests = [0]

    def denied(request: Request) -> bool:
        requests[0] += 1
        return requests[0] > at

    faults.denies = denied
    with suppress(FruitsError):
        replacements_of(root).decide(replacement, come("new"))
    with pytest.raises(FruitsError, match="AWS denies access"):
        replacements_of(root).settled()
    faults.denies = lambda _: False
    found = replacements_of(root).unchanged(lambda: writers_of(root))
    (writers,) = {tuple(names) for names in found.values()}
    assert writers in (("new", "new"), ("old", "old"))
    replace(root, "next")
    assert writers_of(root) == dict.fromkeys(FOLDERS, ["next"] * 2)


def test_photos_that_may_not_be_read_have_a_reason_and_disturb_no_other(s3: S3, faults: Faults) -> None:
    for number in range(6):
        s3.put(f"Test/Apple/{number}.jpg", b"photo")
    faults.denies = lambda request: request.target.endswith(("/2.jpg", "/4.jpg"))
    contents = list(fetch(((f"{s3.bucket}/Test/Apple/{number}.jpg", 5) for number in range(6)), FetchLimits()))
    refused = {number for number, one in enumerate(contents) if isinstance(one, UnusablePhotoError)}
    assert refused == {2, 4}
    assert "AWS denies access" in str(contents[2])


@pytest.mark.parametrize("at", range(4))
def test_a_pca_model_of_which_a_part_is_written_is_never_used(s3: S3, faults: Faults, at: int) -> None:
    root = f"{s3.bucket}/pca"
    pca_store.save_numbers(model_of("whole"), root)
    puts = [0]

    def denied(request: Request) -> bool:
        puts[0] += request.method == "PUT"
        return request.method == "PUT" and puts[0] > at

    faults.denies = denied
    with suppress(FruitsError):
        pca_store.save_numbers(model_of("next", components=5), root)
    found = pca_store.load(root)
    assert (found.version, len(found.components)) == ({3: ("next", 5)}.get(at, ("whole", 3)))
    faults.denies = lambda _: False
    pca_store.save_numbers(model_of("next", components=5), root)
    assert pca_store.load(root).k == 5


def test_an_s3_that_answers_nothing_is_told_after_so_many_attempts(
    s3: S3, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_module, "ATTEMPTS", 2)
    monkeypatch.setattr(s3_module, "ANSWER_SECONDS", 1)
    faults.share, faults.kinds, faults.silence = 1.0, ("silence",), 3.0
    attempts: tuple[Callable[[], None], ...] = (
        lambda: storage.write_bytes(f"{s3.bucket}/a.json", b"{}"),
        lambda: storage.delete_directory(f"{s3.bucket}/a"),
    )
    for attempt in attempts:
        with pytest.raises(FruitsError, match=r"S3 could not be reached\. Check the network"):
            attempt()


def test_an_old_file_of_which_s3_does_not_delete_a_version_just_then_does_not_come_back(
    s3: S3, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 deletes one by one: had the delete marker gone before it, the old file would be there again."""
    monkeypatch.setattr(s3_module, "_PAUSES_SECONDS", (0,))
    bucket, forward = s3.bucket.removeprefix("s3://"), faults.forward
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for name in ("old", "new", "newest"):
        replace(s3.bucket, name, ("A",))
    (stubborn,) = [
        one["VersionId"] for one in s3.client.list_object_versions(Bucket=bucket, Prefix="folder=A/old-0")["Versions"]
    ]

    async def all_but_one(request: Request) -> bytes:
        if stubborn not in request.raw.decode():
            return await forward(request)
        for key, version in re.findall("<Key>(.*?)</Key><VersionId>(.*?)</VersionId>", request.raw.decode()):
            if version != stubborn:
                s3.client.delete_object(Bucket=bucket, Key=key, VersionId=version)
        error = f"<Error><Key>folder=A/old-0.parquet</Key><VersionId>{stubborn}</VersionId><Code>InternalError</Code>"
        return response(200, f"<DeleteResult>{error}<Message>No.</Message></Error></DeleteResult>".encode(), {})

    faults.forward = all_but_one
    with pytest.raises(FruitsError, match=r"old-0\.parquet: S3 refused\. InternalError"):
        delete_former_versions(s3.bucket)
    assert writers_of(s3.bucket)["A"] == ["newest"] * 2
    faults.forward = forward
    delete_former_versions(s3.bucket)
    assert writers_of(s3.bucket)["A"] == ["newest"] * 2
    left = s3.client.list_object_versions(Bucket=bucket)
    assert not left.get("DeleteMarkers")
    assert all(one["IsLatest"] for one in left["Versions"])


class OwnRows(TaskRows):
    """Rows that this process writes, and no tasks of Spark."""

    def __init__(self) -> None: ...

    def write_files(self, directory: str, directory_name: Callable[[str], str]) -> list[tuple[str, str]]:
        write_file(f"{directory}/{directory_name('A')}/own.parquet", [pa.RecordBatch.from_pydict({"path": ["a"]})])
        return [("A", "own.parquet")]


@pytest.mark.parametrize("allowed", [True, False])
def test_rows_of_a_write_that_is_refused_stay_in_no_version_where_those_may_be_deleted(
    s3: S3, faults: Faults, allowed: bool
) -> None:
    """On EMR they may not, and the run says the same."""
    bucket = s3.bucket.removeprefix("s3://")
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    table = FolderTable(f"{s3.bucket}/table", pa.schema([("path", pa.string())]))

    def refuse() -> None:
        assert [key for key in s3.listing() if key.endswith(".parquet")]
        raise FruitsError("Photos were erased.")

    faults.denies = lambda request: not allowed and "versions" in request.target
    with pytest.raises(FruitsError, match=r"^Photos were erased\.$"):
        table.write(OwnRows(), ["A"], refuse)
    assert s3.listing() == []
    found = s3.client.list_object_versions(Bucket=bucket)
    assert bool(found.get("Versions") or found.get("DeleteMarkers")) is not allowed


def test_a_copy_that_s3_makes_after_others_have_taken_it_back_does_not_stay(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"{s3.bucket}/table"
    replace(root, "old")
    replacement = write(root, "late")
    move, awake = storage._move_file, [True]

    def copied_late(source: str, target: str, name: str) -> None:
        if not awake:
            return move(source, target, name)
        awake.clear()
        storage.delete_directory(f"{root}/_replacing/{replacement}")
        replacements_of(root).settled()
        replace(root, "newer", ("B",))
        return storage.write_bytes(f"{target}/{name}", b"x")

    monkeypatch.setattr(storage, "_move_file", copied_late)
    with pytest.raises(FruitsError, match="were deleted before they were in place"):
        replacements_of(root).decide(replacement, come("late"))
    assert writers_of(root) == {"A": ["old"] * 2, "B": ["newer"] * 2, "C": ["old"] * 2}


def test_a_copy_that_s3_makes_after_others_have_replaced_it_does_not_stay(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"{s3.bucket}/table"
    replace(root, "old")
    move, awake = storage._move_file, [True]

    def copied_late(source: str, target: str, name: str) -> None:
        if not awake:
            return move(source, target, name)
        awake.clear()
        replace(root, "newer", ("A", "B"))
        part = write(root, "part", ("C",), files=1)
        replacements_of(root).decide(part, {"C": ["part-0.parquet"]}, {"C": ["late-0.parquet"]})
        for folder in FOLDERS:
            storage.write_bytes(f"{root}/folder={folder}/late-0.parquet", b"x")
        return storage.write_bytes(f"{target}/{name}", b"x")

    monkeypatch.setattr(storage, "_move_file", copied_late)
    replace(root, "late")
    assert writers_of(root) == {"A": ["newer"] * 2, "B": ["newer"] * 2, "C": ["late", "part"]}
