"""What somebody may have written into a store or the staging bucket: nothing elsewhere moves, goes or runs."""

import io
import json
import pickle
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dagster._core.events.log import EventLogEntry
from dagster._serdes import serialize_value
from pyspark.errors import PySparkValueError
from pyspark.sql import SparkSession

from fruits_assets.emr.relay import EventRelay
from fruits_assets.emr.staging import StepStaging
from fruits_assets.erasing import Wanted, erase
from fruits_assets.settings import read_settings
from spark_steps import storage, weights
from spark_steps.erasure import Erasure
from spark_steps.errors import FruitsError
from spark_steps.replacements import REPLACING
from spark_steps.store import Store
from spark_steps.tables import FolderTable
from spark_steps.tombstones import tombstone_of
from spark_steps.weights import MobileNetModel, load_model
from tests.small_store import make_photos, rows_of, write_photos, write_rows
from tests.ways_in import PROJECT

TEXT = b"not theirs to delete"


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


@pytest.mark.parametrize(
    "note",
    [
        {"id": "../../../..", "folders": {}},
        {"id": "", "folders": {}},
        {"id": "x", "folders": {"Fig": ["../../../../precious.parquet"]}},
        {"id": "x", "folders": {"Fig": []}, "go": {"Fig": ["../../../../precious.parquet"]}},
        {"id": "x", "folders": {"Fig": [".."]}},
    ],
)
def test_a_note_of_a_table_moves_and_deletes_nothing_elsewhere(
    note: dict[str, Any], store: Store, precious: Path
) -> None:
    before = rows_of(store)["raw_images"]
    place = f"{store.raw_images.root}/{REPLACING}/000000000009.json"
    storage.write_json(place, note)
    with pytest.raises(FruitsError, match=r"000000000009.json is no note of this platform: .* elsewhere\. Delete it"):
        store.raw_images.folders()
    assert precious.read_bytes() == TEXT
    Path(place).unlink()
    assert rows_of(store)["raw_images"] == before


@pytest.mark.parametrize(
    "note",
    [
        "",
        "half a no",
        "[]",
        "null",
        "[" * 100_000,
        "\udcff",
        '{"id": "a"}',
        '{"id": 1, "folders": {}}',
        '{"id": "a", "folders": []}',
        '{"id": "a", "folders": {"Fig": null}}',
        '{"id": "a", "folders": {"Fig": [1]}}',
        '{"id": "a", "folders": {"Fig": "part.parquet"}}',
        '{"id": "a", "folders": {"Fig": []}, "go": null}',
        r'{"id": "a", "folders": {"Fig": ["\u0000"]}}',
        r'{"id": "a", "folders": {"\u0000": []}}',
        r'{"id": "a", "folders": {"\ud800": []}}',
    ],
)
def test_a_damaged_note_of_a_table_is_told_in_a_sentence_and_the_old_rows_stay(note: str, store: Store) -> None:
    before = rows_of(store)["raw_images"]
    place = f"{store.raw_images.root}/{REPLACING}/000000000009.json"
    storage.write_bytes(place, note.encode(errors="surrogateescape"))
    with pytest.raises(
        FruitsError, match=r"000000000009.json is no note of this platform: it is damaged, or .* Delete"
    ):
        store.raw_images.folders()
    Path(place).unlink()
    assert rows_of(store)["raw_images"] == before


def test_a_folder_of_a_note_is_a_directory_of_its_table_whatever_it_is_called(store: Store, precious: Path) -> None:
    store.raw_images.drop(["../../..", "/", "..", precious.name])
    assert precious.read_bytes() == TEXT
    assert store.raw_images.folders() == ["Fig"]


def hostile_erasure(path: Path, name: str) -> dict[str, Any]:
    image_id = storage.sha256_of(str(path)) or ""
    return asdict(Erasure(name, [image_id], [str(path)], {"what_to_do": ""}))


@pytest.mark.parametrize("path", ["precious.parquet", "images/../precious.parquet"])
def test_an_erasure_that_somebody_else_has_noted_deletes_no_file_outside_the_images_folder(
    path: str, store: Store, precious: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    note = {**hostile_erasure(precious, "x"), "paths": [f"{tmp_path}/{path}"]}
    storage.write_json(f"{store.erasures}/unfinished/x.json", note)
    settings = read_settings(images=str(tmp_path / "images"), store=store.root)
    with pytest.raises(FruitsError, match=r"which does not lie below .*/images, and nothing else is erased"):
        erase(settings, instance, Wanted(), lambda _: True, lambda _: None)
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
    storage.write_bytes(f"{store.erasures}/unfinished/x.json", note.encode())
    settings = read_settings(images=str(tmp_path / "images"), store=store.root)
    with pytest.raises(FruitsError, match=r"x\.json is no note of this platform.* Delete it, and erase again"):
        erase(settings, instance, Wanted(), lambda _: True, lambda _: None)


def test_the_receipt_of_an_erasure_is_written_nowhere_else(
    store: Store, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    storage.write_json(f"{store.erasures}/unfinished/x.json", asdict(Erasure("../../../x", [], [], {})))
    settings = read_settings(images=str(tmp_path / "images"), store=store.root)
    with pytest.raises(FruitsError, match=r"x\.json is no note of this platform"):
        erase(settings, instance, Wanted(), lambda _: True, lambda _: None)
    assert not list(tmp_path.glob("**/x.json.*"))


def test_rows_that_name_a_file_outside_the_images_folder_do_not_have_it_erased(
    store: Store, precious: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    hostile = [*make_photos(str(tmp_path / "images"), ["Fig"], 1), *make_photos(str(tmp_path), ["Zebra"], 1)]
    precious = Path(hostile[1].path)
    write_photos(hostile[1:])
    write_rows(store, hostile[1:], model=False)
    settings = read_settings(images=str(tmp_path / "images"), store=store.root)
    with pytest.raises(FruitsError, match=r"The store .* names .*/Zebra/.*, which does not lie below"):
        erase(settings, instance, Wanted(image_ids=[hostile[1].image_id]), lambda _: True, lambda _: None)
    assert precious.exists()
    assert tombstone_of(hostile[1].image_id) not in {one.base_name for one in storage.list_files(store.tombstones)}


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
    storage.write_json(f"{tmp_path}/cache/current.json", document)
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
    directory = Path(table.directory("Fig"))
    directory.mkdir(parents=True)
    pq.write_table(pa.table({"path": ["a"]}, pa.schema([("path", pa.string())], said)), directory / "part.parquet")
    assert [row["path"] for row in table.read(spark).collect()] == ["a"]
    assert [row["path"] for row in table.scan(spark).collect()] == ["a"]
    assert table.arrow(["path"]).to_pylist() == [{"path": "a"}]
    assert not ran.exists()
    # Spark, left to find out the columns, imports it.
    with pytest.raises(PySparkValueError):
        _ = spark.read.parquet(str(directory)).schema
    assert ran.exists()


class Context:
    """What a relay asks of a step: whose run it is of."""

    run_id = "mine"


EVENT: Any = {"error_info": None, "level": 20, "user_message": "hello", "run_id": "other", "timestamp": 1.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"__class__": "os.system", "command": "id"}', "is none of Dagster's"),
        ('{"__class__": "EventLogEntry"}', "is none of Dagster's"),
        ('{"__class__": "ModuleCodePointer", "module": "os", "fn_name": "getcwd"}', "is none of Dagster's"),
        ('{"py/reduce": [{"py/function": "os.system"}]}', "is none of Dagster's"),
        ("cos\nsystem\n(S'id'\ntR.", "is none of Dagster's"),
        (serialize_value(EventLogEntry(**EVENT)), "is of the run other, which is another"),  # type: ignore[no-untyped-call]
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
