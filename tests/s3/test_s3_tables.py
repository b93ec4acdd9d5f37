"""Delta tables in S3: reached as boto3 would, with its credentials and no others; or it is told why they are not."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from benchmarks.studies.latency_proxy import LatencyServer, Request, forward_to, response
from fruits_assets.aws.s3_lock import held
from fruits_assets.commands.aws.doctor import Check, examine
from fruits_assets.settings import read_settings
from spark_steps.errors import FruitsError
from spark_steps.storage import locations, object_store, s3_address
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import FolderTable, TableChange
from spark_steps.tables.maintenance import vacuum
from spark_steps.tables.schemas import RAW_IMAGES_SCHEMA, with_folder
from tests.support.aws.s3_server import S3
from tests.support.tables import addition, paths, removal, rows, versions

SECRET = "sekret-of-the-profile"  # noqa: S105
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def table(s3: S3) -> FolderTable:
    return FolderTable(f"{s3.bucket}/store/raw_images", RAW_IMAGES_SCHEMA)


@dataclass(frozen=True)
class Recorded:
    """The requests to a server, each with what it was signed with."""

    requests: list[Request]

    @property
    def signed_with(self) -> list[tuple[str, str, str | None]]:
        """Access key, region and session token of each request to a bucket."""
        found = []
        for request in self.requests:
            if request.target.startswith("/fruits-"):
                signed = re.search(r"Credential=(\w+)/\d+/([\w-]+)/s3/", request.headers.get("authorization", ""))
                key, region = signed.groups() if signed else ("nobody", "nowhere")
                found.append((key, region, request.headers.get("x-amz-security-token")))
        return found


def before(address: str, changed: Callable[[Request], Request] = lambda request: request) -> LatencyServer:
    """Returns a server that passes on all requests, changed."""
    url = urlsplit(address)
    forward = forward_to(str(url.hostname), url.port or 80)
    return LatencyServer(lambda request: forward(changed(request)))


@pytest.fixture
def recorded(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    seen: list[Request] = []

    def record(request: Request) -> Request:
        seen.append(request)
        return request

    with before(os.environ["AWS_ENDPOINT_URL"], record) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        yield Recorded(seen)


@pytest.fixture
def profile(recorded: Recorded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Writes AWS's own file of profiles, and uses the one that is called mine."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    config = tmp_path / "config"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("FRUITS_REGION", "eu-west-3")

    def write(text: str) -> None:
        config.write_text(text)

    return write


def use(table: FolderTable) -> None:
    """Does with a table whatever is done with one, and reads its rows and its log."""
    table.write(addition(table, "A/1.jpg", "B/1.jpg"))
    table.write(removal(table, "B"))
    assert paths(table) == ["A/1.jpg"]
    assert versions(table) == [2, 1, 0]
    assert len(vacuum(table, timedelta(0))) == 1
    assert locations.list_files(table.root)


@pytest.mark.parametrize(
    "left",
    [
        {"AWS_SESSION_TOKEN": "of-another-session"},
        {"TOKEN": "of-something-else"},
        {"aws_token": "of-something-else"},
        {"AWS_SKIP_SIGNATURE": "true"},
        {"AWS_ENDPOINT": NOWHERE},
        {"ENDPOINT": NOWHERE},
        {"PROXY_URL": NOWHERE},
        {"AWS_PROXY_URL": NOWHERE},
        {"BUCKET": "another", "AWS_BUCKET_NAME": "another"},
        {"AWS_DEFAULT_REGION": "us-east-1", "REGION": "us-east-1"},
        {"S3_EXPRESS": "true"},
        {"AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"},
        {"AWS_CONDITIONAL_PUT": "disabled"},
        {"AWS_COPY_IF_NOT_EXISTS": "header: cf-copy: no"},
        {"CHECKSUM_ALGORITHM": "md5"},
        {"AWS_S3_LOCKING_PROVIDER": "dynamodb"},
        {"AWS_FORCE_CREDENTIAL_LOAD": "true", "AWS_IAM_ROLE_ARN": "arn:aws:iam::123456789012:role/another"},
        {"TIMEOUT": "0.000001s", "CONNECT_TIMEOUT": "0.000001s"},
    ],
    ids=" ".join,
)
def test_what_is_left_in_the_environment_leads_nowhere_else_and_to_no_other_credentials(
    left: dict[str, str],
    table: FolderTable,
    recorded: Recorded,
    profile: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    profile(f"[profile mine]\naws_access_key_id = MINE\naws_secret_access_key = {SECRET}\n")
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    use(table)
    assert set(recorded.signed_with) == {("MINE", "eu-west-3", None)}
    # Others, and what this process starts, have it as before.
    told = subprocess.run(["/usr/bin/env"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert {f"{name}={value}" for name, value in left.items()} <= set(told)


def test_a_profile_that_assumes_a_role_is_used_and_its_secrets_are_in_no_file(
    s3: S3, table: FolderTable, recorded: Recorded, profile: Callable[[str], None]
) -> None:
    profile(
        f"[profile person]\naws_access_key_id = PERSON\naws_secret_access_key = {SECRET}\n"
        "[profile mine]\nrole_arn = arn:aws:iam::123456789012:role/launcher\nsource_profile = person\n"
    )
    use(table)
    ((key, _, token),) = set(recorded.signed_with)
    assert key.startswith("ASIA")
    assert token
    bucket = s3.bucket.removeprefix("s3://")
    written = b"".join(s3.client.get_object(Bucket=bucket, Key=one)["Body"].read() for one in s3.listing())
    assert not [one for one in (key, token, SECRET) if one.encode() in written]


def test_credentials_that_expire_are_renewed_while_a_table_is_open(
    table: FolderTable, recorded: Recorded, profile: Callable[[str], None], tmp_path: Path
) -> None:
    """Those of the process end in five minutes, each time that it is asked, so boto3 asks for others."""
    asked, process = tmp_path / "asked", tmp_path / "process.py"
    ends = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = {"Version": 1, "SecretAccessKey": SECRET, "SessionToken": "token", "Expiration": ends}
    process.write_text(
        "import json, pathlib\n"
        f"asked = pathlib.Path({str(asked)!r})\n"
        "asked.write_text(asked.read_text() + 'x' if asked.exists() else 'x')\n"
        f"print(json.dumps({answer!r} | {{'AccessKeyId': f'KEY{{len(asked.read_text())}}'}}))\n"
    )
    profile(f"[profile mine]\ncredential_process = {sys.executable} {process}\n")
    table.write(addition(table, "A/1.jpg"))
    (first,) = {key for key, *_ in recorded.signed_with[-1:]}
    recorded.requests.clear()
    table.write(addition(table, "A/2.jpg"))
    commits = [one for one in recorded.requests if one.method == "PUT" and "_delta_log" in one.target]
    assert len(commits) == 1
    assert int(Recorded(commits).signed_with[0][0].removeprefix("KEY")) > int(first.removeprefix("KEY"))
    assert paths(table) == ["A/1.jpg", "A/2.jpg"]


@pytest.mark.parametrize("prefix", ["a b", "a#b", "a?b", "é ü 林檎", "a+b=c", "100%", "[x]{y}*", "a/b.c"])
def test_a_table_lies_below_any_prefix(s3: S3, prefix: str) -> None:
    use(FolderTable(f"{s3.bucket}/{prefix}/raw_images", RAW_IMAGES_SCHEMA))
    assert {key.rpartition("/raw_images/")[0] for key in s3.listing()} == {prefix}


def test_a_prefix_that_deltalake_would_decode_is_told(s3: S3) -> None:
    table = FolderTable(f"{s3.bucket}/a%20b/raw_images", RAW_IMAGES_SCHEMA)
    with pytest.raises(FruitsError, match="percent sign before two hexadecimal digits"):
        table.write(addition(table, "A/1.jpg"))
    assert s3.listing() == []


def test_a_table_lies_in_a_bucket_with_dots(s3: S3) -> None:
    s3.client.create_bucket(Bucket="of.fruits", CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
    use(FolderTable("s3://of.fruits/store/raw_images", RAW_IMAGES_SCHEMA))


def test_aws_is_asked_in_the_region_of_the_bucket_and_where_its_certificate_is_valid(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("FRUITS_REGION", "eu-south-2")
    plain, dotted = (object_store.object_store_options(place) for place in ("s3://fruits/a", "s3://of.fruits/a"))
    assert plain["aws_endpoint"] == plain["aws_endpoint_url_s3"] == "https://fruits.s3.eu-south-2.amazonaws.com"
    assert dotted["aws_endpoint"] == dotted["aws_endpoint_url_s3"] == "https://s3.eu-south-2.amazonaws.com"
    assert {"aws_virtual_hosted_style_request": "true", "aws_allow_http": "false"}.items() <= plain.items()
    assert {"aws_virtual_hosted_style_request": "false", "aws_allow_http": "false"}.items() <= dotted.items()


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", "AWS denies access"),
        (404, "NoSuchBucket", "there is no such bucket"),
        (301, "PermanentRedirect", "the bucket lies in another region. Set FRUITS_REGION"),
        (400, "AuthorizationHeaderMalformed", "the bucket lies in another region. Set FRUITS_REGION"),
        (400, "ExpiredToken", "the AWS credentials have expired"),
        (403, "InvalidAccessKeyId", "AWS does not know these credentials"),
        (503, "SlowDown", "S3 throttled every attempt"),
    ],
)
def test_what_s3_refuses_is_told_in_a_sentence(
    s3: S3, monkeypatch: pytest.MonkeyPatch, status: int, code: str, said: str
) -> None:
    monkeypatch.setattr(s3_address, "ATTEMPTS", 2)

    async def refuse(request: Request) -> bytes:
        told = f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
        return response(status, told, {"Content-Type": "application/xml"}, head=request.method == "HEAD")

    with LatencyServer(refuse) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        table = FolderTable("s3://bucket/403 SlowDown/raw_images", RAW_IMAGES_SCHEMA)
        with pytest.raises(FruitsError, match=f"^s3://bucket/403 SlowDown/raw_images: {re.escape(said)}"):
            table.snapshot()


@pytest.mark.parametrize("address", [NOWHERE, "http://no-such-host.invalid"])
def test_an_s3_that_cannot_be_reached_is_told_in_a_sentence(
    table: FolderTable, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(s3_address, "ATTEMPTS", 2)
    use(table)
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    for look in (table.snapshot, lambda: table.write(addition(table, "A/2.jpg"))):
        with pytest.raises(FruitsError, match=r"S3 could not be reached\. Check the network"):
            look()


def made_by_another_program(table: FolderTable, *named: str) -> None:
    """Adds rows to a table, or makes it, without this process's knowledge of it."""
    options = object_store.object_store_options(table.root)
    for path in named:
        batch = rows(path).append_column("folder", [["A"]]).cast(with_folder(RAW_IMAGES_SCHEMA))
        write_deltalake(table.root, batch, partition_by=["folder"], mode="append", storage_options=options)


def test_what_another_process_commits_is_seen(table: FolderTable) -> None:
    table.write(addition(table, "A/1.jpg"))
    for number in range(2, 14):
        # More than a checkpoint's commits between two looks.
        made_by_another_program(table, f"A/{number}.jpg")
        if number in (2, 3, 13):
            assert len(paths(table)) == number
    assert table.snapshot().version == 13


def test_a_table_of_an_earlier_release_gets_the_columns_of_a_later_one(table: FolderTable) -> None:
    table.write(addition(table, "A/1.jpg"))
    later = replace(table, schema=RAW_IMAGES_SCHEMA.append(pa.field("camera", pa.string())))
    added = DriverRows({"A": [pa.Table.from_pylist([{"path": "A/2.jpg", "camera": "a phone"}], later.schema)]})
    assert later.write(TableChange(later.snapshot(), added, (), frozenset("A"))) == 3
    found = [{"path": "A/1.jpg", "camera": None}, {"path": "A/2.jpg", "camera": "a phone"}]
    assert later.arrow(["path", "camera"]).to_pylist() == found
    table.write(addition(table, "A/3.jpg"))
    assert later.arrow(["path", "camera"]).to_pylist() == [*found, {"path": "A/3.jpg", "camera": None}]
    assert versions(later) == [4, 3, 2, 1, 0]


def test_a_table_that_was_deleted_is_gone_and_another_in_its_place_is_another(table: FolderTable) -> None:
    for number in range(3):
        table.write(addition(table, f"A/{number}.jpg"))
    assert table.snapshot().version == 3
    locations.delete_directory(table.root)
    assert table.snapshot().version == -1
    assert paths(table) == []
    table.write(addition(table, "A/new.jpg"))
    assert paths(table) == ["A/new.jpg"]
    assert versions(table) == [1, 0]


def test_a_commit_to_a_table_that_was_deleted_meanwhile_makes_no_log_with_a_gap(table: FolderTable) -> None:
    table.write(addition(table, "A/1.jpg"))
    planned = addition(table, "B/2.jpg")
    locations.delete_directory(table.root)
    table.write(planned)
    assert versions(table) == [1, 0]
    options = object_store.object_store_options(table.root)
    assert DeltaTable(table.root, storage_options=options).version() == 1


# Conditional writes


def unconditional(request: Request) -> Request:
    """Returns the request as an S3 takes it that does not know of conditions."""
    head, end, body = request.raw.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"if-none-match:")]
    return Request(request.method, request.target, request.headers, b"\r\n".join(lines) + end + body)


@pytest.fixture
def ignorant(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 that ignores If-None-Match: its address."""
    with before(os.environ["AWS_ENDPOINT_URL"], unconditional) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        yield server.address


def test_no_table_is_made_and_no_lock_taken_in_an_s3_without_conditional_writes(
    s3: S3, ignorant: str, table: FolderTable
) -> None:
    attempts: tuple[Callable[[], object], ...] = (
        table.log.create,
        lambda: table.write(addition(table, "A/1.jpg")),
        lambda: held(boto3.client("s3", "eu-west-3"), s3.bucket.removeprefix("s3://"), "locks/a", 0).__enter__(),
    )
    for attempt in attempts:
        with pytest.raises(FruitsError, match=rf"The S3 at {ignorant} .* ignores If-None-Match.* would lose rows"):
            attempt()
    assert s3.listing() == []


def test_a_table_is_not_changed_in_an_s3_without_conditional_writes(
    s3: S3, table: FolderTable, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    table.write(addition(table, "A/1.jpg", "B/1.jpg"))
    written = s3.listing()
    request.getfixturevalue("ignorant")
    attempts: tuple[Callable[[], object], ...] = (
        lambda: table.write(addition(table, "A/2.jpg")),
        lambda: table.write(removal(table, "B")),
        lambda: table.log.set_property("fruits.images", "s3://photos", None),
    )
    for attempt in attempts:
        with pytest.raises(FruitsError, match="ignores If-None-Match"):
            attempt()
    assert s3.listing() == written
    assert paths(table) == ["A/1.jpg", "B/1.jpg"]


def test_a_bucket_is_asked_once_in_a_process_and_keeps_no_trace_of_it(
    s3: S3, table: FolderTable, recorded: Recorded
) -> None:
    other = FolderTable(f"{s3.bucket}/store/reduced_features", RAW_IMAGES_SCHEMA)
    for one in (table, other, table):
        one.write(addition(one, f"A/{one.snapshot().version}.jpg"))
    with held(boto3.client("s3", "eu-west-3"), s3.bucket.removeprefix("s3://"), "locks/a", 0):
        pass
    asked = [one.method for one in recorded.requests if "_conditional_write_" in one.target]
    assert asked == ["PUT", "PUT"]
    assert not [key for key in s3.listing() if "_conditional_write_" in key]


def test_fruits_doctor_names_an_s3_without_conditional_writes(s3: S3, request: pytest.FixtureRequest) -> None:
    settings = read_settings(images=f"{s3.bucket}/Test", store=s3.bucket)

    def looked() -> Check:
        (check,) = [one for one in examine(settings) if one.name == "conditional writes"]
        return check

    assert looked().state == "ok"
    address = request.getfixturevalue("ignorant")
    check = looked()
    assert check.state == "failed"
    assert f"The S3 at {address} writes an object although there is one already" in check.detail
    assert s3.listing() == []
