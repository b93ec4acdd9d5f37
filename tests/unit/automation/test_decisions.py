"""Decisions of automation, by figures worked out by hand."""

import numpy as np
import pytest

from fruits_assets.automation.decisions import (
    RefitLimits,
    drift,
    first_part,
    folders_to_featurise,
    new_photos,
    refit,
)
from spark_steps.pca.model import PcaModel
from spark_steps.photos.listing import FolderContents
from spark_steps.tables.totals import Totals

LIMITS = RefitLimits(share=0.1, drift=0.5)


def features(photos: int, mean: tuple[float, float] = (1.0, 10.0), network: str = "net") -> Totals:
    return Totals(photos, 100 * photos, 7, photos, np.array(mean) * photos, frozenset({network}))


def model(rows: int) -> PcaModel:
    mean, scale = np.array([1.0, 10.0]), np.array([2.0, 4.0])
    return PcaModel("v1", "net", rows, ["A"], 1, 1, None, mean, scale, np.eye(2), np.array([0.6, 0.4]))


def test_a_folder_is_featurised_when_the_number_bytes_or_newest_time_of_its_photos_differ() -> None:
    known = dict.fromkeys("ABCDE", features(2))
    listed = {
        "A": FolderContents(2, 200, 7),
        "B": FolderContents(3, 200, 7),
        "C": FolderContents(2, 201, 7),
        "D": FolderContents(2, 200, 8),
        "new": FolderContents(1, 100, 7),
        "no partition": FolderContents(1, 100, 7),
    }
    assert folders_to_featurise(listed, known, ["new", "E", "D", "C", "B", "A"]) == ["new", "D", "C", "B"]
    assert [new_photos(listed[folder], known.get(folder)) for folder in ("new", "D", "B")] == [1, 1, 1]


def test_a_folder_of_another_network_is_featurised_whole_where_the_features_are_mixed() -> None:
    known = {"A": features(2), "B": features(2, network="old")}
    listed = dict.fromkeys("AB", FolderContents(2, 200, 7))
    assert folders_to_featurise(listed, known, ["A", "B"]) == []
    assert folders_to_featurise(listed, known, ["A", "B"], "net") == ["B"]
    assert new_photos(listed["B"], known["B"], "net") == 2


def test_features_that_are_no_numbers_call_for_no_fit_and_are_told() -> None:
    found = refit(model(2), {"A": features(2, (float("nan"), 1.0))}, RefitLimits(0.1, 0.1))
    assert not found.due
    assert "features_are_finite_numbers" in found.because


def test_work_that_is_too_much_for_one_step_begins_with_the_first_folders() -> None:
    photos = {"A": 40, "B": 10, "C": 50, "D": 100}
    assert first_part(list(photos), photos, 1) == ["A", "B", "C", "D"]
    assert first_part(list(photos), photos, 2) == ["A", "B", "C"]
    assert first_part(list(photos), photos, 50) == ["A"]
    assert first_part(["A"], {"A": 0}, 3) == ["A"]


def test_drift_is_the_root_mean_square_of_the_shift_in_standard_deviations() -> None:
    # Shifts of (3 - 1) / 2 = 1 and (10 - 10) / 4 = 0: sqrt((1 + 0) / 2).
    assert drift(model(10), features(5, (3.0, 10.0))) == pytest.approx(np.sqrt(0.5))
    assert drift(model(10), Totals()) == 0.0


@pytest.mark.parametrize(
    ("fitted_on", "now", "due", "told"),
    [
        (None, features(1), False, "not two usable photos"),
        (None, features(2), True, "There is no PCA model, and 2 usable photos."),
        (100, features(109), False, "9.0% of change"),
        (100, features(110), True, "10.0% of change"),
        (100, features(90), True, "90 usable photos, 100 when"),
        (100, features(100, (1.9, 10.0)), False, "moved by 0.318"),
        (100, features(100, (3.0, 10.0)), True, "moved by 0.707 standard deviations (limit 0.5)"),
        (100, features(100, network="other"), True, "another network"),
    ],
)
def test_the_pca_is_fitted_again_when_enough_has_changed(
    fitted_on: int | None, now: Totals, due: bool, told: str
) -> None:
    decision = refit(None if fitted_on is None else model(fitted_on), {"A": now}, LIMITS)
    assert (decision.due, told in decision.because) == (due, True), decision


def test_features_of_two_networks_are_for_a_person_to_settle() -> None:
    decision = refit(model(10), {"A": features(10), "B": features(10, network="other")}, LIMITS)
    assert not decision.due
    assert "two networks" in decision.because


def test_the_mean_of_all_folders_counts_by_their_photos() -> None:
    # (90 x 1 + 10 x 11) / 100 = 2: half a standard deviation of one feature of two.
    decision = refit(model(100), {"A": features(90), "B": features(10, (11.0, 10.0))}, LIMITS)
    assert "moved by 0.354" in decision.because
