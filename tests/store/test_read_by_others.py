"""The tables as other programs read them: each snippet of docs/store.md, run as it stands there."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from spark_steps.features.weights import MobileNetModel
from spark_steps.pca.model import PcaSettings, fit
from spark_steps.pca.model_store import save
from spark_steps.pca.reduce import plan_reduced
from spark_steps.spark.class_archive import java_options
from spark_steps.spark.session import find_java_home
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.maintenance import compact
from spark_steps.tables.schemas import with_folder
from tests.emr_emulator.spark import delta_jars
from tests.support.photos import save_photo
from tests.support.project import PROJECT
from tests.support.steps import write_features, write_raw_images

FIRST_COMPILER = "-XX:TieredStopAtLevel=1"
PAGE = PROJECT / "docs" / "store.md"
FOLDERS = (
    "a b",
    "Pêche",
    "=x",
    "folder=y",
    "100%",
    "50%41",
    "quo'te",
    'say "b"',
    "2024-01-01",
    "true",
    "007",
    "null",
    "a#b?c",
    "deep/er",
)


def write_all(spark: SparkSession, store: Store, images: Path, network: MobileNetModel) -> None:
    write_raw_images(store, images)
    write_features(spark, store, images, network)
    model = fit(spark, store.mobilenet_features, network, PcaSettings(3))
    save(model, store.pca_models)
    reduced = store.reduced_features
    reduced.write(plan_reduced(spark, store.mobilenet_features, reduced, store.mobilenet_features.folders(), model))


@pytest.fixture(scope="module")
def directory(spark: SparkSession, network: MobileNetModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of an odd name with a store ``results`` of several versions, and files of former ones."""
    directory = tmp_path_factory.mktemp("it's 100 % été")
    images, store = directory / "photos", Store(str(directory / "results"))
    for number, folder in enumerate(FOLDERS):
        for photo in range(2):
            save_photo(images / folder / f"é {photo}.png", 30 * number + photo)
    (images / "a b" / "letter.jpg").write_text("not a photo")
    write_all(spark, store, images, network)
    save_photo(images / "a b" / "new.png", 7)
    save_photo(images / "2024-01-01" / "é 0.png", 8, (61, 40))
    (images / "true" / "é 1.png").unlink()
    write_all(spark, store, images, network)
    table = store.reduced_features
    assert compact(table, [file for file in table.files() if file.folder == "a b"], {})
    return directory


@pytest.fixture
def store(directory: Path) -> Store:
    return Store(str(directory / "results"))


def snippets() -> dict[str, str]:
    names = ("pandas", "polars", "duckdb", "spark", "pipeline", "numpy")
    return dict(zip(names, re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL), strict=True))


def run(directory: Path, *parts: str, written: Sequence[str] = ("out",)) -> list[pa.Table]:
    """Runs parts of a program, the last of which write ``out.parquet``, or files of other names; returns these."""
    environment = {**os.environ, "JAVA_HOME": str(find_java_home()), "SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(parts)],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tables = [pq.read_table(directory / f"{name}.parquet") for name in written]
    for name in written:
        (directory / f"{name}.parquet").unlink()
    return tables


def rows_of(table: FolderTable) -> list[dict[str, Any]]:
    return in_order(table.arrow(with_folder(table.schema).names))


def in_order(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return sorted(rows, key=lambda row: (row["folder"], row["path"]))


def first_version(store: Store) -> FolderTable:
    table = store.reduced_features
    return FolderTable(table.root, table.schema, version=1)


def test_the_store_has_several_versions_and_files_of_former_ones(store: Store) -> None:
    table = store.reduced_features
    assert table.snapshot().version == 3
    assert set(table.folders()) == set(FOLDERS)
    assert len(table.listing()) > len(table.files())
    assert rows_of(table) != rows_of(first_version(store))
    assert len(pd.read_parquet(table.root)) > len(rows_of(table))


def test_pandas_reads_what_the_platform_reads_now_and_at_a_former_version(directory: Path, store: Store) -> None:
    snippet = snippets()["pandas"]
    told = [f"{frame}.to_parquet('{frame}.parquet', index=False)" for frame in ("photos", "before")]
    now, then = run(directory, snippet, "assert X.shape == (len(y), 3)", *told, written=("photos", "before"))
    assert in_order(now) == rows_of(store.reduced_features)
    assert in_order(then) == rows_of(first_version(store))


def test_pandas_reads_a_store_in_s3_with_the_credentials_of_the_environment(
    directory: Path, store: Store, s3: Any
) -> None:
    s3.put_folder(Path(store.root), "results")
    snippet = snippets()["pandas"].replace("results/", f"{s3.bucket}/results/")
    environment = "import os; os.environ |= {'AWS_REGION': 'eu-west-3', 'AWS_ALLOW_HTTP': 'true'}"
    (there,) = run(directory, environment, snippet, "photos.to_parquet('out.parquet', index=False)")
    assert in_order(there) == rows_of(store.reduced_features)


def test_polars_reads_what_the_platform_reads(directory: Path, store: Store) -> None:
    snippet = snippets()["polars"]
    told = [f"{frame}.write_parquet('{frame}.parquet')" for frame in ("photos", "rejected")]
    photos, refused = run(directory, snippet, *told, written=("photos", "rejected"))
    assert in_order(photos) == rows_of(store.reduced_features)
    rejected = refused.to_pylist()
    assert [(row["folder"], row["path"]) for row in rejected] == [("a b", "a b/letter.jpg")]
    assert rejected[0]["error"].startswith("not an image: ")


def test_polars_reads_the_same_by_its_own_reader_and_folders_that_look_like_numbers_stay_text(
    store: Store, tmp_path: Path
) -> None:
    # Its own reader finds no file of a table whose location has a space or an accent.
    shutil.copytree(store.root, tmp_path / "results")
    root = str(tmp_path / "results" / "PCA_Results" / "reduced_features")
    assert in_order(pl.read_delta(root).to_arrow()) == rows_of(store.reduced_features)
    assert pl.read_delta(root, version=1).height == len(rows_of(first_version(store)))
    in_007 = pl.scan_delta(root).filter(pl.col("folder") == "007").select("folder", "path").collect()
    assert in_007["folder"].to_list() == ["007"] * 2


def test_duckdb_reads_what_the_platform_reads(directory: Path, store: Store) -> None:
    snippet = snippets()["duckdb"]
    told = ["duckdb.sql('SELECT * FROM photos').write_parquet('all.parquet')", "labels.write_parquet('labels.parquet')"]
    photos, counts = run(directory, snippet, *told, written=("all", "labels"))
    assert in_order(photos) == rows_of(store.reduced_features)
    labels = counts.to_pylist()
    counted = pa.TableGroupBy(store.reduced_features.arrow(["label"]), "label").aggregate([([], "count_all")])
    assert labels == [
        {"label": row["label"], "photos": row["count_all"]}
        for row in sorted(counted.to_pylist(), key=lambda row: row["label"])
    ]


def test_numpy_reduces_the_features_to_what_the_table_holds(directory: Path, store: Store) -> None:
    told = "features[['folder', 'path']].assign(reduced=list(reduced)).to_parquet('out.parquet', index=False)"
    (rows,) = run(directory, snippets()["numpy"], told)
    assert_the_same_numbers(in_order(rows), store)


def assert_the_same_numbers(rows: list[dict[str, Any]], store: Store) -> None:
    expected = rows_of(store.reduced_features)
    assert [row["path"] for row in rows] == [row["path"] for row in expected]
    reduced = np.array([row["reduced"] for row in rows])
    np.testing.assert_allclose(reduced, np.array([row["reduced"] for row in expected]), rtol=1e-4, atol=1e-4)


def test_spark_with_deltas_own_connector_reads_what_the_platform_reads_and_the_pipeline_reduces_it(
    directory: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    delta_jars()
    # The snippet sets none of these: two rows of a small table need no more, and Java starts sooner.
    options = {
        "spark.driver.extraJavaOptions": " ".join([FIRST_COMPILER, *java_options(find_java_home())]),
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.sql.shuffle.partitions": "1",
        "spark.ui.enabled": "false",
    }
    given = shlex.join([word for name, value in options.items() for word in ("--conf", f"{name}={value}")])
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", f"{given} pyspark-shell")
    told = """
from pyspark.ml.functions import vector_to_array

import pandas as pd
frames = {"now": photos, "before": before}
both = [frame.toPandas().assign(read=name) for name, frame in frames.items()]
reduced = reduced.select("folder", "path", vector_to_array("reduced").alias("reduced")).toPandas()
pd.concat([*both, reduced.assign(read="pipeline")]).to_parquet("out.parquet", index=False)
"""
    (rows,) = run(directory, snippets()["spark"], snippets()["pipeline"], told)
    found = {name: part.drop(columns="read") for name, part in rows.to_pandas().groupby("read")}
    schema = with_folder(store.reduced_features.schema)
    for name, table in (("now", store.reduced_features), ("before", first_version(store))):
        assert in_order(pa.Table.from_pandas(found[name], schema, preserve_index=False)) == rows_of(table)
    reduced = found["pipeline"][["folder", "path", "reduced"]]
    assert_the_same_numbers(in_order(pa.Table.from_pandas(reduced, preserve_index=False)), store)
