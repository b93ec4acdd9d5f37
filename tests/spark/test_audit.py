"""The audit on Spark: what all pairs say, in one cell and in several, and a split that stays when photos are added."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyspark.sql import SparkSession
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from spark_steps.audit.cells import CellLimits
from spark_steps.audit.plan import plan_findings, plan_splits
from spark_steps.audit.settings import AuditSettings
from spark_steps.audit.version import audit_is_outdated, record_audit
from spark_steps.errors import FruitsError
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.schemas import FEATURES_SCHEMA, SPLITS_SCHEMA, with_folder

SETTINGS = AuditSettings()
SEVERAL = CellLimits(one_cell=100, photos=150)
COLUMNS = 1280


def features_of(sequences: int, frames: int, seed: int = 0) -> np.ndarray:
    """Sequences of frames, each of which is near to the next; every third sequence has one frame."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(sequences):
        values = random.random(COLUMNS)
        for _ in range(1 if number % 3 == 2 else frames):
            values = np.clip(values + random.normal(scale=0.12, size=COLUMNS), 0, 6)
            found.append(values)
    return np.array(found, np.float32)


def write_features(store: Store, features: dict[str, np.ndarray], names: dict[str, list[str]] | None = None) -> None:
    """Makes rows with these features all that mobilenet_features has of some folders; each has a rejected photo too."""
    tables = {}
    for folder, values in features.items():
        ids = (names or {}).get(folder) or [hashlib.sha256(value.tobytes()).hexdigest() for value in values]
        columns = {
            "image_id": [*ids, None],
            "path": [*(f"{folder}/{number:05d}.jpg" for number in range(len(values))), f"{folder}/broken.jpg"],
            "label": [folder] * (len(values) + 1),
            "features": pa.array([*values, None], pa.list_(pa.float32())),
            "model": ["network"] * (len(values) + 1),
            "error": [*[None] * len(values), "truncated: x"],
        }
        absent = {field.name: pa.nulls(len(values) + 1, field.type) for field in FEATURES_SCHEMA}
        tables[folder] = [pa.table({**absent, **columns}, FEATURES_SCHEMA)]
    table = store.mobilenet_features
    table.write(table.replacement(DriverRows(tables), list(features)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def by_path(store: Store) -> pa.Table:
    return store.photo_splits.arrow(with_folder(SPLITS_SCHEMA).names).sort_by("path").combine_chunks()


def audit(spark: SparkSession, store: Store, limits: CellLimits | None = None, **given: bool) -> dict[str, int]:
    """Makes both tables as the job does; returns how many photos have moved, by folder."""
    update = plan_splits(
        spark,
        store.mobilenet_features,
        store.photo_splits,
        SETTINGS,
        limits=limits,
        full_refresh=given.get("anew", False),
    )
    store.photo_splits.write(update.change)
    store.photo_audit.log.create()
    findings = plan_findings(store.mobilenet_features, store.photo_splits, store.photo_audit, SETTINGS)
    store.photo_audit.write(findings)
    record_audit(store.photo_audit, store.mobilenet_features, store.photo_splits, SETTINGS)
    return dict(update.moved)


def all_pairs(store: Store) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """The photos by path, their cosines, with -1 on the diagonal, and their groups."""
    rows = store.mobilenet_features.arrow(["path", "label", "features"], where=pc.field("error").is_null())
    rows = rows.sort_by("path").combine_chunks()
    features = np.array(rows["features"].to_pylist())
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosines = unit @ unit.T
    groups = connected_components(coo_matrix(cosines >= SETTINGS.cosine), directed=False)[1]
    np.fill_diagonal(cosines, -1)
    return rows, cosines, groups


def same_groups(one: np.ndarray, other: np.ndarray) -> bool:
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


@pytest.mark.parametrize("limits", [None, SEVERAL], ids=["one cell", "several cells"])
def test_groups_and_nearest_photos_are_those_of_all_pairs(
    spark: SparkSession, store: Store, limits: CellLimits | None
) -> None:
    write_features(store, {f"F{number}": features_of(30, 12, number) for number in range(5)})
    audit(spark, store, limits)
    found, (rows, cosines, groups) = by_path(store), all_pairs(store)
    assert found["path"].equals(rows["path"])
    assert 100 < len(set(groups.tolist())) < len(groups) == 1250
    assert same_groups(found["group"].to_numpy(), groups)
    # Numbered in the order of the paths.
    numbers = found["group"].to_pylist()
    assert list(dict.fromkeys(numbers)) == list(range(max(numbers) + 1))
    labels = np.array(rows["label"].to_pylist())
    has_twin = cosines.max(axis=1) >= SETTINGS.cosine
    nearest = found["nearest_cosine"].to_numpy()
    np.testing.assert_allclose(nearest[has_twin], cosines.max(axis=1)[has_twin], atol=1e-5)
    assert (
        np.array(found["nearest_label"].to_pylist())[has_twin].tolist()
        == labels[cosines.argmax(axis=1)][has_twin].tolist()
    )
    if limits is None:
        others = np.where(labels[:, np.newaxis] == labels, -1, cosines)
        np.testing.assert_allclose(found["other_label_cosine"].to_numpy(), others.max(axis=1), atol=1e-5)
        assert found["other_label"].to_pylist() == labels[others.argmax(axis=1)].tolist()
        outside = np.where(groups[:, np.newaxis] == groups, -1, cosines)
        neighbours = np.argsort(-outside, axis=1)[:, : SETTINGS.neighbours]
        agreement = (labels[neighbours] == labels[:, np.newaxis]).mean(axis=1)
        np.testing.assert_allclose(found["label_agreement"].to_numpy(), agreement, atol=1e-6)


def test_the_cosine_to_a_label_is_that_to_the_mean_of_its_unit_vectors(spark: SparkSession, store: Store) -> None:
    features = {"A": features_of(4, 5), "B": features_of(7, 2, seed=9)}
    write_features(store, features)
    audit(spark, store)
    expected = []
    for values in features.values():
        unit = values / np.linalg.norm(values, axis=1, keepdims=True)
        mean = unit.mean(axis=0)
        expected += (unit @ mean / np.linalg.norm(mean)).tolist()
    np.testing.assert_allclose(by_path(store)["label_cosine"].to_numpy(), expected, atol=1e-5)


def test_a_near_duplicate_in_another_folder_is_in_the_same_group_and_split(spark: SparkSession, store: Store) -> None:
    one, other = features_of(60, 1), features_of(60, 1, seed=1)
    other[7] = one[3] * 1.5 + 0.01
    write_features(store, {"A": one, "B": other})
    audit(spark, store, SEVERAL)
    rows = {row["path"]: row for row in by_path(store).to_pylist()}
    assert rows["A/00003.jpg"]["group"] == rows["B/00007.jpg"]["group"]
    assert rows["A/00003.jpg"]["split"] == rows["B/00007.jpg"]["split"]
    assert rows["B/00007.jpg"]["nearest_label"] == "A"
    findings = store.photo_audit.arrow(["path", "kind", "severity"]).to_pylist()
    conflicts = {(one["path"], one["severity"]) for one in findings if one["kind"] == "label_conflict"}
    assert conflicts == {("A/00003.jpg", "warning"), ("B/00007.jpg", "warning")}


def test_copies_of_the_same_bytes_are_one_group_also_under_two_labels(spark: SparkSession, store: Store) -> None:
    values = features_of(20, 1)
    ids = [f"{number:064x}" for number in range(20)]
    # A network may give photos no features but zeros.
    copied = np.concatenate([values[:1], values[:1], np.zeros((1, COLUMNS), np.float32)])
    zeros = np.zeros((1, COLUMNS), np.float32)
    write_features(
        store,
        {"A": np.concatenate([values, zeros]), "B": copied},
        {"A": [*ids, "f" * 64], "B": [ids[0], ids[0], "f" * 64]},
    )
    audit(spark, store)
    rows = {row["path"]: row for row in by_path(store).to_pylist()}
    assert len({rows[path]["group"] for path in ("A/00000.jpg", "B/00000.jpg", "B/00001.jpg")}) == 1
    assert rows["A/00020.jpg"]["group"] == rows["B/00002.jpg"]["group"]
    assert rows["B/00000.jpg"]["nearest_cosine"] == 1.0
    assert (rows["B/00000.jpg"]["nearest_label"], rows["B/00000.jpg"]["other_label"]) == ("B", "A")
    errors = store.photo_audit.arrow(["path", "kind"], where=pc.field("severity") == "error").to_pylist()
    assert {one["path"] for one in errors} == {
        "A/00000.jpg",
        "A/00020.jpg",
        "B/00000.jpg",
        "B/00001.jpg",
        "B/00002.jpg",
    }


def test_a_photo_that_is_alone_has_no_neighbours_and_is_for_training(spark: SparkSession, store: Store) -> None:
    write_features(store, {"A": features_of(1, 1)})
    audit(spark, store)
    (row,) = by_path(store).to_pylist()
    assert (row["group"], row["split"], row["label_cosine"]) == (0, "train", pytest.approx(1))
    unknown = ("nearest_cosine", "nearest_label", "other_label_cosine", "other_label", "label_agreement")
    assert [row[name] for name in unknown] == [None] * 5


def test_photos_keep_their_split_when_others_are_added_and_a_group_that_grows_together_moves_whole(
    spark: SparkSession, store: Store
) -> None:
    values = features_of(90, 1)
    write_features(store, {"A": values})
    audit(spark, store)
    before = dict(zip(by_path(store)["path"].to_pylist(), by_path(store)["split"].to_pylist(), strict=True))
    of_split = {split: int(path[2:7]) for path, split in before.items()}
    train, test = of_split["train"], of_split["test"]
    # Each is near to the next: the chain joins a photo of train and one of test.
    chain = np.array([values[train] + (values[test] - values[train]) * step for step in np.linspace(0, 1, 12)[1:-1]])
    write_features(store, {"B": np.concatenate([features_of(30, 1, seed=5), chain])})
    moved = audit(spark, store)
    rows = {row["path"]: row for row in by_path(store).to_pylist()}
    assert moved == {"A": 1}
    joined = {rows[f"A/{number:05d}.jpg"]["group"] for number in (train, test)}
    assert len(joined) == 1
    assert {row["split"] for row in rows.values() if row["group"] in joined} == {"train"}
    others = {path for path in before if rows[path]["group"] not in joined}
    assert len(others) == 88
    assert {path: rows[path]["split"] for path in others} == {path: before[path] for path in others}


def test_a_renamed_photo_keeps_its_split_by_its_bytes_and_an_edited_one_by_its_path(
    spark: SparkSession, store: Store
) -> None:
    values, ids = features_of(40, 1), [f"{number:064x}" for number in range(40)]
    write_features(store, {"A": values}, {"A": ids})
    audit(spark, store)
    before = by_path(store)["split"].to_pylist()
    order = [*range(39, 4, -1), *range(5)]
    # The first 35 have new names; the last five have the bytes of no photo before.
    write_features(
        store,
        {"A": values[order]},
        {"A": [*(ids[one] for one in order[:35]), *(f"{one:064x}" for one in range(90, 95))]},
    )
    assert audit(spark, store) == {}
    after = by_path(store)["split"].to_pylist()
    assert after[:35] == [before[one] for one in order[:35]]
    assert after[35:] == before[35:]


def test_an_audit_that_ended_between_its_two_tables_is_outdated_also_where_it_had_no_finding_before(
    spark: SparkSession, store: Store
) -> None:
    write_features(store, {"A": features_of(6, 1)})
    audit(spark, store)
    assert store.photo_audit.folders() == []
    write_features(store, {"A": features_of(6, 4)})
    splits = plan_splits(spark, store.mobilenet_features, store.photo_splits, SETTINGS)
    store.photo_splits.write(splits.change)
    assert audit_is_outdated(store, SETTINGS)
    audit(spark, store)
    assert store.photo_audit.folders() == ["A"]
    assert not audit_is_outdated(store, SETTINGS)


def test_an_audit_of_the_same_photos_changes_nothing_and_is_not_outdated(spark: SparkSession, store: Store) -> None:
    write_features(store, {"A": features_of(20, 3), "B": features_of(10, 1, seed=4)})
    assert audit_is_outdated(store, SETTINGS)
    audit(spark, store)
    assert not audit_is_outdated(store, SETTINGS)
    files = store.photo_splits.files(), store.photo_audit.files()
    audit(spark, store)
    assert (store.photo_splits.files(), store.photo_audit.files()) == files
    assert audit_is_outdated(store, AuditSettings(cosine=0.9))
    write_features(store, {"B": features_of(9, 1, seed=4)})
    assert audit_is_outdated(store, SETTINGS)
    audit(spark, store)
    assert not audit_is_outdated(store, SETTINGS)
    store.mobilenet_features.drop(["A", "B"])
    assert audit_is_outdated(store, SETTINGS)
    audit(spark, store)
    assert (by_path(store).num_rows, store.photo_audit.folders()) == (0, [])
    assert not audit_is_outdated(store, SETTINGS)


def test_other_shares_or_a_full_refresh_split_all_photos_anew(spark: SparkSession, store: Store) -> None:
    write_features(store, {"A": features_of(60, 1)})
    audit(spark, store)
    shares = AuditSettings(shares=(0.5, 0.0, 0.5))
    store.photo_splits.write(plan_splits(spark, store.mobilenet_features, store.photo_splits, shares).change)
    assert sorted(by_path(store)["split"].to_pylist()) == ["test"] * 30 + ["train"] * 30
    write_features(store, {"B": features_of(60, 1, seed=8)})
    audit(spark, store)
    grown = by_path(store)["split"].to_pylist()
    audit(spark, store, anew=True)
    assert len(grown) == 120
    assert set(by_path(store)["split"].to_pylist()) == {"train", "validation", "test"}


def test_features_that_are_not_finite_or_of_two_networks_are_refused(spark: SparkSession, store: Store) -> None:
    values = features_of(12, 1)
    values[3, 5] = np.nan
    write_features(store, {"A": values})
    with pytest.raises(FruitsError, match="NaN or infinite"):
        audit(spark, store)
    rows = store.mobilenet_features.arrow(FEATURES_SCHEMA.names)
    others = rows.set_column(FEATURES_SCHEMA.get_field_index("model"), "model", [["another"] * rows.num_rows])
    change = store.mobilenet_features.replacement(DriverRows({"B": [others]}), ["B"])
    store.mobilenet_features.write(change)
    with pytest.raises(FruitsError, match="several networks"):
        audit(spark, store)
