"""PCA: scikit-learn's numbers from one pass, in any order, and clear answers where there is none."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from spark_steps.errors import FruitsError
from spark_steps.features.weights import MobileNetModel
from spark_steps.pca import model_store
from spark_steps.pca.model import PcaModel, PcaSettings, fit
from spark_steps.pca.reduce import plan_reduced
from spark_steps.storage.parallel import for_each
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import FolderTable, TableChange
from spark_steps.tables.schemas import FEATURES_SCHEMA, REDUCED_SCHEMA, with_folder
from tests.support.features import features_like

NETWORK = MobileNetModel(b"", "n" * 64, "random:0", "w" * 64)
MakeTable = Callable[..., FolderTable]


@pytest.fixture
def make_table(tmp_path: Path) -> MakeTable:
    """Writes features as files of mobilenet_features, a folder of so many rows each."""

    def make(features: np.ndarray, *sizes: int, model: str = NETWORK.fingerprint, errors: int = 0) -> FolderTable:
        table = FolderTable(str(tmp_path / "mobilenet_features"), FEATURES_SCHEMA)
        start, rows = 0, {}
        for number, size in enumerate(sizes or (len(features),)):
            block = list(features[start : start + size]) + [None] * errors
            ids = [f"{start + i:064x}" for i in range(len(block))]
            columns = {
                "image_id": ids,
                "path": [f"/photos/{i}" for i in ids],
                "label": [f"F{number}"] * len(block),
                "features": pa.array(block, pa.list_(pa.float32())),
                "model": [model] * len(block),
                "error": [None] * size + ["truncated: x"] * errors,
            }
            absent = {field.name: pa.nulls(len(block), field.type) for field in table.schema}
            rows[f"F{number}"] = [pa.table({**absent, **columns}, table.schema)]
            start += size
        table.write(table.replacement(DriverRows(rows), list(rows)))
        return table

    return make


def scikit_learn(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Explained variance ratios, components and scores by the full SVD."""
    scaled = StandardScaler().fit_transform(features.astype(np.float64))
    reference = PCA(svd_solver="full").fit(scaled)
    return reference.explained_variance_ratio_, reference.components_, reference.transform(scaled)


def reduced_rows(spark: SparkSession, table: FolderTable, folders: list[str], model: PcaModel) -> list[dict[str, Any]]:
    reduced = FolderTable(f"{table.root}_reduced", REDUCED_SCHEMA)
    reduced.write(plan_reduced(spark, table, reduced, folders, model))
    rows: list[dict[str, Any]] = reduced.arrow(with_folder(REDUCED_SCHEMA).names).to_pylist()
    return rows


def test_it_agrees_with_scikit_learn(spark: SparkSession, make_table: MakeTable) -> None:
    features = features_like(500)
    model = fit(spark, make_table(features, 100, 250, 150, errors=3), NETWORK, PcaSettings())
    ratios, components, scores = scikit_learn(features)
    assert (model.k, model.rows, model.folders) == (50, 500, ["F0", "F1", "F2"])
    np.testing.assert_allclose(model.explained_variance_ratio[:350], ratios[:350], atol=1e-6, rtol=0)
    signs = np.sign(np.sum(model.components[:40] * components[:40], axis=1))
    np.testing.assert_allclose(model.components[:40], components[:40] * signs[:, np.newaxis], atol=1e-6)
    np.testing.assert_allclose(model.project(features)[:, :40], scores[:, :40] * signs, atol=1e-4)


def test_the_largest_loading_of_each_component_is_positive(spark: SparkSession, make_table: MakeTable) -> None:
    components = fit(spark, make_table(features_like(60)), NETWORK, PcaSettings()).components
    assert (components[np.arange(len(components)), np.abs(components).argmax(axis=1)] > 0).all()


def test_the_version_is_that_of_the_photos_and_settings_in_any_order(
    spark: SparkSession, make_table: MakeTable
) -> None:
    features = features_like(60)
    one = fit(spark, make_table(features, 60), NETWORK, PcaSettings())
    split = fit(spark, make_table(features, 10, 50), NETWORK, PcaSettings())
    # The same 60 photos: F0 now holds the first 10 and F1 the rest.
    assert split.version == one.version
    assert fit(spark, make_table(features, 10, 50), NETWORK, PcaSettings(components=20)).version != one.version
    assert fit(spark, make_table(features[:59], 10, 49), NETWORK, PcaSettings()).version != one.version


def test_a_target_variance_keeps_just_enough_components(spark: SparkSession, make_table: MakeTable) -> None:
    model = fit(spark, make_table(features_like(500)), NETWORK, PcaSettings(variance=0.9))
    assert model.explained_at(model.k) >= 0.9 > model.explained_at(model.k - 1)
    assert model.k == model.components_for(0.9)
    assert fit(spark, make_table(features_like(30)), NETWORK, PcaSettings(variance=1.0)).k == 29


def test_constant_features_bear_no_variance(spark: SparkSession, make_table: MakeTable) -> None:
    features = features_like(80)
    features[:, 100:300] = 0.1
    model = fit(spark, make_table(features), NETWORK, PcaSettings())
    ratios, _, _ = scikit_learn(features)
    np.testing.assert_allclose(model.explained_variance_ratio[:79], ratios[:79], atol=1e-6)
    assert (model.scale[100:300] == 1).all()
    assert np.isfinite(model.project(features)).all()


def test_fewer_photos_than_components_keep_what_they_span(spark: SparkSession, make_table: MakeTable) -> None:
    model = fit(spark, make_table(features_like(12)), NETWORK, PcaSettings(components=50))
    assert (model.k, model.asked_components) == (11, 50)
    assert model.explained_at(11) == pytest.approx(1)


def test_one_photo_or_none_or_all_alike_are_told_apart(spark: SparkSession, make_table: MakeTable) -> None:
    with pytest.raises(FruitsError, match="at least 2 usable photos, and there is 1"):
        fit(spark, make_table(features_like(1), errors=2), NETWORK, PcaSettings())
    with pytest.raises(FruitsError, match="No photo has features"):
        fit(spark, make_table(features_like(0), errors=2), NETWORK, PcaSettings())
    with pytest.raises(FruitsError, match="All 20 usable photos have the same features"):
        fit(spark, make_table(np.repeat(features_like(1), 20, axis=0)), NETWORK, PcaSettings())


def test_features_of_another_network_are_refused(spark: SparkSession, make_table: MakeTable) -> None:
    table = make_table(features_like(20), model="o" * 64)
    with pytest.raises(FruitsError, match="made by another network"):
        fit(spark, table, NETWORK, PcaSettings())


def test_a_model_that_two_save_at_once_is_the_one_that_is_loaded(
    spark: SparkSession, make_table: MakeTable, tmp_path: Path
) -> None:
    model = fit(spark, make_table(features_like(60)), NETWORK, PcaSettings())
    root = str(tmp_path / "pca_model")
    for_each(lambda one: model_store.save(one, root), [model, model, model])
    assert {one.name for one in (tmp_path / "pca_model" / model.version).iterdir()} == {
        "components.parquet",
        "model.json",
        "pipeline",
    }
    loaded = model_store.load(root)
    for name in PcaModel.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(model, name))
    assert loaded.weights == {"source": "random:0", "sha256": "w" * 64}


def test_a_part_of_a_model_is_never_used(spark: SparkSession, make_table: MakeTable, tmp_path: Path) -> None:
    model = fit(spark, make_table(features_like(60)), NETWORK, PcaSettings())
    root = str(tmp_path / "pca_model")
    with pytest.raises(FruitsError, match="Fit one first"):
        model_store.load(root)
    model_store.save(model, root)
    (tmp_path / "pca_model" / model.version / "model.json").unlink()
    with pytest.raises(FruitsError, match="There is no PCA model"):
        model_store.load(root)
    model_store.save(model, root)
    assert model_store.load(root).version == model.version


def test_spark_ml_loads_the_model_and_reduces_to_the_same_numbers(
    spark: SparkSession, make_table: MakeTable, tmp_path: Path
) -> None:
    table = make_table(features_like(60), 20, 40, errors=2)
    model = fit(spark, table, NETWORK, PcaSettings(components=10))
    root = str(tmp_path / "pca_model")
    model_store.save(model, root)
    pipeline = PipelineModel.load(f"{root}/{model.version}/pipeline")
    stages: list[Any] = pipeline.stages
    scaler, pca = stages
    np.testing.assert_array_equal(scaler.mean.toArray(), model.mean)
    np.testing.assert_array_equal(scaler.std.toArray(), model.scale)
    np.testing.assert_array_equal(pca.pc.toArray(), model.components[: model.k].T)
    np.testing.assert_array_equal(pca.explainedVariance.toArray(), model.explained_variance_ratio[: model.k])
    usable = table.scan(spark).where("error IS NULL").withColumn("features", array_to_vector(F.col("features")))
    reduced = pipeline.transform(usable).select("path", vector_to_array(F.col("reduced")).alias("reduced")).collect()
    ours = {row["path"]: row["reduced"] for row in reduced_rows(spark, table, ["F0", "F1"], model)}
    assert len(reduced) == len(ours) == 60
    for row in reduced:
        np.testing.assert_allclose(row["reduced"], ours[row["path"]], atol=1e-4)


def test_a_model_has_the_files_that_sparks_own_writer_makes_of_it(
    spark: SparkSession, make_table: MakeTable, tmp_path: Path
) -> None:
    model = fit(spark, make_table(features_like(60)), NETWORK, PcaSettings(components=10))
    model_store.save(model, str(tmp_path))
    ours, sparks = tmp_path / model.version / "pipeline", tmp_path / "written by Spark"
    PipelineModel.load(str(ours)).write().save(str(sparks))
    for stage in (f"stages/0_fruits_scaler_{model.version}", f"stages/1_fruits_pca_{model.version}"):
        rows = [spark.read.parquet(f"{root}/{stage}/data") for root in (ours, sparks)]
        assert rows[0].schema == rows[1].schema
        assert rows[0].collect() == rows[1].collect()
        metadata = [json.loads((root / stage / "metadata/part-00000").read_text()) for root in (ours, sparks)]
        assert metadata[0].keys() == metadata[1].keys()
        for name in ("class", "uid", "paramMap"):
            assert metadata[0][name] == metadata[1][name]


def test_reduced_rows_are_those_of_the_usable_photos_of_the_folders(spark: SparkSession, make_table: MakeTable) -> None:
    features = features_like(60)
    table = make_table(features, 20, 40, errors=3)
    model = fit(spark, table, NETWORK, PcaSettings(components=7))
    rows = reduced_rows(spark, table, ["F1"], model)
    assert sorted(int(row["image_id"], 16) for row in rows) == list(range(20, 60))
    assert {(row["folder"], row["label"], row["pca_model"]) for row in rows} == {("F1", "F1", model.version)}
    found = np.array([row["reduced"] for row in sorted(rows, key=lambda row: row["image_id"])])
    np.testing.assert_allclose(found, model.project(features)[20:], atol=1e-5)
    assert [field.name for field in REDUCED_SCHEMA] == ["image_id", "path", "label", "reduced", "pca_model"]


def test_only_photos_that_came_are_reduced_by_the_same_model_and_those_that_went_lose_their_rows(
    spark: SparkSession, make_table: MakeTable
) -> None:
    features = features_like(60)
    table = make_table(features, 20, 40)
    model = fit(spark, table, NETWORK, PcaSettings(components=7))
    before = reduced_rows(spark, table, ["F0", "F1"], model)
    reduced = FolderTable(f"{table.root}_reduced", REDUCED_SCHEMA)
    files = {file.path for file in reduced.files()}
    assert plan_reduced(spark, table, reduced, ["F0", "F1"], model).is_empty
    # F0 has its photos, and one more in a file of its own; F1 has lost its last ones.
    columns = table.schema.names
    more = table.arrow(columns, ["F0"]).slice(0, 1).set_column(1, "path", pa.array(["F0/again.jpg"]))
    table.write(TableChange(table.snapshot(), DriverRows({"F0": [more]}), (), frozenset(["F0"])))
    table.write(table.replacement(DriverRows({"F1": [table.arrow(columns, ["F1"]).slice(0, 30)]}), ["F1"]))
    after = reduced_rows(spark, table, ["F0", "F1"], model)
    kept = [row for row in before if row["folder"] == "F0" or int(row["image_id"], 16) < 50]
    assert sorted(after, key=lambda row: row["path"]) == sorted(
        [*kept, {**before[0], "path": "F0/again.jpg"}], key=lambda row: row["path"]
    )
    new = [(file.folder, file.rows) for file in reduced.files() if file.path not in files]
    assert ("F0", 1) in new
    # What is left of the one file that held the rows that are gone.
    assert [folder for folder, _ in new] == ["F0", "F1"]


def test_features_of_another_network_than_the_models_are_not_reduced(
    spark: SparkSession, make_table: MakeTable
) -> None:
    table = make_table(features_like(20))
    model = replace(fit(spark, table, NETWORK, PcaSettings(components=3)), features_model="o" * 64)
    with pytest.raises(FruitsError, match="'F0' come from another network"):
        reduced_rows(spark, table, ["F0"], model)
