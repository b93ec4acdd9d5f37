"""The reduced features in one file: what is exported is what the table holds."""

import csv
import io
from collections.abc import Iterator
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
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import DriverRows, tables_of
from spark_steps.tables.schemas import REDUCED_SCHEMA
from tests.support.reduced_store import FOLDERS, ROWS, model, reduced_store
from tests.support.small_store import replace_rows

KINDS = pytest.mark.parametrize("kind", ["csv", "npz", "parquet"])
COLUMNS = ["image_id", "path", "folder", "label", "reduced", "pca_model"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return reduced_store(tmp_path / "store")


def export(store: Store, *arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["export", "--store", store.root, *map(str, arguments)])


def expected(store: Store) -> dict[str, list[Any]]:
    table: dict[str, list[Any]] = store.reduced_features.arrow(COLUMNS).to_pydict()
    return table


def test_a_csv_holds_what_the_table_holds_to_the_last_bit(store: Store, tmp_path: Path) -> None:
    done = export(store, "--csv", tmp_path / "new" / "fruits.csv")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"30 photos in {tmp_path}/new/fruits.csv\nRead it by pandas.read_csv(")
    with (tmp_path / "new" / "fruits.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["image_id", "path", "folder", "label", "reduced_1", "reduced_2", "reduced_3", "reduced_4"]
    table = expected(store)
    for column, name in enumerate(header[:4]):
        assert [row[column] for row in rows] == table[name]
    assert (np.array([row[4:] for row in rows]).astype(np.float32) == np.array(table["reduced"], np.float32)).all()


def test_an_npz_holds_what_the_table_holds_and_needs_no_pickle(store: Store, tmp_path: Path) -> None:
    assert export(store, "--npz", tmp_path / "fruits.npz").exit_code == 0
    table = expected(store)
    with np.load(tmp_path / "fruits.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {"X", "labels", "label_ids", "classes", "ids", "paths", "folders", "pca_model"}
        assert arrays["X"].dtype == np.float32
        assert (arrays["X"] == np.array(table["reduced"], np.float32)).all()
        names = {"labels": "label", "ids": "image_id", "paths": "path", "folders": "folder"}
        assert all(arrays[name].tolist() == table[column] for name, column in names.items())
        assert str(arrays["pca_model"]) == "0123456789abcdef"
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_a_parquet_file_holds_what_the_table_holds_as_float32(store: Store, tmp_path: Path) -> None:
    done = export(store, "--parquet", tmp_path / "fruits.parquet")
    assert (done.exit_code, done.stdout) == (0, f"30 photos in {tmp_path}/fruits.parquet\n")
    written = pq.read_table(tmp_path / "fruits.parquet")
    assert written.schema.names == COLUMNS
    assert written.schema.field("reduced").type == pa.list_(pa.float32())
    assert written.to_pydict() == expected(store)
    assert pd.read_parquet(tmp_path / "fruits.parquet")["pca_model"].unique().tolist() == ["0123456789abcdef"]


def test_a_parquet_file_of_many_small_files_has_few_row_groups(store: Store, tmp_path: Path) -> None:
    table = store.reduced_features
    rows = table.arrow(REDUCED_SCHEMA.names, [FOLDERS[0]])
    others = [f"Plum/{number}" for number in range(40)]
    table.write(table.replacement(DriverRows({folder: [rows] for folder in others}), others))
    assert len(table.files()) == 42
    assert export(store, "--parquet", tmp_path / "fruits.parquet").exit_code == 0
    assert pq.read_metadata(tmp_path / "fruits.parquet").num_row_groups == 1


def test_rows_of_a_large_table_are_held_for_one_row_group_at_a_time() -> None:
    taken = 0

    def parts() -> Iterator[pa.RecordBatch]:
        nonlocal taken
        for _ in range(100):
            taken += 1000
            yield pa.RecordBatch.from_pydict({"row": list(range(1000))})

    for written, table in enumerate(tables_of(parts()), start=1):
        assert table.num_rows <= 9000
        assert taken <= written * 9000


@KINDS
@pytest.mark.parametrize("name", ["-", "/dev/stdout", "link"])
def test_a_dash_is_standard_output_and_what_is_said_goes_elsewhere(
    store: Store, tmp_path: Path, kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("/dev/stdout")
    assert export(store, f"--{kind}", tmp_path / "file").exit_code == 0
    done = export(store, f"--{kind}", name, "--force")
    assert Path("link").is_symlink()
    assert (done.exit_code, done.stderr) == (0, "30 photos\n")
    if kind == "csv":
        assert done.stdout_bytes == (tmp_path / "file").read_bytes()
        return
    if kind == "parquet":
        assert pq.read_table(io.BytesIO(done.stdout_bytes)) == pq.read_table(tmp_path / "file")
        return
    with np.load(io.BytesIO(done.stdout_bytes)) as sent, np.load(tmp_path / "file") as written:
        assert set(sent) == set(written)
        assert all((sent[name] == written[name]).all() for name in written)


def test_standard_output_gets_nothing_where_there_is_nothing_to_export(tmp_path: Path) -> None:
    done = export(Store(str(tmp_path / "none")), "--csv", "-")
    assert (done.exit_code, done.stdout_bytes) == (1, b"")


@KINDS
def test_a_file_that_is_there_is_replaced_only_by_force(store: Store, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "theirs"
    file.write_text("precious")
    refused = export(store, f"--{kind}", file)
    assert (refused.exit_code, file.read_text()) == (1, "precious")
    assert f"{file} is there already. Give another name, or --force" in refused.stderr
    assert export(store, f"--{kind}", file, "--force").exit_code == 0
    assert file.read_bytes() != b"precious"


@KINDS
def test_folders_of_two_pca_models_are_not_put_into_one_file(store: Store, tmp_path: Path, kind: str) -> None:
    rows = store.reduced_features.arrow(REDUCED_SCHEMA.names, [FOLDERS[0]])
    replace_rows(store.reduced_features, FOLDERS[0], rows.set_column(4, "pca_model", [["another"] * len(rows)]))
    done = export(store, f"--{kind}", tmp_path / "file")
    assert done.exit_code == 1
    assert "are reduced by another PCA model than the current 0123456789abcdef" in done.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "store"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Give one of --csv FILE, --npz FILE, --parquet FILE, --tfrecord FILE and --huggingface DIR."),
        (
            ("--csv", "a", "--npz", "b"),
            "Give one of --csv FILE, --npz FILE, --parquet FILE, --tfrecord FILE and --huggingface DIR.",
        ),
        (
            ("--npz", "a", "--parquet", "b"),
            "Give one of --csv FILE, --npz FILE, --parquet FILE, --tfrecord FILE and --huggingface DIR.",
        ),
        (("--csv", "/proc/a.csv"), "/proc/a.csv cannot be written"),
        (("--parquet", "/proc/a.parquet"), "/proc/a.parquet cannot be written"),
        (("--csv", "/proc"), "/proc is a folder. Give the name of a file."),
    ],
)
def test_what_cannot_be_exported_is_refused_in_a_sentence(
    store: Store, arguments: tuple[str, ...], message: str
) -> None:
    done = export(store, *arguments)
    assert done.exit_code != 0
    assert message in done.stderr


def test_a_store_without_reduced_features_is_refused_with_the_remedy(store: Store, tmp_path: Path) -> None:
    none = Store(str(tmp_path / "none"))
    assert "or it has no PCA model yet. Make one: fruits run" in export(none, "--npz", tmp_path / "a").stderr
    save(model(), none.pca_models)
    for kind in ("--npz", "--csv", "--parquet"):
        assert f"No photo of {none.root} has reduced features" in export(none, kind, tmp_path / "a").stderr
    assert not (tmp_path / "a").exists()


def test_a_place_in_s3_is_refused_as_the_file_to_write(store: Store) -> None:
    done = export(store, "--csv", "s3://bucket/fruits.csv")
    assert done.exit_code == 2
    assert "no path of this machine" in done.output


def test_a_name_with_a_carriage_return_stays_in_its_row(store: Store, tmp_path: Path) -> None:
    table = store.reduced_features.arrow(REDUCED_SCHEMA.names, [FOLDERS[0]])
    paths = pa.array([f"{FOLDERS[0]}/a\rb.jpg", *table["path"].to_pylist()[1:]], pa.string())
    replace_rows(store.reduced_features, FOLDERS[0], table.set_column(1, table.schema.field("path"), paths))
    assert export(store, "--csv", tmp_path / "fruits.csv").exit_code == 0
    with (tmp_path / "fruits.csv").open(newline="", encoding="utf-8") as written:
        rows = list(csv.reader(written))
    assert len(rows) == 1 + ROWS
    assert f"{FOLDERS[0]}/a\rb.jpg" in {row[1] for row in rows}


def test_a_file_that_another_run_has_replaced_is_told_in_a_sentence(store: Store) -> None:
    file, *_ = store.reduced_features.files()
    Path(store.reduced_features.root, file.path).unlink()
    with (
        pytest.raises(FruitsError, match=r"was changed while it was read\. Try again"),
        store.reduced_features.reading(file),
    ):
        pass


def test_a_model_without_its_components_is_reported_with_the_remedy(store: Store, tmp_path: Path) -> None:
    for file in Path(store.pca_models).glob("*/components.parquet"):
        file.unlink()
    done = export(store, "--csv", tmp_path / "fruits.csv")
    assert done.exit_code == 1
    assert "components.parquet of PCA model" in done.stderr
    assert "fit the PCA again" in done.stderr
    assert not (tmp_path / "fruits.csv").exists()
