"""The split: whole groups, every label's shares, the same for the same photos, and stable when photos are added."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spark_steps.audit.split import SPLITS, Split, split_photos

SHARES = (0.7, 0.15, 0.15)
TRAIN, VALIDATION, TEST = range(3)
Photos = tuple[np.ndarray, np.ndarray, list[str]]


@st.composite
def photos_of_groups(draw: st.DrawFn, most: int = 60) -> Photos:
    """Photos with groups and labels; most groups have one label."""
    groups = np.array(draw(st.lists(st.integers(0, 25), min_size=1, max_size=most)))
    labels = groups % 4
    for number in draw(st.lists(st.integers(0, len(groups) - 1), max_size=4)):
        labels[number] = draw(st.integers(0, 3))
    return groups, labels, [f"{number:04x}" for number in range(len(groups))]


def split_of(photos: Photos, before: np.ndarray | None = None, seed: int = 0) -> Split:
    groups, labels, image_ids = photos
    known = np.full(len(groups), -1) if before is None else before
    return split_photos(groups, labels, image_ids, known, SHARES, seed)


@given(photos_of_groups(), st.integers(0, 5))
def test_no_group_is_in_two_splits(photos: Photos, seed: int) -> None:
    splits = split_of(photos, seed=seed).splits
    assert {int(one) for one in splits} <= {TRAIN, VALIDATION, TEST}
    for group in set(photos[0].tolist()):
        assert len(set(splits[photos[0] == group].tolist())) == 1


@given(photos_of_groups(), st.randoms(use_true_random=False))
def test_the_order_of_the_photos_changes_nothing(photos: Photos, random: object) -> None:
    order = np.random.default_rng(random.randrange(1000)).permutation(len(photos[0]))  # type: ignore[attr-defined]
    groups, labels, image_ids = photos
    shuffled = groups[order] * 7 + 3, labels[order], [image_ids[number] for number in order]
    np.testing.assert_array_equal(split_of(shuffled).splits, split_of(photos).splits[order])


@given(photos_of_groups(), photos_of_groups())
def test_photos_keep_their_split_when_photos_of_new_groups_are_added(photos: Photos, added: Photos) -> None:
    before = split_of(photos).splits
    groups = np.concatenate([photos[0], added[0] + 100])
    labels = np.concatenate([photos[1], added[1]])
    known = np.concatenate([before, np.full(len(added[0]), -1)])
    after = split_of((groups, labels, [*photos[2], *(f"new {one}" for one in added[2])]), known)
    np.testing.assert_array_equal(after.splits[: len(before)], before)
    assert not after.moved.any()


@given(photos_of_groups())
def test_a_second_split_of_the_same_photos_is_the_first(photos: Photos) -> None:
    before = split_of(photos).splits
    np.testing.assert_array_equal(split_of(photos, before.astype(np.int64)).splits, before)


@given(st.lists(st.integers(40, 200), min_size=1, max_size=4), st.integers(0, 3))
def test_a_label_of_many_photos_without_twins_has_its_shares_to_a_photo(sizes: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    count = len(labels)
    splits = split_of((np.arange(count), labels, [f"{one:x}" for one in range(count)]), seed=seed).splits
    for label, size in enumerate(sizes):
        counts = np.bincount(splits[labels == label], minlength=3)
        assert np.abs(counts - np.multiply(SHARES, size)).max() <= 1.0


@given(st.integers(1, 12), st.lists(st.integers(1, 40), min_size=12, max_size=12))
def test_a_label_of_few_groups_has_train_then_test_then_validation(count: int, sizes: list[int]) -> None:
    groups = np.repeat(np.arange(count), sizes[:count])
    photos = groups, np.zeros_like(groups), [f"{number:x}" for number in range(len(groups))]
    there = set(split_of(photos).splits.tolist())
    assert there == ({TRAIN} if count == 1 else {TRAIN, TEST} if count == 2 else {TRAIN, VALIDATION, TEST})


def test_a_group_that_joins_two_splits_moves_to_that_of_most_photos_and_the_others_are_counted() -> None:
    photos = np.zeros(6, int), np.zeros(6, int), list("abcdef")
    done = split_of(photos, np.array([TEST, TRAIN, TEST, -1, TEST, TRAIN]))
    assert done.splits.tolist() == [TEST] * 6
    assert done.moved.tolist() == [False, True, False, False, False, True]


def test_another_seed_gives_another_split_of_as_many_photos() -> None:
    photos = np.arange(200), np.zeros(200, int), [f"{number:x}" for number in range(200)]
    one, other = (split_of(photos, seed=seed).splits for seed in (0, 1))
    assert (one != other).any()
    np.testing.assert_array_equal(np.bincount(one), np.bincount(other))


def test_a_split_without_a_share_gets_no_photo() -> None:
    groups = np.arange(30)
    splits = split_photos(groups, groups % 2, [str(one) for one in groups], np.full(30, -1), (0.8, 0.0, 0.2), 0).splits
    assert np.bincount(splits, minlength=len(SPLITS)).tolist() == [24, 0, 6]


def test_no_photo_makes_no_split() -> None:
    assert len(split_of((np.zeros(0, int), np.zeros(0, int), [])).splits) == 0
