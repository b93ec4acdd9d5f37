"""What somebody may have written into a store or the staging bucket: nothing elsewhere moves, goes or runs."""

import io
import json
import os
import pickle
import re
import shutil
import time
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import PySparkValueError
from pyspark.sql import SparkSession

from fruits_assets.engines.relay import EventRelay
from fruits_assets.engines.staging import StepStaging
from fruits_assets.jobs.erasure_service import ErasureRequest, erase
from fruits_assets.settings import read_settings
from spark_steps.erasure.carry_out import Erasure
from spark_steps.errors import FruitsError
from spark_steps.features import weights
from spark_steps.features.weights import MobileNetModel, load_model
from spark_steps.photos.tombstones import tombstone_of
from spark_steps.storage import locations
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.maintenance import vacuum
from spark_steps.tables.open_tables import LOG
from tests.support.aws.s3_server import S3
from tests.support.project import PROJECT
from tests.support.small_store import Photo, contents_below, make_photos, rows_of, write_photos, write_rows

TEXT = b"not theirs to delete"
NOTHING_KEPT = timedelta(0)


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file of the user's that is neither a photo nor of the store."""
    file = tmp_path / "precious.parquet"
    file.write_bytes(TEXT)
    return file


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with rows of two photos."""
    found = make_photos(str(tmp_path / "images"), ["Fig"], 2)
    write_photos(found)
    write_rows(Store(str(tmp_path / "store")), found)
    return Store(str(tmp_path / "store"))


def add(path: str, **other: Any) -> dict[str, Any]:
    """An entry of a log: a file that comes."""
    file = {"path": path, "size": 10, "partitionValues": {"folder": "Fig"}, "modificationTime": 1, "dataChange": True}
    return {"add": {**file, "stats": '{"numRecords": 1}', **other}}


def remove(path: str) -> dict[str, Any]:
    """An entry of a log: a file that went long ago."""
    return {"remove": {"path": path, "deletionTimestamp": 1, "dataChange": True, "partitionValues": {"folder": "Fig"}}}


def write_log(table: FolderTable, entries: list[dict[str, Any]] | bytes) -> Path:
    """Makes a version of a table, as whoever can write there."""
    data = entries if isinstance(entries, bytes) else "\n".join(map(json.dumps, entries)).encode()
    file = Path(table.root, LOG, f"{table.snapshot().version + 1:020}.json")
    file.write_bytes(data)
    return file


def age(*files: Path) -> None:
    for file in files:
        os.utime(file, (time.time() - 9 * 86400,) * 2, follow_symlinks=False)


def erase_first(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = read_settings(images=str(tmp_path / "images"), store=str(tmp_path / "store"))
    wanted = ErasureRequest(paths=[make_photos(settings.images, ["Fig"], 1)[0].location])
    erase(settings, instance, wanted, lambda _: True, lambda _: None)


OUTSIDE = ("../../../precious.parquet", "../precious.parquet", "{}", "file://{}", "s3://bucket/precious.parquet")
ESCAPED = ("%2e%2e/%2e%2e/%2e%2e/precious.parquet", "a/%2E%2E/../precious.parquet", "..%2F..%2F..%2Fprecious.parquet")


@pytest.mark.parametrize("path", [*OUTSIDE, *ESCAPED, "", ".", "a//b.parquet", "x%00.parquet"])
def test_a_log_that_names_a_file_elsewhere_has_it_neither_read_nor_deleted(
    path: str, store: Store, precious: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    before = contents_below(tmp_path)
    written = write_log(store.raw_images, [add(path.format(precious))])
    told = r"The log of .*/raw_images names the file .*, which lies elsewhere\. Find out who wrote it"
    for attempt in (lambda: vacuum(store.raw_images, NOTHING_KEPT), lambda: erase_first(tmp_path, instance)):
        with pytest.raises(FruitsError, match=told):
            attempt()
    written.unlink()
    assert contents_below(tmp_path) == before


@pytest.mark.parametrize("path", [*OUTSIDE, *ESCAPED])
def test_a_log_that_says_of_a_file_elsewhere_that_it_was_removed_does_not_have_it_deleted(
    path: str, store: Store, precious: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    age(precious)
    write_log(store.raw_images, [remove(path.format(precious))])
    assert vacuum(store.raw_images, NOTHING_KEPT) == []
    erase_first(tmp_path, instance)
    assert precious.read_bytes() == TEXT


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (add("x.parquet", size=10**15, stats='{"numRecords": 1000000000000}'), "files that its log names are lost"),
        (add("x.parquet", stats=None), "names the file x.parquet, which is not there"),
        (add("x.parquet", partitionValues={"folder": None}), "names the file x.parquet, which is of no folder"),
        (add("junk.parquet", size=10**15), "junk.parquet is damaged, or no file of this table"),
        (add("cut.parquet"), "cut.parquet is damaged, or no file of this table"),
        (add("other.parquet"), "other.parquet has no column path: it is of no such table"),
    ],
)
def test_a_log_that_names_a_file_that_is_missing_or_none_of_the_table_is_told_in_a_sentence(
    entry: dict[str, Any], told: str, store: Store, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    table = store.raw_images
    Path(table.root, "junk.parquet").write_bytes(b"junk" * 100)
    Path(table.root, "cut.parquet").write_bytes(Path(table.root, table.files()[0].path).read_bytes()[:-9])
    pq.write_table(pa.table({"secret": ["x"]}), f"{table.root}/other.parquet")
    age(*(Path(table.root, f"{name}.parquet") for name in ("junk", "cut", "other")))
    write_log(table, [entry])
    with pytest.raises(FruitsError, match=told) as refused:
        erase_first(tmp_path, instance)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "data",
    [
        b"garbage",
        b"\xff\xfe",
        b"[" * 100_000,
        b"null\n",
        b"[]\n",
        b'{"metaData": {}}\n',
        b'{"protocol": {"minReaderVersion": 99, "minWriterVersion": 99}}\n',
        json.dumps(add("x.parquet", stats="garbage")).encode(),
    ],
)
def test_a_damaged_log_is_told_in_a_sentence_and_nothing_goes(
    data: bytes, store: Store, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    before = contents_below(tmp_path)
    written = write_log(store.raw_images, data)
    for attempt in (lambda: vacuum(store.raw_images, NOTHING_KEPT), lambda: erase_first(tmp_path, instance)):
        with pytest.raises(FruitsError, match=r"The log of .*/raw_images cannot be read: .* from a backup, or") as told:
            attempt()
        assert "\n" not in str(told.value)
    written.unlink()
    assert contents_below(tmp_path) == before


@pytest.fixture
def links(store: Store, tmp_path: Path) -> list[Path]:
    """Links in a table's directory: to a folder with rows of a photo, to a file of these, and to nothing."""
    table = store.raw_images
    (tmp_path / "elsewhere").mkdir()
    rows = tmp_path / "elsewhere" / "rows.parquet"
    shutil.copyfile(f"{table.root}/{table.files()[0].path}", rows)
    made = [Path(table.root, name) for name in ("folder=Fig", "link.parquet", "nowhere.parquet")]
    for link, target in zip(made, (rows.parent, rows, tmp_path / "nowhere"), strict=True):
        link.symlink_to(target)
    age(rows, *made)
    return made


def test_what_a_link_in_a_table_leads_to_is_neither_read_nor_deleted(
    store: Store, links: list[Path], tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    elsewhere = contents_below(tmp_path / "elsewhere")
    assert vacuum(store.raw_images, NOTHING_KEPT) == []
    erase_first(tmp_path, instance)
    assert vacuum(store.raw_images, NOTHING_KEPT) == []
    assert contents_below(tmp_path / "elsewhere") == elsewhere
    assert all(link.is_symlink() for link in links)


@pytest.mark.parametrize("path", ["link.parquet", "folder=Fig/rows.parquet", "folder%3DFig/rows.parquet"])
@pytest.mark.parametrize("stats", [None, '{"numRecords": 1}'])
def test_a_log_that_names_a_link_is_told_and_nothing_is_read_or_deleted(
    path: str, stats: str | None, store: Store, links: list[Path], tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    elsewhere = contents_below(tmp_path / "elsewhere")
    write_log(store.raw_images, [add(path, stats=stats)])
    with pytest.raises(FruitsError, match=r"is a link, or lies behind one, as no file of a table does"):
        erase_first(tmp_path, instance)
    with pytest.raises(FruitsError, match=r"is a link, or lies behind one, as no file of a table does"):
        store.raw_images.arrow(["path"])
    assert contents_below(tmp_path / "elsewhere") == elsewhere


def test_a_table_whose_directory_is_a_link_is_kept_where_it_leads(
    store: Store, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    root = Path(store.raw_images.root)
    root.rename(tmp_path / "on another disk")
    root.symlink_to(tmp_path / "on another disk")
    erase_first(tmp_path, instance)
    assert rows_of(store)["raw_images"].num_rows == 1


def test_in_s3_no_more_of_a_file_is_read_than_its_log_says_that_there_is(s3: S3) -> None:
    table = Store(s3.bucket).raw_images
    table.log.create()
    s3.put("Results/raw_images/huge.parquet", b"PAR1" * 100_000)
    s3.put(f"Results/raw_images/{LOG}/{1:020}.json", json.dumps(add("huge.parquet", size=8)).encode())
    with pytest.raises(FruitsError, match="Parquet file size is 8 bytes"), table.reading(table.files()[0]):
        pass


def test_a_folder_of_any_name_is_no_place_outside_of_its_table(store: Store, precious: Path) -> None:
    store.raw_images.drop(["../../..", "/", "..", precious.name])
    assert precious.read_bytes() == TEXT
    assert store.raw_images.folders() == ["Fig"]


def hostile_erasure(path: Path, name: str) -> dict[str, Any]:
    image_id = locations.sha256_of(str(path)) or ""
    return asdict(Erasure(name, [image_id], [str(path)], {"what_to_do": ""}))


@pytest.mark.parametrize("path", ["precious.parquet", "images/../precious.parquet"])
def test_an_erasure_that_somebody_else_has_noted_deletes_no_file_outside_the_images_folder(
    path: str, store: Store, precious: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    note = {**hostile_erasure(precious, "x"), "paths": [f"{tmp_path}/{path}"]}
    locations.write_json(f"{store.erasures}/unfinished/x.json", note)
    settings = read_settings(images=str(tmp_path / "images"), store=store.root)
    with pytest.raises(FruitsError, match=r"which does not lie below .*/images, and nothing else is erased"):
        erase(settings, instance, ErasureRequest(), lambda _: True, lambda _: None)
    assert precious.read_bytes() == TEXT


@pytest.mark.parametrize(
    "note",
    [
        "not JSON",
        "[]",
        "{}",
        '{"name": "x", "image_ids": ["no hash"], "paths": [], "receipt": {"what_to_do": ""}}',
        '{"name": "x", "image_ids": [7], "paths": [], "receipt": {"what_to_do": ""}}',
        '{"name": "x", "image_ids": [], "paths": [null], "receipt": {"what_to_do": ""}}',
        '{"name": "x", "image_ids": [], "paths": [], "receipt": []}',
        '{"name": "x", "image_ids": null, "paths": [], "receipt": {"what_to_do": ""}}',
    ],
)
def test_a_damaged_note_of_an_erasure_is_told_in_a_sentence(
    note: str, store: Store, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    locations.write_bytes(f"{store.erasures}/unfinished/x.json", note.encode())
    settings = read_settings(images=str(tmp_path / "images"), store=store.root)
    with pytest.raises(FruitsError, match=r"x\.json is no note of this platform.* Delete it, and erase again"):
        erase(settings, instance, ErasureRequest(), lambda _: True, lambda _: None)


def test_the_receipt_of_an_erasure_is_written_nowhere_else(
    store: Store, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    locations.write_json(f"{store.erasures}/unfinished/x.json", asdict(Erasure("../../../x", [], [], {})))
    settings = read_settings(images=str(tmp_path / "images"), store=store.root)
    with pytest.raises(FruitsError, match=r"x\.json is no note of this platform"):
        erase(settings, instance, ErasureRequest(), lambda _: True, lambda _: None)
    assert not list(tmp_path.glob("**/x.json.*"))


def test_rows_that_name_a_file_outside_the_images_folder_do_not_have_it_erased(
    store: Store, precious: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    hostile = Photo(str(tmp_path / "images"), "..", precious.name, TEXT)
    write_rows(store, [hostile], model=False)
    settings = read_settings(images=str(tmp_path / "images"), store=store.root)
    with pytest.raises(FruitsError, match=r"The store .* names .*/\.\./precious\.parquet, which does not lie below"):
        erase(settings, instance, ErasureRequest(image_ids=[hostile.image_id]), lambda _: True, lambda _: None)
    assert precious.exists()
    assert tombstone_of(hostile.image_id) not in {one.base_name for one in locations.list_files(store.tombstones)}


def test_a_network_that_was_changed_in_the_store_is_refused(network_file: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    load_model(str(network_file), cache)
    (flatbuffer,) = Path(cache).glob("*.tflite")
    flatbuffer.write_bytes(flatbuffer.read_bytes() + b"\0")
    with pytest.raises(FruitsError, match=r"is not the network that was written there\. Delete it"):
        load_model(str(network_file), cache)


def test_the_note_of_the_current_network_leads_to_no_file_elsewhere(network: MobileNetModel, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.tflite").write_bytes(network.flatbuffer)
    document = {"flatbuffer": "../elsewhere", "source": "imagenet", "weights_sha256": ""}
    locations.write_json(f"{tmp_path}/cache/current.json", document)
    with pytest.raises(FruitsError, match="is not the network that was written there"):
        weights.current_model(f"{tmp_path}/cache")


def test_a_parquet_file_whose_footer_names_a_python_module_runs_nothing(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "hostile_module.py").write_text(f"open({str(ran)!r}, 'w').close()")
    monkeypatch.syspath_prepend(tmp_path)
    udt = {"type": "udt", "pyClass": "hostile_module.Evil", "serializedClass": "", "sqlType": "string"}
    columns = [{"name": "path", "type": udt, "nullable": True, "metadata": {}}]
    said = {"org.apache.spark.sql.parquet.row.metadata": json.dumps({"type": "struct", "fields": columns})}
    table = FolderTable(str(tmp_path / "table"), pa.schema([("path", pa.string())]))
    table.log.create()
    pq.write_table(pa.table({"path": ["a"]}, pa.schema([("path", pa.string())], said)), f"{table.root}/part.parquet")
    write_log(table, [add("part.parquet")])
    assert [row["path"] for row in table.scan(spark).collect()] == ["a"]
    assert table.arrow(["path"]).to_pylist() == [{"path": "a"}]
    assert not ran.exists()
    # Spark, left to find out the columns, imports it.
    with pytest.raises(PySparkValueError):
        _ = spark.read.parquet(f"{table.root}/part.parquet").schema
    assert ran.exists()


class Context:
    """What a relay asks of a step: whose run it is of."""

    run_id = "mine"


EVENT: Any = {"error_info": None, "level": 20, "user_message": "hello", "run_id": "other", "timestamp": 1.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"__class__": "os.system", "command": "id"}', "is none of Dagster's"),
        ('{"__class__": "dg.EventLogEntry"}', "is none of Dagster's"),
        ('{"__class__": "ModuleCodePointer", "module": "os", "fn_name": "getcwd"}', "is none of Dagster's"),
        ('{"py/reduce": [{"py/function": "os.system"}]}', "is none of Dagster's"),
        ("cos\nsystem\n(S'id'\ntR.", "is none of Dagster's"),
        (dg.serialize_value(dg.EventLogEntry(**EVENT)), "is of the run other, which is another"),  # type: ignore[no-untyped-call]
    ],
)
def test_events_of_a_step_are_data_of_its_run_and_never_code(text: str, message: str) -> None:
    relay = EventRelay(Context(), {})  # type: ignore[arg-type]
    with pytest.raises(FruitsError, match=f"{message}.*Find out who writes there"):
        list(relay.forward([text]))


class Touch:
    """An object whose pickle makes a file where it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


class Bucket:
    """An S3 whose every object is a pickle that would run code."""

    def get_object(self, **_: object) -> dict[str, Any]:
        return {"Body": io.BytesIO(pickle.dumps(Touch(Path("ran"))))}


def test_a_pickle_in_the_staging_bucket_is_refused_and_not_loaded() -> None:
    staging = StepStaging(Bucket(), "staging", "run", "step", 0)
    for read in (staging.new_events, staging.outcome):
        with pytest.raises(FruitsError, match=r"is not what a step writes\. Find out who has written it"):
            read()


def test_nothing_of_the_project_loads_pickles() -> None:
    loads = re.compile(r"\b(?:pickle|dill|joblib|shelve|marshal)\w*\.(?:load|open)|allow_pickle=True|yaml\.load\(")
    files = [file for package in ("fruits_assets", "spark_steps") for file in (PROJECT / package).rglob("*.py")]
    assert len(files) > 90
    assert [file.name for file in files if loads.search(file.read_text())] == []
