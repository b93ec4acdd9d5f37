"""The whole command on a bucket: the rows are those that it gives in folders."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from fruits_assets.sample_photos import write_sample
from fruits_assets.settings import read_settings
from spark_steps.queries.report import read_report
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import FolderTable
from tests.support.aws.s3_server import S3
from tests.support.names import HOSTILE_NAMES
from tests.support.photos import save_photo
from tests.support.pipeline import run_pipeline
from tests.support.project import PROJECT

DEADLINE_SECONDS = 600


ROWS = {
    "raw_images": ["folder", "path", "label", "length", "error"],
    "mobilenet_features": ["folder", "path", "image_id", "features", "model", "error"],
    "reduced_features": ["folder", "path", "image_id", "reduced"],
}


@pytest.mark.timeout(900)
def test_the_command_gives_in_s3_the_rows_it_gives_in_folders(
    s3: S3, tmp_path: Path, network_file: Path, instance: dg.DagsterInstance
) -> None:
    photos = tmp_path / "photos"
    write_sample(photos, photos_per_folder=2)
    for number, name in enumerate(name for name in HOSTILE_NAMES if "\n" not in name):
        save_photo(photos / "100% é +#? [x]" / name, number)
    (photos / "Apple Red" / "empty.jpg").touch()
    s3.put_folder(photos, "Test")
    s3.put("weights/net.tflite", network_file.read_bytes())
    in_folders = read_settings(images=str(photos), store=str(tmp_path / "store"), weights=str(network_file), cores="2")
    run_pipeline(in_folders, instance, say=lambda _: None)
    in_s3 = ("--images", f"{s3.bucket}/Test", "--store", s3.bucket, "--weights", f"{s3.bucket}/weights/net.tflite")
    fruits(tmp_path / "home", "run", *in_s3)
    local, remote = Store(in_folders.store), Store(s3.bucket)
    for name, columns in ROWS.items():
        assert rows_of(remote.tables[name], columns) == rows_of(local.tables[name], columns)
    assert read_report(s3.bucket).photos == read_report(local.root).photos > 0
    # Nothing but files: no marker, no _SUCCESS, nothing half done.
    odd = [key for key in s3.listing() if key.endswith(("/", "_SUCCESS")) or "_temporary" in key]
    assert odd == []
    before = tables_in(s3)
    said = fruits(tmp_path / "home", "run", *in_s3)
    assert "Nothing is new" in said
    assert tables_in(s3) == before
    python(tmp_path, SPARK_ML, s3.bucket, str(tmp_path / "pipeline"))


SPARK_ML = """
import sys
from fruits_assets.resources import LocalPySparkResource
from pyarrow import fs
from pyspark.ml import PipelineModel
from pyspark.ml.functions import array_to_vector, vector_to_array
from spark_steps.pca import model_store
from spark_steps.spark.session import local_spark_config
from spark_steps.storage import locations
from spark_steps.store.store import Store

store = Store(sys.argv[1])
spark = LocalPySparkResource(spark_config=local_spark_config("2")).spark_session
pipeline = f"{store.pca_models}/{model_store.current_version(store.pca_models)}/pipeline"
filesystem, path = locations.filesystem_of(pipeline)
# A Spark of this machine reads nothing in S3.
fs.copy_files(path, sys.argv[2], source_filesystem=filesystem)
model = PipelineModel.load(sys.argv[2])
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
