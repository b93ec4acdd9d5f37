"""Splits photos into train, validation and test: whole groups of near-duplicates together, stratified by label."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")
# A label of few groups gets them in this order.
_TRAIN_THEN_TEST = (0, 2, 1)
Integers = NDArray[np.integer]


@dataclass(frozen=True)
class Split:
    """The outcome.

    Attributes:
        splits: The split of each photo, as a position in ``SPLITS``, of shape (N,).
        moved: Whether each photo has another split than before, of shape (N,); false for photos that had none.
    """

    splits: NDArray[np.int8]
    moved: NDArray[np.bool_]


def split_photos(
    groups: Integers,
    labels: Integers,
    image_ids: Sequence[str],
    before: Integers,
    shares: Sequence[float],
    seed: int,
) -> Split:
    """Assigns each group of photos to one split.

    Groups with photos that have a split keep it: that of most of them. The others are taken label by label, large
    groups first, and each goes to the split that lacks most photos of the label. The last groups of a label go to
    splits without any photo of it: with one group there is train alone, with two there are train and test.

    Args:
        groups: The group of each photo, of shape (N,); a group belongs to the label that most of its photos have.
        labels: The label of each photo, from 0, of shape (N,).
        image_ids: The photos; the same photos in any order are split alike.
        before: The split that each photo has already, -1 for none, of shape (N,).
        shares: The parts of train, validation and test; a split with the part 0 gets no photo.
        seed: Decides the order of groups of equal size.
    """
    if not len(groups):
        return Split(np.zeros(0, np.int8), np.zeros(0, np.bool_))
    _, group = np.unique(groups, return_inverse=True)
    sizes, owner = np.bincount(group), most_frequent(group, labels)[1]
    chosen = _split_of_most(group, before)
    keys = _keys(group, image_ids, seed)
    for of_label in _by_value(owner):
        new = sorted(of_label[chosen[of_label] < 0].tolist(), key=lambda one: (-sizes[one], keys[one]))
        old = of_label[chosen[of_label] >= 0]
        counts = np.bincount(chosen[old], sizes[old], len(SPLITS))
        chosen[new] = _assign([int(sizes[one]) for one in new], counts.tolist(), shares)
    splits = chosen[group].astype(np.int8)
    return Split(splits, (before >= 0) & (splits != before))


def _assign(sizes: Sequence[int], counts: Sequence[float], shares: Sequence[float]) -> list[int]:
    """Returns the split of each group of a label.

    Args:
        sizes: Photos of each group, the largest first.
        counts: Photos of the label that each split has already.
        shares: The parts of the splits.
    """
    have, total = list(counts), sum(counts) + sum(sizes)
    wanted = [number for number in _TRAIN_THEN_TEST if shares[number] > 0]
    chosen = []
    for number, size in enumerate(sizes):
        empty = [one for one in wanted if not have[one]]
        if len(sizes) - number <= len(empty):
            to = empty[0]
        else:
            # max takes the first of those that lack equally many.
            to = max(wanted, key=lambda one: shares[one] * total - have[one])
        have[to] += size
        chosen.append(to)
    return chosen


def _split_of_most(group: Integers, before: Integers) -> Integers:
    """Returns the split that most photos of each group have, -1 for groups without a photo that has one."""
    chosen = np.full(int(group.max()) + 1, -1)
    known = before >= 0
    groups, splits, _ = most_frequent(group[known], before[known])
    chosen[groups] = splits
    return chosen


def most_frequent(groups: Integers, values: Integers) -> tuple[Integers, Integers, Integers]:
    """Returns the groups, the most frequent value of each, the lowest of several, and how often it occurs.

    Args:
        groups: The group of each item, from 0, of shape (N,).
        values: The value of each item, from 0, of shape (N,).
    """
    width = int(values.max()) + 1 if len(values) else 1
    pairs, counts = np.unique(groups.astype(np.int64) * width + values, return_counts=True)
    of_pair, value = pairs // width, pairs % width
    order = np.lexsort((value, -counts, of_pair))
    first = order[np.unique(of_pair[order], return_index=True)[1]]
    return of_pair[first], value[first], counts[first]


def _keys(group: Integers, image_ids: Sequence[str], seed: int) -> list[bytes]:
    """Returns a number for each group that depends on its photos and the seed alone: its order among equals."""
    least = [b"\xff" * 17] * (int(group.max()) + 1)
    for number, image_id in zip(group.tolist(), image_ids, strict=True):
        least[number] = min(least[number], hashlib.blake2b(f"{seed}:{image_id}".encode(), digest_size=16).digest())
    return least


def _by_value(values: Integers) -> list[Integers]:
    """Returns the positions of each value."""
    order = np.argsort(values, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(values[order])) + 1)
