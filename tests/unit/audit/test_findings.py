"""Findings: what is wrong is named once, with labels and numbers and never with the path of another photo."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_steps.audit.findings import findings_of
from spark_steps.audit.settings import AuditSettings
from spark_steps.tables.schemas import AUDIT_SCHEMA, SPLITS_SCHEMA, with_folder

MEASURES = {
    "width": pa.int32(),
    "height": pa.int32(),
    "brightness": pa.float32(),
    "contrast": pa.float32(),
    "sharpness": pa.float32(),
    "colour_spread": pa.float32(),
}
SCHEMA = pa.schema([*with_folder(SPLITS_SCHEMA), *(pa.field(*one) for one in MEASURES.items())])


def photo(number: int, label: str = "Apple", **given: Any) -> dict[str, Any]:
    """A usual photo: alone in its group, with neighbours of its own label."""
    usual = {
        "image_id": f"{number:064x}",
        "path": f"folder of {label}/secret name {number}.jpg",
        "label": label,
        "folder": f"folder of {label}",
        "group": number,
        "split": "train",
        "nearest_cosine": 0.8,
        "nearest_label": label,
        "other_label_cosine": 0.5,
        "other_label": "Banana" if label == "Apple" else "Apple",
        "label_agreement": 1.0,
        "label_cosine": 0.8,
        "audit": "a",
        "width": 1000,
        "height": 800,
        "brightness": 0.5,
        "contrast": 0.6,
        "sharpness": 1.0,
        "colour_spread": 0.2,
    }
    return usual | given


def found(photos: list[dict[str, Any]], *kinds: str) -> list[tuple[Any, ...]]:
    rows = findings_of(pa.Table.from_pylist(photos, SCHEMA), AuditSettings())
    assert rows.schema.equals(with_folder(AUDIT_SCHEMA))
    listed = rows.to_pylist()
    for one in listed:
        assert "secret name" not in one["reason"]
        assert one["reason"].endswith(".")
    return [
        (int(one["path"].split()[-1].split(".")[0]), one["kind"], one["severity"], one["group"])
        for one in listed
        if not kinds or one["kind"] in kinds
    ]


def frames(numbers: range, label: str = "Apple", group: int = 100) -> list[dict[str, Any]]:
    """A sequence of frames: near-duplicates of one label, which have neighbours of another one alone outside."""
    return [photo(one, label, group=group, nearest_cosine=0.99, label_agreement=0.0) for one in numbers]


def test_usual_photos_have_no_findings() -> None:
    assert found([photo(number) for number in range(20)]) == []
    assert found([]) == []


def test_copies_of_the_same_bytes_are_told_and_are_no_near_duplicates() -> None:
    copies = [photo(number, image_id="c" * 64, group=7, nearest_cosine=1.0) for number in range(2)]
    assert found([*copies, photo(2)]) == [(0, "exact_copy", "info", 7), (1, "exact_copy", "info", 7)]


def test_the_same_bytes_under_two_labels_are_an_error_of_each() -> None:
    copies = [
        photo(number, label, image_id="c" * 64, group=7, nearest_cosine=1.0, other_label_cosine=1.0)
        for number, label in enumerate(("Apple", "Banana"))
    ]
    assert found(copies) == [
        (number, kind, "error", 7) for number in range(2) for kind in ("exact_copy", "label_conflict")
    ]


def test_near_duplicates_are_told_with_the_size_of_their_group() -> None:
    rows = findings_of(pa.Table.from_pylist([*frames(range(3)), photo(3)], SCHEMA), AuditSettings())
    assert rows["kind"].to_pylist() == ["near_duplicate"] * 3
    assert rows["reason"][0].as_py() == "It is one of 3 near-duplicates; the nearest has a cosine of 0.990."
    assert rows["group"].to_pylist() == [100] * 3


def test_one_wrong_label_among_frames_is_one_conflict_and_one_candidate() -> None:
    wrong = photo(50, "Banana", group=100, nearest_cosine=0.99, other_label_cosine=0.99, label_agreement=0.0)
    # The frames beside the wrong one are near to it too, and right.
    beside = [one | {"other_label_cosine": 0.99} for one in frames(range(10))]
    photos = [*beside, *frames(range(10, 20)), wrong, *(photo(one, "Banana") for one in range(60, 75))]
    assert found(photos, "label_conflict", "label_candidate") == [
        (50, "label_conflict", "warning", 100),
        (50, "label_candidate", "warning", 100),
    ]


def test_two_labels_that_one_pair_links_have_a_conflict_there_and_no_candidate_far_from_it() -> None:
    linked = photo(40, "Banana", group=100, nearest_cosine=0.99, other_label_cosine=0.951)
    photos = [*frames(range(20)), *frames(range(20, 39), "Banana"), linked]
    assert found(photos, "label_conflict", "label_candidate") == [(40, "label_conflict", "warning", 100)]


def test_frames_of_one_fruit_whose_label_has_other_fruits_far_away_are_no_candidates() -> None:
    photos = [*frames(range(20)), *frames(range(20, 40), group=101), *frames(range(40, 60), "Banana", 102)]
    assert found(photos, "label_candidate", "label_conflict", "outlier") == []


def test_a_photo_without_twins_among_those_of_another_label_is_a_candidate() -> None:
    wrong = photo(50, "Banana", nearest_label="Apple", other_label_cosine=0.85, label_agreement=0.0)
    photos = [*(photo(one) for one in range(20)), wrong, *(photo(one, "Banana") for one in range(60, 75))]
    assert found(photos, "label_candidate") == [(50, "label_candidate", "warning", None)]


@pytest.mark.parametrize(
    "given",
    [
        {"other_label_cosine": 0.7},  # Farther than photos of that label are from each other.
        {"label_agreement": 0.2},
        {"label_agreement": None},
    ],
)
def test_a_photo_that_is_not_clearly_among_others_is_no_candidate(given: dict[str, Any]) -> None:
    doubtful = photo(50, "Banana", **({"other_label_cosine": 0.85, "label_agreement": 0.0} | given))
    photos = [*(photo(one) for one in range(20)), doubtful, *(photo(one, "Banana") for one in range(60, 75))]
    assert found(photos, "label_candidate") == []


def test_a_label_of_few_photos_has_no_candidates() -> None:
    few = [photo(50 + one, "Banana", other_label_cosine=0.85, label_agreement=0.0) for one in range(5)]
    assert found([*(photo(one) for one in range(20)), *few], "label_candidate") == []


def usual(numbers: range) -> list[dict[str, Any]]:
    random = np.random.default_rng(0)
    return [
        photo(one, label_cosine=0.8 + 0.03 * random.normal(), nearest_cosine=0.85 + 0.02 * random.normal())
        for one in numbers
    ]


def test_a_photo_far_from_its_label_and_from_every_photo_is_an_outlier() -> None:
    alone = photo(50, label_cosine=0.4, nearest_cosine=0.5)
    assert found([*usual(range(40)), alone], "outlier") == [(50, "outlier", "info", None)]


def test_a_second_kind_of_photos_of_a_label_is_no_outlier() -> None:
    second = [photo(50 + one, label_cosine=0.4, nearest_cosine=0.85) for one in range(3)]
    assert found([*usual(range(40)), *second], "outlier") == []


def test_a_label_of_few_photos_has_no_outliers() -> None:
    assert found([*usual(range(6)), photo(50, label_cosine=0.1, nearest_cosine=0.1)], "outlier") == []


def test_many_findings_are_in_the_order_of_the_photos_and_of_a_photo_in_that_of_the_kinds() -> None:
    photos = [photo(number, image_id=f"{number // 2:064x}", group=number // 4, sharpness=0.0) for number in range(6000)]
    kinds = ("exact_copy", "near_duplicate", "blurred")
    assert [one[:2] for one in found(photos)] == [(number, kind) for number in range(6000) for kind in kinds]
