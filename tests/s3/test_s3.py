"""Photos and stores in S3: as a folder on this machine, with names as hostile, by pyarrow and by Spark."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pyarrow import fs
from pyspark.sql import SparkSession

from fruits_assets.instance.home import ensure_dagster_home, last_store
from fruits_assets.sample_photos import write_sample
from spark_steps.errors import FruitsError, UnusablePhotoError
from spark_steps.photos.fetching import fetch
from spark_steps.photos.limits import FetchLimits
from spark_steps.photos.listing import count_photos, find_photos, list_image_folders
from spark_steps.queries.report import read_report
from spark_steps.spark.connector import connector_config
from spark_steps.spark.session import hadoop_version, local_spark_config
from spark_steps.storage import locations, s3_errors
from spark_steps.storage import s3_client as s3_module
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import FolderTable
from tests.emr_emulator.spark import s3_jars
from tests.support.names import HOSTILE_FOLDERS, HOSTILE_NAMES
from tests.support.photos import save_photo
from tests.support.project import PROJECT
from tests.support.s3_server import S3

DEADLINE_SECONDS = 600
# moto takes no line feed in a key.
NAMES = [name for name in HOSTILE_NAMES if "\n" not in name]
pytest_plugins = ["tests.support.s3_server"]
ROWS = {
    "raw_images": ["folder", "path", "label", "length", "error"],
    "mobilenet_features": ["folder", "path", "image_id", "features", "model", "error"],
    "reduced_features": ["folder", "path", "image_id", "reduced"],
}


@pytest.fixture
def hostile(s3: S3) -> str:
    for folder in HOSTILE_FOLDERS:
        for name in NAMES:
            s3.put(f"Test/{folder}/{name}")
    return f"{s3.bucket}/Test"


@pytest.mark.parametrize("name", ["plain", "a b", "a%20b", "100%", "#1?", "é ü 林檎", "a+b=c", "[x]{y}*"])
def test_a_small_file_comes_back_under_the_name_it_was_written(s3: S3, name: str) -> None:
    place = f"{s3.bucket}/{name}/{name}.json"
    locations.write_json(place, {"is": name})
    assert locations.read_json(place) == {"is": name}
    assert s3.listing() == [f"{name}/{name}.json"]
    assert locations.file_type(f"{s3.bucket}/{name}") == fs.FileType.Directory


def test_deleting_leaves_no_marker_and_touches_no_neighbour(s3: S3) -> None:
    for key in ("a/b/", "a/b/1", "a/b/c/2", "a/bc/3"):
        s3.put(key)
    locations.delete_directory(f"{s3.bucket}/a/b")
    assert s3.listing() == ["a/bc/3"]
    locations.delete_files(f"{s3.bucket}/a/bc", ["3", "not there"])
    assert s3.listing() == []
    locations.delete_directory(f"{s3.bucket}/a/b")


def test_what_is_not_there_is_told_as_it_is_for_folders(s3: S3) -> None:
    assert locations.file_type(f"{s3.bucket}/nothing") == fs.FileType.NotFound
    with pytest.raises(FileNotFoundError):
        locations.read_bytes(f"{s3.bucket}/nothing")


def test_a_bucket_that_is_not_there_is_named_with_the_remedy(s3: S3) -> None:
    with pytest.raises(FruitsError, match="s3://nobody-made-it/a: there is no such bucket"):
        locations.write_bytes("s3://nobody-made-it/a", b"")
    with pytest.raises(FruitsError, match="s3://nobody-made-it/Test does not exist"):
        list_image_folders("s3://nobody-made-it/Test")


def test_without_credentials_there_is_one_sentence(no_credentials: None) -> None:
    with pytest.raises(FruitsError, match=r"There are no AWS credentials to reach S3.*aws sso login"):
        locations.read_bytes("s3://any-bucket/key")


def test_folders_with_hostile_names_are_listed_with_their_counts(hostile: str, s3: S3) -> None:
    for key in ("Test/at the root.jpg", "Test/a//no name.jpg", "Test/.thumbnails/hidden.jpg", "Test/empty/"):
        s3.put(key)
    found = list_image_folders(hostile)
    assert found.photos == dict.fromkeys(sorted(HOSTILE_FOLDERS), len(NAMES))
    assert found.root_photos == 2
    assert count_photos(hostile, HOSTILE_FOLDERS) == found.photos


def test_photos_with_hostile_names_are_found_once_each_and_can_be_fetched(spark: SparkSession, hostile: str) -> None:
    found = find_photos(spark, hostile, HOSTILE_FOLDERS, 100).rows
    rows = [(folder, row["path"], row["length"]) for folder, rows in found.items() for row in rows.to_pylist()]
    assert sorted((folder, path) for folder, path, _ in rows) == sorted(
        (folder, f"{folder}/{name}") for folder in HOSTILE_FOLDERS for name in NAMES
    )
    contents = fetch(((f"{hostile}/{path}", length) for _, path, length in rows), FetchLimits())
    assert set(contents) == {b"x"}


def test_empty_photos_markers_and_other_files_are_told_apart(spark: SparkSession, s3: S3) -> None:
    for key in ("Test/Apple/", "Test/Apple/sub/", "Test/Apple/empty.jpg", "Test/Apple/_empty notes.txt"):
        s3.put(key, b"")
    s3.put("Test/Apple/good.jpg")
    s3.put("Test/Apple/large.jpg", bytes(101))
    found = find_photos(spark, f"{s3.bucket}/Test", ["Apple"], 100)
    rows = {row["path"].rpartition("/")[2]: row for row in found.rows["Apple"].to_pylist()}
    errors = {name: row["error"] and row["error"].split(":")[0] for name, row in rows.items()}
    assert errors == {"empty.jpg": "empty", "good.jpg": None, "large.jpg": "too large"}
    assert found.others == {"Apple": ["_empty notes.txt"]}
    bucket = s3.bucket.removeprefix("s3://")
    modified = s3.client.head_object(Bucket=bucket, Key="Test/Apple/good.jpg")["LastModified"]
    assert rows["good.jpg"]["modification_time"].timestamp() == modified.timestamp()


def test_a_folder_that_is_gone_is_named(spark: SparkSession, s3: S3) -> None:
    s3.put("Test/Apple/1.jpg")
    with pytest.raises(FruitsError, match=r"'Pear'.*sync_image_folders"):
        find_photos(spark, f"{s3.bucket}/Test", ["Apple", "Pear"], 100)


def test_a_photo_that_vanishes_or_cannot_be_read_is_said_to(s3: S3) -> None:
    (gone,) = fetch([(f"{s3.bucket}/Test/gone.jpg", 1)], FetchLimits())
    assert isinstance(gone, UnusablePhotoError)
    assert gone.reason == "vanished"


@dataclass
class Scripted:
    """A server that gives prepared answers: status, body, and what else it says of the body."""

    answers: list[tuple[int, bytes, dict[str, str]]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    address: str = ""

    def will_say(self, status: int, body: bytes, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((status, body, {"Content-Length": str(len(body)), **named}))


@pytest.fixture
def scripted(no_credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.requests.append(f"{self.command} {self.path}")
            status, body, headers = script.answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = answer

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    script.address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", script.address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    yield script
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("name", "asked"),
    [("a%20b", "a%2520b"), ("a+b=c #1?", "a%2Bb%3Dc%20%231%3F"), ("é", "%C3%A9"), ("[x]*", "%5Bx%5D%2A")],
)
def test_a_photo_takes_one_request(scripted: Scripted, name: str, asked: str) -> None:
    scripted.will_say(200, b"photo")
    assert list(fetch([(f"s3://bucket/Test/{name}.jpg", 5)], FetchLimits())) == [b"photo"]
    assert scripted.requests == [f"GET /bucket/Test/{asked}.jpg"]


@pytest.mark.parametrize(
    ("name", "asked"), [("n\nl", "n%0Al"), ("a//b", "a//b"), ("a/../b", "a/../b"), ("/slash", "/slash")]
)
def test_a_name_that_is_no_path_takes_one_request_too(scripted: Scripted, name: str, asked: str) -> None:
    scripted.will_say(200, b"photo")
    assert list(fetch([(f"s3://bucket/{name}.jpg", 5)], FetchLimits())) == [b"photo"]
    assert scripted.requests == [f"GET /bucket/{asked}.jpg"]
    scripted.will_say(200, b"photo")
    assert locations.read_bytes(f"s3://bucket/{name}.jpg", 3) == b"pho"


def test_a_photo_that_breaks_off_is_asked_for_again(scripted: Scripted) -> None:
    scripted.will_say(200, b"pho", Content_Length="5", ETag='"1"')
    scripted.will_say(206, b"to", Content_Range="bytes 3-4/5", ETag='"1"')
    assert list(fetch([("s3://bucket/1.jpg", 5)], FetchLimits())) == [b"photo"]


def test_what_s3_refuses_is_told_in_a_sentence_and_ends_no_batch(scripted: Scripted) -> None:
    for status, code in (
        (403, "AccessDenied"),
        (400, "ExpiredToken"),
        (404, "NoSuchBucket"),
        (301, "PermanentRedirect"),
    ):
        scripted.will_say(status, f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode())
    reasons = [str(one) for one in fetch([("s3://bucket/<Code>1.jpg", 5)] * 4, FetchLimits(photos=1))]
    for reason, said in zip(reasons, ("denies access", "expired", "no such bucket", "another region"), strict=True):
        assert reason.startswith("unreadable: s3://bucket/<Code>1.jpg: ")
        assert said in reason


def test_an_answer_nobody_knows_gives_the_same_reason_each_time(scripted: Scripted) -> None:
    for _ in range(2):
        scripted.will_say(418, b"<Error><Code>Teapot</Code></Error>")
    first, second = fetch([("s3://bucket/1.jpg", 5)] * 2, FetchLimits(photos=1))
    assert "Teapot" in str(first)
    assert str(first) == str(second)


def test_no_more_of_a_photo_is_read_than_is_let_through(s3: S3) -> None:
    for name, size in (("empty", 0), ("whole", 10), ("large", 11)):
        s3.put(name, bytes(size))
    empty, whole, large = fetch([(f"{s3.bucket}/{n}", 5) for n in ("empty", "whole", "large")], FetchLimits(4, 99, 10))
    assert isinstance(empty, UnusablePhotoError)
    assert empty.reason == "empty"
    assert whole == bytes(10)
    assert isinstance(large, UnusablePhotoError)
    assert large.reason == "too large"
    assert locations.read_bytes(f"{s3.bucket}/large", 4) == bytes(4)


def deletion_error(code: str, key: str = "a") -> bytes:
    error = f"<Error><Key>{key}</Key><Code>{code}</Code><Message>Please try again.</Message></Error>"
    return f"<DeleteResult>{error}</DeleteResult>".encode()


def test_a_deletion_that_s3_could_not_do_just_then_is_tried_again(scripted: Scripted) -> None:
    for code in ("InternalError", "SlowDown"):
        scripted.will_say(200, deletion_error(code))
    scripted.will_say(200, b"<DeleteResult/>")
    s3_module.delete_keys("bucket", ["a", "b"])
    assert len(scripted.requests) == 3


def test_a_deletion_that_is_denied_is_not_tried_again(scripted: Scripted) -> None:
    scripted.will_say(200, deletion_error("AccessDenied"))
    with pytest.raises(FruitsError, match="s3://bucket/a: AWS denies access"):
        s3_module.delete_keys("bucket", ["a"])


def test_a_role_that_may_not_be_assumed_is_one_sentence(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    config = tmp_path / "config"
    config.write_text(
        "[profile person]\naws_access_key_id = test\naws_secret_access_key = test\n"
        "[profile refused]\nregion = eu-west-3\n"
        "role_arn = arn:aws:iam::123456789012:role/other\nsource_profile = person\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "refused")
    refusal = b"<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized</Message></Error>"
    scripted.will_say(403, b"<ErrorResponse>" + refusal + b"</ErrorResponse>")
    with pytest.raises(FruitsError, match=r"credentials cannot be used: .*not authorized\. .*AWS_PROFILE"):
        locations.read_bytes("s3://bucket/key")


@pytest.mark.parametrize("name", ["403", "301", "SlowDown", "NoSuchKey", "curlCode"])
def test_a_folders_name_is_not_taken_for_an_answer_of_s3(scripted: Scripted, name: str) -> None:
    refusal = b"<Error><Code>InvalidObjectState</Code><Message>It is archived.</Message></Error>"
    scripted.will_say(403, refusal)
    with pytest.raises(FruitsError, match=rf"^s3://bucket/{name}/a: S3 refused.*archived"):
        locations.write_bytes(f"s3://bucket/{name}/a", b"x")
    with pytest.raises(FruitsError, match="AWS denies access"), s3_errors.translate_errors("s3://bucket/a"):
        raise OSError(f"When x for key '{name}/a': AWS Error UNKNOWN (HTTP status 403) during HeadObject operation: No")


def test_the_filesystem_waits_longer_than_the_sdk(s3: S3) -> None:
    _, (options,) = s3_module.filesystem().__reduce__()
    assert (options["connect_timeout"], options["request_timeout"]) == (10, 60)


def test_a_thousand_photos_take_a_listing_and_not_a_request_each(spark: SparkSession, s3: S3) -> None:
    for number in range(1100):
        s3.put(f"Test/Apple/{number}.jpg")
    assert list_image_folders(f"{s3.bucket}/Test").photos == {"Apple": 1100}
    assert find_photos(spark, f"{s3.bucket}/Test", ["Apple"], 100).rows["Apple"].num_rows == 1100


def test_the_connector_has_the_version_of_sparks_hadoop_and_only_where_it_is_needed(s3: S3) -> None:
    s3_jars()
    plain = local_spark_config("2", locations=["/photos", "/store"])
    assert not [name for name in plain if "s3" in name or name == "spark.jars.packages"]
    with_s3 = local_spark_config("2", locations=["/photos", s3.bucket])
    assert f"hadoop-aws-{hadoop_version()}.jar" in with_s3["spark.driver.extraClassPath"]
    assert not [value for name, value in with_s3.items() if "key" in name or value == "test"]


def test_ivy_is_asked_for_the_connector_until_all_its_jars_are_there_whole(tmp_path: Path) -> None:
    names = [str(jar) for jar in s3_jars()]
    asked = {"spark.jars.packages": f"org.apache.hadoop:hadoop-aws:{hadoop_version()}"}
    for number, name in enumerate(names):
        assert connector_config(hadoop_version(), tmp_path) == asked, number
        # Cut off, as where a download was.
        (tmp_path / Path(name).name).write_bytes(Path(name).read_bytes()[:1000])
        assert connector_config(hadoop_version(), tmp_path) == asked, number
        (tmp_path / Path(name).name).unlink()
        (tmp_path / Path(name).name).symlink_to(name)
    assert connector_config(hadoop_version(), tmp_path)["spark.driver.extraClassPath"].count(str(tmp_path)) == 3
    assert connector_config("9.9.9", tmp_path) == {"spark.jars.packages": "org.apache.hadoop:hadoop-aws:9.9.9"}


def test_the_connector_stays_in_its_region(no_credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRUITS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    settings = local_spark_config(locations=["s3://bucket"])
    assert settings["spark.hadoop.fs.s3a.endpoint"] == "https://s3.eu-central-1.amazonaws.com"


def test_a_store_in_s3_can_be_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    ensure_dagster_home("s3://bucket/store")
    assert last_store() == "s3://bucket/store"


def test_the_command_gives_in_s3_the_rows_it_gives_in_folders(s3: S3, tmp_path: Path, network_file: Path) -> None:
    photos = tmp_path / "photos"
    write_sample(photos, photos_per_folder=2)
    for number, name in enumerate(NAMES):
        save_photo(photos / "100% é +#? [x]" / name, number)
    (photos / "Apple Red" / "empty.jpg").touch()
    s3.put_folder(photos, "Test")
    s3.put("weights/net.tflite", network_file.read_bytes())
    fruits(tmp_path / "home 1", "run", "--images", str(photos), "--store", str(tmp_path / "store"),
           "--weights", str(network_file))  # fmt: skip
    in_s3 = ("--images", f"{s3.bucket}/Test", "--store", s3.bucket, "--weights", f"{s3.bucket}/weights/net.tflite")
    fruits(tmp_path / "home 2", "run", *in_s3)
    local, remote = Store(str(tmp_path / "store")), Store(s3.bucket)
    for name, columns in ROWS.items():
        assert rows_of(remote.tables[name], columns) == rows_of(local.tables[name], columns)
    assert read_report(s3.bucket).photos == read_report(local.root).photos > 0
    # Nothing but files: no marker, no _SUCCESS, nothing half done.
    odd = [key for key in s3.listing() if key.endswith(("/", "_SUCCESS")) or "_temporary" in key]
    assert odd == []
    before = tables_in(s3)
    said = fruits(tmp_path / "home 2", "run", *in_s3)
    assert "0 of them new or changed" in said
    assert tables_in(s3) == before
    python(tmp_path, SPARK_ML, s3.bucket)


SPARK_ML = """
import sys
from fruits_assets.resources import LocalPySparkResource
from pyspark.ml import PipelineModel
from pyspark.ml.functions import array_to_vector, vector_to_array
from spark_steps.pca import model_store
from spark_steps.spark.session import local_spark_config
from spark_steps.store.store import Store

store = Store(sys.argv[1])
spark = LocalPySparkResource(spark_config=local_spark_config("2", locations=[store.root])).spark_session
model = PipelineModel.load(f"{store.pca_models}/{model_store.current_version(store.pca_models)}/pipeline")
rows = store.mobilenet_features.scan(spark).where("error IS NULL").withColumn("features", array_to_vector("features"))
ours = store.reduced_features.scan(spark).selectExpr("path", "reduced AS ours")
both = model.transform(rows).select("path", vector_to_array("reduced").alias("theirs")).join(ours, "path").collect()
assert both
assert max(abs(a - b) for row in both for a, b in zip(row["ours"], row["theirs"])) < 1e-3
folders = store.raw_images.folders()
raw = store.raw_images
raw.write(raw.replacement(raw.scan(spark, folders[:2]).where(f"folder = '{folders[0]}'"), folders[:2]))
assert store.raw_images.folders() == [folders[0], *folders[2:]]
"""


def fruits(home: Path, *arguments: str) -> str:
    home.mkdir(exist_ok=True)
    return run([str(Path(sys.executable).parent / "fruits"), *arguments], home)


def python(home: Path, script: str, *arguments: str) -> str:
    return run([sys.executable, "-c", script, *arguments], home)


def run(command: list[str], home: Path) -> str:
    environment = {**os.environ, "DAGSTER_HOME": str(home), "FRUITS_CORES": "2"}
    done = subprocess.run(
        command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def tables_in(s3: S3) -> set[str]:
    return {key for key in s3.listing() if "Results/" in key and "_model/" not in key}


def rows_of(table: FolderTable, columns: list[str]) -> list[tuple[object, ...]]:
    rows = table.arrow(columns).to_pylist()
    # The components of the fit may differ in the last bits, by the order of the files.
    rounded = [{name: _rounded(value) for name, value in row.items()} for row in rows]
    return sorted((tuple(row.items()) for row in rounded), key=lambda row: str(row[1]))


def _rounded(value: object) -> object:
    return [round(float(one), 3) + 0.0 for one in value] if isinstance(value, list) else value
