"""What of a store does not follow from the rest of it, by figures worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from spark_steps.pca.model import PcaModel
from spark_steps.pca.moments import version_of
from spark_steps.store.staleness import named, staleness
from spark_steps.tables.totals import Totals, folders_to_reduce


def totals(*photos: int, made_by: str = "net", rejected: int = 0) -> Totals:
    """Of the photos with these numbers as image ids."""
    rows = len(photos) + rejected
    ids, paths = sum(photos), sum(photo**2 for photo in photos)
    return Totals(rows, 100 * rows, 7, len(photos), None, frozenset({made_by}), ids, paths)


def reduced(features: dict[str, Totals], version: str) -> dict[str, Totals]:
    return {
        folder: replace(of, rows=of.vectors, vectors=0, made_by=frozenset({version})) for folder, of in features.items()
    }


FEATURES = {"A": totals(1, 2), "B": totals(3, 5, rejected=1)}


def model(features: dict[str, Totals]) -> PcaModel:
    rows, ids = sum(of.vectors for of in features.values()), sum(of.photos for of in features.values())
    version = version_of(rows, ids, "net", 1)
    return PcaModel(version, "net", rows, ["A"], 1, 1, None, np.zeros(2), np.ones(2), np.eye(2), np.array([1.0]))


MODEL = model(FEATURES)
REDUCED = reduced(FEATURES, MODEL.version)


def test_nothing_is_stale_where_all_follows_from_the_photos() -> None:
    told = staleness(FEATURES, FEATURES, REDUCED, MODEL)
    assert (told.sentences, told.photos_with_features, told.pca_photos) == ([], 4, 4)
    assert folders_to_reduce(FEATURES, REDUCED, MODEL.version) == set()
    assert staleness({}, {}, {}, None).sentences == []


def test_folders_reduced_by_another_model_are_told() -> None:
    mixed = {**REDUCED, "B": replace(REDUCED["B"], made_by=frozenset({MODEL.version, "old"}))}
    told = staleness(FEATURES, FEATURES, mixed, MODEL)
    expected = f"The photos in folder 'B' are reduced by another PCA model than the current {MODEL.version}."
    assert told.sentences == told.incomparable == [expected]
    assert folders_to_reduce(FEATURES, mixed, MODEL.version) == {"B"}


@pytest.mark.parametrize(
    "behind", [None, totals(3), totals(4, 4)], ids=["not reduced", "fewer photos", "as many other photos"]
)
def test_features_without_reduced_rows_of_the_same_photos_are_told(behind: Totals | None) -> None:
    table = {"A": REDUCED["A"], **reduced({"B": behind} if behind else {}, MODEL.version)}
    told = staleness(FEATURES, FEATURES, table, MODEL)
    assert told.not_reduced == ["B"]
    assert told.sentences == ["The reduced features in folder 'B' are missing, or those of other photos."]


def test_a_renamed_photo_is_another_photo_to_the_reduced_rows() -> None:
    renamed = {**FEATURES, "A": replace(FEATURES["A"], paths=99)}
    assert folders_to_reduce(renamed, REDUCED, MODEL.version) == {"A"}


def test_a_folder_whose_photos_are_all_rejected_has_nothing_to_reduce() -> None:
    assert folders_to_reduce({**FEATURES, "C": totals(rejected=2)}, REDUCED, MODEL.version) == set()


def test_reduced_rows_alone_without_any_features_are_taken_as_they_are() -> None:
    assert staleness({}, {}, REDUCED, MODEL).incomparable == []


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (totals(6), "The PCA model was fitted on 4 photos, and 5 have features."),
        (None, "The PCA model was fitted on other photos than the 4 that have features."),
    ],
)
def test_photos_that_the_pca_was_not_fitted_on_are_told(now: Totals | None, told: str) -> None:
    features = {**FEATURES, "C": now} if now else {**FEATURES, "B": totals(3, 7, rejected=1)}
    assert staleness(features, features, reduced(features, MODEL.version), MODEL).sentences == [told]


def test_features_of_two_networks_are_told_with_and_without_a_model() -> None:
    features = {**FEATURES, "C": totals(made_by="other", rejected=1)}
    told = staleness(features, features, REDUCED, MODEL)
    of = f"PCA model {MODEL.version}"
    assert told.sentences == [f"The features in folder 'C' are of another network than {of}."]
    assert staleness(features, features, {}, None).sentences[0].endswith("of another network than the others.")


def test_photos_listed_without_a_row_of_features_are_told() -> None:
    told = staleness({**FEATURES, "new": totals(8)}, FEATURES, REDUCED, MODEL)
    assert told.sentences == ["The features in folder 'new' are not those of the photos listed."]
    assert told.incomparable == []
    assert staleness({"A": totals(1)}, FEATURES, REDUCED, MODEL).not_featurised == ["A", "B"]


def test_folders_are_named_by_their_number_and_the_first_few() -> None:
    assert named(["A"]) == "folder 'A'"
    assert named(["A", "B", "C", "D"] * 300) == "1,200 folders such as 'A', 'B', 'C'"
