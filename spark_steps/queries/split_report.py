"""The audit's split in numbers: photos by label and split, groups of near-duplicates, and what contradicts the split.

Only the narrow columns of ``photo_splits`` are read: of a million photos some 200 MB.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spark_steps.audit.split import SPLITS
from spark_steps.errors import FruitsError
from spark_steps.store.store import Store
from spark_steps.tables.footers import folder_totals
from spark_steps.tables.totals import TotalsByFolder, not_reduced, sum_of

_COLUMNS = ("image_id", "label", "folder", "group", "split")
_GROUPS_NAMED = 10
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class LabelCounts:
    """The photos of a label.

    Attributes:
        label: The label.
        photos: Number of photos.
        groups: Number of groups of near-duplicates that they are in: their effective number.
        splits: Number of photos in each split.
    """

    label: str
    photos: int
    groups: int
    splits: dict[str, int]


@dataclass(frozen=True)
class Group:
    """A group of near-duplicates.

    Attributes:
        group: Its number.
        photos: Number of photos.
        folders: Number of folders that they lie in.
        labels: Number of photos of each label, the most common first.
        splits: The splits that they are in: one, unless the split is wrong.
    """

    group: int
    photos: int
    folders: int
    labels: dict[str, int]
    splits: list[str]


@dataclass(frozen=True)
class SplitReport:
    """The contents of ``photo_splits``.

    Attributes:
        audits: The versions of the audits that made the rows: one, unless something else has written rows.
        photos: Number of photos.
        folders: Number of folders.
        groups: Number of groups; a photo without near-duplicates is a group of its own.
        photos_with_twins: Number of photos in groups of several photos.
        groups_of_several: Number of groups of several photos.
        groups_of_several_labels: Number of groups whose photos have several labels.
        groups_of_several_folders: Number of groups whose photos lie in several folders.
        groups_across_splits: Number of groups whose photos are in several splits: 0, unless the split is wrong.
        copies_across_splits: Number of image ids whose photos are in several splits: 0, unless the split is wrong.
        splits: Number of photos in each split.
        labels: The photos of each label, sorted by label.
        largest_groups: The largest groups of several photos.
        uncovered: The folders whose photos with features are not those of ``photo_splits``, sorted.
    """

    audits: list[str]
    photos: int
    folders: int
    groups: int
    photos_with_twins: int
    groups_of_several: int
    groups_of_several_labels: int
    groups_of_several_folders: int
    groups_across_splits: int
    copies_across_splits: int
    splits: dict[str, int]
    labels: list[LabelCounts]
    largest_groups: list[Group]
    uncovered: list[str]

    @property
    def labels_missing(self) -> dict[str, list[str]]:
        """The labels without a photo in each split that has a photo of any label; only splits that lack a label."""
        lacking = {
            split: [one.label for one in self.labels if not one.splits[split]]
            for split, photos in self.splits.items()
            if photos
        }
        return {split: labels for split, labels in lacking.items() if labels}


def read_split(store: Store) -> SplitReport:
    """Returns what the table ``photo_splits`` of a store holds.

    Raises:
        FruitsError: No photo has a split.
    """
    rows = store.photo_splits.arrow(_COLUMNS)
    if not rows.num_rows:
        raise FruitsError(f"No photo of {store.root} has a split. Make it: fruits audit {store.option}")
    labels, names = _codes(rows["label"])
    folders, folder_names = _codes(rows["folder"])
    image_ids, _ = _codes(rows["image_id"])
    found, found_names = _codes(rows["split"])
    split_names = list(dict.fromkeys([*SPLITS, *sorted(found_names)]))
    splits = np.array([split_names.index(name) for name in found_names])[found]
    numbers, groups = np.unique(rows["group"].to_numpy(), return_inverse=True)
    by_label = _table_of(labels, splits, len(names), len(split_names))
    groups_of_label = _distinct(labels, groups, len(names), len(numbers))
    sizes = np.bincount(groups)
    totals = folder_totals(store.photo_splits)
    return SplitReport(
        audits=sorted(sum_of(totals.values()).made_by),
        photos=rows.num_rows,
        folders=len(folder_names),
        groups=len(numbers),
        photos_with_twins=int(sizes[sizes > 1].sum()),
        groups_of_several=int((sizes > 1).sum()),
        groups_of_several_labels=_of_several(groups, labels, len(names)),
        groups_of_several_folders=_of_several(groups, folders, len(folder_names)),
        groups_across_splits=_of_several(groups, splits, len(split_names)),
        copies_across_splits=_of_several(image_ids, splits, len(split_names)),
        splits=_named(split_names, by_label.sum(axis=0)),
        labels=sorted(
            (
                LabelCounts(name, int(counts.sum()), int(groups_of_label[number]), _named(split_names, counts))
                for number, (name, counts) in enumerate(zip(names, by_label, strict=True))
            ),
            key=lambda one: one.label,
        ),
        largest_groups=[
            _group(int(numbers[number]), groups == number, (labels, names), folders, (splits, split_names))
            for number in np.argsort(-sizes, kind="stable")[:_GROUPS_NAMED]
            if sizes[number] > 1
        ],
        uncovered=uncovered_folders(folder_totals(store.mobilenet_features), totals),
    )


def fewest(labels: Sequence[LabelCounts], most: int) -> list[LabelCounts]:
    """Returns the labels with the fewest effective photos, where there are more than ``most``; sorted by label."""
    kept = sorted(labels, key=lambda one: (one.groups, one.label))[:most]
    return sorted(kept, key=lambda one: one.label)


def uncovered_folders(features: TotalsByFolder, splits: TotalsByFolder) -> list[str]:
    """Returns the folders in which other photos have features than have a split, sorted.

    Args:
        features: Totals of mobilenet_features.
        splits: Totals of photo_splits.
    """
    return sorted(not_reduced(features, splits) | {folder for folder in splits if folder not in features})


def _codes(texts: pa.ChunkedArray) -> tuple[Codes, list[str]]:
    """Returns texts as numbers of the different texts, which are returned too."""
    encoded = texts.dictionary_encode().unify_dictionaries().combine_chunks()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()


def _table_of(one: Codes, other: Codes, ones: int, others: int) -> Codes:
    """Returns how many rows have each pair of codes, of shape (ones, others)."""
    return np.bincount(one * others + other, minlength=ones * others).reshape(ones, others)


def _distinct(one: Codes, other: Codes, ones: int, others: int) -> Codes:
    """Returns how many different codes ``other`` the rows of each code ``one`` have, of shape (ones,)."""
    return np.bincount(np.unique(one * others + other) // others, minlength=ones)


def _of_several(one: Codes, other: Codes, others: int) -> int:
    """Returns how many codes ``one`` have rows of several codes ``other``."""
    return int((_distinct(one, other, 0, others) > 1).sum())


def _named(names: list[str], counts: Codes) -> dict[str, int]:
    return dict(zip(names, map(int, counts), strict=True))


def _group(
    number: int,
    rows: NDArray[np.bool_],
    labels: tuple[Codes, list[str]],
    folders: Codes,
    splits: tuple[Codes, list[str]],
) -> Group:
    codes, counts = np.unique(labels[0][rows], return_counts=True)
    common = np.argsort(-counts, kind="stable")
    return Group(
        group=number,
        photos=int(counts.sum()),
        folders=len(np.unique(folders[rows])),
        labels={labels[1][codes[one]]: int(counts[one]) for one in common},
        splits=[splits[1][code] for code in np.unique(splits[0][rows])],
    )
