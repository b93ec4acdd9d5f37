"""The split in numbers: photos, groups and splits by label, and what contradicts the split."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from spark_steps.errors import FruitsError
from spark_steps.queries.split_report import SplitReport, read_split
from spark_steps.store.store import Store
from tests.support.audit.audited_store import Row, audited_store, features, split


def read(root: Path, splits: list[Row], of_features: list[Row] | None = None) -> SplitReport:
    return read_split(audited_store(root, splits, of_features=of_features))


def test_photos_are_counted_by_label_before_and_after_grouping_and_by_split(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        [
            split("kitchen/Lemon/1.jpg", 0),
            split("kitchen/Lemon/2.jpg", 0),
            split("market/Lemon/3.jpg", 1, "test"),
            split("Fig/1.jpg", 2, "validation"),
        ],
    )
    fig, lemon = found.labels
    assert (fig.label, fig.photos, fig.groups) == ("Fig", 1, 1)
    assert fig.splits == {"train": 0, "validation": 1, "test": 0}
    assert (lemon.label, lemon.photos, lemon.groups) == ("Lemon", 3, 2)
    assert lemon.splits == {"train": 2, "validation": 0, "test": 1}
    assert found.splits == {"train": 2, "validation": 1, "test": 1}
    assert (found.photos, found.folders, found.groups, found.photos_with_twins) == (4, 3, 3, 2)
    assert found.labels_missing == {"train": ["Fig"], "validation": ["Lemon"], "test": ["Fig"]}


def test_groups_of_several_labels_and_of_several_folders_are_counted(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        [
            split("kitchen/Lemon/1.jpg", 7),
            split("market/Lemon/1.jpg", 7),
            split("Fig/1.jpg", 8),
            split("Plum/1.jpg", 8),
            split("Plum/2.jpg", 8),
            split("Plum/3.jpg", 9),
        ],
    )
    assert (found.groups_of_several, found.groups_of_several_labels, found.groups_of_several_folders) == (2, 1, 2)
    largest, other = found.largest_groups
    assert (largest.group, largest.photos, largest.folders) == (8, 3, 2)
    assert largest.labels == {"Plum": 2, "Fig": 1}
    assert (other.group, other.photos, other.labels, other.splits) == (7, 2, {"Lemon": 2}, ["train"])


def test_a_sound_split_has_no_group_and_no_bytes_in_two_splits(tmp_path: Path) -> None:
    found = read(tmp_path, [split("Fig/1.jpg", 0), split("Fig/2.jpg", 0), split("Fig/3.jpg", 1, "test")])
    assert (found.groups_across_splits, found.copies_across_splits, found.uncovered) == (0, 0, [])


def test_a_group_in_two_splits_and_the_same_bytes_in_two_splits_are_counted(tmp_path: Path) -> None:
    same = {"image_id": "ab" * 32}
    found = read(
        tmp_path,
        [
            split("Fig/1.jpg", 0),
            split("Fig/2.jpg", 0, "test"),
            split("Fig/3.jpg", 1, **same),
            split("Fig/4.jpg", 2, "validation", **same),
        ],
    )
    assert (found.groups_across_splits, found.copies_across_splits) == (1, 1)
    assert found.largest_groups[0].splits == ["train", "test"]


def test_folders_whose_photos_with_features_are_others_are_named(tmp_path: Path) -> None:
    splits = [split("Fig/1.jpg", 0), split("Gone/1.jpg", 1), split("Plum/1.jpg", 2), split("Lemon/1.jpg", 3)]
    of_features = [
        features("Fig/1.jpg"),
        features("New/1.jpg"),
        features("Plum/2.jpg"),
        features("Lemon/1.jpg"),
        features("Lemon/2.jpg", features=None, error="truncated: it ends early"),
    ]
    assert read(tmp_path, splits, of_features).uncovered == ["Gone", "New", "Plum"]


def test_a_store_that_was_never_audited_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FruitsError, match=r"No photo of .* has a split\. Make it: fruits audit --store "):
        read_split(Store(str(tmp_path)))


def test_the_rows_of_two_audits_are_told_apart(tmp_path: Path) -> None:
    found = read(tmp_path, [split("Fig/1.jpg", 0), split("Fig/2.jpg", 1, audit="other")])
    assert found.audits == ["0123456789abcdef", "other"]


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_those_of_a_plain_count(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = [
        split(f"place {random.integers(3)}/Fruit {random.integers(4)}/{number}.jpg", int(group), name)
        for number, (group, name) in enumerate(
            zip(random.integers(-5, 60, 200), random.choice(["train", "validation", "test"], 200), strict=True)
        )
    ]
    found = read(tmp_path, rows)
    by_group = defaultdict(list)
    for row in rows:
        by_group[row["group"]].append(row)
    assert found.groups == len(by_group)
    assert found.photos_with_twins == sum(len(some) for some in by_group.values() if len(some) > 1)
    for attribute, column in (("labels", "label"), ("folders", "folder")):
        several = sum(len({row[column] for row in some}) > 1 for some in by_group.values())
        assert getattr(found, f"groups_of_several_{attribute}") == several
    assert found.groups_across_splits == sum(len({row["split"] for row in some}) > 1 for some in by_group.values())
    for one in found.labels:
        own = [row for row in rows if row["label"] == one.label]
        assert one.photos == len(own)
        assert one.groups == len({row["group"] for row in own})
        assert {name: count for name, count in one.splits.items() if count} == Counter(row["split"] for row in own)
    sizes = sorted((len(some) for some in by_group.values()), reverse=True)
    assert [group.photos for group in found.largest_groups] == [size for size in sizes[:10] if size > 1]


def test_a_name_of_a_split_that_the_audit_does_not_give_is_counted_too(tmp_path: Path) -> None:
    assert read(tmp_path, [split("Fig/1.jpg", 0, "held out")]).splits["held out"] == 1
