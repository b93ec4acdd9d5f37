"""Standardised PCA of the features: an exact fit in one pass, for any number of components."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spark_steps.errors import FruitsError
from spark_steps.features.weights import MobileNetModel
from spark_steps.pca.moments import Matrix, Moments, RunningMoments, merge_in_pairs, packed_bytes, version_of
from spark_steps.spark.tasks import run_in_tasks
from spark_steps.tables.folder_table import DataFile, FolderTable
from spark_steps.tables.partitions import contiguous_partitions

# For annotations only: a model is loaded and projects without Spark.
if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ANALYSED_COMPONENTS = 350
DEFAULT_COMPONENTS = 50
_ROWS_AT_A_TIME = 2048
# Each task returns its moments to the driver, 6.6 MB at 1280 features, and Spark limits the results of a job to 1 GB.
_MOST_TASKS, _MOST_RESULT_BYTES = 64, 512 << 20


@dataclass(frozen=True)
class PcaSettings:
    """How many components to keep.

    Attributes:
        components: Number of components to keep, if ``variance`` is None.
        variance: Keep as many components as explain this share of the variance, in (0, 1].
    """

    components: int = DEFAULT_COMPONENTS
    variance: float | None = None

    @classmethod
    def of(cls, components: int | None, variance: float | None) -> "PcaSettings | None":
        """Returns the settings for a request, None if both are None; a share of the variance overrides a number."""
        if variance is not None:
            return cls(variance=variance)
        return None if components is None else cls(components)

    def __str__(self) -> str:
        return f"{self.components} components" if self.variance is None else f"{100 * self.variance:g}% of the variance"


def settings_for_next(asked: PcaSettings | None, before: PcaSettings | None) -> tuple[PcaSettings, str | None]:
    """Returns the settings of the next PCA of a store, and a message if they differ from what the user may expect.

    Args:
        asked: The requested settings; None for those of the store's current model, or 50 components in a new store.
        before: The settings of the store's current model; None if it has none.

    Returns:
        The settings, and a message if they replace others or are not the default; else None.
    """
    wanted = asked or before or PcaSettings()
    if asked and before and asked != before:
        return wanted, f"The PCA keeps {asked} instead of {before}."
    if before and not asked and before != PcaSettings():
        return wanted, f"The PCA keeps {before}, as this store was asked for before."
    return wanted, None


@dataclass(frozen=True)
class PcaModel:
    """A standardised PCA; ``reduced = ((x - mean) / scale) @ components[:k].T``.

    Attributes:
        version: Name of the model: the same for the same photos, network and settings.
        features_model: Fingerprint of the network that made the features.
        rows: Number of photos that the model was fitted on.
        folders: Folders of these photos.
        k: Number of components kept.
        asked_components: Number of components requested; more than ``k`` if the photos span fewer.
        asked_variance: Share of variance requested, or None.
        mean: Mean of each feature, of shape (features,).
        scale: Standard deviation (population) of each feature, 1 where it is constant, of shape (features,).
        components: Unit vectors, of shape (max(k, at most 350), features); the largest loading of each is positive.
        explained_variance_ratio: Share of the variance that each component explains, for all components that the photos
            span, at most as many as there are features.
        weights: ``source`` and ``sha256`` of the network's weights.
        features_version: Version of the table mobilenet_features that the model was fitted on.
    """

    version: str
    features_model: str
    rows: int
    folders: list[str]
    k: int
    asked_components: int
    asked_variance: float | None
    mean: Matrix
    scale: Matrix
    components: Matrix
    explained_variance_ratio: Matrix
    weights: dict[str, str] = field(default_factory=dict)
    features_version: int | None = None

    @property
    def asked(self) -> PcaSettings:
        """The requested settings."""
        return PcaSettings.of(self.asked_components, self.asked_variance) or PcaSettings()

    def explained_at(self, components: int) -> float:
        """Returns the share of the variance that a number of components keeps."""
        return float(self.explained_variance_ratio[:components].sum())

    def components_for(self, variance: float) -> int:
        """Returns how many components keep a share of the variance."""
        return _components_for(self.explained_variance_ratio, variance)

    def project(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Returns the reduced features, float32 of shape (N, k), of features of shape (N, features)."""
        standardised = (features - self.mean) / self.scale
        reduced: NDArray[np.float32] = (standardised @ self.components[: self.k].T).astype(np.float32)
        return reduced


def _components_for(ratios: Matrix, variance: float) -> int:
    # The shares may add up to slightly less than 1 by rounding: 100 % must not need more components than there are.
    return min(int(np.searchsorted(np.cumsum(ratios), variance - 1e-12)) + 1, len(ratios))


def fit(spark: "SparkSession", features: FolderTable, network: MobileNetModel, settings: PcaSettings) -> PcaModel:
    """Fits a PCA to all rows of mobilenet_features that have features, in one pass over its files.

    Args:
        spark: The session.
        features: The table mobilenet_features.
        network: The network that made the features.
        settings: How many components to keep.

    Raises:
        FruitsError: There are fewer than two photos, all photos have the same features, some features are not finite,
            or some were made by another network.
    """
    snapshot = features.snapshot()
    files = snapshot.files
    moments = _fold(spark, features, files, network)
    if moments.count < 2:
        raise FruitsError("A PCA needs at least 2 usable photos, and there is 1. Add photos.")
    model = solve(moments, network.fingerprint, settings, sorted({file.folder for file in files}))
    weights = {"source": network.source, "sha256": network.weights_sha256}
    return replace(model, weights=weights, features_version=snapshot.version)


def _fold(spark: "SparkSession", features: FolderTable, files: Sequence[DataFile], network: MobileNetModel) -> Moments:
    fingerprint, width = network.fingerprint, network.spec.features

    def run(share: Iterator[DataFile]) -> Iterator[tuple[str, str, bytes]]:
        moments, others, first = RunningMoments(), set[str](), ""
        for file in share:
            first = first or file.path
            for model, rows in _rows_by_model(features, file):
                if model == fingerprint:
                    moments.add(feature_matrix(rows["features"], width), rows["image_id"].to_pylist())
                else:
                    others.add(model)
        yield from ((first, model, b"") for model in others)
        if moments:
            yield first, fingerprint, moments.total().to_bytes()

    tasks = min(_MOST_TASKS, max(1, _MOST_RESULT_BYTES // packed_bytes(width)), spark.sparkContext.defaultParallelism)
    found = run_in_tasks(spark.sparkContext, contiguous_partitions(files, tasks), run)
    if not found:
        raise FruitsError(
            "No photo has features, so there is nothing to fit a PCA to. The reasons are in fruits report, and with "
            "the check almost_every_photo_is_usable."
        )
    others = sorted({model for _, model, _ in found} - {fingerprint})
    if others:
        raise FruitsError(
            f"Some features were made by another network ({others[0][:12]}) than the present one ({fingerprint[:12]}). "
            "Make the features of all folders with the present one (fruits run, or the job whole_pipeline)."
        )
    parts = [Moments.from_bytes(packed, width) for _, _, packed in sorted(found, key=itemgetter(0))]
    return merge_in_pairs(parts)


def _rows_by_model(features: FolderTable, file: DataFile) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yields the rows of a file that have features, by the network that made them."""
    columns = ["features", "model", "image_id"]
    with features.reading(file) as opened:
        for batch in opened.iter_batches(_ROWS_AT_A_TIME, columns=columns):
            good = batch.filter(batch["features"].is_valid())
            for model in good["model"].unique().to_pylist():
                yield model, good.filter(pa.compute.equal(good["model"], model))


def feature_matrix(column: pa.ListArray, width: int) -> NDArray[np.float32]:
    """Returns a column of N feature lists, none of them null, as a matrix of shape (N, width).

    Args:
        column: The lists.
        width: Number of features of each, as the network gives them.

    Raises:
        FruitsError: A list has another length.
    """
    lengths = set(pa.compute.list_value_length(column).unique().to_pylist())
    if lengths - {width}:
        raise FruitsError(
            f"Some photos have {min(lengths - {width})} features, and their network gives {width}. Make them again: "
            "the job whole_pipeline with full_refresh."
        )
    matrix: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), width)
    return matrix


def solve(moments: Moments, features_model: str, settings: PcaSettings, folders: list[str]) -> PcaModel:
    """Returns the PCA for given moments, from the eigenvectors of the correlation matrix.

    The result agrees with scikit-learn's ``StandardScaler`` followed by ``PCA``: population standard deviations,
    constant columns unscaled, signs fixed by the largest loading.

    Raises:
        FruitsError: All photos have the same features, or some features are not finite.
    """
    if not np.isfinite(moments.cross_products).all():
        raise FruitsError(
            "Some features are NaN or infinite, so no PCA can be fitted. The check features_are_finite_numbers says "
            "how many; the weights are most likely broken."
        )
    variance = np.diag(moments.cross_products) / moments.count
    constant = _is_constant(variance, moments.mean, moments.count)
    if constant.all():
        raise FruitsError(
            f"All {moments.count} usable photos have the same features, so there is no variance to keep. "
            "Add photos that differ."
        )
    scale = np.where(constant, 1.0, np.sqrt(variance))
    correlation = moments.cross_products / moments.count / np.outer(scale, scale)
    # Otherwise the rounding error of a constant column would count as variance.
    correlation[constant, :] = 0.0
    correlation[:, constant] = 0.0
    values, vectors = _eigh(correlation)
    values, vectors = values[::-1].clip(min=0.0), vectors[:, ::-1].T
    rank = min(moments.count - 1, int((~constant).sum()), int((values > values[0] * len(values) * 1e-15).sum()))
    ratios = values[:rank] / values.sum()
    asked = _components_for(ratios, settings.variance) if settings.variance else settings.components
    k = min(asked, rank)
    components = vectors[: min(rank, max(k, ANALYSED_COMPONENTS))].copy()
    largest = np.abs(components).argmax(axis=1)
    components *= np.sign(components[np.arange(len(components)), largest])[:, np.newaxis]
    return PcaModel(
        version=version_of(moments.count, moments.digest, features_model, settings.variance or settings.components),
        features_model=features_model,
        rows=moments.count,
        folders=folders,
        k=k,
        asked_components=settings.components,
        asked_variance=settings.variance,
        mean=moments.mean,
        scale=scale,
        components=components,
        explained_variance_ratio=ratios,
    )


def _eigh(symmetric: Matrix) -> tuple[Matrix, Matrix]:
    """Returns the eigenvalues, ascending, and the eigenvectors as columns, computed by one thread.

    Several threads wait for each other in loops, thousands of times: on busy cores two took 4 s of processor time for a
    matrix of 1280 columns, and one takes 0.4 s. So the numbers do not depend on the machine's cores either.
    """
    # Imported here: whoever loads a model and projects does not need it.
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        values, vectors = np.linalg.eigh(symmetric)
    return values, vectors


def _is_constant(variance: Matrix, mean: Matrix, count: int) -> NDArray[np.bool_]:
    """Returns for each column whether its variance is rounding error, by scikit-learn's ``_is_constant_feature``."""
    epsilon = np.finfo(np.float64).eps
    constant: NDArray[np.bool_] = variance <= count * epsilon * variance + (count * mean * epsilon) ** 2
    return constant
