"""Tables in an S3 on a bad day: a commit is made once or told, and a reader sees one version or a sentence."""

import os
from collections.abc import Iterator

import pytest

from spark_steps.errors import FruitsError
from spark_steps.storage import s3_address
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.schemas import RAW_IMAGES_SCHEMA
from tests.chaos.faulty_s3 import KINDS, BadDay, FaultyS3, faulty_s3
from tests.support.aws.s3_server import S3
from tests.support.tables import addition, paths, versions

# Of an S3 that is there, each kind that a commit or a reader may meet.
_OF_REQUESTS = [kind for kind in KINDS if kind != "200 and then an error"]
_COMMIT = "PUT .*_delta_log/"


@pytest.fixture
def bad(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """A proxy before the S3 of the test, and clients that wait less long."""
    monkeypatch.setattr("spark_steps.storage.s3_address.ANSWER_SECONDS", 2)
    with faulty_s3(os.environ["AWS_ENDPOINT_URL"]) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        yield proxy


@pytest.fixture
def table(s3: S3, bad: FaultyS3) -> FolderTable:
    table = FolderTable(f"{s3.bucket}/a store/raw_images", RAW_IMAGES_SCHEMA)
    table.write(addition(table, "A/1.jpg"))
    return table


@pytest.mark.parametrize("kind", [kind for kind in _OF_REQUESTS if kind != "half a body"])
def test_a_commit_of_which_the_request_fails_once_is_made_once(table: FolderTable, bad: FaultyS3, kind: str) -> None:
    bad.has(BadDay(1, (kind,), _COMMIT, most=1, silence=4))
    assert table.write(addition(table, "A/2.jpg", "B/1.jpg")) == 2
    assert bad.injected == {kind: 1}
    bad.has(BadDay())
    assert versions(table) == [2, 1, 0]
    assert paths(table) == ["A/1.jpg", "A/2.jpg", "B/1.jpg"]


def test_a_commit_that_is_never_answered_is_found_in_the_log_and_made_once(table: FolderTable, bad: FaultyS3) -> None:
    bad.has(BadDay(1, ("lost answer",), _COMMIT))
    assert table.write(addition(table, "A/2.jpg")) == 2
    assert bad.injected["lost answer"] > 1
    bad.has(BadDay())
    assert versions(table) == [2, 1, 0]
    assert paths(table) == ["A/1.jpg", "A/2.jpg"]


def test_a_commit_that_s3_refuses_each_time_is_told_and_not_made(table: FolderTable, bad: FaultyS3) -> None:
    bad.has(BadDay(1, ("503",), _COMMIT))
    with pytest.raises(FruitsError, match="S3 throttled every attempt"):
        table.write(addition(table, "A/2.jpg"))
    bad.has(BadDay(denied=_COMMIT))
    with pytest.raises(FruitsError, match="AWS denies access"):
        table.write(addition(table, "A/2.jpg"))
    bad.has(BadDay())
    assert versions(table) == [1, 0]
    assert paths(table) == ["A/1.jpg"]


@pytest.mark.parametrize("what", ["list-type=2&prefix=.*_delta_log", r"GET .*_delta_log/\d+\.json"])
@pytest.mark.parametrize("kind", _OF_REQUESTS)
def test_a_look_at_the_log_of_which_a_request_fails_once_sees_the_newest_version(
    table: FolderTable, bad: FaultyS3, kind: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.write(addition(table, "A/2.jpg"))
    bad.has(BadDay(1, (kind,), what, most=1, silence=4))
    # As in another process: this one has the table open, and would ask for what is new alone.
    monkeypatch.setenv("AWS_OF_ANOTHER_PROCESS", "1")
    assert paths(table) == ["A/1.jpg", "A/2.jpg"]
    assert bad.injected == {kind: 1}


def test_an_s3_that_does_not_answer_is_told_after_so_many_attempts(
    s3: S3, bad: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_address, "ATTEMPTS", 2)
    monkeypatch.setattr(s3_address, "ANSWER_SECONDS", 1)
    table = FolderTable(f"{s3.bucket}/raw_images", RAW_IMAGES_SCHEMA)
    table.log.create()
    planned = addition(table, "A/1.jpg")
    for silent in (_COMMIT, "GET .*_delta_log/"):
        bad.has(BadDay(1, ("silence",), silent, silence=3))
        with pytest.raises(FruitsError, match=r"S3 could not be reached\. Check the network"):
            table.write(planned)
    bad.has(BadDay())
    # Where nothing is answered after a commit, nobody can tell whether it was made; the log can, once it is read.
    assert paths(table) in ([], ["A/1.jpg"])


def test_what_follows_a_commit_may_fail_and_the_commit_is_made_once(table: FolderTable, bad: FaultyS3) -> None:
    """Here the checkpoint, which comes with each tenth version."""
    for number in range(2, 9):
        table.write(addition(table, f"A/{number}.jpg"))
    bad.has(BadDay(1, ("503",), "PUT .*checkpoint"))
    assert [table.write(addition(table, f"A/{number}.jpg")) for number in (9, 10, 11)] == [9, 10, 11]
    assert bad.injected["503"] > 0
    bad.has(BadDay())
    assert versions(table) == list(reversed(range(12)))
    assert len(paths(table)) == 11
