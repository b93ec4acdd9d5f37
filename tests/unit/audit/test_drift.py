"""Drift: how badly the PCA model describes the photos of each folder, and those that are newer than it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from spark_steps.audit import drift
from spark_steps.audit.drift import drift_of
from spark_steps.errors import FruitsError
from spark_steps.pca.model import PcaModel, PcaSettings, solve
from spark_steps.pca.model_store import save
from spark_steps.pca.moments import Moments
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import write_file
from spark_steps.tables.folder_table import TableChange
from spark_steps.tables.schemas import FEATURES_SCHEMA
from tests.support.features import features_like


def add_features(store: Store, folder: str, features: np.ndarray) -> None:
    """Adds a file with these features, and a rejected photo, to a folder."""
    table, rows = store.mobilenet_features, len(features) + 1
    columns = {
        "features": pa.array([None, *features], pa.list_(pa.float32())),
        "error": ["empty: no byte", *[None] * len(features)],
    }
    absent = {field.name: pa.nulls(rows, field.type) for field in FEATURES_SCHEMA}
    table.log.create()
    file = write_file(table.root, folder, pa.table({**absent, **columns}, FEATURES_SCHEMA).to_batches())
    table.commit([file], TableChange(table.snapshot(), None, (), frozenset([folder])))


def fitted(store: Store, features: np.ndarray, components: int = 20) -> PcaModel:
    model = solve(Moments.of_rows(features), "network", PcaSettings(components), ["A", "B"])
    model = replace(model, features_version=store.mobilenet_features.snapshot().version)
    save(model, store.pca_models)
    return model


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def unexplained(features: np.ndarray, model: PcaModel) -> float:
    """The mean share by reconstruction."""
    standardised = (features - model.mean) / model.scale
    kept = model.components[: model.k]
    left = standardised - standardised @ kept.T @ kept
    return float((np.square(left).sum(axis=1) / np.square(standardised).sum(axis=1)).mean())


def test_drift_is_the_share_that_a_reconstruction_loses_relative_to_all_photos(store: Store) -> None:
    usual, unusual = features_like(60), features_like(20, seed=9)
    add_features(store, "A", usual)
    add_features(store, "B", unusual)
    model = fitted(store, usual)
    found = drift_of(store)
    everything = np.concatenate([usual, unusual])
    assert found.all_photos is not None
    assert found.newer is None
    assert found.all_photos.photos == 80
    assert found.all_photos.relative == pytest.approx(1)
    assert found.all_photos.unexplained == pytest.approx(unexplained(everything, model))
    for folder, features in (("A", usual), ("B", unusual)):
        expected = unexplained(features, model)
        one = found.folders[folder]
        assert one.unexplained == pytest.approx(expected)
        assert one.relative == pytest.approx(expected / unexplained(everything, model))
    assert found.folders["A"].relative < 1 < found.folders["B"].relative


def test_photos_that_came_after_the_fit_are_told_apart(store: Store) -> None:
    usual, new = features_like(60), features_like(10, seed=9)
    add_features(store, "A", usual)
    model = fitted(store, usual)
    assert drift_of(store).newer is None
    add_features(store, "A", new)
    found = drift_of(store).newer
    assert found is not None
    assert found.photos == 10
    assert found.unexplained == pytest.approx(unexplained(new, model))


def test_in_a_folder_whose_files_were_rewritten_no_photo_is_called_new(store: Store) -> None:
    add_features(store, "A", features_like(60))
    add_features(store, "B", features_like(60, seed=1))
    fitted(store, features_like(60))
    old = store.mobilenet_features.files(["A"])
    add_features(store, "A", features_like(70))
    add_features(store, "B", features_like(5, seed=2))
    table = store.mobilenet_features
    table.commit([], TableChange(table.snapshot(), None, old, frozenset(["A"])))
    found = drift_of(store).newer
    assert found is not None
    assert found.photos == 5


def test_of_a_large_store_the_first_photos_of_each_file_stand_for_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "_MOST_PHOTOS", 100)
    monkeypatch.setattr(drift, "_LEAST_OF_FILE", 10)
    usual, unusual = features_like(300), features_like(40, seed=9)
    add_features(store, "A", usual)
    add_features(store, "B", unusual)
    model = fitted(store, usual)
    found = drift_of(store)
    assert {folder: one.photos for folder, one in found.folders.items()} == {"A": 50, "B": 40}
    first, second = unexplained(usual[:50], model), unexplained(unusual, model)
    assert found.all_photos is not None
    # The first file has a rejected photo too.
    assert found.all_photos.unexplained == pytest.approx((first * 301 + second * 40) / 341)


def test_a_store_without_features_has_no_drift_and_one_without_a_model_is_refused(store: Store) -> None:
    with pytest.raises(FruitsError, match="no PCA model"):
        drift_of(store)
    fitted(store, features_like(30))
    assert drift_of(store).all_photos is None


def test_a_model_of_another_width_is_refused_with_the_remedy(store: Store) -> None:
    add_features(store, "A", features_like(30))
    fitted(store, features_like(30)[:, :100])
    with pytest.raises(FruitsError, match=r"1280 numbers.*is of 100.*fruits run"):
        drift_of(store)
