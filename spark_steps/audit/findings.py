"""The findings about photos, from the rows of photo_splits and the measures of mobilenet_features.

No reason has the path of another photo, so that an erased photo leaves no trace in the rows of others.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spark_steps.audit.flags import flags_of
from spark_steps.audit.settings import AuditSettings
from spark_steps.audit.split import most_frequent
from spark_steps.tables.schemas import AUDIT_SCHEMA, with_folder

ERROR, WARNING, INFO = "error", "warning", "info"
# What a normal distribution's standard deviation is in median absolute deviations.
_DEVIATION = 1.4826
# The least standard deviation: photos of one object are so much alike that any other would be an outlier.
_LEAST_DEVIATION = 0.01
# Of fewer photos no median is meaningful, nor the labels of a group.
_LEAST_PHOTOS, _LEAST_GROUP = 10, 5
# A photo among those of another label is as near to them as all but this share of them are to each other.
_FARTHEST_SHARE = 0.05
# Findings are collected as columns: a million of them as objects take half a gigabyte.
_AT_A_TIME = 8192
_FOUND = pa.schema(
    [
        ("row", pa.int64()),
        *((name, AUDIT_SCHEMA.field(name).type) for name in ("kind", "severity", "score", "reason", "group")),
    ]
)
_TEXTS = ("image_id", "path", "label", "audit", "folder")


class Finding(NamedTuple):
    """A finding about a photo.

    Attributes:
        row: The photo's row.
        kind: As in the table photo_audit; so are the other attributes.
    """

    row: int
    kind: str
    severity: str
    score: float
    reason: str
    group: int | None = None


class Photos(NamedTuple):
    """The columns of photo_splits that are compared, each of shape (N,).

    Attributes:
        names: The labels, sorted, of shape (L,).
        labels: Label of each photo, as a position in ``names``.
        images: Equal numbers for photos of the same bytes.
        groups: Groups of near-duplicates, from 0.
        numbers: The numbers of the groups in the table.
        nearest: Cosine of the nearest photo, NaN without one.
        other: Cosine of the nearest photo of another label, NaN without one.
        other_labels: Label of that photo, -1 without one.
        agreement: Share of the neighbours outside of the group that have the photo's label, NaN without one.
        label_cosine: Cosine to the mean of the label.
    """

    names: NDArray[np.str_]
    labels: NDArray[np.integer]
    images: NDArray[np.integer]
    groups: NDArray[np.integer]
    numbers: NDArray[np.integer]
    nearest: NDArray[np.float64]
    other: NDArray[np.float64]
    other_labels: NDArray[np.integer]
    agreement: NDArray[np.float64]
    label_cosine: NDArray[np.float64]

    @property
    def of_own_label(self) -> NDArray[np.integer]:
        """How many photos of each photo's group have its label, of shape (N,)."""
        keys = self.groups.astype(np.int64) * len(self.names) + self.labels
        _, of_key, counts = np.unique(keys, return_inverse=True, return_counts=True)
        of_photos: NDArray[np.integer] = counts[of_key]
        return of_photos

    def quoted(self, label: int) -> str:
        """Returns the name of a label in quotes."""
        return repr(str(self.names[label]))


def findings_of(rows: pa.Table, settings: AuditSettings) -> pa.Table:
    """Returns the findings about all photos of a store.

    Args:
        rows: The rows of photo_splits with the column ``folder``, and with the measures, ``width`` and ``height`` of
            mobilenet_features.
        settings: The settings of the audit.

    Returns:
        Rows of photo_audit with the column ``folder``, in the order of the photos.
    """
    found = pa.Table.from_batches(_batches(_all_findings(rows, settings)), _FOUND)
    found = found.take(pc.sort_indices(found["row"]))
    about = rows.select(_TEXTS).take(found["row"])
    schema = with_folder(AUDIT_SCHEMA)
    every = {**{name: about[name] for name in _TEXTS}, **{name: found[name] for name in _FOUND.names}}
    return pa.table([every[field.name] for field in schema], schema=schema)


def _all_findings(rows: pa.Table, settings: AuditSettings) -> Iterator[Finding]:
    if not rows.num_rows:
        return
    photos = photos_of(rows)
    for look in (_exact_copies, _near_duplicates, _label_conflicts, _label_candidates, _outliers):
        yield from look(photos, settings)
    for row, flags in enumerate(flags_of(rows, settings.thresholds)):
        yield from (Finding(row, one.kind, INFO, one.score, one.reason) for one in flags)


def _batches(found: Iterator[Finding]) -> Iterator[pa.RecordBatch]:
    """Yields findings as columns, so that there are never more than some thousands of them as objects of Python."""
    while some := list(islice(found, _AT_A_TIME)):
        columns = zip(*some, strict=True)
        yield pa.record_batch([pa.array(*one) for one in zip(columns, _FOUND.types, strict=True)], schema=_FOUND)


def photos_of(rows: pa.Table) -> Photos:
    """Returns the columns of photo_splits that are compared; at least one row."""
    names, labels = np.unique(np.array(rows["label"].to_pylist(), dtype=np.str_), return_inverse=True)
    images = rows["image_id"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    numbers = rows["group"].to_numpy()
    _, groups = np.unique(numbers, return_inverse=True)
    position = {name: number for number, name in enumerate(names.tolist())}
    # A label of which no photo is left is not known.
    others = [-1 if name is None else position.get(name, -1) for name in rows["other_label"].to_pylist()]
    cosines = ("nearest_cosine", "other_label_cosine", "label_agreement", "label_cosine")
    nearest, other, agreement, label_cosine = (_numbers(rows[name]) for name in cosines)
    return Photos(names, labels, images, groups, numbers, nearest, other, np.array(others), agreement, label_cosine)


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    return numbers


def _exact_copies(photos: Photos, _: AuditSettings) -> Iterator[Finding]:
    copies, labels = np.bincount(photos.images), _labels_of_bytes(photos)
    for row in np.flatnonzero(copies[photos.images] > 1).tolist():
        image, group = int(photos.images[row]), int(photos.numbers[row])
        told = f"The same bytes are there {copies[image]} times"
        if image in labels:
            told += f", under the labels {', '.join(map(photos.quoted, sorted(labels[image])))}."
            yield Finding(row, "exact_copy", ERROR, 1.0, told, group)
            yield Finding(row, "label_conflict", ERROR, 1.0, told, group)
        else:
            yield Finding(row, "exact_copy", INFO, 1.0, f"{told}.", group)


def _labels_of_bytes(photos: Photos) -> dict[int, set[int]]:
    """Returns the labels of photos with the same bytes, where there are several."""
    found: dict[int, set[int]] = {}
    _, first = np.unique(photos.images, return_index=True)
    label_of_first = photos.labels[first[photos.images]]
    for row in np.flatnonzero(photos.labels != label_of_first).tolist():
        found.setdefault(int(photos.images[row]), {int(label_of_first[row])}).add(int(photos.labels[row]))
    return found


def _near_duplicates(photos: Photos, _: AuditSettings) -> Iterator[Finding]:
    sizes = np.bincount(photos.groups)
    # Where all photos of a group are exact copies there is a finding already.
    different = np.bincount(photos.groups[np.unique(photos.images, return_index=True)[1]], minlength=len(sizes))
    for row in np.flatnonzero(different[photos.groups] > 1).tolist():
        cosine, size = photos.nearest[row], sizes[photos.groups[row]]
        told = f"It is one of {size} near-duplicates; the nearest has a cosine of {cosine:.3f}."
        yield Finding(row, "near_duplicate", INFO, cosine, told, int(photos.numbers[row]))


def _label_conflicts(photos: Photos, settings: AuditSettings) -> Iterator[Finding]:
    """Yields the photos that are near to one of another label, unless most of their group have their own label.

    So a wrong label among a hundred frames is one finding, not a hundred.
    """
    sizes, of_own = np.bincount(photos.groups), photos.of_own_label
    conflicts = (2 * of_own <= sizes[photos.groups]) & (photos.other >= settings.cosine)
    same_bytes = _labels_of_bytes(photos)
    for row in np.flatnonzero(conflicts).tolist():
        if photos.images[row] in same_bytes:
            continue
        told = (
            f"{of_own[row]} of its group of {sizes[photos.groups[row]]} near-duplicates have its label "
            f"{photos.quoted(photos.labels[row])}; the nearest of another label is "
            f"{photos.quoted(photos.other_labels[row])}, with a cosine of {photos.other[row]:.3f}."
        )
        yield Finding(row, "label_conflict", WARNING, photos.other[row], told, int(photos.numbers[row]))


def _label_candidates(photos: Photos, settings: AuditSettings) -> Iterator[Finding]:
    """Yields the photos that are most likely to have a wrong label.

    In a group of near-duplicates the group's own labels decide: outside of its group even a right label may have no
    photos, where all its frames are of one fruit.
    """
    in_group = _outvoted(photos, settings)
    sizes, of_own = np.bincount(photos.groups), photos.of_own_label
    for row in np.flatnonzero(in_group).tolist():
        size = sizes[photos.groups[row]]
        told = (
            f"{of_own[row]} of its group of {size} near-duplicates have its label "
            f"{photos.quoted(photos.labels[row])}, and nearly all have {photos.quoted(photos.other_labels[row])}."
        )
        yield Finding(row, "label_candidate", WARNING, of_own[row] / size, told, int(photos.numbers[row]))
    for row in np.flatnonzero(_among_others(photos, settings) & ~in_group).tolist():
        told = (
            f"{photos.agreement[row]:.0%} of its nearest photos outside of its group have its label "
            f"{photos.quoted(photos.labels[row])}; the nearest of another label is "
            f"{photos.quoted(photos.other_labels[row])}, with a cosine of {photos.other[row]:.3f}."
        )
        yield Finding(row, "label_candidate", WARNING, photos.agreement[row], told)


def _outvoted(photos: Photos, settings: AuditSettings) -> NDArray[np.bool_]:
    """Returns which photos are in a group nearly all of which have the label of the nearest photo of another label."""
    sizes = np.bincount(photos.groups)[photos.groups]
    _, label, count = most_frequent(photos.groups, photos.labels)
    of_group: NDArray[np.bool_] = (
        (sizes >= _LEAST_GROUP)
        & (count[photos.groups] >= settings.majority * sizes)
        & (label[photos.groups] != photos.labels)
        & (label[photos.groups] == photos.other_labels)
        & (photos.other >= settings.cosine)
    )
    return of_group


def _among_others(photos: Photos, settings: AuditSettings) -> NDArray[np.bool_]:
    """Returns which photos have neighbours of other labels, as near as photos of these labels are to each other."""
    outside = np.bincount(photos.labels)[photos.labels] - photos.of_own_label
    found: NDArray[np.bool_] = (
        (photos.agreement <= settings.agreement)
        & (outside >= settings.neighbours)
        & (photos.other >= _usual_cosines(photos)[photos.other_labels])
    )
    return found


def _usual_cosines(photos: Photos) -> NDArray[np.float64]:
    """Returns for each label the cosine to the nearest photo that nearly all of its photos have; the last is for -1."""
    usual = np.full(len(photos.names) + 1, np.inf)
    for label in range(len(photos.names)):
        nearest = photos.nearest[photos.labels == label]
        if np.isfinite(nearest).any():
            usual[label] = np.nanquantile(nearest, _FARTHEST_SHARE)
    return usual


def _outliers(photos: Photos, settings: AuditSettings) -> Iterator[Finding]:
    """Yields the photos that are far from the mean of their label, and from every photo.

    A second kind of photos of a label is far from the label's mean, but near to each other.
    """
    order = np.argsort(photos.labels, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(photos.labels[order])) + 1):
        if len(rows) < _LEAST_PHOTOS:
            continue
        to_label, nearest = photos.label_cosine[rows], photos.nearest[rows]
        far = (to_label < _lower_limit(to_label, settings)) & (nearest < _lower_limit(nearest, settings))
        for row in rows[far & (nearest < settings.cosine)].tolist():
            told = (
                f"Its cosine to the mean of its label {photos.quoted(photos.labels[row])} is "
                f"{photos.label_cosine[row]:.3f}, where the median photo has {np.median(to_label):.3f}; the nearest "
                f"photo of all has {photos.nearest[row]:.3f}."
            )
            yield Finding(row, "outlier", INFO, photos.label_cosine[row], told)


def _lower_limit(values: NDArray[np.float64], settings: AuditSettings) -> float:
    median = np.nanmedian(values)
    deviation = _DEVIATION * np.nanmedian(np.abs(values - median))
    return float(median - settings.deviations * max(_LEAST_DEVIATION, deviation))
