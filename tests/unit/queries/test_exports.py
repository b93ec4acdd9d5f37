"""All features, labels as numbers, and the part of each photo: what is exported is what the tables hold."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from fruits_assets.commands.cli import main
from spark_steps.errors import FruitsError
from spark_steps.pca.model_store import save
from spark_steps.queries.exports.files import export_npz, export_parquet
from spark_steps.queries.exports.huggingface import export_huggingface
from spark_steps.queries.exports.rows import Selection
from spark_steps.queries.exports.tfrecord import export_tfrecord
from spark_steps.store.store import Moment, Store
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.schemas import FEATURES_SCHEMA
from tests.support.small_store import Photo, replace_rows
from tests.support.stores.split_store import AUDIT, LABELS, pca_model, split_store, write_splits

EXPORTS = {
    "npz": export_npz,
    "parquet": export_parquet,
    "tfrecord": export_tfrecord,
    "huggingface": export_huggingface,
}
KINDS = pytest.mark.parametrize("kind", ["csv", *EXPORTS])
FULL, SPLIT = Selection(full=True), Selection(full=True, split=True)


@pytest.fixture
def made(tmp_path: Path) -> tuple[Store, list[Photo]]:
    return split_store(tmp_path / "store")


@pytest.fixture
def store(made: tuple[Store, list[Photo]]) -> Store:
    return made[0]


@pytest.fixture
def photos(made: tuple[Store, list[Photo]]) -> list[Photo]:
    return made[1]


def export(store: Store, *arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["export", "--store", store.root, *map(str, arguments)])


def numbers_of(photos: list[Photo]) -> Any:
    return np.array([photo.numbers for photo in photos], np.float32)


def parts_of(store: Store) -> dict[str, str]:
    rows = store.photo_splits.arrow(["path", "split"])
    return dict(zip(rows["path"].to_pylist(), rows["split"].to_pylist(), strict=True))


def only_the_store_is_left(tmp_path: Path) -> bool:
    return [one.name for one in tmp_path.iterdir()] == ["store"]


def test_an_npz_of_all_features_holds_every_photo_that_has_some_and_its_label_as_a_number(
    store: Store, photos: list[Photo], tmp_path: Path
) -> None:
    assert export(store, "--npz", tmp_path / "a.npz", "--features", "full", "--split").exit_code == 0
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {
            *("X", "labels", "label_ids", "classes", "ids", "paths", "folders", "split", "model", "audit")
        }
        assert arrays["X"].dtype == np.float32
        assert (arrays["X"] == numbers_of(photos)).all()
        assert arrays["paths"].tolist() == [photo.path for photo in photos]
        assert arrays["ids"].tolist() == [photo.image_id for photo in photos]
        assert arrays["labels"].tolist() == [photo.folder.removeprefix("of/") for photo in photos]
        assert arrays["classes"].tolist() == list(LABELS)
        assert (arrays["classes"][arrays["label_ids"]] == arrays["labels"]).all()
        assert arrays["label_ids"].dtype == np.int64
        assert arrays["split"].tolist() == [parts_of(store)[photo.path] for photo in photos]
        assert (str(arrays["model"]), str(arrays["audit"])) == ("network", AUDIT)


def test_a_csv_of_all_features_reads_back_to_the_last_bit_as_the_documentation_reads_it(
    store: Store, photos: list[Photo], tmp_path: Path
) -> None:
    done = export(store, "--csv", tmp_path / "a.csv", "--features", "full", "--split")
    texts = ["image_id", "path", "folder", "label", "split"]
    read = pd.read_csv(tmp_path / "a.csv", dtype=dict.fromkeys(texts, str), keep_default_na=False)
    assert read.columns.tolist() == [*texts, *(f"feature_{number}" for number in range(1, 1281))]
    assert (read[read.columns[5:]].to_numpy(np.float32) == numbers_of(photos)).all()
    assert read["label"].tolist() == [photo.folder.removeprefix("of/") for photo in photos]
    assert done.stdout.startswith(f"{len(photos)} photos in ")


def test_a_parquet_file_of_all_features_has_the_network_in_place_of_the_pca_model(
    store: Store, photos: list[Photo], tmp_path: Path
) -> None:
    assert export_parquet(store, tmp_path / "a", FULL) == len(photos)
    written = pq.read_table(tmp_path / "a")
    assert written.schema.names == ["image_id", "path", "folder", "label", "features", "model"]
    assert written.schema.field("features").type == pa.list_(pa.float32())
    table = store.mobilenet_features.arrow([*written.schema.names, "error"])
    assert written.to_pylist() == [
        {name: row[name] for name in written.schema.names} for row in table.to_pylist() if row["error"] is None
    ]


def test_all_features_need_no_pca_model_and_may_be_of_any_length(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    rows = [
        {"image_id": f"{number:064x}", "path": f"Fig/{number}.jpg", "label": "Fig", "length": 1, "model": "other"}
        | {"features": [float(number), 0.5, 2.0]}
        for number in range(3)
    ]
    replace_rows(store.mobilenet_features, "Fig", pa.Table.from_pylist(rows, FEATURES_SCHEMA))
    assert export_npz(store, tmp_path / "a.npz", FULL) == 3
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["X"].tolist() == [[0.0, 0.5, 2.0], [1.0, 0.5, 2.0], [2.0, 0.5, 2.0]]
    assert "has no PCA model yet" in export(store, "--npz", tmp_path / "b.npz").stderr


def test_a_part_alone_has_the_label_ids_that_all_photos_have(store: Store, photos: list[Photo], tmp_path: Path) -> None:
    parts = parts_of(store)
    # Only one label has photos for testing.
    write_splits(store, {path: "test" if path.startswith("of/two") else "train" for path in parts})
    done = export(store, "--npz", tmp_path / "a.npz", "--only", "test")
    assert done.stdout == f"6 photos in {tmp_path}/a.npz\n"
    with np.load(tmp_path / "a.npz") as arrays:
        assert set(arrays["labels"]) == {"two\nlines"}
        assert set(arrays["split"]) == {"test"}
        assert set(arrays["label_ids"]) == {LABELS.index("two\nlines")}
        assert arrays["classes"].tolist() == list(LABELS)
    count = export_parquet(store, tmp_path / "b", Selection(only="train"))
    assert count == len(photos) - 6
    assert set(pq.read_table(tmp_path / "b")["split"].to_pylist()) == {"train"}


@KINDS
def test_a_part_without_photos_is_refused_and_nothing_is_written(store: Store, tmp_path: Path, kind: str) -> None:
    write_splits(store, dict.fromkeys(parts_of(store), "train"))
    done = export(store, f"--{kind}", tmp_path / "out", "--only", "validation")
    assert done.exit_code == 1
    assert f"No photo of {store.root} is in the part validation, so there is nothing to write." in done.stderr
    assert only_the_store_is_left(tmp_path)


@KINDS
@pytest.mark.parametrize("asked", [("--split",), ("--only", "test")])
def test_a_store_without_a_split_is_refused_with_the_remedy(
    store: Store, tmp_path: Path, kind: str, asked: tuple[str, ...]
) -> None:
    store.photo_splits.drop(store.photo_splits.folders())
    done = export(store, f"--{kind}", tmp_path / "out", *asked)
    assert done.exit_code == 1
    assert f"are in no split yet. Audit it: fruits audit --store {store.root}" in done.stderr
    assert export(store, f"--{kind}", tmp_path / "out").exit_code == 0


def test_photos_that_came_after_the_audit_are_in_no_part_and_say_so(store: Store, tmp_path: Path) -> None:
    table = store.mobilenet_features
    rows = table.arrow(FEATURES_SCHEMA.names, ["of/007"])
    paths = pa.array([f"{path}.new" for path in rows["path"].to_pylist()], pa.string())
    replace_rows(table, "of/007", rows.set_column(1, FEATURES_SCHEMA.field("path"), paths))
    done = export(store, "--parquet", tmp_path / "out", "--features", "full", "--split")
    assert "photos in folder 'of/007' have come, gone or changed since. Audit it: fruits audit" in done.stderr
    assert only_the_store_is_left(tmp_path)


def test_reduced_features_beside_the_splits_of_another_store_are_refused(store: Store, tmp_path: Path) -> None:
    # A copy without the features, which the split could be compared with.
    store.mobilenet_features.drop(store.mobilenet_features.folders())
    path = min(parts_of(store))
    rows = store.photo_splits.arrow(store.photo_splits.schema.names, ["of/007"])
    replace_rows(store.photo_splits, "of/007", rows.filter(pa.array([one != path for one in rows["path"].to_pylist()])))
    done = export(store, "--csv", tmp_path / "out", "--split")
    assert done.exit_code == 1
    assert f"Not all photos of {store.root} have a split" in done.stderr
    assert only_the_store_is_left(tmp_path)


@KINDS
def test_features_of_two_networks_are_not_put_into_one_export(store: Store, tmp_path: Path, kind: str) -> None:
    table = store.mobilenet_features
    rows = table.arrow(FEATURES_SCHEMA.names, ["of/007"])
    at = rows.schema.get_field_index("model")
    replace_rows(table, "of/007", rows.set_column(at, FEATURES_SCHEMA.field("model"), [["another"] * len(rows)]))
    done = export(store, f"--{kind}", tmp_path / "out", "--features", "full")
    assert done.exit_code == 1
    assert "The features in folder 'of/007' are of another network than the others." in done.stderr
    assert f"fruits run --images DIR --store {store.root}" in done.stderr
    assert only_the_store_is_left(tmp_path)


def test_photos_with_fewer_numbers_than_the_others_are_refused(store: Store, tmp_path: Path) -> None:
    table = store.mobilenet_features
    rows = table.arrow(FEATURES_SCHEMA.names, ["of/梨"]).to_pylist()
    short = [{**row, "features": row["features"] and row["features"][:7]} for row in rows]
    table.write(table.replacement(DriverRows({"of/梨": [pa.Table.from_pylist(short, FEATURES_SCHEMA)]}), ["of/梨"]))
    done = export(store, "--tfrecord", tmp_path / "out", "--features", "full")
    assert (done.exit_code, "have more or fewer numbers than the 1280 of the others" in done.stderr) == (1, True)
    assert only_the_store_is_left(tmp_path)


@KINDS
def test_a_store_without_features_is_refused_with_the_remedy(tmp_path: Path, kind: str) -> None:
    none = Store(str(tmp_path / "none"))
    done = export(none, f"--{kind}", tmp_path / "out", "--features", "full")
    assert done.exit_code == 1
    assert f"No photo of {none.root} has features. Bring the store up to date: fruits run" in done.stderr
    assert list(tmp_path.iterdir()) == []


@KINDS
def test_an_export_that_fails_halfway_leaves_nothing(store: Store, tmp_path: Path, kind: str) -> None:
    # The footers are whole, and the texts; the numbers of the last folder are not.
    file = Path(store.mobilenet_features.root, store.mobilenet_features.files()[-1].path)
    group = pq.read_metadata(file).row_group(0)
    (numbers,) = (
        group.column(at) for at in range(group.num_columns) if group.column(at).path_in_schema.startswith("features.")
    )
    content = bytearray(file.read_bytes())
    begin, size = numbers.data_page_offset, numbers.total_compressed_size
    content[begin : begin + size] = bytes(size)
    file.write_bytes(content)
    done = export(store, f"--{kind}", tmp_path / "out", "--features", "full")
    assert done.exit_code != 0
    assert only_the_store_is_left(tmp_path)


@pytest.mark.parametrize("kind", list(EXPORTS))
def test_what_is_there_is_replaced_only_by_force(store: Store, tmp_path: Path, kind: str) -> None:
    assert EXPORTS[kind](store, tmp_path / "out", FULL) == 42
    written = [file for one in tmp_path.glob("out*") for file in (one, *one.rglob("*")) if file.is_file()]
    before = {file: file.read_bytes() for file in written}
    refused = export(store, f"--{kind}", tmp_path / "out")
    assert "is there already. Give another name, or --force" in refused.stderr
    assert {file: file.read_bytes() for file in before} == before
    done = export(store, f"--{kind}", tmp_path / "out", "--force")
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, f"42 photos in {tmp_path}/out")
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_a_tfrecord_file_has_its_labels_beside_it_and_neither_replaces_another_file(
    store: Store, tmp_path: Path
) -> None:
    file, about = tmp_path / "a.tfrecord.gz", tmp_path / "a.tfrecord.gz.json"
    about.write_text("precious")
    refused = export(store, "--tfrecord", file, "--split")
    assert f"{about} is there already" in refused.stderr
    assert (about.read_text(), file.exists()) == ("precious", False)
    done = export(store, "--tfrecord", file, "--split", "--force")
    assert done.stdout == f"42 photos in {file}\nThe labels are in {about}, in the order of label_id.\n"
    assert json.loads(about.read_text()) == {
        "photos": 42,
        "classes": list(LABELS),
        "numbers": "reduced",
        "width": 4,
        "compression": "GZIP",
        "pca_model": "v",
        "audit": AUDIT,
    }


def test_records_go_through_a_pipe_alone_and_are_those_of_the_file(store: Store, tmp_path: Path) -> None:
    assert export(store, "--tfrecord", tmp_path / "a").exit_code == 0
    sent = export(store, "--tfrecord", "-")
    assert (sent.stdout_bytes, sent.stderr) == ((tmp_path / "a").read_bytes(), "42 photos\n")
    assert {one.name for one in tmp_path.iterdir()} == {"store", "a", "a.json"}


def test_a_folder_goes_through_no_pipe(store: Store) -> None:
    done = export(store, "--huggingface", "-")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "- is no folder, and this export is one. Give the name of a folder." in done.stderr


def test_the_features_and_the_split_of_a_former_moment_are_exported(
    store: Store, photos: list[Photo], tmp_path: Path
) -> None:
    tables = {**store.tables, "photo_splits": store.photo_splits}
    versions = {name: table.snapshot().version for name, table in tables.items()}
    at = datetime(2026, 7, 30, tzinfo=UTC)
    export_parquet(store, tmp_path / "before", SPLIT)
    for table in (store.mobilenet_features, store.photo_splits):
        table.drop([photos[0].folder])
    then = replace(store, as_of=Moment(at, tuple(versions.items())))
    assert export_parquet(then, tmp_path / "then", SPLIT) == len(photos)
    assert (tmp_path / "then").read_bytes() == (tmp_path / "before").read_bytes()
    assert export_parquet(store, tmp_path / "now", SPLIT) == len(photos) - 6
    none = replace(store, as_of=Moment(at, tuple({**versions, "photo_splits": -1}.items())))
    with pytest.raises(FruitsError, match=r"are in no split yet\. Give another moment"):
        export_parquet(none, tmp_path / "none", SPLIT)


def test_reduced_features_of_another_pca_model_do_not_hinder_an_export_of_all_features(
    store: Store, photos: list[Photo], tmp_path: Path
) -> None:
    save(pca_model(len(photos), "another"), store.pca_models)
    assert "are reduced by another PCA model" in export(store, "--npz", tmp_path / "out").stderr
    assert export_npz(store, tmp_path / "out", FULL) == len(photos)


@pytest.mark.parametrize("wrong", [("--features", "all"), ("--only", "dev")])
def test_a_wrong_value_is_a_wrong_call(store: Store, wrong: tuple[str, ...]) -> None:
    assert export(store, "--csv", "-", *wrong).exit_code == 2
