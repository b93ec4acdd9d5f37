"""A contender with other features than ours is not faster, it is wrong."""

import hashlib
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
from numpy.typing import NDArray

from benchmarks.harness.feature_files import read_features
from benchmarks.harness.network import in_parts, list_photos, network_of_process
from benchmarks.harness.photos import one_link_each, original_of
from spark_steps.errors import FruitsError

FEATURES_TOLERANCE = 1e-3
VARIANCE_TOLERANCE = 1e-6


def reference_features(images: str, flatbuffer: str, scratch: Path, cores: int) -> dict[str, NDArray[np.float32]]:
    """Returns the features of each different photo of an images root, computed once and kept in the scratch directory.

    They come from the product's decoding and the converted network, without any engine.
    """
    links = one_link_each(list_photos(images))
    content = Path(flatbuffer).read_bytes() + "\n".join([images, *links]).encode()
    known = scratch / f"reference-{hashlib.sha256(content).hexdigest()[:16]}.npy"
    if not known.exists():
        with Pool(cores) as pool:
            parts = pool.map(partial(_features, flatbuffer), in_parts(list(links.values())))
        np.save(known, np.concatenate(parts))
    return dict(zip(links, np.load(known), strict=True))


def _features(flatbuffer: str, paths: list[str]) -> NDArray[np.float32]:
    return network_of_process(flatbuffer).features(paths)


def compare_features(
    name: str, directory: str, images: str, reference: dict[str, NDArray[np.float32]], *, same_pixels: bool
) -> dict[str, Any]:
    """Returns how near a contender's features are to the reference.

    Args:
        name: The contender's.
        directory: Where its Parquet files lie.
        images: The photos that it was given.
        reference: Features of each original.
        same_pixels: Whether they must be equal to 1e-3; otherwise the cosine is told, and not judged.

    Raises:
        FruitsError: Photos are missing or there twice, or the features differ.
    """
    paths, features = read_features(directory)
    # Ours are relative to the images.
    paths = [str(Path(images, path)) for path in paths]
    if sorted(paths) != list_photos(images):
        raise FruitsError(
            f"{name} has lost or doubled photos: it wrote {len(paths):,} rows, {len(set(paths)):,} paths."
        )
    expected = np.stack([reference[original_of(path)] for path in paths])
    difference = float(np.abs(features - expected).max())
    if same_pixels:
        if not difference <= FEATURES_TOLERANCE:
            raise FruitsError(
                f"{name} has features that differ by {difference:.2g} from ours; its time counts for nothing."
            )
        return {"greatest_difference": difference}
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(expected, axis=1)
    cosines = (features * expected).sum(axis=1) / lengths
    return {"cosine_least": float(cosines.min()), "cosine_median": float(np.median(cosines))}


def count_reduced(name: str, directory: str, photos: int) -> None:
    """Raises a FruitsError unless a contender has reduced all photos."""
    rows = ds.dataset([str(file) for file in Path(directory).rglob("*.parquet")]).count_rows()
    if rows != photos:
        raise FruitsError(f"{name} has reduced {rows:,} of {photos:,} photos.")


def compare_explained_variance(name: str, told: list[float], reference: list[float]) -> float:
    """Returns the greatest difference of explained variance ratios.

    Raises:
        FruitsError: It is more than 1e-6.
    """
    difference = float(np.abs(np.array(told) - np.array(reference)).max())
    if not difference <= VARIANCE_TOLERANCE:
        raise FruitsError(f"{name} explains other shares of the variance: they differ by {difference:.2g}.")
    return difference
