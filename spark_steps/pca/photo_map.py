"""Projects photos to points of a plane: a sample of each label, small enough to draw."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spark_steps.pca.discriminants import separated
from spark_steps.pca.model import PcaModel, feature_matrix
from spark_steps.storage import locations
from spark_steps.storage.parallel import for_each
from spark_steps.tables.folder_table import DataFile, FolderTable

# The names of more labels are not readable in one picture.
MOST_LABELS = 150
MOST_FOLDERS = 300
MOST_PHOTOS = 2000
_MOST_FILES_AT_A_TIME = 8
_ROWS_AT_A_TIME = 100
# Read pages when they are needed, instead of a file's first row group of 40 MB.
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class PhotoMap:
    """Some photos as points.

    Attributes:
        labels: Label of each photo, of shape (N,).
        components: The first two components of each photo, of shape (N, 2); the second is 0 if the PCA has only one.
        separated: The same photos on the two axes that separate labels, of shape (N, 2); None if there are no such
            axes.
        folders: Number of folders that the photos come from.
    """

    labels: NDArray[np.str_]
    components: NDArray[np.floating]
    separated: NDArray[np.floating] | None
    folders: int


def sample_map(features: FolderTable, model: PcaModel) -> PhotoMap:
    """Projects the first photos of some folders of each label, without Spark and with little data read.

    Args:
        features: The table mobilenet_features.
        model: The PCA.
    """
    folders = folders_of_labels(model.folders)
    each = MOST_PHOTOS // max(1, len(folders))
    paths = [list(of_folder) for _, of_folder in groupby(features.files(folders), key=attrgetter("folder"))]
    with locations.translate_errors(features.root):
        parts = for_each(lambda files: _first_rows(features, files, each), paths, _MOST_FILES_AT_A_TIME)
    labels = np.array([label for part in parts for label in part["label"].to_pylist()], dtype=np.str_)
    width = len(model.mean)
    matrices = [feature_matrix(part["features"].combine_chunks(), width) for part in parts if part.num_rows]
    reduced = model.project(np.concatenate(matrices)) if matrices else np.zeros((0, model.k), np.float32)
    components = np.zeros((len(labels), 2), np.float32)
    components[:, : model.k] = reduced[:, :2]
    return PhotoMap(labels, components, separated(reduced, labels), len(folders))


def label_of(folder: str) -> str:
    """Returns the label of a folder's photos: the last component of its name."""
    return folder.rpartition("/")[2]


def folders_of_labels(folders: Sequence[str]) -> list[str]:
    """Returns some folders of each label, for at most 150 labels that are evenly spaced among all labels."""
    of_label = defaultdict(list)
    for folder in folders:
        of_label[label_of(folder)].append(folder)
    labels = spread(sorted(of_label), MOST_LABELS)
    each = MOST_FOLDERS // max(1, len(labels))
    return sorted(folder for label in labels for folder in spread(of_label[label], each))


def spread(names: Sequence[str], most: int) -> list[str]:
    """Returns at most ``most`` of the given names, evenly spaced among them."""
    if len(names) <= most:
        return list(names)
    return [names[round(number)] for number in np.linspace(0, len(names) - 1, most)]


def _first_rows(features: FolderTable, files: Sequence[DataFile], most: int) -> pa.Table:
    """Returns label and features of the first rows that have features."""
    schema = pa.schema([("label", pa.string()), ("features", pa.list_(pa.float32()))])
    kept: list[pa.Table] = []
    for one in files:
        with features.reading(one, buffer_bytes=_BUFFER_BYTES) as file:
            for batch in file.iter_batches(_ROWS_AT_A_TIME, columns=["label", "features"]):
                good = pa.Table.from_batches([batch.filter(batch["features"].is_valid())])
                kept.append(good.select(schema.names).slice(0, most - sum(part.num_rows for part in kept)).cast(schema))
                if sum(part.num_rows for part in kept) >= most:
                    return pa.concat_tables(kept)
    return pa.concat_tables(kept) if kept else schema.empty_table()
