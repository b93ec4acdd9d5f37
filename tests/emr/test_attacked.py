"""A run in a folder of photos that an enemy has sent, with its store in S3: nothing of theirs runs, nothing leaks."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import dagster as dg
import psutil
import pytest
from pyspark.sql import SparkSession

from fruits_assets.engines.staging import code_zip
from spark_steps.store.store import Store
from tests.emr_emulator.spark import s3_jars
from tests.support.aws.s3_server import moto_server
from tests.support.photos import save_photo
from tests.support.small_store import contents_below, files_that_say
from tests.support.ways_in import BIN, DEADLINE_SECONDS

SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIACANARYCANARYABCD",
    "AWS_SECRET_ACCESS_KEY": "canary+of/the+secret+key+0123456789abcdefg",
    "AWS_SESSION_TOKEN": "canary-of-the-session-token-0123456789",
    "SOME_OTHER_PASSWORD": "canary-of-another-password",
}
MARKUP = ("<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "=cmd|' &calc'!A0", "`tick` ![a](b)")
# What the command, Dagster, Spark and its workers import.
MODULES = ("numpy", "pandas", "pyarrow", "pyspark", "yaml", "json", "PIL", "sitecustomize", "usercustomize", "dagster")
OUTSIDE = b"what a link of the enemy leads to, and nobody is to read"


@dataclass(frozen=True)
class Attacked:
    """What a run has left.

    Attributes:
        photos: The folder that was sent.
        left: Content of every file and object, by name.
        said: What the command has printed.
        home: The Dagster home.
        store: The store, in S3.
    """

    photos: Path
    left: dict[str, bytes]
    said: str
    home: Path
    store: Store


def send_photos(root: Path) -> Path:
    photos = root / "sent"
    for number, folder in enumerate(("Apple", "Pear", *MARKUP)):
        save_photo(photos / folder / "1.jpg", 30 * number)
        (photos / folder / "broken.jpg").write_bytes(b"no photo")
    for module in MODULES:
        (photos / f"{module}.py").write_text(f"open({str(root / 'ran' / module)!r}, 'w')\nraise ImportError\n")
    (root / "ran").mkdir()
    (root / "outside.txt").write_bytes(OUTSIDE)
    (photos / "Apple" / "link.jpg").symlink_to(root / "outside.txt")
    return photos


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, network_file: Path) -> Iterator[Attacked]:
    s3_jars()
    root = tmp_path_factory.mktemp("attacked")
    photos, home, temporary = send_photos(root), root / "home", root / "tmp"
    temporary.mkdir()
    with moto_server() as endpoint, pytest.MonkeyPatch.context() as patch:
        for name, value in {**SECRETS, "AWS_ENDPOINT_URL": endpoint}.items():
            patch.setenv(name, value)
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        s3 = boto3.client("s3", region_name="eu-west-3")
        s3.create_bucket(Bucket="canaries", CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
        environment = {**os.environ, "DAGSTER_HOME": str(home), "TMPDIR": str(temporary), "FRUITS_CORES": "2"}
        command = [
            str(BIN / "fruits"),
            "run",
            "--images",
            ".",
            "--store",
            "s3://canaries",
            "--weights",
            str(network_file),
        ]
        done = subprocess.run(
            command, env=environment, cwd=photos, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket="canaries")
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        objects = {key: s3.get_object(Bucket="canaries", Key=key)["Body"].read() for key in keys}
        left = {**contents_below(home, temporary), **objects, "code.zip": code_zip()}
        yield Attacked(photos, left, done.stdout + done.stderr, home, Store("s3://canaries"))


def test_no_credential_is_in_any_log_table_metadata_or_temporary_file(attacked: Attacked) -> None:
    wanted = [secret.encode() for secret in SECRETS.values()]
    assert len(attacked.left) > 20
    assert files_that_say(attacked.left, wanted) == {}
    assert [secret for secret in SECRETS.values() if secret in attacked.said] == []


def test_no_module_that_lies_among_the_photos_is_imported(attacked: Attacked) -> None:
    assert sorted(path.name for path in (attacked.photos.parent / "ran").iterdir()) == []


def test_a_link_out_of_the_photos_is_followed_and_gives_no_byte_away(attacked: Attacked) -> None:
    rows = attacked.store.mobilenet_features.arrow(["path", "error"], ["Apple"]).to_pylist()
    (linked,) = [row for row in rows if row["path"] == "Apple/link.jpg"]
    assert linked["error"].startswith("not an image: ")
    assert files_that_say(attacked.left, [OUTSIDE, OUTSIDE[:20]]) == {}


def test_no_name_of_a_folder_comes_into_what_the_ui_shows_as_markdown(
    attacked: Attacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(attacked.home))
    assert attacked.store.reduced_features.folders() == sorted(("Apple", "Pear", *MARKUP))
    with dg.DagsterInstance.get() as instance:
        entries = [entry for run in instance.get_runs() for entry in instance.all_logs(run.run_id)]
    shown = [
        str(value.md_str)
        for entry in entries
        if entry.dagster_event
        for data in [entry.dagster_event.event_specific_data]
        for made in [getattr(data, "materialization", data)]
        for value in (getattr(made, "metadata", None) or {}).values()
        if isinstance(value, dg.MarkdownMetadataValue)
    ]
    assert len(shown) > 2
    # Pictures, and the table of store_report.
    assert [text for text in shown if "](data:image/" not in text and not text.startswith("| | |")] == []
    assert not any(name in text for name in MARKUP for text in shown)


def test_spark_on_this_machine_listens_to_this_machine_alone(spark: SparkSession) -> None:
    assert spark.range(4).mapInArrow(lambda batches: batches, "id long").count() == 4
    processes = psutil.Process().children(recursive=True)
    open_to = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in processes
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert open_to
    assert open_to <= {"127.0.0.1", "::1"}
    assert spark.conf.get("spark.authenticate") == "true"
