"""Exports as their own libraries read them, with labels and folders of any name."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import duckdb
import numpy as np
import polars as pl
import pytest

from spark_steps.queries.exports.files import export_parquet
from spark_steps.queries.exports.huggingface import export_huggingface
from spark_steps.queries.exports.rows import Selection
from spark_steps.queries.exports.tfrecord import export_tfrecord
from spark_steps.store.store import Store
from tests.support.project import PROJECT
from tests.support.small_store import Photo
from tests.support.stores.split_store import LABELS, split_store, write_splits

FULL_SPLIT = Selection(full=True, split=True)
# Reads all that is in the records.
READ_RECORDS = """
import json
from pathlib import Path
import tensorflow as tf

about, told = json.loads(Path("fruits.tfrecord.json").read_text()), []
texts = ("image_id", "path", "folder", "label", "split")
columns = {name: tf.io.FixedLenFeature([], tf.string) for name in texts}
columns |= {"label_id": tf.io.FixedLenFeature([], tf.int64), "features": tf.io.FixedLenFeature([1280], tf.float32)}
for record in tf.data.TFRecordDataset("fruits.tfrecord"):
    row = {name: value.numpy() for name, value in tf.io.parse_single_example(record, columns).items()}
    row |= {name: row[name].decode() for name in texts}
    told.append({**row, "label_id": int(row["label_id"]), "numbers": row.pop("features").tolist()})
print(json.dumps([{name: one for name, one in row.items() if name != "features"} for row in told]))
"""
TELL_BATCHES = """
told = {"label_id": [], "features": []}
for batch in photos:
    for name, values in batch.items():
        told[name] += values.numpy().tolist()
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[Photo]]:
    return split_store(tmp_path_factory.mktemp("exports") / "store")


def expected(store: Store, photos: list[Photo], width: int) -> list[dict[str, Any]]:
    """All that an export has of each photo, in its order."""
    splits = store.photo_splits.arrow(["path", "split"])
    parts = dict(zip(splits["path"].to_pylist(), splits["split"].to_pylist(), strict=True))
    return [
        {
            "image_id": photo.image_id,
            "path": photo.path,
            "folder": photo.folder,
            "label": photo.folder.removeprefix("of/"),
            "label_id": LABELS.index(photo.folder.removeprefix("of/")),
            "split": parts[photo.path],
            "numbers": photo.numbers[:width],
        }
        for photo in photos
    ]


def without_split(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "split"} for row in rows]


def snippet_with(line: str) -> str:
    """The snippet of the page on exploring that has a line."""
    page = (PROJECT / "docs" / "exploring.md").read_text()
    snippets: list[str] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (found,) = (one for one in snippets if line in one)
    return found


def read_by_tensorflow(program: str, directory: Path) -> Any:
    """Returns what a program prints as JSON; the library is imported in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=directory, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_tensorflow_reads_every_record_and_verifies_its_checksums(
    made: tuple[Store, list[Photo]], tmp_path: Path
) -> None:
    assert export_tfrecord(made[0], tmp_path / "fruits.tfrecord", FULL_SPLIT) == len(made[1])
    assert read_by_tensorflow(READ_RECORDS, tmp_path) == expected(*made, 1280)


def test_tensorflow_reads_a_compressed_file_as_the_documentation_reads_it(
    made: tuple[Store, list[Photo]], tmp_path: Path
) -> None:
    export_tfrecord(made[0], tmp_path / "fruits.tfrecord.gz", Selection(full=True))
    rows = expected(*made, 1280)
    assert read_by_tensorflow(f"{snippet_with('import tensorflow')}\n{TELL_BATCHES}", tmp_path) == {
        "label_id": [row["label_id"] for row in rows],
        "features": [row["numbers"] for row in rows],
    }


def as_rows(dataset: Any) -> list[dict[str, Any]]:
    """The rows of a dataset; its numbers under one name."""
    assert dataset.features["label_id"] == datasets.ClassLabel(names=list(LABELS))
    rows: list[dict[str, Any]] = dataset.to_list()
    for row in rows:
        row["numbers"] = row.pop("features", None) or row.pop("reduced")
        assert {row.pop("model", "network"), row.pop("pca_model", "v")} == {"network", "v"}
    return rows


@pytest.mark.parametrize("by", ["load_from_disk", "load_dataset"])
def test_datasets_reads_each_part_as_a_split_with_the_names_of_all_labels(
    made: tuple[Store, list[Photo]], tmp_path: Path, by: str
) -> None:
    assert export_huggingface(made[0], tmp_path / "out", FULL_SPLIT) == len(made[1])
    options = {} if by == "load_from_disk" else {"cache_dir": str(tmp_path / "cache")}
    read = getattr(datasets, by)(str(tmp_path / "out"), **options)
    assert list(read) == ["train", "validation", "test"]
    rows = expected(*made, 1280)
    for part, dataset in read.items():
        assert dataset.features["features"] == datasets.List(datasets.Value("float32"), length=1280)
        assert as_rows(dataset) == without_split([row for row in rows if row["split"] == part])


def test_datasets_gives_numpy_a_matrix_and_names_to_labels_as_the_documentation_reads_them(
    made: tuple[Store, list[Photo]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_huggingface(made[0], tmp_path / "fruits", Selection(full=True))
    monkeypatch.chdir(tmp_path)
    read: dict[str, Any] = {}
    exec(snippet_with("load_from_disk"), read)  # noqa: S102
    batch, rows = read["photos"][:], expected(*made, 1280)
    assert (batch["features"].shape, batch["features"].dtype) == ((len(rows), 1280), np.float32)
    assert (batch["features"] == np.array([row["numbers"] for row in rows], np.float32)).all()
    assert [read["names"][label_id] for label_id in batch["label_id"]] == [row["label"] for row in rows]


def test_a_dataset_without_a_split_is_all_training_data_and_one_part_is_a_split_of_its_own(
    made: tuple[Store, list[Photo]], tmp_path: Path
) -> None:
    assert export_huggingface(made[0], tmp_path / "all") == len(made[1])
    read = datasets.load_from_disk(str(tmp_path / "all"))
    assert list(read) == ["train"]
    assert as_rows(read["train"]) == without_split(expected(*made, 4))
    export_huggingface(made[0], tmp_path / "test", Selection(only="test"))
    part = datasets.load_dataset(str(tmp_path / "test"), cache_dir=str(tmp_path / "cache"))
    assert list(part) == ["test"]
    assert as_rows(part["test"]) == without_split([row for row in expected(*made, 4) if row["split"] == "test"])


def test_what_was_computed_of_an_export_is_not_taken_for_that_of_the_next(tmp_path: Path) -> None:
    store, photos = split_store(tmp_path / "store")

    def paths() -> list[str]:
        read = datasets.load_from_disk(str(tmp_path / "out"))["train"]
        return list(read.map(lambda row: {"copy": row["path"]}, cache_file_name=None)["copy"])

    export_huggingface(store, tmp_path / "out", Selection(split=True))
    before = paths()
    write_splits(store, dict.fromkeys((photo.path for photo in photos), "train"))
    export_huggingface(store, tmp_path / "out", Selection(split=True), force=True)
    assert sorted(paths()) == sorted(photo.path for photo in photos) != sorted(before)


def test_duckdb_and_polars_read_all_features_and_the_split(made: tuple[Store, list[Photo]], tmp_path: Path) -> None:
    assert export_parquet(made[0], tmp_path / "a.parquet", FULL_SPLIT) == len(made[1])
    counted = duckdb.read_parquet(str(tmp_path / "a.parquet")).aggregate("label, split, count(*)", "label, split")
    assert sorted(counted.fetchall()) == [
        (label, part, count)
        for label in sorted(LABELS)
        for part, count in (("test", 1), ("train", 4), ("validation", 1))
    ]
    frame = pl.read_parquet(tmp_path / "a.parquet")
    rows = expected(*made, 1280)
    assert frame["features"].to_list() == [row["numbers"] for row in rows]
    assert frame["label"].to_list() == [row["label"] for row in rows]
